"""Fitting fusion models: all folds and seeds of one configuration as one stacked network.

Letters: K models of a stack, N clips, b clips of a step, D feature, M modalities, C classes.
"""

import math
import os
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass

import joblib
import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap
from torch.nn.functional import cross_entropy
from tqdm.auto import tqdm

from agt_lib.device import pick_device, pick_precision
from agt_lib.fitted import FittedModel
from agt_lib.folds import inner_split
from agt_lib.fusion import build
from agt_lib.fusion_config import FusionConfig
from agt_lib.fusion_data import FusionData
from agt_lib.scaling import fit_scalers

STACK = 15
"""Models at most in one stack. A stack is what a worker fits at once."""
INNER_SEED = 0
WARMUP = 0.1


@dataclass(frozen=True)
class FitTask:
    """One model to fit: its configuration, the rows of its training fold and its seed."""

    config: FusionConfig
    train_index: np.ndarray
    seed: int = 0


def fit(
    data: FusionData,
    tasks: Sequence[FitTask],
    *,
    device: str = "auto",
    workers: int | None = None,
    progress: bool = True,
) -> list[FittedModel]:
    """Fit one model per task, in the order of `tasks`.

    Each model's epoch is the best on an inner fifth of its training fold (stratified by emotion,
    grouped where `data` has groups); the model keeps the weights of that epoch and the rest of
    the fold is all it trains on. Clips without any of a configuration's modalities are left out.
    `workers` processes of one thread each share the work; None takes all cores on the CPU and one
    process on a GPU. The same data, tasks, workers and machine give the same bits.
    """
    chosen = pick_device(device)
    for task in tasks:
        if (data.labels[task.train_index] < 0).any():
            raise ValueError("a training fold has clips without a label; leave them out")
    parts = [_Part.of(data, task) for task in tasks]
    stacks = _stacks(parts)
    if workers is None:
        workers = (os.cpu_count() or 1) if chosen.type == "cpu" else 1
    workers = min(workers, len(stacks))
    done: dict[int, FittedModel] = {}
    calls = (
        joblib.delayed(_fit_stack)(data, [parts[i] for i in stack], str(chosen), workers > 1)
        for stack in stacks
    )
    results = joblib.Parallel(n_jobs=max(workers, 1), return_as="generator")(calls)
    with tqdm(total=len(tasks), desc="fit", unit="model", disable=not progress) as bar:
        for stack, models in zip(stacks, results, strict=True):
            done.update(zip(stack, models, strict=True))
            bar.update(len(stack))
    return [done[i] for i in range(len(tasks))]


@dataclass(frozen=True)
class _Part:
    """A task with its training fold divided: rows to train on and rows that choose the epoch."""

    task: FitTask
    train: np.ndarray
    inner: np.ndarray

    @classmethod
    def of(cls, data: FusionData, task: FitTask) -> "_Part":
        rows = np.asarray(task.train_index)
        columns = [data.modalities.index(m) for m in task.config.modalities]
        rows = rows[data.present[rows][:, columns].any(1)]
        groups = None if data.groups is None else data.groups[rows]
        inner = inner_split(data.labels[rows], groups, INNER_SEED)
        return cls(task, rows[~inner], rows[inner])

    @property
    def steps(self) -> int:
        """Steps of an epoch."""
        return math.ceil(len(self.train) / self.task.config.batch_size)


def _stacks(parts: Sequence[_Part]) -> list[list[int]]:
    """Indices of the parts that train as one: of one configuration and as many steps."""
    alike: dict[tuple, list[int]] = {}
    for i, part in enumerate(parts):
        alike.setdefault((repr(part.task.config), part.steps), []).append(i)
    return [
        same[start : start + STACK]
        for same in alike.values()
        for start in range(0, len(same), STACK)
    ]


def _fit_stack(
    data: FusionData, parts: list[_Part], device: str, one_thread: bool
) -> list[FittedModel]:
    if one_thread:
        torch.set_num_threads(1)
    devices = [torch.device(device)] if device.startswith("cuda") else []
    with torch.random.fork_rng(devices):
        return _Stack(data.only(parts[0].task.config.modalities), parts, device).fit()


class _Stack:
    """K networks of one configuration whose weights lie in tensors with a leading K."""

    def __init__(self, data: FusionData, parts: list[_Part], device: str):
        self.data, self.parts, self.device = data, parts, torch.device(device)
        self.config = parts[0].task.config
        self.rngs = [np.random.default_rng([part.task.seed, 1]) for part in parts]
        self.scalers = [
            fit_scalers(data, data.modalities, part.train, self.config.scale) for part in parts
        ]
        networks = [self._build(part.task.seed) for part in parts]
        self.base = networks[0]
        params, _ = stack_module_state(networks)
        self.params = {
            name: p.detach().to(self.device).requires_grad_() for name, p in params.items()
        }
        self.raw = {m: self._tensor(x) for m, x in data.features.items()}
        self.lengths = {m: self._tensor(x) for m, x in data.lengths.items()}
        self.present = self._tensor(data.present)
        self.labels = self._tensor(data.labels)
        # two stacks of (K, D) by modality
        self.mean = {m: self._tensor(np.stack([s[m].mean for s in self.scalers])) for m in self.raw}
        self.sd = {m: self._tensor(np.stack([s[m].sd for s in self.scalers])) for m in self.raw}
        torch.manual_seed(parts[0].task.seed)
        self.step = 0

    def _tensor(self, array: np.ndarray) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(self.device)

    def _build(self, seed: int) -> nn.Module:
        torch.manual_seed(seed)
        return build(
            self.config.model, self.data.dims, len(self.data.label_set), **self.config.network
        ).to(self.device)

    def fit(self) -> list[FittedModel]:
        config = self.config
        optimizer, schedule = self._optimizer(self.parts[0].steps * config.epochs)
        kept = {name: p.detach() for name, p in self.params.items()}
        if config.ema:
            kept = {name: p.clone() for name, p in kept.items()}
        best = {name: p.clone() for name, p in kept.items()}
        best_score = np.full(len(self.parts), -np.inf)
        best_epoch = np.zeros(len(self.parts), int)
        stopped = np.zeros(len(self.parts), bool)
        inner = self._batch(*_pad([part.inner for part in self.parts]))
        history = []
        for epoch in range(1, config.epochs + 1):
            train_loss = self._train_epoch(optimizer, schedule, kept)
            inner_loss, waf = self._score(kept, inner)
            history.append(np.stack([train_loss, inner_loss, waf]))
            score = -inner_loss if config.choose_by == "loss" else waf
            better = (score > best_score) & ~stopped
            for name, p in kept.items():
                best[name][better] = p[better]
            best_score[better], best_epoch[better] = score[better], epoch
            if config.patience is not None:
                stopped |= epoch - best_epoch >= config.patience
                if stopped.all():
                    break
        return [
            FittedModel(
                config=config,
                dims=self.data.dims,
                label_set=self.data.label_set,
                fingerprints=self.data.fingerprints,
                scalers=self.scalers[k],
                state={name: p[k].cpu().clone() for name, p in best.items()},
                seed=part.task.seed,
                epoch=int(best_epoch[k]),
                history=pd.DataFrame(
                    [row[:, k] for row in history],
                    columns=["train_loss", "inner_loss", "inner_waf"],
                    index=pd.RangeIndex(1, len(history) + 1, name="epoch"),
                ),
            )
            for k, part in enumerate(self.parts)
        ]

    def _optimizer(self, total: int) -> tuple[torch.optim.Optimizer, object]:
        config, fused = self.config, self.device.type in ("cpu", "cuda")
        params = list(self.params.values())
        if config.optimizer == "adam":
            groups = [{"params": params, "weight_decay": config.weight_decay}]
            optimizer = torch.optim.Adam(groups, lr=config.learning_rate, fused=fused)
        else:
            # stacked, a matrix has three dimensions
            groups = [
                {"params": [p for p in params if p.dim() > 2], "weight_decay": config.weight_decay},
                {"params": [p for p in params if p.dim() <= 2], "weight_decay": 0.0},
            ]
            optimizer = torch.optim.AdamW(groups, lr=config.learning_rate, fused=fused)
        warmup = max(round(WARMUP * total), 1)

        def factor(step: int) -> float:
            if config.schedule == "constant":
                return 1.0
            if step < warmup:
                return (step + 1) / warmup
            return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(total - warmup, 1)))

        return optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, factor)

    def _train_epoch(
        self,
        optimizer: torch.optim.Optimizer,
        schedule: torch.optim.lr_scheduler.LRScheduler,
        average: dict[str, Tensor],
    ) -> np.ndarray:
        self.base.train()
        steps = self.parts[0].steps
        orders = [
            np.array_split(rng.permutation(part.train), steps)
            for rng, part in zip(self.rngs, self.parts, strict=True)
        ]
        total = torch.zeros(len(self.parts), device=self.device)
        for step in range(steps):
            index, weight = _pad([order[step] for order in orders])
            loss = self._losses(self.params, self._batch(index, weight))
            optimizer.zero_grad(set_to_none=True)
            loss.sum().backward()
            optimizer.step()
            schedule.step()
            total += loss.detach()
            if self.config.ema:
                # bias-corrected by a decay that starts low
                self.step += 1
                decay = min(self.config.ema, self.step / (self.step + 10))
                new = [p.detach() for p in self.params.values()]
                torch._foreach_lerp_(list(average.values()), new, 1 - decay)
        return (total / steps).cpu().numpy()

    def _batch(self, index: np.ndarray, weight: np.ndarray) -> tuple:
        """Standardised inputs (K, b, D), present, lengths, labels and weights of rows (K, b)."""
        rows = self._tensor(index)
        present = self.present[rows]
        if self.base.training and self.config.modality_dropout:
            present = self._tensor(self._hide(present.cpu().numpy()))
        inputs = {}
        for m, raw in self.raw.items():
            x = raw[rows]  # (K, b, D) or (K, b, T, D)
            shape = (len(rows), *[1] * (x.dim() - 2), -1)
            inputs[m] = (x - self.mean[m].view(shape)) / self.sd[m].view(shape)
        lengths = {m: x[rows] for m, x in self.lengths.items()}
        return inputs, present, lengths, self.labels[rows], self._tensor(weight)

    def _hide(self, present: np.ndarray) -> np.ndarray:
        """Hide present modalities at random, but never a clip's last one. (K, b, M)."""
        order = np.stack([rng.random(p.shape) for rng, p in zip(self.rngs, present, strict=True)])
        kept = present & (order >= self.config.modality_dropout)
        spared = np.where(present, order, -1).argmax(-1)[..., None] == np.arange(present.shape[-1])
        return kept | (present & spared)

    def _forward(self, params: dict[str, Tensor], batch: tuple) -> Tensor:
        inputs, present, lengths, *_ = batch

        def one(params: dict, inputs: dict, present: Tensor, lengths: dict) -> Tensor:
            return functional_call(self.base, params, (inputs, present, lengths))

        dtype = pick_precision(self.config.precision, self.device)
        context = (
            torch.autocast(self.device.type, dtype) if dtype != torch.float32 else nullcontext()
        )
        with context:
            return vmap(one, randomness="different")(params, inputs, present, lengths).float()

    def _losses(self, params: dict[str, Tensor], batch: tuple) -> Tensor:
        """The mean loss of each model, (K,)."""
        *_, labels, weight = batch
        smoothing = self.config.label_smoothing if self.base.training else 0.0
        return _mean_loss(self._forward(params, batch), labels, weight, smoothing)

    @torch.no_grad()
    def _score(self, params: dict[str, Tensor], batch: tuple) -> tuple[np.ndarray, np.ndarray]:
        self.base.eval()
        *_, labels, weight = batch
        logits = self._forward(params, batch)
        loss = _mean_loss(logits, labels, weight, 0.0)
        waf = weighted_f1(labels, logits.argmax(-1), weight, logits.shape[-1])
        return loss.cpu().numpy(), waf.cpu().numpy()


def _mean_loss(logits: Tensor, labels: Tensor, weight: Tensor, smoothing: float) -> Tensor:
    losses = cross_entropy(
        logits.flatten(0, 1), labels.flatten(), reduction="none", label_smoothing=smoothing
    )
    return (losses.view_as(weight) * weight).sum(1) / weight.sum(1)  # (K, b) -> (K,)


def weighted_f1(labels: Tensor, predicted: Tensor, weight: Tensor, n_classes: int) -> Tensor:
    """WAF of each row of labels and predictions (K, n) over the clips of weight 1, (K,)."""
    classes = torch.arange(n_classes, device=labels.device)
    is_true = (labels[..., None] == classes) * weight[..., None]  # (K, n, C)
    is_said = (predicted[..., None] == classes) * weight[..., None]
    support = is_true.sum(1)
    f1 = 2 * (is_true * is_said).sum(1) / (support + is_said.sum(1)).clamp(min=1)
    return (f1 * support).sum(-1) / support.sum(-1)


def _pad(rows: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Rows of unequal length as one (K, longest) matrix, and the weight 1 or 0 of each entry."""
    longest = max(map(len, rows))
    index = np.zeros((len(rows), longest), np.int64)
    weight = np.zeros((len(rows), longest), np.float32)
    for k, row in enumerate(rows):
        index[k, : len(row)], weight[k, : len(row)] = row, 1
    return index, weight
