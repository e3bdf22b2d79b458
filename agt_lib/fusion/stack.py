"""Training a stack: models of one configuration and seed side by side, each on its own clips.

Their parameters have a leading model axis, and one step trains them all.
Letters: M models, B clips of a step, D feature, C classes.
"""

import math
import warnings
from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap

from agt_lib.evaluation.scores import waf
from agt_lib.fusion.agt import AGT
from agt_lib.fusion.baselines import Attention
from agt_lib.fusion.config import WIDE, FusionConfig
from agt_lib.fusion.layers import kept
from agt_lib.fusion.steps import Clips, Step, epoch_steps, hide, mix, n_steps

WARMUP = 0.1


class Outcome(NamedTuple):
    """A model's weights, the number of their epoch from 1, and each epoch's loss and inner WAF."""

    state: dict[str, Tensor]
    epoch: int
    history: list[tuple[float, float]]


class Stack:
    """Networks alike but for their weights, called as one.

    `parameters` and `buffers` are theirs by name, with a leading model axis. A network that can't
    be mapped over them (a branch on a tensor's value, `.item()`) is called model by model, and a
    warning says why.
    """

    def __init__(self, networks: Sequence[nn.Module]):
        self.networks, self.network = networks, deepcopy(networks[0])  # torch.func works on a copy
        self.parameters, self.buffers = stack_module_state(list(networks))
        self.speaks = isinstance(self.network, AGT) and hasattr(self.network, "opinions")
        self.mapped: dict[bool, bool] = {}

    def __call__(self, inputs: Mapping[str, Tensor], present: Tensor) -> tuple[Tensor, ...]:
        """Logits (M, B, C) of inputs (M, B, D), and the modalities' opinions (M, B, ..., C) if any.

        In training the baseline's inputs are dropped out by one mask, the same for all models.
        """
        training, factors = self.network.training, {}
        if training and isinstance(self.network, Attention):
            rate = self.network.input_dropout
            factors = {m: kept(x[0], rate) for m, x in inputs.items()}
        if training not in self.mapped:
            self.mapped[training] = self._can_be_mapped(inputs, present, factors)
        state = self.parameters | self.buffers
        if self.mapped[training]:
            return self._map(state, inputs, present, factors)
        models = [
            self._one(
                {name: x[k] for name, x in state.items()},
                {m: x[k] for m, x in inputs.items()},
                present[k],
                factors,
            )
            for k in range(len(self.networks))
        ]
        return tuple(map(torch.stack, zip(*models, strict=True)))

    @torch.no_grad()
    def _can_be_mapped(self, *given: Any) -> bool:
        """Try it on copies of the buffers, which the trial may change."""
        state = self.parameters | {name: x.clone() for name, x in self.buffers.items()}
        try:
            self._map(state, *given)
        except RuntimeError as error:
            reason = str(error).partition("\n")[0]
            warnings.warn(f"models are trained one by one, not as one: {reason}", stacklevel=2)
            return False
        return True

    def _map(self, *given: Any) -> tuple[Tensor, ...]:
        return vmap(self._one, in_dims=(0, 0, 0, None), randomness="different")(*given)

    def _one(
        self,
        state: dict[str, Tensor],
        inputs: dict[str, Tensor],
        present: Tensor,
        factors: dict[str, Tensor],
    ) -> tuple[Tensor, ...]:
        if self.speaks:
            keywords = {"return_gate": True}
            logits, gate = functional_call(self.network, state, (inputs, present), keywords)
            return logits, gate.opinions
        keywords = {"kept": factors} if factors else {}
        return (functional_call(self.network, state, (inputs, present), keywords),)

    @torch.no_grad()
    def state(self, number: int) -> dict[str, Tensor]:
        """A copy of one model's weights and buffers, as its network names them."""
        network = self.networks[number]
        for name, x in (*network.named_parameters(), *network.named_buffers()):
            x.copy_((self.parameters | self.buffers)[name][number])
        return {name: x.clone() for name, x in network.state_dict().items()}


def fit(
    networks: Sequence[nn.Module],
    config: FusionConfig,
    clips: Clips,
    rows: Sequence[np.ndarray],
    choosing: Sequence[np.ndarray],
    seed: int,
) -> list[Outcome]:
    """Train each of `networks` on its `rows` (n,) of `clips`, as many steps an epoch for all.

    The epoch is the last, or, if `config.choose_epoch`, that of the best WAF on the model's rows
    `choosing`. A loss that is not finite stays in its model's history and disturbs no other model.
    """
    stack, device = Stack(networks), clips.present.device
    steps = n_steps(config, len(rows[0]))
    n_features = sum(x.shape[-1] for x in clips.inputs.values())
    optimizer = _optimizer(stack, config, n_features)
    schedule = _schedule(optimizer, config, steps * config.epochs)
    draws = [np.random.default_rng(seed) for _ in rows]
    history, best, states = [], [-math.inf] * len(rows), [({}, 0)] * len(rows)
    for epoch in range(1, config.epochs + 1):
        stack.network.train()
        total = torch.zeros(len(rows), device=device)
        for step in epoch_steps(config, rows, steps, draws, clips.present.shape[1]):
            step = Step(*(part.to(device) for part in step))
            losses = _losses(stack, config, clips, step)
            optimizer.zero_grad()
            losses.sum().backward()
            optimizer.step()
            schedule.step()
            total += losses.detach() * step.weight.sum(1)
        losses = [float(loss) / len(own) for loss, own in zip(total, rows, strict=True)]
        wafs = [math.nan] * len(rows)
        if config.choose_epoch:
            wafs = _wafs(stack, clips, choosing)
        history.append([*zip(losses, wafs, strict=True)])
        for number, found in enumerate(wafs):
            if found > best[number]:
                best[number], states[number] = found, (stack.state(number), epoch)
        if not any(map(math.isfinite, losses)):
            break
    return [
        Outcome(chosen or stack.state(number), at or epoch, [line[number] for line in history])
        for number, (chosen, at) in enumerate(states)
    ]


def _losses(stack: Stack, config: FusionConfig, clips: Clips, step: Step) -> Tensor:
    """Each model's mean loss in a step, (M,): of its logits, and of its modalities' opinions."""
    inputs, present = clips.scaled(step.rows)
    models = torch.arange(len(step.rows), device=step.rows.device)[:, None]
    targets = clips.targets[models, step.rows]
    if config.mixup:
        inputs, targets = mix(inputs, present, targets, step.share)
    if config.modality_dropout:
        present = hide(present, step.hidden, config.modality_dropout)
    smooth = config.label_smoothing
    targets = (1 - smooth) * targets + smooth / targets.shape[-1]
    logits, *opinions = stack(inputs, present)
    loss = _mean(_entropy(logits, targets), step.weight)
    if opinions:
        own = _entropy(opinions[0], targets[:, :, None])
        spoken = present * step.weight[..., None]
        loss = loss + config.opinion_loss * _mean(own.flatten(1), spoken.flatten(1))
    return loss


def _entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy (...) of logits (..., C) and shares of each class (..., C)."""
    return -(targets * logits.log_softmax(-1)).sum(-1)


def _mean(x: Tensor, weight: Tensor) -> Tensor:
    """The weighted mean (M,) of x (M, n)."""
    return (x * weight).sum(1) / weight.sum(1)


@torch.no_grad()
def _wafs(stack: Stack, clips: Clips, rows: Sequence[np.ndarray]) -> list[float]:
    """The WAF of each model on its own `rows`."""
    stack.network.eval()
    width = max(map(len, rows))
    table = torch.from_numpy(np.stack([np.resize(own, width) for own in rows]))
    logits, *_ = stack(*clips.scaled(table.to(clips.present.device)))
    found = logits.argmax(-1).cpu().numpy()
    return [
        waf(clips.labels[own], predicted[: len(own)])
        for own, predicted in zip(rows, found, strict=True)
    ]


def _optimizer(stack: Stack, config: FusionConfig, n_features: int) -> torch.optim.Optimizer:
    params = stack.parameters
    fused = next(iter(params.values())).device.type in ("cpu", "cuda")
    if config.optimizer == "adam":
        decay = config.weight_decay
        return torch.optim.Adam(
            params.values(), lr=config.learning_rate, weight_decay=decay, fused=fused
        )
    path_decay = config.path_decay * max(1, n_features / WIDE)
    decayed = {config.weight_decay: [], path_decay: [], 0.0: []}
    for name, p in params.items():
        decay = path_decay if name.startswith("path.") else config.weight_decay
        decayed[decay if p.dim() > 2 else 0.0].append(p)  # (M, out, in): matrices alone
    groups = [{"params": own, "weight_decay": decay} for decay, own in decayed.items() if own]
    return torch.optim.AdamW(groups, lr=config.learning_rate, fused=fused)


def _schedule(
    optimizer: torch.optim.Optimizer, config: FusionConfig, total: int
) -> torch.optim.lr_scheduler.LambdaLR:
    warmup = max(1, round(WARMUP * total))

    def factor(step: int) -> float:
        if config.schedule == "constant":
            return 1.0
        if step < warmup:
            return (step + 1) / warmup
        return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, total - warmup)))

    return torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
