"""Tables of scores and of paired differences: one line a model, WAF in per cent.

The ends of the 95 % interval of a column X stand in `X_low` and `X_high`. S seeds, N clips, C
classes. `truth` are labels, `groups` speakers, both by clip name.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from agt_lib.evaluation.predictions import Model, Predictions, key
from agt_lib.evaluation.scores import Sample, fixed_and_broken, votes, with_interval

OUT_OF_FOLD, TEST = "out-of-fold", "test"
"""What a line of table 1 is scored on, in its column set."""
REFERENCE = "logistic regression"
"""The model that every other has to beat."""
SCORE = ("waf", "waf_low", "waf_high", "seed_sd", "accuracy", "clips", "seeds", "interval_over")
DIFFERENCE = ("difference", "difference_low", "difference_high", "fixed", "broken", "clips")


def sample_of(
    predictions: Predictions, truth: pd.Series, groups: pd.Series | None = None
) -> Sample:
    """The clips of `predictions` with their true labels, drawn by clip or by speaker.

    By speaker, if `groups` knows those of all clips and they are at least five. Raises ValueError
    if `truth` lacks a clip.
    """
    speakers = None if groups is None else groups.reindex(list(predictions.names))
    known = speakers is not None and speakers.notna().all()
    return Sample.of(predictions.numbers(truth), speakers.to_numpy() if known else None)


def scores(
    predictions: Predictions, truth: pd.Series, groups: pd.Series | None = None
) -> pd.DataFrame:
    """One line a model: columns model (or features and model) and `SCORE`.

    Scored are the clips whose label `truth` knows. WAF is the mean over seeds, `seed_sd` their
    standard deviation (NaN for one seed); intervals are over the speakers `groups` if they are at
    least five, else over clips. Raises ValueError if no label is known.
    """
    known = predictions.known(truth)
    sample = sample_of(known, truth, groups)
    given = known.probabilities
    return pd.DataFrame([key(model) | score_line(sample, votes(given[model])) for model in given])


def differences(
    predictions: Predictions,
    truth: pd.Series,
    pairs: list[tuple[Model, Model]] | Model,
    groups: pd.Series | None = None,
) -> pd.DataFrame:
    """Points of WAF that a model has more than another, paired: one line a pair.

    `pairs` are (model, against), or one model that all others are compared with. A model with one
    seed is compared with each seed of the other. Columns model, against (and features,
    against_features), and `DIFFERENCE`.
    """
    known = predictions.known(truth)
    sample = sample_of(known, truth, groups)
    if not isinstance(pairs, list):
        pairs = [(model, pairs) for model in known.probabilities if model != pairs]
    lines = []
    for model, against in pairs:
        line = key(model) | {f"against_{column}": name for column, name in key(against).items()}
        line["against"] = line.pop("against_model")
        lines.append(line | difference_line(sample, votes(known[against]), votes(known[model])))
    return pd.DataFrame(lines)


def score_line(sample: Sample, votes: np.ndarray, **before: np.ndarray) -> dict[str, float | str]:
    """The columns `SCORE` of votes (S, N, C), or (S, R, N, C) if a rule draws R times.

    Scores are means over draws and seeds; `seed_sd` is the spread over seeds. Each of `before`,
    votes (S, N, C) under the name of a column, adds the paired difference to them: `step=...` adds
    step, step_low and step_high.
    """
    wafs = sample.wafs(votes).reshape(len(votes), -1, len(sample.draws)).mean(1)  # (S, 1 + B)
    right = votes[..., np.arange(len(sample.true)), sample.true]
    line = with_interval("waf", wafs.mean(0)) | {
        "seed_sd": float(wafs[:, 0].std(ddof=1)) if len(wafs) > 1 else float("nan"),
        "accuracy": 100 * float(right.mean()),
        "clips": len(sample.true),
        "seeds": len(votes),
        "interval_over": sample.over,
    }
    for name, others in before.items():
        line |= paired(name, sample.wafs(others), wafs)
    return line


def difference_line(sample: Sample, before: np.ndarray, after: np.ndarray) -> dict[str, float]:
    """The columns `DIFFERENCE` of votes `after` minus `before`, (S, N, C).

    Either may have a single seed. `fixed` and `broken` count the clips that `after` alone, or
    `before` alone, gets right (means over seeds). Raises ValueError for other numbers of seeds.
    """
    line = paired("difference", sample.wafs(before), sample.wafs(after))
    fixed, broken = fixed_and_broken(sample.true, before, after)
    counts = {"fixed": float(fixed.sum()), "broken": float(broken.sum())}
    return line | counts | {"clips": len(sample.true)}


def paired(name: str, before: np.ndarray, after: np.ndarray) -> dict[str, float]:
    """The mean difference of WAFs by seed and draw, (S, 1 + B), as column `name`, with its ends."""
    if len(before) != len(after) and 1 not in (len(before), len(after)):
        raise ValueError(
            f"a paired comparison needs the same seeds; got {len(before)} and {len(after)}"
        )
    return with_interval(name, (after - before).mean(0))


def signed(number: float) -> str:
    """`number` with one decimal and its sign, a minus and no hyphen: "+1.2", "−0.3"; no "−0.0"."""
    return f"{number:+z.1f}".replace("-", "\N{MINUS SIGN}")


def cell(line: pd.Series | dict, value: str = "waf") -> str:
    """A number with its interval: "62.2 [58.4, 65.9] ±0.8" of WAF, "+1.2 [−0.3, +2.7]" of others.

    After ± stands the spread over seeds, if there are several.
    """
    number = "{:.1f}".format if value == "waf" else signed
    x, low, high = (number(line[value + end]) for end in ("", "_low", "_high"))
    spread = line.get("seed_sd") if value == "waf" else None
    return f"{x} [{low}, {high}]" + ("" if pd.isna(spread) else f" ±{spread:.1f}")


def wide(
    table: pd.DataFrame, index: str | list[str], columns: str, value: str = "waf"
) -> pd.DataFrame:
    """A table for reading: `cell` of each line, by `index` and `columns` in order of appearance."""
    cells = table.assign(text=[cell(line, value) for line in table.to_dict("records")])
    pivoted = cells.pivot(index=index, columns=columns, values="text")
    rows = pd.MultiIndex.from_frame(table[index]) if isinstance(index, list) else table[index]
    found = pivoted.reindex(index=rows.unique(), columns=table[columns].unique())
    return found.rename_axis(columns=None).fillna("")


def verdict(table: pd.DataFrame, who: Sequence[str], value: str = "difference") -> str:
    """Whether each line's difference is one: better, worse, or none that so many clips can show.

    `who` are the columns that name a line; the interval of `value` decides.
    """
    said = []
    for line in table.to_dict("records"):
        x, low, high = (line[value + end] for end in ("", "_low", "_high"))
        found = f"no difference that {line['clips']} clips can show"
        if low > 0 or high < 0:
            found = "better" if x > 0 else "worse"
        elif x == low == high:
            found = "no clip changes"
        name = ", ".join(str(line[column]) for column in who)
        said.append(f"{name}: {found} ({cell(line, value)} points)")
    return "\n".join(said)
