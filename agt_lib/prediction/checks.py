"""Whether the parts of a bundle belong together."""

from typing import TYPE_CHECKING

import numpy as np

from agt_lib.fusion import AGT, BASELINE
from agt_lib.fusion.rows import AGT_BY_FOLD

if TYPE_CHECKING:
    from agt_lib.prediction.bundle import Bundle


def problems_of(bundle: "Bundle") -> list[str]:
    """What keeps the parts from belonging together: labels, widths, numbers that can't be."""
    needed = {AGT, *bundle.encoders} | ({BASELINE} if len(bundle.encoders) > 1 else set())
    problems = [f"there is no model called {name}" for name in needed - set(bundle.models)]
    if problems:
        return problems
    expected = bundle.models[AGT][0][0].dims
    for name, by_seed in bundle.models.items():
        for model in (model for of_seed in by_seed for model in of_seed):
            if model.label_set != bundle.labels:
                labels = ", ".join(model.label_set)
                problems.append(f"a model of {name} has the labels {labels}")
            if any(expected.get(m) != width for m, width in model.dims.items()):
                problems.append(f"a model of {name} reads widths {model.dims}, not {expected}")
            if model.config.scale == "speaker" and bundle.by_speaker is None:
                problems.append(f"a model of {name} is scaled by speaker, without statistics")
    hot = [bundle.temperatures[name] for name in (AGT, AGT_BY_FOLD) if name in bundle.models]
    if not all(0 < temperature < np.inf for temperature in hot):
        problems.append(f"temperatures are {hot}")
    values = [value for options in bundle.options.values() for value in options.values()]
    if not all(isinstance(value, str | int | float) for value in values):
        problems.append(f"options of encoders are {values}")
    for m, how in (bundle.components or {}).items():
        shape = how.scaler.mean.shape, how.scaler.sd.shape, how.components.shape
        width = (len(how.components),)
        if shape != (width, width, (*width, expected[m])) or not (how.scaler.sd > 0).all():
            problems.append(f"components of {m} have the shapes {shape}")
        elif not (np.isfinite(how.components).all() and np.isfinite(how.scaler.mean).all()):
            problems.append(f"components of {m} are not finite")
    for m, width in bundle.dims.items() if bundle.by_speaker is not None else ():
        shape = (len(bundle.by_speaker.speakers) + 1, width)
        arrays = bundle.by_speaker.mean[m], bundle.by_speaker.sd[m]
        if any(x.shape != shape or not np.isfinite(x).all() for x in arrays):
            problems.append(f"statistics of speakers for {m} are not finite numbers {shape}")
        elif not (bundle.by_speaker.sd[m] > 0).all():
            problems.append(f"a standard deviation of {m} is not above zero")
    return problems
