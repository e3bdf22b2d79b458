"""Predictions with clip names, as tables that anybody can read."""

from collections.abc import Mapping

import pandas as pd

from agt_lib.fusion.crossval import CrossValidated
from agt_lib.fusion.table1 import Row


def prediction_tables(results: Mapping[Row, CrossValidated]) -> dict[str, pd.DataFrame]:
    """All predictions in two long tables, "oof" and "test".

    Columns features, model, seed, name and one probability per label; with `features`, `model` and
    `seed` fixed, a table indexed by name is what the rest of the library calls predictions.
    """
    tables: dict[str, list[pd.DataFrame]] = {"oof": [], "test": []}
    for (features, model), result in results.items():
        for seed in result.seeds:
            row = {"features": features, "model": model, "seed": seed}
            tables["oof"].append(_long(result.out_of_fold_table(seed), row))
            if result.test is not None:
                tables["test"].append(_long(result.test_table(seed), row))
    return {name: pd.concat(parts, ignore_index=True) for name, parts in tables.items() if parts}


def _long(table: pd.DataFrame, row: Mapping[str, object]) -> pd.DataFrame:
    return (
        pd.DataFrame(dict(row), index=table.index)
        .join(table)
        .reset_index()[[*row, "name", *table.columns]]
    )
