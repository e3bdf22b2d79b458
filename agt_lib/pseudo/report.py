"""What rounds of pseudo-labels did: how good the labels were, which moved, what it brought.

S seeds, K folds, R models of one kind, N clips, P clips of the pool, C classes.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from agt_lib.corpora.labels import to_numbers
from agt_lib.evaluation import tables
from agt_lib.evaluation.predictions import Predictions
from agt_lib.evaluation.scores import votes
from agt_lib.evaluation.tables import OUT_OF_FOLD, TEST
from agt_lib.fusion.data import FusionData
from agt_lib.pseudo.rounds import PseudoRounds, judged_pool, thresholds
from agt_lib.pseudo.selection import agreement

ALL = "all agree"
INSIDE, OUTSIDE = f"{TEST}, inside the pool", f"{TEST}, outside the pool"
ELSEWHERE = "second test set"


def rule(
    true: np.ndarray,
    probabilities: Mapping[str, np.ndarray],
    levels: Sequence[float | np.ndarray],
) -> pd.DataFrame:
    """What each model alone, and all together, keep above each confidence, and how rightly.

    `probabilities` are (R, N, C) by model; a threshold is one number or (R,), one for each of them;
    `true` (N,) is -1 if it is not known. Columns who,
    threshold, coverage (share of the clips that are kept), precision (share of the kept ones of
    known truth that are right; NaN of none). `ALL` keeps if all agree and each is surer;
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
        threshold = thresholds(stage, data, done.config)
        pool = judged_pool(stage, data, done.config)
        judged = {model: p[:, done.may_join] for model, p in pool.items()}
        agree = rule(true, judged, (0.0,)).set_index("who")["coverage"]
        part = rule(true, judged, (threshold,)).drop(columns="threshold")
        part.insert(0, "round", stage.number)
        part.insert(2, "agreement", part["who"].map(agree).where(part["who"] == ALL))
        part.insert(4, "clips", part["coverage"] * len(true))
        parts.append(part)
    return pd.concat(parts, ignore_index=True)


def pool_truth(done: PseudoRounds, truth: pd.Series) -> np.ndarray:
    """The numbers of the true labels of the clips that may join, (P,), -1 if not known."""
    names = np.array(done.pool_names, dtype=object)[done.may_join]
    return to_numbers(truth.reindex(names), done.label_set)


def kept(done: PseudoRounds, truth: pd.Series) -> pd.DataFrame:
    """Pseudo-labels by round and class beside the pool's truth.

    Columns round, label, kept (clips, mean over folds and seeds), right (share), share (of what was
    kept), true_share (of the pool's clips whose truth is known).
    """
    numbers = pool_truth(done, truth)
    counts = np.bincount(numbers[numbers >= 0], minlength=len(done.label_set))
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
    selected = [stage.selected for stage in done.rounds] + [done.next_selected]
    lines = []
    for number, (before, after) in enumerate(zip(selected, selected[1:], strict=False), start=1):
        keys = ["seed", "fold", "name"]
        both = before[[*keys, "label"]].merge(
            after[[*keys, "label"]], on=keys, how="outer", suffixes=("_before", "_after")
        )
        was, now = both["label_before"].notna(), both["label_after"].notna()
        same = both["label_before"] == both["label_after"]
        counts = ((was & same), (was & now & ~same), (now & ~was), (was & ~now))
        lines.append((number, *(count.sum() / done.rounds[0].n_models for count in counts)))
    columns = ["selection", "stayed", "relabelled", "joined", "left"]
    return pd.DataFrame(lines, columns=columns)


def scores(
    done: PseudoRounds,
    data: FusionData,
    answers: pd.Series,
    pool: FusionData | None = None,
) -> pd.DataFrame:
    """WAF of each round and model in per cent, and its paired difference to round 0 in points.

    Out-of-fold scores are of single models; test scores of the fold models' average, apart for test
    clips (those that `answers`, labels by clip name, know) that could join and those that could
    not. Intervals are over speakers if `data` and `pool` have them. Columns round, set, model,
    those of `tables.score_line` and of `tables.difference_line`.
    """
    sets = {OUT_OF_FOLD: (data.truth, data.speakers)}
    predicted = answers[answers.index.isin(done.pool_names)]
    inside, speakers = done.is_inside(predicted.index), None if pool is None else pool.speakers
    for name, known in ((INSIDE, predicted[inside]), (OUTSIDE, predicted[~inside])):
        if len(known):
            sets[name] = known, speakers
    lines = []
    for stage in done.rounds:
        for name, about in sets.items():
            before, after = (
                round_.results.out_of_fold if name == OUT_OF_FOLD else round_.results.test
                for round_ in (done.rounds[0], stage)
            )
            lines += _lines({"round": stage.number, "set": name}, before, after, *about)
    return pd.DataFrame(lines)


def elsewhere(done: PseudoRounds, data: FusionData, answers: pd.Series) -> pd.DataFrame:
    """Lines as those of `scores` for clips that never were in the pool."""
    before, lines = done.rounds[0].predict(data), []
    for stage in done.rounds:
        about = {"round": stage.number, "set": ELSEWHERE}
        lines += _lines(about, before, stage.predict(data), answers, data.speakers)
    return pd.DataFrame(lines)


def _lines(
    about: dict, before: Predictions, after: Predictions, truth: pd.Series, speakers: pd.Series
) -> list[dict]:
    """One line a model: its score and its paired difference to the predictions `before`."""
    before, after = before.known(truth), after.known(truth)
    sample, lines = tables.sample_of(after, truth, speakers), []
    for model, given in after.probabilities.items():
        own, first = votes(given), votes(before.probabilities[model])
        score = tables.score_line(sample, own) | tables.difference_line(sample, first, own)
        lines.append(about | {"model": model} | score)
    return lines


def display(table: pd.DataFrame) -> pd.DataFrame:
    """`scores` for reading: WAF by round, then the last round's difference to the first, paired."""
    rounds = table.assign(round="round " + table["round"].astype(str), seed_sd=np.nan)
    shown = tables.wide(rounds, ["set", "model"], "round")
    last = tables.wide(last_round(table), ["set", "model"], "round", "difference")
    return shown.assign(**{"last minus first": last.iloc[:, 0]})


def last_round(table: pd.DataFrame) -> pd.DataFrame:
    """The lines of `scores` of the last round."""
    return table[table["round"] == table["round"].max()]
