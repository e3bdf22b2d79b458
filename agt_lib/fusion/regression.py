"""Logistic regression on all modalities, many models at once: one matrix product serves them all.

Multinomial, with an L2 penalty: scikit-learn's `LogisticRegression` to rounding. Here the models of
all folds and strengths are minimised together, by L-BFGS with a step of its own for each.
Letters: M models, N clips, D features of all modalities, C classes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from agt_lib.fusion.data import FusionData
from agt_lib.fusion.model import one_thread
from agt_lib.fusion.scaling import Scaler, fit_scaler

MEMORY, MAX_STEPS = 10, 1000
TOLERANCE = 1e-5
"""The largest gradient, per training clip, at which a model is done."""
SUFFICIENT = 1e-4
"""The share of the predicted descent that a step must bring (Armijo)."""


@dataclass(frozen=True)
class Regression:
    """A fitted model: `weights` (D, C) of standardised features, and `bias` (C,), -inf for a class
    that the training clips lack."""

    modalities: tuple[str, ...]
    scale: str
    scalers: dict[str, Scaler]
    weights: np.ndarray
    bias: np.ndarray

    def predict(self, data: FusionData) -> np.ndarray:
        """Probabilities (N, C); zero for a class that the training fold does not have."""
        data = data.only(self.modalities).scaled(self.scale)
        matrix = np.concatenate(
            [
                np.where(data.is_present(m)[:, None], self.scalers[m](x), 0)
                for m, x in data.features.items()
            ],
            axis=1,
        )
        logits = torch.from_numpy(matrix @ self.weights + self.bias)
        return logits.double().softmax(-1).numpy()


@one_thread()
@torch.no_grad()
def fit_regressions(
    data: FusionData, rows: Sequence[np.ndarray], strengths: Sequence[float], scale: str
) -> list[Regression]:
    """A model of each training part `rows` (n,) of `data`, at scikit-learn's C in `strengths`.

    Features are standardised as `scale` says and concatenated; an absent modality is at its mean.
    """
    read, n_classes = data.scaled(scale), len(data.label_set)
    parts = {
        id(own): {
            m: fit_scaler(x[own][read.is_present(m)[own]], scale != "none")
            for m, x in read.features.items()
        }
        for own in rows
    }
    scalers = [parts[id(own)] for own in rows]
    around = {m: fit_scaler(x[read.is_present(m)]) for m, x in read.features.items()}
    inputs = [
        np.where(read.is_present(m)[:, None], around[m](x), 0) for m, x in read.features.items()
    ]
    # z = (x - mean) / sd of present features, as one product with the columns of `present` beside
    x = torch.from_numpy(np.concatenate([*inputs, read.present], axis=1).astype(np.float32))
    mean, sd = (
        torch.from_numpy(np.stack([np.concatenate(own) for own in found]).astype(np.float32))
        for found in zip(*(_around(own, around) for own in scalers), strict=True)
    )
    block = torch.repeat_interleave(torch.tensor([*data.dims.values()]))
    live = torch.zeros(len(data.names), len(rows), dtype=torch.bool)
    for number, own in enumerate(rows):
        live[own, number] = True
    n = live.sum(0)
    labels = torch.from_numpy(data.labels).clamp(min=0)
    targets = torch.eye(n_classes)[labels]
    seen = live.T.float() @ targets > 0  # (M, C)
    unseen = torch.zeros(n_classes, len(rows)).masked_fill(~seen.T, -torch.inf)
    # of two classes scikit-learn's one vector of weights is the difference of the two here
    penalty = (1 + (seen.sum(1) == 2)) / torch.tensor(strengths)

    def loss(flat: Tensor) -> tuple[Tensor, Tensor]:
        """The penalised loss (M,) per training clip, and its gradient (M, (D + 1) C)."""
        weights = flat.view(len(rows), -1, n_classes)  # (M, D + 1, C)
        weights, bias = weights[:, :-1], weights[:, -1]
        scaled = weights / sd[..., None]
        moved = torch.zeros(len(rows), len(data.dims), n_classes)
        moved.index_add_(1, block, -mean[..., None] * scaled)
        full = torch.cat([scaled, moved], 1).permute(1, 2, 0)  # (D + modalities, C, M)
        logits = (x @ full.flatten(1)).view(len(x), n_classes, len(rows)) + bias.T + unseen
        logits = logits.log_softmax(1)  # (N, C, M): models last, which is fast for few classes
        picked = logits.gather(1, labels[:, None, None].expand(-1, 1, len(rows)))[:, 0]
        value = -torch.where(live, picked, 0).double().sum(0)
        error = (logits.exp() - targets[..., None]) * live[:, None]
        slope = (x.T @ error.flatten(1)).view(-1, n_classes, len(rows)).permute(2, 0, 1)
        top, beside = slope[:, : len(block)], slope[:, len(block) :]
        top = (top - mean[..., None] * beside[:, block]) / sd[..., None]
        top = top + penalty[:, None, None] * weights
        value = value + penalty.double() / 2 * weights.double().square().sum((1, 2))
        gradient = torch.cat([top, error.sum(0).T[:, None]], 1)
        return value / n, gradient.flatten(1) / n[:, None]

    found = minimise(loss, torch.zeros(len(rows), (len(block) + 1) * n_classes))
    found = found.view(len(rows), -1, n_classes)
    bias = found[:, -1].masked_fill(~seen, -torch.inf)
    return [
        Regression(data.modalities, scale, own, weights.numpy(), b.numpy())
        for own, weights, b in zip(scalers, found[:, :-1], bias, strict=True)
    ]


def _around(
    own: dict[str, Scaler], around: dict[str, Scaler]
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Means and standard deviations of `own` in units of `around`."""
    mean = [(own[m].mean - around[m].mean) / around[m].sd for m in own]
    return mean, [own[m].sd / around[m].sd for m in own]


def minimise(loss: Callable[[Tensor], tuple[Tensor, Tensor]], start: Tensor) -> Tensor:
    """The minima of M convex functions at once, from `start` (M, n): L-BFGS (Nocedal & Wright 7.4).

    `loss` gives values (M,) and gradients (M, n). Each function has its own step, halved until it
    descends, and stays where it is once its largest gradient is below `TOLERANCE`.
    """
    at, pairs = start, []
    value, slope = loss(at)
    for _ in range(MAX_STEPS):
        done = slope.abs().amax(1) < TOLERANCE
        if done.all():
            break
        direction = -_newton(slope, pairs).masked_fill(done[:, None], 0)
        descent = (slope * direction).sum(1).double()
        step = torch.ones(len(at)) if pairs else 1 / slope.norm(dim=1).clamp(min=1)
        for _ in range(30):
            new = at + step[:, None] * direction
            new_value, new_slope = loss(new)
            rounding = 1e-7 * value.abs()
            short = new_value > value + SUFFICIENT * step * descent + rounding
            if not short.any():
                break
            step = torch.where(short, step / 2, step)
        moved, turned = new - at, new_slope - slope
        curvature = (moved * turned).sum(1)
        pairs = [*pairs, (moved, turned, curvature)][-MEMORY:]
        at, value, slope = new, new_value, new_slope
    return at


def _newton(slope: Tensor, pairs: Sequence[tuple[Tensor, Tensor, Tensor]]) -> Tensor:
    """The slope (M, n) times the inverse Hessian that the last moves suggest."""
    q, shares = slope.clone(), []
    safe = [torch.where(c > 0, 1 / c.clamp(min=1e-30), 0) for *_, c in pairs]
    for (moved, turned, _), inverse in zip(reversed(pairs), reversed(safe), strict=True):
        shares.append(inverse * (moved * q).sum(1))
        q -= shares[-1][:, None] * turned
    if pairs:
        moved, turned, curvature = pairs[-1]
        length = turned.square().sum(1)
        q *= torch.where(curvature > 0, curvature / length.clamp(min=1e-30), 1)[:, None]
    for (moved, turned, _), inverse, share in zip(pairs, safe, reversed(shares), strict=True):
        q += (share - inverse * (turned * q).sum(1))[:, None] * moved
    return q
