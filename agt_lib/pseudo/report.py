"""What rounds of pseudo-labels did: how good the labels were, which moved, what it brought.

S seeds, K folds, R models of one kind, N clips, P clips of the pool, C classes.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from agt_lib.corpora.labels import to_numbers
from agt_lib.evaluation import tables
from agt_lib.evaluation.calibration import calibrated_out_of_fold
from agt_lib.evaluation.scores import Sample, votes
from agt_lib.fusion.data import FusionData
from agt_lib.fusion.table1 import OUT_OF_FOLD, TEST, on_test
from agt_lib.pseudo.config import PseudoConfig
from agt_lib.pseudo.rounds import PseudoRounds, Round, fold_models, thresholds_of
from agt_lib.pseudo.selection import agreement

ALL = "all agree"
INSIDE, OUTSIDE = f"{TEST}, inside the pool", f"{TEST}, outside the pool"
ELSEWHERE = "second test set"


def judged_pool(done: PseudoRounds, stage: Round, data: FusionData) -> dict[str, np.ndarray]:
    """The fold models of `stage` on the clips that may join, as the rule saw them (S x K, P, C)."""
    found = {}
    for model, result in stage.results.items():
        seeds = zip(result.out_of_fold, stage.by_fold[model], strict=True)
        scaled = [fold_models(data, result.folds, held, p, done.config) for held, p in seeds]
        found[model] = np.concatenate(scaled)[:, done.may_join]
    return found


def judged_labelled(
    stage: Round, data: FusionData, *, calibrate: bool = False
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """True labels (N,) and out-of-fold probabilities (S, N, C) by model, calibrated where asked."""
    found = {}
    for model, result in stage.results.items():
        held_out = result.folds >= 0
        parts = result.out_of_fold
        if calibrate:
            parts = [calibrated_out_of_fold(data.labels, result.folds, part) for part in parts]
        found[model] = np.stack(parts)[:, held_out]
    return data.labels[held_out], found


def rule(
    true: np.ndarray,
    probabilities: Mapping[str, np.ndarray],
    levels: Sequence[float | np.ndarray],
) -> pd.DataFrame:
    """What each model alone, and all together, keep above each confidence, and how rightly.

    `probabilities` are (R, N, C) by model; a threshold is one number or (R,), one for each of them;
    `true` (N,) is -1 where it is not known. Columns who,
    threshold, coverage (share of the clips that are kept), precision (share of the kept ones of
    known truth that are right; NaN of none). `ALL` keeps where all agree and each is surer;
    its coverage at threshold 0 is their agreement.
    """
    kinds = {model: p[None] for model, p in probabilities.items()}
    kinds[ALL] = np.stack(list(probabilities.values()))
    lines = []
    for who, p in kinds.items():
        judged = [agreement(p[:, r]) for r in range(p.shape[1])]
        agree, chosen, confidence = (np.stack(part) for part in zip(*judged, strict=True))  # (R, N)
        right, known = chosen == true, np.broadcast_to(true >= 0, chosen.shape)
        for threshold in levels:
            kept = agree & (confidence > np.reshape(threshold, (-1, 1)))
            of_known = right[kept & known]
            precision = of_known.mean() if len(of_known) else np.nan
            lines.append((who, threshold, kept.mean(), precision))
    return pd.DataFrame(lines, columns=["who", "threshold", "coverage", "precision"])


def quality(done: PseudoRounds, data: FusionData, truth: pd.Series) -> pd.DataFrame:
    """`rule` at the threshold used, for the models of each round, and the agreement.

    `truth` are labels by clip name, for scoring alone. Columns round, who, agreement (of `ALL`; NaN
    of one model), coverage, clips (kept, mean over folds and seeds), precision.
    """
    true = pool_truth(done, truth)
    parts = []
    for stage in done.rounds:
        judged, threshold = judged_pool(done, stage, data), thresholds(stage, data, done.config)
        agree = rule(true, judged, (0.0,)).set_index("who")["coverage"]
        part = rule(true, judged, (threshold,)).drop(columns="threshold")
        part.insert(0, "round", stage.number)
        part.insert(2, "agreement", part["who"].map(agree).where(part["who"] == ALL))
        part.insert(4, "clips", part["coverage"] * len(true))
        parts.append(part)
    return pd.concat(parts, ignore_index=True)


def thresholds(stage: Round, data: FusionData, config: PseudoConfig) -> np.ndarray:
    """What `config` asks of the models of `stage`, by seed and fold: (S x K,)."""
    results = stage.results.items()
    folds = next(iter(stage.results.values())).folds
    n_seeds = len(next(iter(stage.results.values())).seeds)
    of_seeds = [{m: result.out_of_fold[i] for m, result in results} for i in range(n_seeds)]
    return np.concatenate([thresholds_of(data, folds, p, config) for p in of_seeds])


def pool_truth(done: PseudoRounds, truth: pd.Series) -> np.ndarray:
    """The numbers of the true labels of the clips that may join, (P,), -1 where not known."""
    names = np.array(done.pool_names, dtype=object)[done.may_join]
    return to_numbers(truth.reindex(names), _label_set(done))


def kept(done: PseudoRounds, truth: pd.Series) -> pd.DataFrame:
    """Pseudo-labels by round and class beside the pool's truth.

    Columns round, label, kept (clips, mean over folds and seeds), right (share), share (of what was
    kept), true_share (of the pool's clips whose truth is known).
    """
    numbers = pool_truth(done, truth)
    counts = np.bincount(numbers[numbers >= 0], minlength=len(_label_set(done)))
    parts = []
    for stage in done.rounds[1:]:
        part = stage.summary(truth).rename_axis("label").reset_index()
        part.insert(0, "round", stage.number)
        part["share"] = part["kept"] / part["kept"].sum()
        part["true_share"] = counts / counts.sum() if counts.sum() else np.nan
        parts.append(part)
    columns = ["round", "label", "kept", "right", "share", "true_share"]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)


def moved(done: PseudoRounds) -> pd.DataFrame:
    """What changed from one selection to the next, in clips (means over folds and seeds).

    The selection that comes after the last training, and joined none, counts. Columns selection,
    stayed, relabelled, joined, left.
    """
    n_worlds = np.prod(next(iter(done.rounds[0].by_fold.values())).shape[:2])
    tables = [stage.selected for stage in done.rounds] + [done.next_selected]
    lines = []
    for number, (before, after) in enumerate(zip(tables, tables[1:], strict=False), start=1):
        keys = ["seed", "fold", "name"]
        both = before[[*keys, "label"]].merge(
            after[[*keys, "label"]], on=keys, how="outer", suffixes=("_before", "_after")
        )
        was, now = both["label_before"].notna(), both["label_after"].notna()
        same = both["label_before"] == both["label_after"]
        counts = ((was & same), (was & now & ~same), (now & ~was), (was & ~now))
        lines.append((number, *(count.sum() / n_worlds for count in counts)))
    columns = ["selection", "stayed", "relabelled", "joined", "left"]
    return pd.DataFrame(lines, columns=columns)


def scores(
    done: PseudoRounds,
    data: FusionData,
    answers: pd.Series | None = None,
    pool: FusionData | None = None,
) -> pd.DataFrame:
    """WAF of each round and model in per cent, and its paired difference to round 0 in points.

    Out-of-fold scores are of single models; test scores of the fold models' average, apart for test
    clips (those that `answers`, labels by clip name, know) that could join and those that could
    not. Intervals are over speakers where `data` and `pool` have them. Columns round, model, set,
    those of `tables.score_line` and of `tables.difference_line`.
    """
    lines = []
    for stage in done.rounds:
        for model, result in stage.results.items():
            before = done.rounds[0].results[model]
            held_out = result.folds >= 0
            groups = None if data.groups is None else data.groups[held_out]
            sets = [
                (OUT_OF_FOLD, data.labels[held_out], before.out_of_fold[:, held_out],
                 result.out_of_fold[:, held_out], groups)
            ]  # fmt: skip
            for name, known in _test_sets(done, answers):
                true, after = on_test(result, known)
                groups = _groups(pool, known.index)
                sets.append((name, true, on_test(before, known)[1], after, groups))
            for name, *arrays in sets:
                lines.append({"round": stage.number, "model": model, "set": name, **_line(*arrays)})
    return pd.DataFrame(lines)


def elsewhere(done: PseudoRounds, data: FusionData, answers: pd.Series) -> pd.DataFrame:
    """Lines as those of `scores` for clips that never were in the pool, by the models on disk."""
    known = answers[answers.index.isin(data.names)]
    clips = data.rows(pd.Index(data.names).get_indexer(known.index))
    true, before, lines = to_numbers(known, data.label_set), None, []
    for stage in done.rounds:
        after = stage.predict(clips)
        before = before or after
        for model, p in after.items():
            about = {"round": stage.number, "model": model, "set": ELSEWHERE}
            lines.append(about | _line(true, before[model], p, clips.groups))
    return pd.DataFrame(lines)


def display(table: pd.DataFrame) -> pd.DataFrame:
    """`scores` for reading: WAF by round, then the last round's difference to the first, paired."""
    cells = [tables.cell(line | {"seed_sd": np.nan}) for line in table.to_dict("records")]
    wide = table.assign(text=cells).pivot(index=["set", "model"], columns="round", values="text")
    wide = wide.rename(columns="round {}".format)
    last = table[table["round"] == table["round"].max()].set_index(["set", "model"])
    wide["last minus first"] = [
        tables.cell(line, "difference") for line in last.loc[wide.index].to_dict("records")
    ]
    sets, models = (list(dict.fromkeys(table[column])) for column in ("set", "model"))
    order = sorted(wide.index, key=lambda row: (sets.index(row[0]), models.index(row[1])))
    return wide.loc[order].rename_axis(columns=None)


def verdict(table: pd.DataFrame) -> str:
    """What the last round brought each model on each set, in a line each."""
    lines = []
    last = table[table["round"] == table["round"].max()]
    for line in last.sort_values("set", kind="stable").itertuples():
        said = f"no difference that {line.clips} clips can show"
        if line.difference_low > 0 or line.difference_high < 0:
            said = "better" if line.difference > 0 else "worse"
        lines.append(
            f"{line.set}, {line.model}: {said} ({line.difference:+.1f} points, "
            f"{line.fixed:.0f} clips fixed, {line.broken:.0f} broken)"
        )
    return "\n".join(lines)


def _line(
    true: np.ndarray, before: np.ndarray, after: np.ndarray, groups: np.ndarray | None
) -> dict[str, float]:
    sample = Sample.of(true, groups)
    change = tables.difference_line(sample, votes(before), votes(after))
    return tables.score_line(sample, votes(after)) | change


def _test_sets(done: PseudoRounds, answers: pd.Series | None) -> list[tuple[str, pd.Series]]:
    """The test clips inside and outside the pool that are there, with their answers."""
    if answers is None:
        return []
    predicted = answers[answers.index.isin(done.pool_names)]
    inside = done.is_inside(predicted.index)
    sets = ((INSIDE, predicted[inside]), (OUTSIDE, predicted[~inside]))
    return [(name, known) for name, known in sets if len(known)]


def _groups(pool: FusionData | None, names: pd.Index) -> np.ndarray | None:
    return None if pool is None else pool.groups_of(names)


def _label_set(done: PseudoRounds) -> tuple[str, ...]:
    return next(iter(done.rounds[0].results.values())).label_set
