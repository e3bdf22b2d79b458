"""A pool on disk, part by part, gives what it gives in memory."""

import numpy as np
import pytest

from agt_lib.fusion.train import FitTask, fit
from agt_lib.pseudo import stream


@pytest.fixture(scope="module")
def models(labelled, configs):
    tasks = [FitTask(config, np.arange(40)) for config in configs.values()]
    return dict(zip(configs, fit(labelled, tasks, workers=1, progress=False), strict=True))


def on_disk(pool, folder, dtype=np.float32):
    files = {m: folder / f"{m}.npy" for m in pool.features}
    for m, path in files.items():
        np.save(path, pool.features[m].astype(dtype))
    return files


def read(files, pool, **options):
    return stream.parts(
        files, pool.names, label_set=pool.label_set, fingerprints=pool.fingerprints, **options
    )


def test_parts_predict_as_the_whole(models, pool, tmp_path):
    found = stream.predict(models, read(on_disk(pool, tmp_path), pool, at_once=10))
    for name, model in models.items():
        np.testing.assert_allclose(found[name], model.predict(pool), rtol=1e-5, atol=1e-7)


def test_half_precision_moves_probabilities_by_its_rounding_only(models, pool, tmp_path):
    found = stream.predict(models, read(on_disk(pool, tmp_path, np.float16), pool, at_once=10))
    for name, model in models.items():
        np.testing.assert_allclose(found[name], model.predict(pool), atol=0.01)


def test_absent_modalities_are_masked(models, pool, tmp_path):
    silent = {"audio": np.arange(len(pool.names)) % 2 == 0}
    parts = read(on_disk(pool, tmp_path), pool, present=silent, at_once=10)
    found = stream.predict({"AGT": models["AGT"]}, parts)["AGT"]
    odd = pool.rows(np.flatnonzero(~silent["audio"])).without("audio")
    np.testing.assert_allclose(
        found[~silent["audio"]], models["AGT"].predict(odd), rtol=1e-5, atol=1e-7
    )


def test_a_file_of_other_length_is_named(pool, tmp_path):
    files = on_disk(pool, tmp_path)
    np.save(files["video"], pool.features["video"][:7])
    with pytest.raises(ValueError, match=r"video.npy holds .*\(7, 6\); expected 45 rows"):
        next(read(files, pool))
