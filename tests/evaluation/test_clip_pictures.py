"""Pictures of clips: what is there is shown, what is absent leaves its place empty."""

import matplotlib
import numpy as np
import pandas as pd
import pytest

from agt_lib.evaluation import clip_pictures
from agt_lib.workspace.figure_files import save_figure


@pytest.fixture(autouse=True)
def no_window():
    matplotlib.use("agg")
    yield
    matplotlib.pyplot.close("all")


def test_clips_without_frames_sound_or_words_leave_their_place_empty():
    shown = [
        {"title": "a", "frames": np.zeros((3, 8, 8, 3), np.uint8), "waveform": np.ones(160) / 2,
         "text": "Hello"},
        {"title": "b", "frames": None, "waveform": None, "text": None},
    ]  # fmt: skip
    figure = clip_pictures.clips(shown)
    assert len(figure.axes) == 4
    assert figure.axes[3].get_title(loc="left") == "(no words)"
    assert len(figure.axes[0].images) == 1
    assert len(figure.axes[2].images) == 0


def test_dollars_in_a_transcript_are_no_mathematics(tmp_path):
    shown = [{"title": "a$_b$", "frames": None, "waveform": None, "text": r"cost $\foo 5$"}]
    save_figure(clip_pictures.clips(shown), [tmp_path], "clips", "", pd.DataFrame({"x": [1]}))
    assert (tmp_path / "clips.png").is_file()
