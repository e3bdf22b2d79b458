"""A small run's bundle, its data, and its test predictions."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from agt_lib.features.encoder import fingerprint_of
from agt_lib.features.features import Features
from agt_lib.fusion import fit_folds, from_corpus, reduced, with_speakers
from agt_lib.fusion.config import FusionConfig
from agt_lib.prediction import bundle_of

LABELS = ("calm", "cross", "glad")
ENCODERS = {"audio": "opensmile", "video": "clip", "text": "smollm2"}
DIMS = {"audio": 8, "video": 6, "text": 5}


def corpus_of(n=90, who=6):
    """What `from_corpus` reads: clips of six speakers, every third is a test clip."""
    number = np.arange(n)
    split = np.where(number % 5 == 0, "test", "train")
    labels = np.array(LABELS, object)[number % 3]
    clips = pd.DataFrame(
        {
            "split": split,
            "emotion": np.where(split == "train", labels, None),
            "speaker": [f"s{k}" for k in (number // 3) % who],
        },
        index=pd.Index([f"clip{k}" for k in number], name="name"),
    )
    return SimpleNamespace(
        clips=clips, labels=LABELS, split=lambda *names: clips[clips["split"].isin(names)]
    )


def features_of(names, seed=0, modalities=tuple(DIMS)):
    """Features whose first three columns show the clip's number modulo three."""
    rng, found = np.random.default_rng(seed), {}
    number = np.array([int(name.strip("clip")) for name in names])
    for m in modalities:
        values = rng.standard_normal((len(names), DIMS[m])).astype(np.float32)
        values[np.arange(len(names)), number % 3] += 3
        found[m] = Features(m, tuple(names), values, np.ones(len(names), bool), f"{m} made so")
    return found


@pytest.fixture(scope="session")
def make():
    """Make a run: its `bundle`, `corpus`, `features`, `test` data and `result`.

    Its voice has made-up features, or made-up ones that pass for those of the encoder `audio`.
    """

    def make(scale="speaker", reduce=0, audio=None):
        corpus = corpus_of()
        features = features_of(corpus.clips.index)
        if audio is not None:
            values = np.random.default_rng(1).standard_normal((90, audio.dim)).astype(np.float32)
            made_by = fingerprint_of(audio)
            features["audio"] = replace(features["audio"], values=values, fingerprint=made_by)
        data, test = (from_corpus(corpus, features, (s,)) for s in ("train", "test"))
        by_speaker = components = None
        if scale == "speaker":
            data, test = with_speakers(data, test)
            by_speaker = data.by_speaker
        if reduce:
            (data, test), components = reduced(reduce, data, test)
            scale = "none"

        def config(model, modalities, scale):
            network = {"hidden" if model == "attention" else "width": 16}
            small = {"epochs": 3, "batch_size": 16, "scale": scale, "network": network}
            return FusionConfig.default(model, modalities, **small)

        configs = {("A+V+T", "AGT"): config("agt", data.modalities, scale)}
        configs["A+V+T", "baseline"] = config("attention", data.modalities, scale)
        if scale == "speaker":
            configs["A+V+T", "AGT, scaled by fold"] = config("agt", data.modalities, "fold")
        for m, letter in zip(DIMS, "AVT", strict=True):
            configs[letter, "one modality"] = config("unimodal", (m,), scale)
        folds = pd.Series(np.arange(len(data.names)) % 3, index=list(data.names))
        result = fit_folds(
            data, folds, configs, (0, 1), test=test, keep=False, progress=False, workers=1
        )
        run = SimpleNamespace(
            caption="corpus of tests",
            encoders=ENCODERS,
            facts={},
            encoder_options=lambda modality: {},
        )

        given = SimpleNamespace(
            data=data, features=features, by_speaker=by_speaker, components=components
        )
        bundle = bundle_of(run, given, result)
        return SimpleNamespace(
            bundle=bundle, corpus=corpus, features=features, test=test, result=result
        )

    return make


@pytest.fixture(scope="session")
def made(make):
    """A run scaled by speaker."""
    return make()


@pytest.fixture(scope="session")
def new_features():
    """Make features of other clips, named by number."""
    return features_of
