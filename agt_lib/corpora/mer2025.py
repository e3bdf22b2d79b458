"""MER2025 as downloaded: see `corpora.mer_processed`; words in `subtitle_chieng.csv`.

Its labelled clips seem to hold MER2024's test sets, which is said when it is read.
"""

from collections.abc import Sequence
from pathlib import Path

from agt_lib.corpora import mer_processed
from agt_lib.corpora.corpus import Corpus
from agt_lib.corpora.labels import EMOTIONS
from agt_lib.corpora.mertools import LABELS_2025

WORDS = ("subtitle_chieng.csv", "track1_subtitle_chieng.csv")


def load(root: str | Path, labels: Sequence[str] = EMOTIONS, language: str = "chinese") -> Corpus:
    """Read MER2025 from `root`; raises as `mer_processed.load` does."""
    return mer_processed.load("mer2025", Path(root).absolute(), WORDS, language, labels)


def recognises(root: Path) -> bool:
    """Whether `root` holds MER2025's clips and labels."""
    labels = (LABELS_2025, "track1_label_6way.npz")
    return (root / "video").is_dir() and any((root / name).is_file() for name in labels)
