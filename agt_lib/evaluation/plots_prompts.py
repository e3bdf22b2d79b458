"""Pictures of rankings."""

from collections.abc import Mapping

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure


def rank_heatmaps(tables: Mapping[str, pd.DataFrame]) -> Figure:
    """One panel a table of `prompts.place_shares`: at which rank each true label stands, in %."""
    figure, axes = plt.subplots(
        1, len(tables), figsize=(0.6 + 3.9 * len(tables), 3.3), sharey=True, squeeze=False
    )
    for axis, (title, table) in zip(axes[0], tables.items(), strict=True):
        sns.heatmap(
            100 * table, annot=True, fmt=".0f", vmin=0, vmax=100, cmap="Blues", cbar=False,
            linewidths=0.5, ax=axis, annot_kws={"fontsize": 9},
        )  # fmt: skip
        axis.set(title=title, xlabel="rank of the true label", ylabel="")
        axis.tick_params(axis="y", rotation=0, length=0)
        axis.tick_params(axis="x", length=0)
    axes[0, 0].set_ylabel("true label")
    return figure
