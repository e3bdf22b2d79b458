"""The mini corpus: rendered clips with a face, English speech and a transcript.

Synthetic, and says so: reliabilities and shift are set here, so a gain on it shows that the
machinery works, not that it works on people. `data/README.md` has its measured properties.
"""

from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path

import pandas as pd

from agt_lib.corpora import corpus
from agt_lib.workspace.kept import kept, write_atomic
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
    second_test: bool = False,
) -> corpus.Corpus:
    """The corpus of a profile, "mini" or "smoke", rendered first if it is not there.

    The other parameters are those of `plan.plan`. `answers` holds the test labels. Raises
    ValueError for parameters that cannot be planned, RenderError when rendering fails.
    """
    folder = _rendered(profile, seed, reliability, second_test)
    table = pd.read_csv(folder / TABLE, dtype="str", keep_default_na=False, na_values=[""])
    table["video"] = [str(folder / path) for path in table["video"]]
    is_test = table["split"] == "test"
    shown = _read_truth(folder)["emotion"]
    table.loc[is_test, "emotion"] = shown[table.loc[is_test, "name"]].to_numpy()
    return corpus.build(
        profile if not second_test else f"{profile}-second",
        table,
        source=str(folder / TABLE),
        synthetic=True,
        notes=[NOTE],
    )


smoke = partial(load, "smoke")


def truth(
    profile: str = "mini",
    *,
    seed: int = 0,
    reliability: Mapping[str, float] | None = None,
    second_test: bool = False,
) -> pd.DataFrame:
    """What each modality showed, how strongly, and the settings that carry no emotion.

    Indexed by clip name, one column per field of `plan.ClipPlan`. For showing and scoring: no
    model reads it. The parameters are those of `load`.
    """
    return _read_truth(_rendered(profile, seed, reliability, second_test))


def _read_truth(folder: Path) -> pd.DataFrame:
    text = dict.fromkeys(("words", "cue", "style", "text", "template"), "str")
    return pd.read_csv(folder / TRUTH, index_col="name", dtype=text, keep_default_na=False)


def _rendered(
    profile: str, seed: int, reliability: Mapping[str, float] | None, second_test: bool
) -> Path:
    """The folder of the corpus with these options; a killed rendering goes on where it was."""
    options = {
        "profile": profile,
        "seed": seed,
        "reliability": planning.RELIABILITY | dict(reliability or {}),
        "second_test": second_test,
    }

    def make(folder: Path) -> dict[str, object]:
        # imported late: it is run as a program of its own, too, and loading needs none of it
        from mini_corpus.render import CLIPS, render_all

        clips = planning.plan(**options)
        render_all(clips, folder)
        everything = pd.DataFrame([asdict(clip) for clip in clips])
        public = everything[["name", "split", "emotion", "speaker", "text"]].copy()
        public.loc[public["split"] != "train", "emotion"] = None
        public.insert(4, "video", [f"{CLIPS}/{name}.mp4" for name in public["name"]])
        write_atomic(folder / TABLE, public.to_csv(index=False))
        write_atomic(folder / TRUTH, everything.to_csv(index=False))
        return {"note": NOTE, "clips": len(clips)}

    return kept(f"corpus-{profile}", {"version": VERSION, **options}, make)
