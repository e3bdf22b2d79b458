"""Each room's numbers, recorded with the room's VERSION in tests/versions.csv.

Whoever changes numbers on purpose raises the room's VERSION and records them anew:
`python tests/test_versions.py`. (The rooms features and clip_tuning have tests of their own.)
"""

import importlib
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import agt_lib
from agt_lib.corpora import build, folds, media
from agt_lib.evaluation import tables
from agt_lib.evaluation.predictions import Predictions

RECORDED = Path(__file__).with_name("versions.csv")
N = 60


def opinions(seed=0, n=N):
    p = np.random.default_rng(seed).dirichlet(np.ones(6), n)
    index = [f"clip{i:02}" for i in range(n)]
    return pd.DataFrame(p, index=index, columns=list(agt_lib.EMOTIONS))


def truth():
    labels = [agt_lib.EMOTIONS[i % 6] for i in range(N)]
    return pd.Series(labels, index=opinions().index)


def corpus():
    words = ["no no", "yes", "oh dear", "what", "how nice", "stop it"]
    texts = [f"{words[i % 6]} {words[(i * i) % 6]}" for i in range(N)]
    table = pd.DataFrame({"name": opinions().index, "split": "train", "text": texts})
    table["emotion"] = truth().to_numpy()
    table["speaker"] = [f"s{i % 7}" for i in range(N)]
    return build("mine", table, source="a test")


def of_corpora():
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tone.wav"
        _write_tone(path)
        waveform = media.decode_audio(path)
    numbers = folds.make_folds(corpus(), 5)
    places = {f"clip {i} is in fold": numbers.iloc[i] for i in (0, 7, 31)}
    return places | {"samples": len(waveform), "loudness": np.abs(waveform).mean()}


def of_evaluation():
    p = Predictions.from_tables({"a": [opinions(0), opinions(1)], "b": [opinions(2), opinions(3)]})
    line = tables.scores(p, truth()).iloc[0]
    difference = tables.differences(p, truth(), "a").iloc[0]
    ends = ["waf", "waf_low", "waf_high", "seed_sd"]
    return dict(line[ends]) | dict(difference[["difference", "difference_low"]])


def of_prompts():
    from agt_lib.prompts import ClassifierRanker

    ranked = ClassifierRanker().rank(corpus(), folds.make_folds(corpus(), 5)).table
    first = ranked["rank1"].map(list(agt_lib.EMOTIONS).index)
    return {f"first label of clip {i}": first.iloc[i] for i in (0, 10, 20, 30)}


def of_fusion():
    rng = np.random.default_rng(0)
    numbers = np.arange(N) % 3
    voice = np.eye(3)[numbers] + rng.standard_normal((N, 3))
    config = agt_lib.FusionConfig.default("agt", ("audio", "text"), epochs=3)
    features = {"audio": voice, "text": rng.standard_normal((N, 4))}
    result = agt_lib.cross_validate(features, numbers, config, n_folds=2)
    values = result.out_of_fold.to_numpy()
    return {f"p of clip {i}, label {c}": values[i, c] for i, c in ((0, 0), (1, 1), (2, 2), (9, 0))}


def of_pseudo():
    from agt_lib.pseudo import PseudoConfig, select

    p = Predictions.from_tables({"a": opinions(0), "b": opinions(0)})
    found = select(p, PseudoConfig(threshold=0.5))
    return {"kept": len(found), "least confidence": found["confidence"].min()}


def of_probing():
    shown = {"neutral": "0.0505", "angry": "0.0341", "happy": "0.0732", "sad": "0.1157"}
    found = agt_lib.probe(shown | {"worried": "0.0326", "surprise": "0.0094"}, n=1169)
    own = np.arange(N) % 6
    em = agt_lib.estimate("em", opinions(1).to_numpy(), opinions().to_numpy(), own)
    return {"neutral, clips": found.count_low[0], "em, share of sad": em[3], "em, angry": em[1]}


def of_voting():
    votes = {name: opinions(seed) for seed, name in enumerate(("voice", "baseline", "AGT"))}
    labels = agt_lib.vote(votes)
    counts = labels.value_counts()
    return {f"clips voted {label}": counts.get(label, 0) for label in ("sad", "happy", "angry")}


def of_mini_corpus():
    from mini_corpus import plan, render

    clip = plan.plan("smoke")[0]
    frames, waveform = render.render_clip(clip)
    return {"grey": frames.mean(), "frames": len(frames), "loudness": np.abs(waveform).mean()}


def _write_tone(path):
    import av

    times = np.arange(22_050) / 22_050
    sound = (0.3 * np.sin(2 * np.pi * 440 * times)).astype(np.float32)[None].repeat(2, 0)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_f32le", rate=22_050, layout="stereo")
        frame = av.AudioFrame.from_ndarray(sound, format="fltp", layout="stereo")
        frame.sample_rate = 22_050
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


ROOMS = {
    name.removeprefix("of_"): made for name, made in vars().copy().items() if name[:3] == "of_"
}


def version(room):
    name = room if room == "mini_corpus" else f"agt_lib.{room}"
    return importlib.import_module(name).VERSION


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_that_changes_its_numbers_raises_its_version(room):
    recorded = pd.read_csv(RECORDED).set_index("room").loc[[room]]
    assert set(recorded["version"]) == {version(room)}
    expected = recorded.set_index("what")["value"]
    found = pd.Series(ROOMS[room](), dtype=float)
    assert list(found.index) == list(expected.index)
    np.testing.assert_allclose(
        found, expected, rtol=5e-3, atol=2e-3,
        err_msg=f"the numbers of {room} changed: raise its VERSION, then record them anew",
    )  # fmt: skip


def record():
    lines = [
        (room, version(room), what, round(float(value), 6))
        for room, made in ROOMS.items()
        for what, value in made().items()
    ]
    table = pd.DataFrame(lines, columns=["room", "version", "what", "value"])
    table.to_csv(RECORDED, index=False)


if __name__ == "__main__":
    record()
