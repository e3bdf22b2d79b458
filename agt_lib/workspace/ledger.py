"""The ledger of clips that could not be read, and the share of them that stops an extraction."""

import pandas as pd

LEDGER = "failures.csv"
LEDGER_COLUMNS = ("key", "name", "stage", "reason")

ABSENT = "absent"
"""The stage of clips that never had the modality: absent with a reason, but no failures."""


class ExtractionError(RuntimeError):
    """More clips could not be read than the caller allows; the message counts the reasons."""


def check_share(
    ledger: pd.DataFrame, n_clips: int, max_failures: float, modality: str, where: str
) -> None:
    """Raise ExtractionError when more than the share `max_failures` of `n_clips` failed.

    `ledger` has a row of name, stage and reason for each; clips that lack the modality don't
    count. The message groups equal reasons, the most frequent first, and names the file `where`
    all of them stand.
    """
    failed = ledger[ledger["stage"] != ABSENT]
    if len(failed) <= max_failures * n_clips:
        return
    lines = [
        f"{modality}: {len(failed)} of {n_clips} clips could not be read "
        f"({len(failed) / n_clips:.1%}; max_failures allows {max_failures:.1%}):"
    ]
    # Numbers differ from clip to clip where the reason is the same.
    alike = failed["stage"] + failed["reason"].str.replace(r"\d+(\.\d+)?", "#", regex=True)
    for _, group in sorted(failed.groupby(alike), key=lambda pair: -len(pair[1])):
        examples = ", ".join(group["name"].head(3)) + ", ..." * (len(group) > 3)
        first = group.iloc[0]
        lines.append(f"  {len(group)} x {first['stage']}: {first['reason']} ({examples})")
    lines.append(
        f"All of them: {where}. Mend these files (a file that changed is read anew), take the "
        "clips out of the corpus, or raise max_failures. What was extracted is kept."
    )
    raise ExtractionError("\n".join(lines))
