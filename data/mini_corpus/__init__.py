"""The mini corpus: rendered clips with a face, English speech and a transcript.

Synthetic, and says so: reliabilities and shift are set here, so a gain on it shows that the
machinery works, not that it works on people. `data/README.md` has its measured properties.
"""

import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import pandas as pd
from filelock import FileLock

from agt_lib.corpora import corpus
from agt_lib.workspace import paths
from agt_lib.workspace.kept import digest, read_manifest, write_atomic, write_manifest
from mini_corpus import plan as planning

VERSION = 7
"""Raised when the same parameters give other clips."""

TABLE = "manifest.csv"
TRUTH = "truth.csv"
NOTE = (
    "synthetic: rendered faces and eSpeak NG's voice; its numbers test the machinery and are "
    "no evidence about people"
)


def load(
    profile: str = "mini",
    *,
    seed: int = 0,
    reliability: Mapping[str, float] | None = None,
    test_counts: Mapping[str, int] | None = None,
    second_test: bool = False,
) -> corpus.Corpus:
    """The corpus of a profile, "mini" or "smoke", rendered first if it is not there.

    The other parameters are those of `plan.plan`. `answers` holds the test labels. Raises
    ValueError for parameters that cannot be planned, RenderError when rendering fails.
    """
    options = _options(profile, seed, reliability, test_counts, second_test)
    folder = _rendered(options)
    table = pd.read_csv(folder / TABLE, dtype="str", keep_default_na=False, na_values=[""])
    table["video"] = [str(folder / path) for path in table["video"]]
    truth = _read_truth(folder)
    return corpus.build(
        profile if not second_test else f"{profile}-second",
        table,
        source=str(folder / TABLE),
        answers=truth.loc[truth["split"] == "test", "emotion"],
        synthetic=True,
        notes=[NOTE],
    )


def truth(
    profile: str = "mini",
    *,
    seed: int = 0,
    reliability: Mapping[str, float] | None = None,
    test_counts: Mapping[str, int] | None = None,
    second_test: bool = False,
) -> pd.DataFrame:
    """What each modality showed, how strongly, and the settings that carry no emotion.

    Indexed by clip name, one column per field of `plan.ClipPlan`. For showing and scoring: no
    model reads it. The parameters are those of `load`.
    """
    return _read_truth(_rendered(_options(profile, seed, reliability, test_counts, second_test)))


def _read_truth(folder: Path) -> pd.DataFrame:
    text = dict.fromkeys(("words", "cue", "style", "text", "template"), "str")
    return pd.read_csv(folder / TRUTH, index_col="name", dtype=text, keep_default_na=False)


def _options(profile, seed, reliability, test_counts, second_test) -> dict:
    return {
        "profile": profile,
        "seed": seed,
        "reliability": planning.RELIABILITY | dict(reliability or {}),
        "test_counts": None if test_counts is None else dict(test_counts),
        "second_test": second_test,
    }


def _rendered(options: dict) -> Path:
    """The folder of the corpus with these options; a killed rendering goes on where it was."""
    folder = paths.corpora() / f"{options['profile']}-{digest({'version': VERSION, **options})}"
    if read_manifest(folder) is not None:
        return folder
    clips = planning.plan(**options)
    # imported late: it is run as a program of its own, too, and loading needs none of it
    from mini_corpus.render import CLIPS, render_all

    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / "lock"):
        if read_manifest(folder) is not None:  # another process was faster
            return folder
        started = time.monotonic()
        render_all(clips, folder)
        everything = pd.DataFrame([asdict(clip) for clip in clips])
        public = everything[["name", "split", "emotion", "speaker", "text"]].copy()
        public.loc[public["split"] != "train", "emotion"] = None
        public.insert(4, "video", [f"{CLIPS}/{name}.mp4" for name in public["name"]])
        write_atomic(folder / TABLE, public.to_csv(index=False))
        write_atomic(folder / TRUTH, everything.to_csv(index=False))
        content = {"kind": "mini corpus", "producer_version": VERSION, "note": NOTE, **options}
        write_manifest(folder, content | {"clips": len(clips)}, started)
    return folder
