"""Fewer columns: wide features on their first principal components, found without a label.

Letters: N clips, D features, k components.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from sklearn.decomposition import PCA

from agt_lib.fusion.data import FusionData
from agt_lib.fusion.scaling import Scaler, fit_scaler
from agt_lib.workspace.kept import digest

AT_MOST = 20_000
"""Clips that find the components: more of them hardly turn these."""


@dataclass(frozen=True)
class Reduction:
    """What brings a modality's features (N, D) to k columns: `components` (D, k) of standardised
    features, all divided by one number. An absent modality is at its mean."""

    scaler: Scaler
    components: np.ndarray

    @cached_property
    def mark(self) -> str:
        """A hash of the components, for the fingerprint of the features."""
        return digest(self.components.tobytes().hex())

    def __call__(self, x: np.ndarray, present: np.ndarray) -> np.ndarray:
        """Features (N, k) of x (N, D)."""
        return np.where(present[:, None], self.scaler(x), 0).astype(np.float32) @ self.components


def reduced(
    width: int, *parts: FusionData | None, seed: int = 0
) -> tuple[list[FusionData | None], Mapping[str, Reduction]]:
    """The same `parts` of a run with at most `width` columns a modality, and how they came about.

    Features are standardised by speaker, if the parts have such statistics (`with_speakers`), then
    over all clips of all parts, and projected on the components of largest variance. So models take
    them as they are: `scale="none"`. A modality with no more columns is standardised alone. It uses
    no label, but the test clips if these are among the parts: that is transductive. Raises
    ValueError if `width` is not positive.
    """
    if width < 1:
        raise ValueError(f"the columns left are 1 or more; got {width}")
    by_speaker = [part.scaled("speaker") if part.by_speaker else part for part in parts if part]
    rng, found = np.random.default_rng(seed), {}
    for m in by_speaker[0].modalities:
        clips = np.concatenate([part.features[m][part.is_present(m)] for part in by_speaker])
        scaler = fit_scaler(clips)
        if len(clips) > AT_MOST:
            clips = clips[rng.permutation(len(clips))[:AT_MOST]]
        clips = scaler(clips)
        k = min(width, *clips.shape)
        if k < clips.shape[1]:
            pca = PCA(k, svd_solver="randomized", random_state=seed).fit(clips)
            components = pca.components_.T
        else:
            components = np.eye(k)
        spread = np.sqrt(np.square(clips @ components).mean())
        found[m] = Reduction(scaler, (components / spread).astype(np.float32))
    return [part and on_components(part, found) for part in parts], found


def on_components(data: FusionData, how: Mapping[str, Reduction]) -> FusionData:
    """`data` on the components that `reduced` found, scaled by speaker first as there."""
    if data.by_speaker:
        data = data.scaled("speaker")
    return replace(
        data,
        features={m: how[m](x, data.is_present(m)) for m, x in data.features.items()},
        fingerprints={
            m: f"{text}, reduced ({how[m].mark})" for m, text in data.fingerprints.items()
        },
    )
