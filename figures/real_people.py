"""AGT against its rivals on recorded people, for the README.

    python figures/real_people.py figures/readme DIFFERENCES.csv ...

The CSVs are what `benchmarks/ravdess.py` and `benchmarks/emodb.py` write with `--csv`. The picture
and the CSV that it was drawn from go into the first folder.
"""

import sys
from pathlib import Path

import pandas as pd

from agt_lib.evaluation import pictures
from agt_lib.evaluation.tables import REFERENCE

RIVALS = ("baseline", "equation 2 alone", REFERENCE)


def main(folder: Path, tables: list[Path]) -> None:
    """Draw what the CSVs `tables` hold, a line a corpus and scale, a colour a rival."""
    table = pd.concat([pd.read_csv(path) for path in tables], ignore_index=True)
    everything = table["features"] == table["against_features"]
    table = table[everything & table["against"].isin(RIVALS)]
    table = table.assign(row=table["corpus"] + ", scaled by " + table["scale"])
    figure = pictures.forest(
        table, value="difference", row="row", series="against", zero=True,
        label="AGT minus the other, points of WAF, out of fold",
    )  # fmt: skip
    figure.savefig(folder / "real_people.png", bbox_inches="tight")
    columns = ["corpus", "scale", "against", "difference", "difference_low", "difference_high"]
    table[columns].round(2).to_csv(folder / "real_people.csv", index=False)


if __name__ == "__main__":
    main(Path(sys.argv[1]), [Path(path) for path in sys.argv[2:]])
