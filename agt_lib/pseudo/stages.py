"""The three models of a run that vote (notebooks 07, 07b), without and with pseudo-labels.

S seeds, K folds, N labelled clips, P clips of the pool, C classes.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from agt_lib.corpora.corpus import Corpus
from agt_lib.evaluation.calibration import fit_temperature, with_temperature
from agt_lib.evaluation.predictions import Stage
from agt_lib.fusion.config import FusionConfig
from agt_lib.fusion.crossval import CrossValidated, fit_folds
from agt_lib.fusion.data import FusionData, visible
from agt_lib.fusion.runs import RunData, of_run
from agt_lib.pseudo.config import PseudoConfig, configurations
from agt_lib.pseudo.rounds import PseudoRounds, Round, judged_labelled, train
from agt_lib.workspace.run import Run

RAW, CALIBRATED = "raw", "calibrated"
Estimate = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Voters:
    """Models by rule of pseudo-labels, `trained`: "raw" confidence (the paper's) or "calibrated".

    `confidence` names the rule that is voted on. `trained` is empty if there is no unlabelled clip.
    `seen` says which clips each model sees (`fusion.data.visible`).
    """

    given: RunData
    configs: Mapping[str, FusionConfig]
    seeds: tuple[int, ...]
    trained: Mapping[str, PseudoRounds]
    confidence: str
    seen: pd.DataFrame

    @property
    def rounds(self) -> PseudoRounds | None:
        """The rounds that are voted on; None without an unlabelled clip."""
        return self.trained.get(self.confidence)

    def stages(
        self, names: Sequence[str] | None = None, confidence: str | None = None
    ) -> dict[str, Stage]:
        """The stages "none" and "P": before pseudo-labels and after their last round.

        Of the pool's clips `names`, or out of fold if None. Without an unlabelled clip there is
        "none" alone, out of fold.
        """
        data = self.given.data
        if self.rounds is None:
            results = fit_folds(data, self.given.folds, self.configs, self.seeds)
            return {"none": held_out(results, data).seeing(self.seen)}
        rounds = self.trained[confidence or self.confidence].rounds
        stages = {}
        for name, end in {"none": rounds[0], "P": rounds[-1]}.items():
            if names is None:
                stage = held_out(end.results, data, end.selected)
            else:
                stage = on_pool(end, data).select(names)
            stages[name] = stage.seeing(self.seen)
        return stages

    def submitted(self, names: Sequence[str]) -> Stage:
        """The last models' mean over seeds on the clips `names` of the pool, as one seed."""
        return self.stages(names)["P"].averaged()

    def estimated_prior(self, estimate: Estimate) -> np.ndarray | None:
        """The labels' shares (C,) in the pool by AGT's calibrated posteriors, the mean over seeds.

        `estimate` takes posteriors of the pool (K P, C), out-of-fold ones (N, C) and their labels
        (N,), as `probing.estimate` does. It costs no submission, and is the pool's prior, not the
        test's. The models are those without pseudo-labels: later ones were trained on clips of the
        pool, so their posteriors there are not those of new clips. None without an unlabelled clip,
        or if no fold holds out a clip of some label. Raises ValueError as `estimate` does.
        """
        if self.rounds is None:
            return None
        first, data = self.rounds.rounds[0], self.given.data
        true, out_of_fold = judged_labelled(first.results, data)
        if len(set(true)) < len(data.label_set):
            return None
        found = []
        for own, by_fold in zip(out_of_fold["AGT"], first.by_fold["AGT"], strict=True):
            temperature = fit_temperature(true, own)
            pool = with_temperature(np.concatenate(by_fold), temperature)  # (K P, C)
            found.append(estimate(pool, with_temperature(own, temperature), true))
        return np.mean(found, axis=0)


def voters(
    run: Run,
    corpus: Corpus,
    *,
    tuned: bool = False,
    threshold: float = 0.9,
    precision: float = 0.9,
    rounds: int = 1,
    confidence: str = CALIBRATED,
) -> Voters:
    """Train the three models by both rules of pseudo-labels, or load them if they were trained.

    `threshold` is the raw confidence that each model must exceed, `precision` the share of labelled
    clips that would join and are right (see `PseudoConfig`). With a single fold there is no
    calibrated rule. Says in a line each what the rounds did.
    """
    given = of_run(run, corpus, tuned=tuned)
    configs = configurations(given.data.modalities, run.profile.max_epochs, given.scale)
    settings = {RAW: PseudoConfig(threshold=threshold, rounds=rounds)}
    if given.folds.max() > 0:
        settings[CALIBRATED] = PseudoConfig(
            threshold=threshold, rounds=rounds, calibrate=True, precision=precision
        )
    if "audio" not in given.data.modalities:
        print(f"No voice here: {given.data.modalities[0]} takes its place in every rule.")
    trained = {}
    for kind, setting in settings.items() if given.pool else ():
        trained[kind] = train(
            given.data, given.folds, given.pool, setting, run.seeds, configs=configs
        )
        print(f"{setting.rule}:", *trained[kind].notes)
    if not trained:
        print("No unlabelled clips: no pseudo-labels, no submission; the vote is held out of fold.")
    confidence = confidence if confidence in settings else RAW
    seen = visible(configs, given.data, given.pool)
    return Voters(given, configs, tuple(run.seeds), trained, confidence, seen)


def on_pool(fitted: Round, data: FusionData) -> Stage:
    """A round's predictions of the pool, each the mean of the K fold models.

    A model's temperature is fitted on its out-of-fold predictions of the labelled clips `data` and
    acts on each fold model before the mean is taken: single models are surer than their mean.
    """
    true, out_of_fold = judged_labelled(fitted.results, data)
    temperatures, scaled = {}, {}
    for model, by_fold in fitted.by_fold.items():
        of_seed = np.array([fit_temperature(true, own) for own in out_of_fold[model]])
        each = with_temperature(by_fold, of_seed[:, None, None, None])
        temperatures[model], scaled[model] = of_seed, each.mean(1)  # (S, K, P, C) -> (S, P, C)
    calibrated = replace(fitted.results.test, probabilities=scaled)
    prior = trained_on(fitted.results, data, fitted.selected)
    return Stage(fitted.results.test, calibrated, prior, temperatures)


def held_out(
    results: CrossValidated, data: FusionData, selected: pd.DataFrame | None = None
) -> Stage:
    """Out-of-fold predictions of the labelled clips: for corpora whose test answers are not known.

    Each fold's temperature is fitted on the other folds; with one fold alone none is, and
    `calibrated` is what the models say.
    """
    predictions = calibrated = results.out_of_fold
    if results.folds.max() > 0:
        _, scaled = judged_labelled(results, data, calibrate=True)
        calibrated = replace(predictions, probabilities=scaled)
    return Stage(predictions, calibrated, trained_on(results, data, selected))


def trained_on(
    results: CrossValidated, data: FusionData, selected: pd.DataFrame | None = None
) -> np.ndarray:
    """The labels' shares in what the fold models of each seed were trained on, (S, C).

    `selected` lists pseudo-labels: columns seed, fold and label (its name), a line for each clip
    that a fold's model was given. Shares are averaged over folds, as the models' predictions are.
    """
    folds = results.folds.loc[list(data.names)].to_numpy()
    numbers, n_classes = list(range(int(folds.max()) + 1)), len(data.label_set)
    own = np.stack([np.bincount(data.labels[folds != k], minlength=n_classes) for k in numbers])
    shares = []
    for seed in results.out_of_fold.seeds:
        counts = own.astype(float)
        if selected is not None and len(selected):
            mine = selected[selected["seed"] == seed]
            given = pd.crosstab(mine["fold"], mine["label"])
            given = given.reindex(index=numbers, columns=list(data.label_set), fill_value=0)
            counts += given.to_numpy()
        shares.append((counts / counts.sum(1, keepdims=True)).mean(0))
    return np.stack(shares)
