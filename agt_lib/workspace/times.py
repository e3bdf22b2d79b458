"""How long notebooks took: a table that the story of notebooks writes into and README shows.

A run that found its features and models on disk took less, so the longest run of each counts.
`python -m agt_lib.workspace.times` puts it into README, between two marks.
"""

import os
import platform

import pandas as pd
from filelock import FileLock

from agt_lib.workspace import machine, paths
from agt_lib.workspace.kept import DAMAGE, write_atomic

COLUMNS = ["notebook", "profile", "seconds", "cores", "processor"]
START, END = "<!-- run times -->\n", "<!-- end of run times -->"


def record(notebook: str, profile: str, seconds: float) -> None:
    """Write a run of `notebook` in `profile` into the table of this data folder, if it is longest.

    `run_times.csv` may be deleted to measure anew.
    """
    path = paths.data() / "run_times.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    device = machine.pick_device().type
    processor = f"{platform.machine()}, {'no' if device == 'cpu' else device} GPU"
    line = [notebook, profile, round(seconds), os.cpu_count(), processor]
    with FileLock(path.with_name(".run_times.lock")):
        both = pd.concat([read(), pd.DataFrame([line], columns=COLUMNS)]).sort_values("seconds")
        longest = both.drop_duplicates(["notebook", "profile"], keep="last")
        write_atomic(path, longest.sort_values(["notebook", "profile"]).to_csv(index=False))


def read() -> pd.DataFrame:
    """The table: a row a notebook and profile; empty if it is not there, or damaged."""
    path = paths.data() / "run_times.csv"
    try:
        return pd.read_csv(path)[COLUMNS]
    except (FileNotFoundError, *DAMAGE):
        return pd.DataFrame(columns=COLUMNS)


def as_text(table: pd.DataFrame) -> str:
    """Seconds by profile and notebook's number, in Markdown, and what they were measured on."""
    short = table.assign(notebook=table["notebook"].str.partition("_")[0])
    wide = short.pivot(index="profile", columns="notebook", values="seconds")
    shown = wide.map(lambda seconds: "" if pd.isna(seconds) else f"{seconds:.0f} s")
    machines = table[["cores", "processor"]].drop_duplicates().itertuples(index=False)
    measured = "; ".join(f"{cores} cores, {processor}" for cores, processor in machines)
    return f"{shown.to_markdown()}\n\nMeasured on {measured}.\n"


def main() -> None:
    """Put the table into README. Raises ValueError if the story was not run here."""
    table = read()
    if table.empty:
        raise ValueError(f"no run was finished in {paths.data()}: make reproduce")
    readme = paths.ROOT / "README.md"
    before, _, rest = readme.read_text(encoding="utf-8").partition(START)
    _, _, after = rest.partition(END)
    readme.write_text(before + START + as_text(table) + END + after, encoding="utf-8")


if __name__ == "__main__":
    main()
