"""The toolkit's own protocol, and the same models scored on clips that no choice saw."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from agt_lib.evaluation.scores import waf
from agt_lib.fusion.config import TOOLKIT, TOOLKIT_SPACE, FusionConfig, drawn
from agt_lib.fusion.crossval import fit_folds
from agt_lib.fusion.toolkit import toolkit_protocol

QUIET = {"workers": 1, "progress": False}


@pytest.fixture
def folds(data_of):
    return pd.Series(np.arange(90) // 3 % 3, index=list(data_of().names))


def test_with_one_setting_and_one_epoch_nothing_is_chosen(data_of, folds):
    data = data_of(signal=1.0)
    table = toolkit_protocol(data, folds, draws=1, max_epochs=1, **QUIET).set_index("optimistic")
    config = FusionConfig.default("attention", data.modalities, scale="none")
    config = replace(config, **TOOLKIT | {"epochs": 1, "choose_epoch": False})
    _, setting = drawn(config, TOOLKIT_SPACE, 1)
    p = fit_folds(data, folds, {"m": setting}, [0], keep=False, **QUIET).out_of_fold.chosen("m")[0]
    scores = [waf(data.labels[rows], p[rows]) for rows in (folds.to_numpy() == k for k in range(3))]
    assert table.loc[True, "waf"] == pytest.approx(100 * np.mean(scores))


def test_on_noise_the_toolkits_score_is_the_better_one_and_settings_are_named(data_of, folds):
    table = toolkit_protocol(data_of(signal=0.0), folds, draws=3, max_epochs=12, **QUIET)
    table = table.set_index("optimistic")
    assert table.loc[True, "waf"] > table.loc[False, "waf"] + 2
    assert table.loc[False, "setting"].count(";") == 2
