"""The three models of a run that vote, without and with pseudo-labels (notebooks 07 and 07b)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from agt_lib.corpora.corpus import Corpus
from agt_lib.evaluation.predictions import Stage
from agt_lib.fusion.config import FusionConfig
from agt_lib.fusion.crossval import fit_folds
from agt_lib.fusion.data import visible
from agt_lib.fusion.runs import RunData, of_run
from agt_lib.pseudo.config import PseudoConfig, configurations
from agt_lib.pseudo.rounds import PseudoRounds, train
from agt_lib.pseudo.stages import before_and_after, estimated_prior, held_out, on_pool
from agt_lib.workspace.run import Run

RAW, CALIBRATED = "raw", "calibrated"
Estimate = Callable[..., np.ndarray]


@dataclass(frozen=True)
class Voters:
    """Models by rule of pseudo-labels, `trained`: "raw" confidence (the paper's) or "calibrated".

    `confidence` names the rule that is voted on. `trained` is empty if there is no unlabelled clip.
    `seen` says which clips each model sees (`fusion.visible`).
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
        """The stages "none" and "P" on the pool's clips `names`, or out of fold if None.

        Without an unlabelled clip there is "none" alone, out of fold.
        """
        data = self.given.data
        if self.rounds is None:
            results = fit_folds(data, self.given.folds, self.configs, self.seeds)
            return {"none": held_out(results, data).seeing(self.seen)}
        rounds = self.trained[confidence or self.confidence]
        return before_and_after(rounds, data, names, seen=self.seen)

    def submitted(self, names: Sequence[str]) -> Stage:
        """The last models' mean over seeds on the clips `names` of the pool, as one seed."""
        stage = on_pool(self.rounds.rounds[-1], self.given.data)
        return stage.select(names).averaged().seeing(self.seen)

    def estimated_prior(self, estimate: Estimate) -> np.ndarray | None:
        """The labels' shares (C,) in the pool, estimated from posteriors (see `estimated_prior`).

        None without an unlabelled clip, or if no fold holds out a clip of some label.
        """
        data = self.given.data
        folds = self.given.folds.loc[list(data.names)].to_numpy()
        held_out = set(data.labels[folds >= 0])
        if self.rounds is None or len(held_out) < len(data.label_set):
            return None
        return estimated_prior(self.rounds.rounds[0], data, estimate)


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
    configs = configurations(given.data.modalities, run.profile.max_epochs)
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
