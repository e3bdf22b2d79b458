"""From clips to a table of emotions: their features by the bundle's encoders, and its answers."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import pandas as pd

from agt_lib.corpora.corpus import Corpus
from agt_lib.features.encoder import CheckpointError, Encoder, build, fingerprint_of
from agt_lib.features.extraction import SOURCES, encode_all, extract
from agt_lib.features.features import Features
from agt_lib.fusion.model import FingerprintError
from agt_lib.prediction.answers import answer
from agt_lib.prediction.bundle import FOLDER, MODELS, Bundle
from agt_lib.prediction.clips import Clip, read_clips
from agt_lib.workspace import kept, paths


def predict(
    clips: Clip | Sequence[Clip] | pd.DataFrame | Corpus,
    model: str | Path | Bundle,
    *,
    speaker: str | Mapping[str, str] | None = None,
    prior: Mapping[str, float] | None = None,
    keep: bool = False,
    seed: int = 0,
) -> pd.DataFrame:
    """The emotions of new clips, a row a clip: the columns are those of `prediction.answer`.

    `clips` are as `prediction.read_clips` takes them: files, folders, a CSV, mappings, a table.
    `model` is a run of notebook 04 (its folder or its name), a bundle's folder, or a `Bundle`,
    which then serves many calls. `speaker` is one for all clips or by clip name: models that scale
    by speaker are better with it. `prior` are the shares of the labels that are expected; with it
    the paper's vote is shown too. Nothing is kept on disk, unless `keep`: then features are kept
    in `data/features`, a bar shows the progress, and a killed call goes on where it stopped.

        predict("clip.mp4", "04_train_agt-mini-1a2b3c4d", speaker="anna")

    A clip that can't be read keeps its row, without emotion, and `absent` says why. Raises
    FileNotFoundError for a model or files that are not there, CheckpointError for an encoder that
    is not there, FingerprintError for one that makes other features than the bundle was trained
    on, and what `read_clips` and `answer` raise.
    """
    bundle = model if isinstance(model, Bundle) else Bundle.load(find_bundle(model))
    corpus = clips if isinstance(clips, Corpus) else read_clips(clips, speaker)
    features = features_of(bundle, corpus, keep=keep)
    return answer(bundle, features, corpus.clips["speaker"], prior=prior, seed=seed)


def features_of(bundle: Bundle, corpus: Corpus, *, keep: bool = False) -> dict[str, Features]:
    """The features of the corpus' clips by the bundle's encoders, of the modalities that it has.

    With `keep` they are kept on disk (`features.extract`). Raises as `predict` does.
    """
    found = {}
    for modality, spec in bundle.encoders.items():
        if corpus.clips[list(SOURCES[modality])].notna().any(axis=None):
            encoder = _checked(bundle, modality, spec)
            if keep:
                found[modality] = extract(corpus, encoder, max_failures=1.0)
            else:
                found[modality] = encode_all(corpus, encoder)
    if not found:
        needed = ", ".join(bundle.encoders)
        raise ValueError(f"no clip has anything that the models read; they read {needed}")
    return found


@lru_cache(maxsize=3)
def _encoder(spec: str, options: tuple[tuple[str, Any], ...]) -> Encoder:
    return build(spec, **dict(options))


def _checked(bundle: Bundle, modality: str, spec: str) -> Encoder:
    """The encoder of a modality; it makes what the bundle was trained on."""
    try:
        encoder = _encoder(spec, tuple(sorted(bundle.options[modality].items())))
    except (CheckpointError, FileNotFoundError, ValueError) as error:
        raise CheckpointError(f"the bundle's {modality} encoder is not here. {error}") from error
    if (found := fingerprint_of(encoder)) != bundle.fingerprints[modality]:
        raise FingerprintError(
            f"{modality}: the encoder {spec!r} here makes other features ({found}) than those the "
            f"bundle was trained on ({bundle.fingerprints[modality]}): other weights, or another "
            "version of a package or of agt_lib. Install those named in the bundle's manifest.json"
        )
    return encoder


def find_bundle(model: str | Path) -> Path:
    """The bundle's folder of `model`: itself, a folder of results, or the name of one in `runs()`.

    Raises FileNotFoundError that lists the runs which have one.
    """
    tried = [Path(model).expanduser(), paths.runs() / model]
    for folder in (place / part for place in tried for part in ("", FOLDER)):
        if (folder / MODELS).is_dir() and (folder / kept.MANIFEST).is_file():
            return folder
    there = ", ".join(path.name for path in with_bundles()) or "none"
    raise FileNotFoundError(
        f"no bundle of models in {model}; notebook 04 leaves one in the folder of its results. "
        f"Results with a bundle in {paths.runs()}: {there}"
    )


def with_bundles() -> list[Path]:
    """The folders of results that have a bundle, the newest first."""
    found = [path.parent.parent for path in paths.runs().glob(f"*/{FOLDER}/{kept.MANIFEST}")]
    return sorted(found, key=lambda path: -(path / FOLDER / kept.MANIFEST).stat().st_mtime)
