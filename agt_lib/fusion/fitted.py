"""A fitted fusion model: its weights, what it was fitted with, and its predictions.

Letters: N clips, D feature, M modalities, C classes.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from agt_lib.fusion.agt import AGT, Gate
from agt_lib.fusion.config import FusionConfig, build
from agt_lib.fusion.data import FusionData, Scaler

AT_ONCE = 1024
HISTORY = ("train_loss", "inner_loss", "inner_waf")


class FingerprintError(ValueError):
    """Features that were not made as those the model was fitted on."""


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch compute on one thread: on networks this small more of them wait for one another."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@dataclass(frozen=True)
class FittedModel:
    """Weights of the epoch chosen, with all it takes to predict new clips.

    `history` has one row per epoch and the columns `HISTORY`, of which the last two are on the
    inner part of the training fold that chose `epoch` (counted from 1).
    """

    config: FusionConfig
    dims: dict[str, int]
    label_set: tuple[str, ...]
    fingerprints: dict[str, str]
    scalers: dict[str, Scaler]
    state: dict[str, Tensor]
    seed: int
    epoch: int
    history: pd.DataFrame

    @cached_property
    def network(self) -> nn.Module:
        """The network on these weights (not a copy), in evaluation mode."""
        with torch.device("meta"):  # no weights are drawn only to be replaced
            network = build(
                self.config.model, self.dims, len(self.label_set), **self.config.network
            )
        network.load_state_dict(self.state, assign=True)
        return network.eval()

    @one_thread()
    def predict(self, data: FusionData) -> np.ndarray:
        """Class probabilities (N, C) in the order of `label_set`.

        Raises ValueError where a modality is missing and FingerprintError where features were
        made in another way than those of the fit.
        """
        logits = [output for output, _ in self._run(data)]
        return torch.cat(logits).softmax(-1).numpy()

    @one_thread()
    def gate(self, data: FusionData) -> Gate:
        """What AMF saw and gated in each clip. Raises TypeError for a network without AMF."""
        if not isinstance(self.network, AGT):
            raise TypeError(f"{self.config.model} has no gate; only agt has")
        gates = [gate for _, gate in self._run(data, return_gate=True)]
        parts = {
            name: torch.cat([getattr(gate, name) for gate in gates])
            for name in ("valid", "similarity", "kept")
        }
        return Gate(tokens=gates[0].tokens, **parts)

    @torch.no_grad()
    def _run(self, data: FusionData, **options: bool) -> list[tuple[Tensor, Gate | None]]:
        data = data.only(tuple(self.dims))
        check_fingerprints(self.fingerprints, data.fingerprints)
        results = []
        for start in range(0, max(len(data.names), 1), AT_ONCE):
            rows = slice(start, start + AT_ONCE)
            inputs = {
                m: torch.from_numpy(self.scalers[m](x[rows])) for m, x in data.features.items()
            }
            present = torch.from_numpy(data.present[rows])
            output = self.network(inputs, present, **options)
            results.append(output if options else (output, None))
        return results


def check_fingerprints(expected: Mapping[str, str], found: Mapping[str, str]) -> None:
    """Raise FingerprintError naming each modality whose features were made in another way."""
    other = [
        f"{m}: the model was fitted on {expected[m]}, these features are {found.get(m)}"
        for m in expected
        if expected[m] != found.get(m)
    ]
    if other:
        raise FingerprintError(
            "; ".join(other) + ". Extract the features as for the fit, or fit the model again."
        )
