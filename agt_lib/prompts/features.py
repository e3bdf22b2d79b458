"""The paper's "fine-tuned" text feature: the language model's view of words and ranked labels."""

import warnings
from dataclasses import fields, replace
from typing import Any

import pandas as pd

from agt_lib.corpora.corpus import Corpus
from agt_lib.features.encoder import Encoder
from agt_lib.features.extraction import extract
from agt_lib.features.features import Features
from agt_lib.prompts import VERSION
from agt_lib.prompts.classifier import ClassifierRanker
from agt_lib.prompts.llm import LLMRanker
from agt_lib.prompts.rankings import Rankings
from agt_lib.prompts.wording import TEXT_LIMIT, check_template, compose, language_of
from agt_lib.workspace.kept import digest, read_kept

RANKERS = ("classifier", "llm")


def ranked_corpus(
    corpus: Corpus, rankings: Rankings, *, template: str = "", language: str = "en"
) -> Corpus:
    """`corpus` with words and ranked labels as its clips' text (see `compose`).

    A clip without a ranking keeps its plain text. Raises ValueError if a clip with words is not
    among the rankings, and for a template without a place for the text or the labels.
    """
    clips = corpus.clips.copy()
    texts = clips["text"].dropna()
    if len(unknown := texts.index.difference(rankings.table.index, sort=False)):
        raise ValueError(
            f"{len(unknown)} clips with words are not among the rankings, the first is "
            f"{unknown[0]!r}: rank the same corpus"
        )
    if len(long := texts.index[texts.str.len() > TEXT_LIMIT]):
        warnings.warn(
            f"{len(long)} transcripts are longer than {TEXT_LIMIT} characters and were cut, the "
            f"first is {long[0]!r}: the labels behind them must stay within a model's context",
            stacklevel=2,
        )
    orders = rankings.table.loc[texts.index]
    composed = {
        name: compose(text, order, template=template, language=language)
        for (name, text), order in zip(texts.items(), orders.to_numpy(dtype=object), strict=True)
        if not pd.isna(order[0])
    }
    clips["text"] = pd.Series(composed, dtype="str").reindex(clips.index).fillna(clips["text"])
    return replace(corpus, clips=clips)


def ranked_features(
    corpus: Corpus,
    rankings: Rankings,
    encoder: Encoder,
    *,
    template: str = "",
    language: str = "en",
    **options: Any,
) -> Features:
    """Features of the clips of `corpus` by the text `encoder`, from words and ranked labels.

    `options` go to `extract`. The fingerprint names encoder, template and what made the rankings,
    so a model that was fitted on these features refuses plain ones. `failures` also lists the
    clips that kept their plain text because their ranking failed; these are present. Raises
    ValueError as `ranked_corpus`, and for an encoder that does not read text.
    """
    if encoder.modality != "text":
        raise ValueError(f"ranked prompts need an encoder of text; got one of {encoder.modality}")
    composed = ranked_corpus(corpus, rankings, template=template, language=language)
    features = extract(composed, encoder, **options)
    unranked = rankings.failures
    unranked = unranked[unranked["name"].isin(features.names)]
    unranked = unranked[~unranked["name"].isin(features.failures["name"])]
    made_by = {
        "version": VERSION,
        "encoder": features.fingerprint,
        "template": check_template(template, language),
        "language": language,
        "rankings": rankings.fingerprint,
    }
    return replace(
        features,
        fingerprint=digest(made_by),
        failures=pd.concat([features.failures, unranked], ignore_index=True),
    )


def rank(corpus: Corpus, folds: pd.Series, ranker: ClassifierRanker | LLMRanker) -> Rankings:
    """The rankings of the clips of `corpus`, kept under `data/derived/`.

    Of a language model its answers are kept; a clip without an answer is asked for again. Raises
    ValueError for a corpus without transcripts.
    """
    if corpus.clips["text"].isna().all():
        raise ValueError(
            f"corpus {corpus.name!r} has no transcripts, so there is nothing to rank; a manifest "
            "gives them in its column text"
        )
    if isinstance(ranker, LLMRanker):
        return ranker.rank(corpus, folds)
    made_from = {
        "corpus": corpus.fingerprint,
        "folds": digest([[name, int(fold)] for name, fold in folds.items()]),
        "ranker": ranker.fingerprint,  # with the room's version
    }
    return read_kept(
        "rankings", made_from, lambda made: ranker.rank(corpus, folds).save(made),
        lambda folder: Rankings.load(folder, corpus.labels),
    )  # fmt: skip


def build(kind: str, **llm_options: Any) -> ClassifierRanker | LLMRanker:
    """The ranker "classifier", or "llm" with `llm_options`; ValueError for any other."""
    if kind not in RANKERS:
        raise ValueError(f"ranker is one of {', '.join(RANKERS)}; got {kind!r}")
    if unknown := llm_options.keys() - {field.name for field in fields(LLMRanker)}:
        raise ValueError(f"a ranker takes no {', '.join(sorted(unknown))}")
    return LLMRanker(**llm_options) if kind == "llm" else ClassifierRanker()


def tuned_text(
    corpus: Corpus,
    folds: pd.Series,
    encoder: Encoder,
    *,
    ranker: ClassifierRanker | LLMRanker,
    **options: Any,
) -> Features:
    """T* in one call: rank the clips of `corpus`, compose, encode. Repeated, it costs nothing.

    The template and its words are those of the transcripts' language. `options` go to `extract`.
    """
    rankings = rank(corpus, folds, ranker)
    return ranked_features(corpus, rankings, encoder, language=language_of(corpus), **options)
