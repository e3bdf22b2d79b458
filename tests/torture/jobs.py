"""What is killed: every kind of long work, tiny, and what it leaves behind.

A job reads the folder of inputs that it prepared once, works in the folder that AGT_DATA names, and
returns its outputs. `done` counts the units of work of this process, `kept` those on the disk.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import numpy as np
import pandas as pd
import torch
from faulty_server import WAYS, of_trial
from tiny import clips, clips_and_clip, clips_with_signal, corpus_of, folds_of, small

from agt_lib import fusion, pseudo
from agt_lib.clip_tuning import TuneConfig, models, tune
from agt_lib.corpora.corpus import build
from agt_lib.features import clip, mertools, opensmile
from agt_lib.features.extraction import extract
from agt_lib.fusion import fit_folds, search, stack
from agt_lib.fusion.crossval import CrossValidated
from agt_lib.prediction import Bundle, bundle_of
from agt_lib.prompts import LLMRanker, RankingError, endpoint
from agt_lib.workspace import kept, paths, run
from agt_lib.workspace.shards import Shards

done = [0]


@dataclass(frozen=True)
class Job:
    """`work` returns the outputs; `kept` counts what is kept, None if that can't be counted."""

    prepare: Callable[[Path], None]
    work: Callable[[Path], Mapping[str, Any]]
    kept: Callable[[], int] | None
    share: int = 2
    """Of the kills."""
    stack: int = 0
    """So many of what is kept may be done again after a kill: the models of a stack."""


@contextmanager
def counted(place: Any, name: str, units: Callable[..., int]) -> Iterator[None]:
    """Add `units` of its arguments to `done` with each call of the function `name`."""
    whole = getattr(place, name)

    def call(*given, **options):
        found = whole(*given, **options)
        done[0] += units(*given, **options)
        return found

    with patch.object(place, name, call):
        yield


def shard_keys(pattern: str) -> int:
    """The arrays in whole shards."""
    return sum(len(Shards(folder).keys()) for folder in paths.data().glob(pattern))


def extraction(inputs: Path) -> dict[str, Any]:
    """Voice and face, four clips a shard."""
    corpus, found = corpus_of(inputs), {}
    with counted(Shards, "append", lambda shards, arrays: len(arrays)):
        for encoder in (opensmile.OpenSmileEncoder(), clip.ClipEncoder()):
            encoder.shard_size = 4
            features = extract(corpus, encoder, progress=False)
            found[encoder.modality] = features.values[:]
            found[f"{encoder.modality} ledger"] = features.failures.to_csv()
    return found


def tuning(inputs: Path, workers: int = 1, epochs: int = 6) -> dict[str, Any]:
    """A model of fold 0 and one of all clips."""
    corpus = corpus_of(inputs)
    folds = pd.Series(np.arange(24) // 3 % 3, index=corpus.labelled.index, name="fold")
    config = TuneConfig(
        epochs=epochs, learning_rate=3e-3, batch_size=6, n_frames=2, frames_per_segment=2,
        precision="float32",
    )  # fmt: skip
    with (
        patch.object(models, "SHARD", 8),
        counted(Shards, "append", lambda shards, arrays: len(arrays)),
        counted(tune, "save_state", lambda *given: 1),
    ):
        planned = models.jobs(
            corpus, folds, f"local-dir:{inputs}", config,
            which=[0, models.ALL], device="cpu", progress=False,
        )  # fmt: skip
        folders = models.tuned_models(planned, workers=workers, progress=False)
    found = {}
    for number, folder in enumerate(folders):
        found |= {
            f"{number}: {name}": (folder / name).read_bytes() for name in kept.files_of(folder)
        }
    return found


def tuned_epochs() -> int:
    """Kept frames, and epochs of models that are whole or under way."""
    found = shard_keys("derived/frames-*")
    for folder in paths.derived().glob("tuned_clip-*"):
        state = next(iter(folder.glob("*state.pt")), None)
        if kept.is_whole(folder):
            found += kept.read_manifest(folder)["epochs"]
        elif state is not None:
            found += len(torch.load(state, weights_only=True)["history"])
    return found


def probabilities(result: CrossValidated) -> dict[str, np.ndarray]:
    """Out of fold, by model."""
    return {str(name): p for name, p in result.out_of_fold.probabilities.items()}


def whole_fits() -> int:
    """Kept fits."""
    return sum(map(kept.is_whole, paths.derived().glob("fit-*")))


def fits_counted():
    """Counts the models of each stack."""
    return counted(stack, "fit", lambda networks, *given: len(networks))


def nothing(inputs: Path) -> None:
    """No inputs."""


def searching(inputs: Path) -> dict[str, Any]:
    """A search of three settings, and the folds' fits."""
    data = clips_with_signal("clip", 60, 0)
    folds, options = folds_of(data), {"workers": 1, "progress": False}
    with fits_counted():
        configs = {"AGT": small("agt"), "voice": small("unimodal", ("audio",))}
        chosen = search(data, folds, configs, draws=2, **options)
        return probabilities(fit_folds(data, folds, chosen, (0, 1), **options))


def pseudo_labels(inputs: Path) -> dict[str, Any]:
    """Two rounds of the three models."""
    data, pool = clips_with_signal("clip", 60, 0), clips_with_signal("pool", 45, 1, labelled=False)
    configs = {
        "voice": small("unimodal", ("audio",)),
        "baseline": small("attention"),
        "AGT": small("agt"),
    }
    config = pseudo.PseudoConfig(threshold=0.4, rounds=2)
    with fits_counted():
        rounds = pseudo.train(
            data, folds_of(data), pool, config, (0,), configs=configs, workers=1, progress=False
        )
    found = {f"{i} {m}": p for i, r in enumerate(rounds.rounds) for m, p in r.by_fold.items()}
    return found | {"selected": rounds.next_selected.to_csv()}


def ranking(inputs: Path) -> dict[str, Any]:
    """Rankings by an endpoint that fails in nine ways, each of two texts."""
    texts = [f"{way} {i}" for i in range(2) for way in (*WAYS, "good")]
    table = pd.DataFrame({"name": [f"clip{i}" for i in range(len(texts))], "text": texts})
    corpus = build("said", table.assign(split="test"), source="torture", check_files=False)
    secrets = {"OPENAI_BASE_URL": of_trial(paths.data().name), "OPENAI_API_KEY": "sk-" + "0" * 20}
    with (
        counted(Shards, "append", lambda shards, arrays: len(arrays)),
        patch.dict("os.environ", secrets),
        patch.object(endpoint, "TIMEOUT", 0.4),
        patch.object(endpoint, "RETRIES", 2),
    ):
        for _ in range(9):  # a redirect stops all, as a wrong address does: the user starts again
            try:
                found = LLMRanker(model="none", language="en").rank(corpus)
            except RankingError:
                continue
            return {"table": found.table.to_csv(), "failures": found.failures.to_csv()}
    raise RuntimeError("the rankings never end")


def feature_files(inputs: Path) -> None:
    """1000 files as MERTools writes them, one of them damaged and one of zeros."""
    (folder := inputs / "features" / "voice-FRA").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for i in range(1000):
        np.save(folder / f"clip{i}.npy", rng.standard_normal((3, 32)).astype(np.float32) * (i > 0))
    (folder / "clip1.npy").write_bytes(b"\x93NUMPY")


def importing(inputs: Path) -> dict[str, Any]:
    """The store of these files."""
    names = [f"clip{i}" for i in range(1000)]
    with counted(mertools, "_import", lambda *given: 1):
        found = mertools.read_features(inputs, "voice-FRA", "audio", names)
    return {"values": found.values[:], "failures": found.failures.to_csv()}


def stores() -> int:
    """Kept stores."""
    return sum(map(kept.is_whole, paths.derived().glob("mertools-*")))


def results(inputs: Path) -> dict[str, Any]:
    """A notebook's tables and its bundle, written eight times over."""
    data = clips_with_signal("clip", 60, 0)
    configs = {("A+V", "AGT"): small("agt"), ("A+V", "baseline"): small("attention")}
    configs |= {(m[0].upper(), fusion.UNIMODAL): small("unimodal", (m,)) for m in data.modalities}
    done_by = run.start("99_torture", {"profile": "smoke", "audio": "opensmile", "video": "clip"})
    done_by.tell("corpus", {"name": "clips", "fingerprint": "", "answers": "", "synthetic": True})
    with fits_counted():
        result = fit_folds(data, folds_of(data), configs, (0,), workers=1, progress=False)
    given = SimpleNamespace(data=data, by_speaker=None, components=None)
    given.features = {m: SimpleNamespace(fingerprint=data.fingerprints[m]) for m in data.modalities}
    table = pd.DataFrame({"score": np.arange(20_000) / 7})
    for number in range(8):
        done_by.table(table, f"table_{number}")
        bundle_of(done_by, given, result).write(done_by.folder / "bundle")
    done_by.finish()
    read = Bundle.load(done_by.folder / "bundle")
    found = {name: of[0][0].predict(data) for name, of in read.models.items()}
    return found | {path.name: path.read_bytes() for path in done_by.folder.glob("*.csv")}


def by_workers(inputs: Path) -> dict[str, Any]:
    """Tuning and fits that two processes share."""
    found, data = tuning(inputs, workers=2, epochs=8), clips_with_signal("clip", 60, 0)
    configs = {"AGT": small("agt"), "baseline": small("attention")}
    options = {"workers": 2, "progress": False}
    return found | probabilities(fit_folds(data, folds_of(data), configs, (0, 1), **options))


JOBS = {
    "extraction": Job(clips, extraction, lambda: shard_keys("features/*"), 4),
    "tuning": Job(clips_and_clip, tuning, tuned_epochs, 4),
    "search": Job(nothing, searching, whole_fits, 4, 9),
    "pseudo": Job(nothing, pseudo_labels, whole_fits, 4, 3),
    "ranking": Job(nothing, ranking, lambda: shard_keys("derived/answers"), 4),
    "import": Job(feature_files, importing, stores),
    "results": Job(nothing, results, whole_fits, 2, 3),
    "workers": Job(clips_and_clip, by_workers, None, 1),
}
