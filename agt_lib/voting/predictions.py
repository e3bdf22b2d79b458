"""The names of the models that vote (section 2.3), and their predictions from cross-validation."""

from collections.abc import Mapping

from agt_lib.evaluation.predictions import Predictions
from agt_lib.fusion.crossval import CrossValidated

VOICE, BASELINE, AGT = "voice", "baseline", "AGT"
MODELS = (VOICE, BASELINE, AGT)
"""The three that vote: HuBERT alone, the baseline's fusion, AGT (section 2.3)."""


def from_results(results: Mapping[str, CrossValidated], *, held_out: bool = False) -> Predictions:
    """The pool's predictions of cross-validated models; with `held_out` the out-of-fold ones.

    Raises ValueError as `Predictions.from_tables` does, or if the results have other seeds.
    """
    if len({result.seeds for result in results.values()}) > 1:
        seeds = {model: result.seeds for model, result in results.items()}
        raise ValueError(f"models vote seed by seed, so they need the same seeds; got {seeds}")
    tables = {
        model: [
            result.out_of_fold_table(seed) if held_out else result.test_table(seed)
            for seed in result.seeds
        ]
        for model, result in results.items()
    }
    return Predictions.from_tables(tables, next(iter(results.values())).seeds)
