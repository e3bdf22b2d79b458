"""Fitting fusion models, many at once.

Letters: N clips, n clips that join them, C classes.
"""

import math
import operator
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import cycle, islice

import joblib
import numpy as np
import pandas as pd
import torch

from agt_lib.corpora.folds import inner_split
from agt_lib.fusion import stack
from agt_lib.fusion.config import FusionConfig
from agt_lib.fusion.data import FusionData
from agt_lib.fusion.model import HISTORY, FittedModel, check_fingerprints, one_thread
from agt_lib.fusion.networks import SOURCES, add_source, build, skeleton
from agt_lib.fusion.scaling import Scaler, fit_scaler
from agt_lib.fusion.steps import Clips, n_steps
from agt_lib.workspace.machine import each_gpu, pick_device, shared
from agt_lib.workspace.progress import bar

INNER_SEED = 0
"""Fixed: a task's seed varies initialisation and order, never which clips choose the epoch."""
QUICK = 250_000
"""Clips times epochs that one process fits in some 20 seconds: starting others takes as long."""
MEMORY = 2**30
"""The most bytes that a stack's weights, gradients, moments and inputs of a step may take."""


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

    `joined` clips train with them. `choosing` are rows that choose the epoch instead of an inner
    fifth of the training fold. Raises ValueError for a seed that is not a whole number from 0.
    """

    config: FusionConfig
    train_index: np.ndarray
    seed: int = 0
    joined: Joined | None = None
    choosing: np.ndarray | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.seed, int) or self.seed < 0:
            raise ValueError(f"seeds are whole numbers from 0; got {self.seed!r}")


def fit_each(
    data: FusionData, tasks: Sequence[FitTask], *, pool: FusionData | None = None, **options
) -> Iterator[FittedModel]:
    """Fit one model per task; each is given as soon as it and those before it are fitted.

    A model trains on its whole training fold for all its epochs, unless `config.choose_epoch`:
    then on four fifths, and it keeps the epoch of the best WAF on the inner fifth (stratified by
    emotion, grouped if `data` has groups). Clips with none of its modalities are left out. `pool`
    holds the clips that join.

    Models of one configuration and seed are fitted side by side, as a stack (`stacks`). The same
    data, stack and machine give the same bits. `options` are those of `fit_stacks`. Raises
    ValueError for training clips without a label or a fold without any of the modalities,
    FingerprintError if the pool's features were made in another way, and FloatingPointError for the
    first model whose loss is not finite.
    """
    division = stacks(data, tasks)
    yield from in_order(division, fit_stacks(data, tasks, division, pool=pool, **options))


def stacks(data: FusionData, tasks: Sequence[FitTask]) -> list[list[int]]:
    """Which `tasks`, by number, are fitted side by side.

    They have one configuration and seed and take as many steps an epoch. So models do not change
    with other seeds or configurations beside them. A stack that needs more than `MEMORY` is divided
    evenly, and that is said. Raises ValueError as `fit_each` does.
    """
    alike: dict[tuple, list[int]] = {}
    for number, task in enumerate(tasks):
        missing = np.flatnonzero(data.labels[task.train_index] < 0)
        if len(missing):
            name = data.names[task.train_index[missing[0]]]
            raise ValueError(
                f"task {number}: {len(missing)} training clips have no label, the first is "
                f"{name!r}: leave them out of train_index"
            )
        n_clips = len(_divide(data.only(task.config.modalities), task)[0])
        config = task.config.settled(n_clips)
        n_joined = 0 if task.joined is None else len(task.joined.index)
        steps = n_steps(config, n_clips + n_joined)
        alike.setdefault((str(config.plain()), task.seed, steps), []).append(number)
    found = []
    for numbers in alike.values():
        most = max(1, MEMORY // _bytes(data, tasks[numbers[0]].config))
        if len(numbers) > most:
            print(f"{len(numbers)} models need too much memory: at most {most} are fitted at once")
        found += np.array_split(numbers, math.ceil(len(numbers) / most))
    return [own.tolist() for own in found]


def fit_stacks(
    data: FusionData,
    tasks: Sequence[FitTask],
    division: Sequence[Sequence[int]],
    *,
    pool: FusionData | None = None,
    device: str = "auto",
    workers: int | None = None,
    progress: bool = True,
    keep: Sequence[Callable] | None = None,
) -> Iterator[list[FittedModel | FloatingPointError]]:
    """The models of each stack of `division`, or what is amiss with one of them.

    `workers` processes share the stacks: by default as many as GPUs, to which stacks are dealt in
    turn, or as cores on the CPU; this process alone if the fits are quick (`QUICK`). Each works on
    one thread. `keep` are functions,
    one a stack, that are called in its process with what fits it, and return its models.
    """
    targets = each_gpu(pick_device(device))
    if pool is not None:
        check_fingerprints(data.fingerprints, pool.fingerprints)
    own = [[tasks[number] for number in numbers] for numbers in division]
    if workers is None:
        sizes = [(len(task.train_index), task.config) for part in own for task in part]
        work = sum(n * config.settled(n).epochs for n, config in sizes)
        most = (os.cpu_count() or 1) if targets[0].type == "cpu" else len(targets)
        workers = most if work > QUICK else 1
    workers = max(1, min(workers, len(own)))
    turns = islice(cycle(targets[:workers]), len(own))
    calls = (
        joblib.delayed(around)(
            partial(_fit_stack, data, part, target, pool, SOURCES.get(part[0].config.model))
        )
        for part, target, around in zip(own, turns, keep or [operator.call] * len(own), strict=True)
    )
    with bar(sum(map(len, own)), "fit", "model", shown=progress) as shown:
        for models in shared(calls, workers):
            shown.update(len(models))
            yield models


def in_order(
    division: Sequence[Sequence[int]], models: Iterable[Sequence[FittedModel | FloatingPointError]]
) -> Iterator[FittedModel]:
    """The `models` of the stacks `division`, by the numbers of their tasks.

    Raises what stands in a model's place.
    """
    ready, place = {}, 0
    for numbers, own in zip(division, models, strict=True):
        ready |= dict(zip(numbers, own, strict=True))
        while place in ready:
            model = ready.pop(place)
            if isinstance(model, FloatingPointError):
                raise model
            yield model
            place += 1


@one_thread()
def _fit_stack(
    data: FusionData,
    tasks: Sequence[FitTask],
    device: torch.device,
    pool: FusionData | None,
    source: str | None,
) -> list[FittedModel | FloatingPointError]:
    """Fit the models of one stack; their network is that of `source` if it is the user's own."""
    if SOURCES.get(tasks[0].config.model) != source:  # in another process
        add_source(tasks[0].config.model, source)
    config, seed = tasks[0].config, tasks[0].seed
    data = data.only(config.modalities).scaled(config.scale)
    training, inner = zip(*(_divide(data, task) for task in tasks), strict=True)
    config = config.settled(len(training[0]))
    scalers = [
        {
            m: fit_scaler(x[rows[data.is_present(m)[rows]]], config.scale != "none")
            for m, x in data.features.items()
        }
        for rows in training
    ]
    forked = [device] if device.type == "cuda" else []  # the caller's generators stay as they are
    with torch.random.fork_rng(forked):
        networks = []
        for _ in tasks:
            torch.manual_seed(seed)
            network = build(config.model, data.dims, len(data.label_set), **config.network)
            networks.append(network.to(device))
        clips, rows = _clips(data, tasks, training, scalers, pool, config.scale, device)
        found = stack.fit(networks, config, clips, rows, inner, seed)
    models = []
    for number, (own, outcome) in enumerate(zip(scalers, found, strict=True)):
        index = pd.RangeIndex(1, len(outcome.history) + 1, name="epoch")
        history = pd.DataFrame(outcome.history, index=index, columns=HISTORY)
        finite = np.isfinite(history["train_loss"])
        if not finite.all():
            which = f"{config.model} (seed {seed}, model {number + 1} of {len(tasks)})"
            error = FloatingPointError(
                f"the loss was not finite in epoch {finite.idxmin()} of {which}: lower the "
                f"learning rate ({config.learning_rate}), or standardise the features "
                "(scale='fold')"
            )
            models.append(error)
            continue
        models.append(
            FittedModel(
                config=config,
                dims=data.dims,
                label_set=data.label_set,
                fingerprints=data.fingerprints,
                scalers=own,
                state={name: value.cpu() for name, value in outcome.state.items()},
                seed=seed,
                epoch=outcome.epoch,
                history=history,
            )
        )
    return models


def _clips(
    data: FusionData,
    tasks: Sequence[FitTask],
    training: Sequence[np.ndarray],
    scalers: Sequence[dict[str, Scaler]],
    pool: FusionData | None,
    scale: str,
    device: torch.device,
) -> tuple[Clips, list[np.ndarray]]:
    """The clips of a stack, those that join behind the others, and the rows of each model."""
    n, features, present = len(data.names), data.features, data.present
    shares = np.eye(len(data.label_set))[data.labels] * (data.labels >= 0)[:, None]
    targets, rows = np.repeat(shares[None], len(tasks), 0), list(training)
    joined = [task.joined for task in tasks]
    used = np.unique(np.concatenate([part.index for part in joined if part is not None] or [[]]))
    if len(used):
        chosen = pool.rows(used.astype(int)).only(data.modalities).scaled(scale)
        features = {m: np.concatenate([x, chosen.features[m]]) for m, x in features.items()}
        present = np.concatenate([present, chosen.present])
        targets = np.concatenate([targets, np.zeros((len(tasks), len(used), shares.shape[1]))], 1)
        for k, part in enumerate(joined):
            if part is not None:
                new = n + np.searchsorted(used, part.index)
                targets[k, new] = part.targets
                rows[k] = np.concatenate([training[k], new])
    dtype = torch.get_default_dtype()

    def tensor(x: np.ndarray) -> torch.Tensor:
        return torch.tensor(x, dtype=dtype, device=device)

    mean, sd = (
        {m: tensor(np.stack([getattr(own[m], part) for own in scalers])[:, None]) for m in features}
        for part in ("mean", "sd")
    )
    inputs = {m: tensor(np.asarray(x)) for m, x in features.items()}
    clips = Clips(
        inputs, torch.from_numpy(present).to(device), tensor(targets), data.labels, mean, sd
    )
    return clips, rows


def _divide(data: FusionData, task: FitTask) -> tuple[np.ndarray, np.ndarray]:
    """Rows to train on, and rows of the same fold that choose the epoch, if it is chosen."""
    rows = np.asarray(task.train_index)
    rows = rows[data.present[rows].any(1)]
    if not len(rows):
        raise ValueError(f"no clip of a training fold has any of {data.modalities}: leave them out")
    if not task.config.choose_epoch:
        return rows, rows[:0]
    if task.choosing is not None:
        return rows, task.choosing
    groups = None if data.groups is None else data.groups[rows]
    inner = inner_split(data.labels[rows], groups, INNER_SEED)
    return rows[~inner], rows[inner]


def _bytes(data: FusionData, config: FusionConfig) -> int:
    """What a model of `config` takes while it is trained: four of each weight, a step's inputs."""
    dims = data.only(config.modalities).dims
    network = skeleton(config.model, dims, len(data.label_set), **config.network)
    weights = sum(p.numel() for p in network.parameters())
    return 4 * (4 * weights + 4 * config.batch_size * sum(dims.values()))
