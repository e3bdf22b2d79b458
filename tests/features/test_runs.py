import numpy as np
import pandas as pd

from agt_lib.corpora import corpus
from agt_lib.features.features import Features
from agt_lib.features.runs import in_two_dimensions


def test_clips_with_equal_features_share_a_point_and_different_ones_do_not(tmp_path):
    names = tuple(f"c{i}" for i in range(8))
    table = pd.DataFrame({"name": names, "split": "train", "emotion": "sad", "text": "the same"})
    made = corpus.build("test", table, source="test")
    values = {"text": np.ones((8, 5)), "audio": np.random.default_rng(0).normal(size=(8, 5))}
    features = {
        modality: Features(modality, names, x.astype(np.float32), np.ones(8, bool), "made")
        for modality, x in values.items()
    }
    points = in_two_dimensions(made, features)
    distinct = points.groupby("modality")[["x", "y"]].apply(
        lambda part: len(part.drop_duplicates())
    )
    assert distinct.to_dict() == {"text": 1, "audio": 8}
    assert np.isfinite(points[["x", "y"]]).all(axis=None)
