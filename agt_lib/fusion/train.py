"""Fitting fusion models, many at once.

Letters: N clips, n clips that join them, C classes.
"""

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import joblib
import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, one_hot

from agt_lib.corpora.folds import inner_split
from agt_lib.evaluation.scores import waf
from agt_lib.fusion.config import FusionConfig, build
from agt_lib.fusion.data import Clips, FusionData, hide, mix
from agt_lib.fusion.model import HISTORY, FittedModel, check_fingerprints, one_thread
from agt_lib.fusion.scaling import fit_scaler
from agt_lib.workspace.machine import pick_device
from agt_lib.workspace.progress import bar

INNER_SEED = 0
"""Fixed: a task's seed varies initialisation and order, never which clips choose the epoch."""
WARMUP = 0.1
QUICK = 250_000
"""Clips times epochs that one process fits in some 20 seconds: starting others takes as long."""


@dataclass(frozen=True)
class Joined:
    """Clips of a pool that join a training fold: rows (n,) and their shares of each class (n, C).

    They never choose the epoch and never fit a scaler: labelled clips alone do.
    """

    index: np.ndarray
    targets: np.ndarray


@dataclass(frozen=True)
class FitTask:
    """One model to fit: its configuration, the rows of its training fold and its seed.

    `joined` clips train with them.
    """

    config: FusionConfig
    train_index: np.ndarray
    seed: int = 0
    joined: Joined | None = None


def fit_each(
    data: FusionData,
    tasks: Sequence[FitTask],
    *,
    pool: FusionData | None = None,
    device: str = "auto",
    workers: int | None = None,
    progress: bool = True,
) -> Iterator[FittedModel]:
    """Fit one model per task; each is given as soon as it and those before it are fitted.

    A model trains on its whole training fold for all its epochs, unless `config.choose_epoch`:
    then on four fifths, and it keeps the epoch of the best WAF on the inner fifth (stratified by
    emotion, grouped if `data` has groups). Clips with none of its modalities are left out.
    `workers` processes share the tasks: by default one per core on the CPU; this process alone on a
    GPU, and if the fits are quick (`QUICK`).
    Each fit runs on one thread with its own seed, so it does not depend on the workers or on the
    other tasks: the same data, task and machine give the same bits. `pool` holds the clips that
    join. Raises ValueError for training clips without a label or a fold without any of the
    modalities, FingerprintError if the pool's features were made in another way, and
    FloatingPointError if a loss is not finite.
    """
    target = pick_device(device)
    for number, task in enumerate(tasks):
        missing = np.flatnonzero(data.labels[task.train_index] < 0)
        if len(missing):
            name = data.names[task.train_index[missing[0]]]
            raise ValueError(
                f"task {number}: {len(missing)} training clips have no label, the first is "
                f"{name!r}: leave them out of train_index"
            )
    if pool is not None:
        check_fingerprints(data.fingerprints, pool.fingerprints)
    if workers is None:
        sizes = [len(task.train_index) for task in tasks]
        work = sum(n * t.config.settled(n).epochs for n, t in zip(sizes, tasks, strict=True))
        workers = (os.cpu_count() or 1) if target.type == "cpu" and work > QUICK else 1
    calls = (joblib.delayed(_fit_one)(data, task, target, pool) for task in tasks)
    parallel = joblib.Parallel(n_jobs=max(1, min(workers, len(tasks))), return_as="generator")
    with bar(len(tasks), "fit", "model", shown=progress) as shown:
        for model in parallel(calls):
            shown.update()
            yield model


def _fit_one(
    data: FusionData, task: FitTask, device: torch.device, pool: FusionData | None
) -> FittedModel:
    data = data.only(task.config.modalities).scaled(task.config.scale)
    train, inner = _divide(data, task.train_index, task.config.choose_epoch)
    config = task.config.settled(len(train))
    scalers = {
        m: fit_scaler(x[train[data.is_present(m)[train]]], config.scale != "none")
        for m, x in data.features.items()
    }
    forked = [device] if device.type == "cuda" else []  # the caller's generators stay as they are
    with one_thread(), torch.random.fork_rng(forked):
        torch.manual_seed(task.seed)
        network = build(config.model, data.dims, len(data.label_set), **config.network).to(device)
        training, choosing = (Clips.of(data.rows(r), scalers, device) for r in (train, inner))
        targets = one_hot(training.labels, len(data.label_set)).float()
        if task.joined is not None:
            chosen = pool.rows(task.joined.index).only(config.modalities).scaled(config.scale)
            chosen = Clips.of(chosen, scalers, device)
            training = Clips(
                {m: torch.cat([x, chosen.inputs[m]]) for m, x in training.inputs.items()},
                torch.cat([training.present, chosen.present]),
                torch.cat([training.labels, chosen.labels]),
            )
            joined = torch.as_tensor(task.joined.targets, dtype=targets.dtype, device=device)
            targets = torch.cat([targets, joined])
        state, epoch, history = _run(network, config, training, targets, choosing)
    return FittedModel(
        config=config,
        dims=data.dims,
        label_set=data.label_set,
        fingerprints=data.fingerprints,
        scalers=scalers,
        state={name: value.cpu() for name, value in state.items()},
        seed=task.seed,
        epoch=epoch,
        history=history,
    )


def _divide(
    data: FusionData, index: np.ndarray, choose_epoch: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Rows to train on, and rows of the same fold that choose the epoch, if it is chosen."""
    rows = np.asarray(index)[data.present[index].any(1)]
    if not len(rows):
        raise ValueError(f"no clip of a training fold has any of {data.modalities}: leave them out")
    if not choose_epoch:
        return rows, rows[:0]
    groups = None if data.groups is None else data.groups[rows]
    inner = inner_split(data.labels[rows], groups, INNER_SEED)
    return rows[~inner], rows[inner]


def _run(
    network: nn.Module, config: FusionConfig, training: Clips, targets: Tensor, choosing: Clips
) -> tuple[dict[str, Tensor], int, pd.DataFrame]:
    """Train towards `targets` (N, C); return the weights, the number of their epoch from 1, and
    the history."""
    n = len(training.labels)
    steps = math.ceil(n / config.batch_size)
    optimizer = _optimizer(network, config)
    schedule = _schedule(optimizer, config, steps * config.epochs)
    best, best_epoch, best_state, history = -math.inf, 0, {}, []
    for epoch in range(1, config.epochs + 1):
        network.train()
        total = 0.0
        order = torch.randperm(n, device=training.labels.device)
        for rows in order.tensor_split(steps):
            clips, wanted = training[rows], targets[rows]
            if config.mixup:
                clips, wanted = mix(clips, wanted, config.mixup)
            present = hide(clips.present, config.modality_dropout)
            loss = _loss(network, config, clips.inputs, present, wanted)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.detach() * len(rows)
        history.append((float(total) / n, _waf(network, choosing)))
        if not math.isfinite(history[-1][0]):
            raise FloatingPointError(
                f"the loss was not finite in epoch {epoch} of {config.model}: lower the learning "
                f"rate ({config.learning_rate}), or standardise the features (scale='fold')"
            )
        if config.choose_epoch and history[-1][1] > best:
            best, best_epoch = history[-1][1], epoch
            best_state = {name: value.clone() for name, value in network.state_dict().items()}
    index = pd.RangeIndex(1, len(history) + 1, name="epoch")
    state = best_state or network.state_dict()
    return state, best_epoch or epoch, pd.DataFrame(history, index=index, columns=HISTORY)


def _loss(
    network: nn.Module,
    config: FusionConfig,
    inputs: Mapping[str, Tensor],
    present: Tensor,
    wanted: Tensor,
) -> Tensor:
    """The loss of the logits, and that of each present modality's own opinion if it has one."""
    smoothing = {"label_smoothing": config.label_smoothing}
    if not hasattr(network, "opinions"):
        return cross_entropy(network(inputs, present), wanted, **smoothing)
    logits, gate = network(inputs, present, return_gate=True)
    spoken = [
        cross_entropy(o, wanted, reduction="none", **smoothing) for o in gate.opinions.unbind(1)
    ]
    own = (torch.stack(spoken, 1) * present).sum() / present.sum()
    return cross_entropy(logits, wanted, **smoothing) + config.opinion_loss * own


@torch.no_grad()
def _waf(network: nn.Module, clips: Clips) -> float:
    """WAF on `clips`, NaN if there are none."""
    if not len(clips.labels):
        return math.nan
    network.eval()
    logits = network(clips.inputs, clips.present)
    return waf(clips.labels.cpu().numpy(), logits.argmax(-1).cpu().numpy())


def _optimizer(network: nn.Module, config: FusionConfig) -> torch.optim.Optimizer:
    params = list(network.parameters())
    fused = params[0].device.type in ("cpu", "cuda")
    if config.optimizer == "adam":
        return torch.optim.Adam(
            params, lr=config.learning_rate, weight_decay=config.weight_decay, fused=fused
        )
    decayed = {config.weight_decay: [], config.path_decay: [], 0.0: []}
    for name, p in network.named_parameters():
        decay = config.path_decay if name.startswith("path.") else config.weight_decay
        decayed[decay if p.dim() > 1 else 0.0].append(p)
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
