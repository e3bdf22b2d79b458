"""What a notebook's run trains on and predicts: its clips by part, with raw or tuned features.

The guide, the voice, is frozen in the paper: only the face (V*, a tuned CLIP) and the words (T*,
ranked prompts) have tuned features (section 2.1).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from agt_lib.corpora.corpus import Corpus
from agt_lib.corpora.folds import folds_of, tuning_folds
from agt_lib.features.encoder import build
from agt_lib.features.features import Features
from agt_lib.features.runs import of_run as raw_features
from agt_lib.fusion.data import FusionData, from_corpus, with_speakers
from agt_lib.fusion.reduction import Reduction, reduced
from agt_lib.fusion.scaling import SpeakerScaler, scale_for
from agt_lib.workspace.run import Run

LLM_BUDGET = 5.0
"""Dollars that ranking may cost if notebook 03 did not pay for it before; it sets its own."""
LLM_PRICES = (30.0, 60.0)
"""Dollars per million tokens in and out that this budget counts, whatever the model: GPT-4's, which
few exceed."""

CAPTIONS = {
    "speaker": "features scaled by speaker, which uses the unlabelled clips of the same speaker",
    "fold": "",
}


@dataclass(frozen=True)
class RunData:
    """A run's labelled clips `data`, its `test` clips without labels, and the `pool`.

    The pool are all unlabelled clips, test clips among them. Both are None if there are none.
    `folds` number the fold that holds each labelled clip out. `scale` is that of every model (see
    `FusionConfig.scale`). `features` are by modality; `tuned` are the modalities whose features
    were tuned. `by_speaker` are the statistics of speakers and `components` the principal
    components that the features were brought to, if they were.
    """

    features: Mapping[str, Features]
    data: FusionData
    test: FusionData | None
    pool: FusionData | None
    folds: pd.Series
    scale: str
    tuned: tuple[str, ...] = ()
    by_speaker: SpeakerScaler | None = None
    components: Mapping[str, Reduction] | None = None


def of_run(run: Run, corpus: Corpus, *, tuned: bool = False, reduce: int = 0) -> RunData:
    """The data of `run` on raw features or, if `tuned`, on tuned ones if there are some.

    What is missing is extracted or tuned first. The scale is "speaker" where speakers are known and
    have clips enough (`scaling.scale_for`), else "fold": which and why is said, and stands in the
    run's caption. Statistics of speakers are over all clips of `corpus`. A modality that no
    labelled clip has is left out, and said. With `reduce` wide features are brought to so many
    principal components of the run's clips, after scaling by speaker (`reduction.reduced`). Raises
    ValueError if no modality is left.
    """
    folds = folds_of(corpus, run.profile.n_folds)
    scale, reason = scale_of(corpus)
    run.tell("scale", {"name": scale, "caption": CAPTIONS[scale]})
    print(f"features are scaled by {scale}: {reason}")
    features, found = raw_features(run, corpus), {}
    if tuned and corpus.features_at is not None:
        print("features that MERTools made can't be tuned: there are no clips here; raw ones")
    elif tuned:
        found = tuned_features(run, corpus, folds)
    features |= found
    data, test, pool = parts(corpus, features)
    for modality in set(features) - set(data.modalities):
        print(f"no labelled clip has {modality}: it is left out")
    by_speaker, components = data.by_speaker, None
    if reduce:
        (data, test, pool), components = reduced(reduce, data, test, pool)
        said = [
            CAPTIONS[scale],
            f"on {reduce} principal components a modality, of all the run's clips",
        ]
        scale = "none"
        run.tell("scale", {"name": scale, "caption": "; ".join(filter(None, said))})
    tuned_ones = tuple(m for m in data.modalities if m in found)
    return RunData(features, data, test, pool, folds, scale, tuned_ones, by_speaker, components)


def scale_of(corpus: Corpus) -> tuple[str, str]:
    """The scale of all models on `corpus`, and why: of its labelled and test clips' speakers."""
    return scale_for(corpus.split("train", "dev", "test")["speaker"])


def needed(corpus: Corpus) -> Corpus:
    """`corpus` without its unlabelled clips, if statistics of speakers do not need them."""
    return corpus if scale_of(corpus)[0] == "speaker" else corpus.only("train", "dev", "test")


def parts(
    corpus: Corpus, features: Mapping[str, Features]
) -> tuple[FusionData, FusionData | None, FusionData | None]:
    """The labelled clips, the test clips, and the pool: test and unlabelled ones; None if empty.

    They have the modalities that a labelled clip has, and, where features are scaled by speaker,
    its statistics. The pool may lie on disk until its clips are predicted. Raises ValueError if no
    labelled clip has features.
    """
    splits = (("train", "dev"), ("test",), ("test", "unlabelled"))
    data, *others = (from_corpus(corpus, features, part) for part in splits)
    there = [m for m in data.modalities if data.is_present(m).any()]
    if not there:
        raise ValueError("no labelled clip has features: see the reasons in notebook 01")
    data, test, pool = (part.only(there) if part.names else None for part in (data, *others))
    data, *others = data.in_memory(), test and test.in_memory(), pool
    if scale_of(corpus)[0] == "speaker":
        data, *others = with_speakers(data, *others)
    return data, *others


def tuned_features(run: Run, corpus: Corpus, folds: pd.Series) -> dict[str, Features]:
    """Cross-fitted tuned features of the modalities of `run` that can be tuned.

    The face if its encoder is a CLIP, tuned on frames as the run reads them; the words, with
    emotions ranked by GPT-4 in the profile paper (section 2.1) and by a classifier in the others.
    Each labelled clip's come from a model that was not trained on its label. A modality that no
    labelled clip has is not tuned. What was made before (by notebooks 02 and 03, for one) is read.
    """
    # Imported here: they bring heavy libraries that a notebook on raw features does without.
    from agt_lib import clip_tuning, prompts

    found, specs = {}, run.encoders
    there = corpus.clips.loc[folds.index, ["video", "text"]].notna().any()
    if there["video"] and clip_tuning.is_clip(specs.get("video", "")):
        model, config = clip_tuning.clip_to_tune(specs["video"], run.profile.max_epochs)
        inner = tuning_folds(corpus, folds)
        spaces = clip_tuning.tuned_spaces(
            corpus, inner, model, config, seed=run.seed, max_failures=run.max_failures,
            **run.encoder_options("video"),
        )  # fmt: skip
        found["video"] = spaces.cross_fitted()
    if there["text"] and "text" in specs:
        ranker = prompts.build(
            "llm" if run.profile.name == "paper" else "classifier",
            language=prompts.language_of(corpus), budget=LLM_BUDGET, prices=LLM_PRICES,
        )  # fmt: skip
        found["text"] = prompts.tuned_text(
            corpus, folds, build(specs["text"]), ranker=ranker, max_failures=run.max_failures
        )
    return found
