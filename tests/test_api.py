"""The names that `import agt_lib` gives: README's snippets, and each of them called."""

import importlib
import re
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

import agt_lib
from agt_lib.workspace import paths

README = (paths.ROOT / "README.md").read_text()
SNIPPETS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
ROOMS = sorted(path.parent.name for path in paths.LIBRARY.glob("*/__init__.py"))
LIGHT = ("evaluation", "probing", "voting", "figures")


def arrays(n=60, seed=0):
    rng = np.random.default_rng(seed)
    numbers = np.arange(n) % 3
    shown = np.eye(3)[numbers]
    voice = np.hstack([shown, rng.standard_normal((n, 3))])
    return {"audio": voice, "text": shown + rng.standard_normal((n, 3))}, numbers


def opinions(n=40, seed=0):
    p = np.random.default_rng(seed).dirichlet(np.ones(6), n)
    names = [f"clip{i}" for i in range(n)]
    return pd.DataFrame(p, index=names, columns=list(agt_lib.EMOTIONS))


def snippet(word):
    (found,) = [text for text in SNIPPETS if word in text]
    return found


@pytest.fixture(autouse=True)
def nothing_is_written(tmp_path, data_folder):
    yield
    assert not data_folder.exists()


def run(word, capsys, **given):
    names = {"agt_lib": agt_lib, **given}
    exec(compile(snippet(word), "README.md", "exec"), names)
    return names, capsys.readouterr().out


def test_readme_encodes_a_clip(tmp_path, monkeypatch, write_clip, tone, capsys):
    write_clip(tmp_path / "clip.mp4", waveform=tone())
    monkeypatch.chdir(tmp_path)
    names, _ = run("encode", capsys)
    assert names["values"].shape == (88,)
    assert np.isfinite(names["values"]).all()


def test_readme_trains_agt_on_arrays_and_predicts_others(capsys):
    features, y = arrays()
    labels = np.array(["angry", "happy", "sad"])[y]
    later, _ = arrays(7, seed=1)
    given = {"a": features["audio"], "t": features["text"], "y": labels}
    given |= {"who": np.arange(60) % 10, "a2": later["audio"], "t2": later["text"]}
    names, printed = run("cross_validate", capsys, **given)
    assert "waf" in printed
    p = names["p"]
    assert list(p.columns) == ["angry", "happy", "sad"]
    assert p.shape == (7, 3)
    np.testing.assert_allclose(p.sum(axis=1), 1, atol=1e-5)


def test_readme_recovers_the_papers_counts(capsys):
    _, printed = run("probe", capsys)
    for count in (201, 163, 246, 317, 159, 83):
        assert re.search(rf"\b{count}\b", printed)


def test_readme_votes(capsys):
    v, b, a = (opinions(seed=seed) for seed in range(3))
    names, _ = run("vote", capsys, v=v, b=b, a=a)
    assert list(names["labels"].index) == list(v.index)
    assert set(names["labels"]) <= set(agt_lib.EMOTIONS)


CALLS = {
    "Bundle": None,  # what `Bundle.load` returns
    "ArrayModels": None,  # what cross_validate returns
    "Corpus": lambda: agt_lib.Corpus("mine", pd.DataFrame({"split": ["train"]})).split("train"),
    "CorpusError": lambda: agt_lib.CorpusError("mine", []),
    "EMOTIONS": lambda: agt_lib.EMOTIONS[0],
    "FusionConfig": lambda: agt_lib.FusionConfig.default("agt"),
    "Leaderboard": lambda: agt_lib.Leaderboard(pd.Series(["sad", "happy"], index=["a", "b"])),
    "Predictions": lambda: agt_lib.Predictions.from_tables({"AGT": opinions()}).averaged(),
    "Probed": None,  # what probe returns
    "VoteConfig": lambda: agt_lib.VoteConfig(triggers=("sad",)),
    "calibration_error": lambda: agt_lib.calibration_error(
        agt_lib.reliability(np.zeros(40, int), opinions().to_numpy())
    ),
    "confusion": lambda: agt_lib.confusion(np.zeros(40, int), opinions().to_numpy()),
    "corrected": lambda: agt_lib.corrected(
        agt_lib.Predictions.from_tables({"AGT": opinions()}), np.full(6, 1 / 6), np.full(6, 1 / 6)
    ),
    "cross_validate": lambda: agt_lib.cross_validate(*arrays(), n_folds=2),
    "encode": lambda: agt_lib.encode([], "opensmile"),
    "estimate": lambda: agt_lib.estimate(
        "em", opinions(seed=1).to_numpy(), opinions().to_numpy(), np.arange(40) % 6
    ),
    "fit_temperature": lambda: agt_lib.fit_temperature(np.zeros(40, int), opinions().to_numpy()),
    "predict": None,  # needs a run's bundle: see tests/prediction
    "probe": lambda: agt_lib.probe({"yes": "0.533", "no": "0.167"}, labels=("yes", "no")),
    "reliability": lambda: agt_lib.reliability(np.zeros(40, int), opinions().to_numpy()),
    "vote": lambda: agt_lib.vote({"mine": opinions(), "yours": opinions(seed=1)}, guide="mine"),
    "waf": lambda: agt_lib.waf(np.array([0, 1]), np.array([0, 1])),
    "with_temperature": lambda: agt_lib.with_temperature(opinions().to_numpy(), 2.0),
}


def test_every_public_name_is_documented_and_works_after_all_rooms_are_imported():
    assert set(CALLS) == set(agt_lib.__all__)
    for room in ROOMS:
        importlib.import_module(f"agt_lib.{room}")
    for name, call in CALLS.items():
        public = getattr(agt_lib, name)
        assert isinstance(public, tuple) or public.__doc__, name
        if call is not None:
            assert call() is not None, name


def test_no_public_name_is_a_rooms_and_no_export_is_a_modules():
    assert not set(agt_lib.__all__) & set(ROOMS)
    for room in ROOMS:
        modules = {path.stem for path in (paths.LIBRARY / room).glob("*.py")}
        exported = getattr(importlib.import_module(f"agt_lib.{room}"), "__all__", [])
        assert not set(exported) & modules, room


@pytest.mark.parametrize("room", LIGHT)
def test_a_room_that_works_on_anybodys_tables_loads_no_torch(room):
    modules = [path.stem for path in (paths.LIBRARY / room).glob("[a-z]*.py")]
    program = "\n".join(
        [f"import agt_lib.{room}"]
        + [f"import agt_lib.{room}.{module}" for module in modules]
        + ["import sys", "assert not {'torch', 'quapy'} & set(sys.modules)"]
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=paths.ROOT)


@pytest.mark.parametrize("room", ["voting", "fusion", "features"])
def test_importing_a_room_is_light(room):
    program = f"import agt_lib.{room}, sys\nassert not {{'torch', 'matplotlib'}} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True, cwd=paths.ROOT)
