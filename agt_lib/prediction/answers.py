"""What a bundle's models say of new clips, as one table. Letters: N clips, C labels."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from agt_lib.corpora.labels import MODALITIES, TITLES
from agt_lib.evaluation.calibration import with_temperature
from agt_lib.evaluation.predictions import Predictions
from agt_lib.features.features import Features
from agt_lib.fusion import AGT, BASELINE
from agt_lib.fusion.crossval import predict_mean
from agt_lib.fusion.data import FusionData, assemble
from agt_lib.fusion.reduction import on_components
from agt_lib.fusion.rows import AGT_BY_FOLD
from agt_lib.fusion.scaling import FEW_CLIPS
from agt_lib.prediction.bundle import Bundle
from agt_lib.voting.priors import check_prior, propose_triggers
from agt_lib.voting.rules import VOICE, VoteConfig, draw_labels, vote_shares

KNOWN, FEW = "speaker (known)", "training clips"


def answer(
    bundle: Bundle,
    features: Mapping[str, Features],
    speakers: pd.Series | None = None,
    *,
    prior: Mapping[str, float] | None = None,
    seed: int = 0,
) -> pd.DataFrame:
    """A row a clip of `features`, which are by modality and of the same clips.

    Columns: `emotion` and its `confidence`, calibrated on single models out of fold; a probability
    for each label, the mean of all AGT models; what each modality says alone (voice, face, words);
    `gated`, what AMF left out in more than half of the models; `scaled_by`; and `absent`, the
    modalities that the clip lacks, with reasons. With a `prior`, the shares by label that are
    expected, also the paper's `vote` (section 2.3), whose triggers are the labels that shift and
    whose draw is of `seed`.

    `scaled_by` says whose statistics bring a clip's features to scale. They are its speaker's where
    the bundle knows it (`speakers`, by clip name), or those of this call's clips of that speaker if
    they are `FEW_CLIPS` or more: then a row depends on the others. Else they are those of the
    training clips and AGT scaled by fold answers, which is as good or better with fewer clips
    (`benchmarks/new_speaker.py`). A clip that has nothing the models read has no emotion. Raises
    ValueError for a prior of other labels, and FingerprintError for features made by another
    encoder.
    """
    names = next(iter(features.values())).names
    who = pd.Series(None, index=list(names), dtype=object) if speakers is None else speakers
    who = who.reindex(list(names)).to_numpy(object)
    who = np.array([None if pd.isna(one) else str(one) for one in who], dtype=object)
    given = _filled(bundle, features, names)
    data = assemble(names, given, label_set=bundle.labels, groups=who).in_memory()
    data, scaled_by = _scaled(bundle, data)
    by_fold = (scaled_by == FEW) & (AGT_BY_FOLD in bundle.models)
    if bundle.components is not None:
        data = on_components(data, bundle.components)
    seen = data.present.any(1)

    given = _mean(bundle, AGT, data)
    if by_fold.any():
        rows = np.flatnonzero(by_fold)
        given[rows] = _mean(bundle, AGT_BY_FOLD, data.rows(rows))
    labels = np.array(bundle.labels, dtype=object)
    sharpness = np.full(len(given), bundle.temperatures[AGT])
    sharpness[by_fold] = bundle.temperatures.get(AGT_BY_FOLD, 1.0)
    sure = with_temperature(given, sharpness[:, None]).max(1)
    table = {"emotion": labels[given.argmax(1)], "confidence": sure}
    table |= dict(zip(bundle.labels, given.T, strict=True))
    for m in data.modalities:
        alone = _mean(bundle, m, data.only((m,)))
        table[TITLES[m]] = np.where(data.is_present(m), labels[alone.argmax(1)], None)
    table["gated"] = _gated(bundle, data, by_fold)
    table["scaled_by"] = scaled_by
    if prior is not None:
        table["vote"] = _vote(bundle, data, given, prior, seed)
    table["absent"] = _reasons(bundle, features, names)
    table = pd.DataFrame(table, index=pd.Index(names, name="name"))
    numbers = ["confidence", *bundle.labels]
    table.loc[~seen, numbers] = np.nan
    table.loc[~seen, [c for c in ("emotion", "scaled_by", "vote") if c in table]] = None
    return table


def _filled(
    bundle: Bundle, features: Mapping[str, Features], names: Sequence[str]
) -> dict[str, Features]:
    """The features of every modality of the bundle, absent where none are given."""
    found = {}
    for m, width in bundle.dims.items():
        nothing = np.zeros((len(names), width), np.float32), np.zeros(len(names), bool)
        found[m] = features.get(m) or Features(m, tuple(names), *nothing, bundle.fingerprints[m])
    return found


def _scaled(bundle: Bundle, data: FusionData) -> tuple[FusionData, np.ndarray]:
    """`data` with the statistics that its clips are scaled by, and whose these are (N,)."""
    scaled_by = np.full(len(data.names), FEW, dtype=object)
    if bundle.by_speaker is None:
        return replace(data, groups=None), scaled_by
    known = np.isin(data.groups.astype(str), bundle.by_speaker.speakers.astype(str))
    known &= data.groups != None  # noqa: E711  element by element
    read = pd.Series(data.groups).where(data.present.any(1))
    counts = read.map(read.value_counts()).fillna(0).to_numpy(int)
    new = ~known & (counts >= FEW_CLIPS)
    scaled_by[known] = KNOWN
    scaled_by[new] = [f"speaker ({n} clips of this call)" for n in counts[new]]
    groups = np.where(known | new, data.groups, None)
    rows = {m: data.is_present(m) for m in data.modalities}
    clips = {m: (x[rows[m]], groups[rows[m]]) for m, x in data.features.items()}
    return replace(data, groups=groups, by_speaker=bundle.by_speaker.joined(clips)), scaled_by


def _mean(bundle: Bundle, name: str, data: FusionData) -> np.ndarray:
    """Probabilities (N, C): each seed's mean over its models, and the mean of these."""
    return np.mean([predict_mean(models, data) for models in bundle.models[name]], axis=0)


def _gated(bundle: Bundle, data: FusionData, by_fold: np.ndarray) -> np.ndarray:
    """What more than half of a clip's models left out: "face, words", "" for nothing (N,)."""
    said = np.full(len(data.names), "", dtype=object)
    for name, rows in ((AGT, np.flatnonzero(~by_fold)), (AGT_BY_FOLD, np.flatnonzero(by_fold))):
        if not len(rows):
            continue
        models = [model for of_seed in bundle.models[name] for model in of_seed]
        gates = [model.gate(data.rows(rows)) for model in models]
        out = np.mean([(gate.valid & ~gate.kept).numpy() for gate in gates], axis=0) > 0.5
        titles = ["+".join(TITLES.get(m, m) for m in t.split("+")) for t in gates[0].tokens]
        said[rows] = [", ".join(np.array(titles, object)[own]) for own in out]
    return said


def _vote(
    bundle: Bundle, data: FusionData, agt: np.ndarray, prior: Mapping[str, float], seed: int
) -> np.ndarray:
    """The paper's vote of voice, baseline and AGT (N,)."""
    voice = MODALITIES[0]
    if voice not in data.modalities or len(data.modalities) < 2:
        raise ValueError("a vote needs the voice and a second modality; this run had not both")
    if unknown := sorted(set(prior) ^ set(bundle.labels)):
        raise ValueError(
            f"the prior gives shares of {', '.join(prior)}; expected one for each of "
            f"{', '.join(bundle.labels)} (not in both: {', '.join(unknown)})"
        )
    expected = pd.Series(prior, dtype=float)[list(bundle.labels)]
    check_prior(expected.to_numpy(), bundle.labels, "the prior")
    triggers = propose_triggers(pd.Series(dict(bundle.shares)), expected)
    stacks = {
        VOICE: _mean(bundle, voice, data.only((voice,)))[None],
        BASELINE: _mean(bundle, BASELINE, data)[None],
        AGT: agt[None],
    }
    seen = {VOICE: data.is_present(voice), BASELINE: data.present.any(1)}
    predictions = Predictions(data.names, bundle.labels, stacks, seen=seen | {AGT: seen[BASELINE]})
    shares = vote_shares(predictions, VoteConfig(triggers))
    return draw_labels(predictions, shares, seed)[0].to_numpy(object)


def _reasons(bundle: Bundle, features: Mapping[str, Features], names: Sequence[str]) -> list[str]:
    """What each clip lacks of what the models read, and why: "words: the clip has no words"."""
    found: dict[str, list[str]] = {}
    for m in bundle.dims:
        if m in features:
            why = features[m].failures[["name", "reason"]].itertuples(index=False)
        else:
            why = ((name, "none given") for name in names)
        for name, reason in why:
            found.setdefault(name, []).append(f"{TITLES[m]}: {reason}")
    return ["; ".join(found.get(name, ())) for name in names]
