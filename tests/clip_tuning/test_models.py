from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from agt_lib.clip_tuning import ALL, TuneConfig, jobs, models
from agt_lib.clip_tuning.models import keep_frames, run
from agt_lib.corpora.media import decode_frames
from agt_lib.features import frames as clip_frames_of
from agt_lib.features.clip import ClipEncoder
from agt_lib.workspace import kept
from agt_lib.workspace.shards import ExtractionError

CONFIG = TuneConfig(n_frames=2, frames_per_segment=3)


@pytest.fixture
def clips(corpus):
    return corpus.labelled


@pytest.fixture
def decoded(monkeypatch):
    """How often a clip was decoded."""
    calls = []

    def counted(path, *arguments):
        calls.append(path)
        return decode_frames(path, *arguments)

    monkeypatch.setattr(clip_frames_of, "decode_frames", counted)
    return calls


def keep(clips, source, max_failures=0.05):
    return keep_frames(clips, source.preprocessing, CONFIG, max_failures, progress=False)


def test_each_clip_is_decoded_once_also_when_the_corpus_grows(clips, source, decoded):
    keep(clips[:10], source)
    _, keys = keep(clips, source)
    _, again = keep(clips, source)
    assert len(decoded) == 24
    assert keys.index.equals(clips.index)
    assert keys.equals(again)


def test_the_frames_tuned_on_are_read_as_the_features_are(clips, source, decoded, monkeypatch):
    def corners(frames, margin, find):
        assert (margin, find) == (0.2, None)
        return [frame[:6, :6] for frame in frames], None

    monkeypatch.setattr(clip_frames_of, "crop_faces", corners)
    how = clips[:2], source.preprocessing, CONFIG
    with pytest.raises(ExtractionError, match="longer than 0.1 s"):
        keep_frames(*how, 0.05, False, "crop", 0.1)
    cropped, keys = keep_frames(*how, 0.05, False, "crop", 60)
    assert len(keys) == 2  # what was too long before was tried again
    whole, _ = keep_frames(*how, 0.05, False)
    faces, pictures = (frames.read(list(keys)) for frames in (cropped, whole))
    assert cropped.folder != whole.folder
    for key in keys:
        assert not np.array_equal(faces[key], pictures[key])


def test_a_model_tuned_on_faces_is_another(corpus, folds, model):
    kinds = {"face": "crop"}, {"face": "none"}, {}
    crop, none, plain = (
        jobs(corpus, folds, model, CONFIG, which=[0], device="cpu", progress=False, **how)[0]
        for how in kinds
    )
    assert crop.made_from != none.made_from
    assert none.made_from == plain.made_from


def test_pictures_are_larger_than_the_network_takes_by_the_room_to_crop(clips, source):
    frames, keys = keep(clips, source)
    for pictures in frames.read(list(keys)).values():
        assert pictures.shape == (6, 18, 18, 3) and pictures.dtype == np.uint8  # 16 and an eighth


def test_the_middle_frame_of_a_segment_is_the_one_at_its_centre(clips, source, monkeypatch):
    monkeypatch.setattr(models, "CROP", 0.5)  # 24 pixels: the size of the video itself
    frames, keys = keep(clips, source)
    [pictures] = frames.read([keys["clip4"]]).values()
    np.testing.assert_array_equal(pictures[[1, 4]], decode_frames(clips.loc["clip4", "video"], 2))


def test_a_stopped_decoding_goes_on_at_the_next_shard(clips, source, decoded, monkeypatch):
    monkeypatch.setattr(models, "SHARD", 10)
    whole = clip_frames_of.decode_frames

    def killed(path, *arguments):
        if path == clips["video"].iloc[15]:
            raise KeyboardInterrupt
        return whole(path, *arguments)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(clip_frames_of, "decode_frames", killed)
        keep(clips, source)
    decoded.clear()
    frames, keys = keep(clips, source)
    assert len(decoded) == 14
    assert keys.index.equals(clips.index)
    assert set(frames.read(list(keys))) == set(keys)


def test_clips_that_can_not_be_read_are_left_out_and_listed(clips, source, tmp_path):
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"not a video at all")
    clips = clips.copy()
    clips.loc["clip1", "video"] = str(broken)
    clips.loc["clip2", "video"] = None
    frames, keys = keep(clips, source)
    assert set(clips.index) - set(keys.index) == {"clip1", "clip2"}
    assert frames.failures()[["name", "stage"]].values.tolist() == [["clip1", "open"]]
    with pytest.raises(ExtractionError, match="clip1"):
        keep(clips, source, max_failures=0.01)


def test_a_model_is_a_checkpoint_that_encoders_read_and_is_made_once(one_job, config, monkeypatch):
    folder = run(one_job(config), progress=False)
    encoder = ClipEncoder(f"local-dir:{folder}", n_frames=2, precision="float32")
    assert encoder.dim == 12
    assert kept.read_manifest(folder)["clips"] == 15
    assert not (folder / ".state.pt").exists()
    monkeypatch.setattr(models, "tune", lambda *_, **__: pytest.fail("tuned once more"))
    assert run(one_job(config), progress=False) == folder


@pytest.mark.parametrize("whole", [True, False])
def test_all_processes_do_what_the_first_did(one_job, config, monkeypatch, whole):
    job, said, tuned = one_job(config), [], []

    def start(main):
        """One of two processes; the second hears what the first one said."""
        of_two = SimpleNamespace(is_main_process=main, num_processes=2)
        monkeypatch.setattr(models, "Accelerator", lambda cpu: of_two)
        monkeypatch.setattr(
            models,
            "broadcast_object_list",
            lambda x: said.append(list(x)) or x if main else said[0],
        )
        monkeypatch.setattr(models, "tune", lambda *_, **__: tuned.append(main) or {})
        return run(job)

    if whole:  # another process made the model since this one looked
        kept.kept(models.KIND, job.made_from, lambda folder: {})
    monkeypatch.setattr(models, "is_whole", lambda folder: False)
    assert start(main=True) == start(main=False)
    assert tuned == ([] if whole else [True, False])
    assert len(said) == 1


def test_what_changes_a_model_names_another_artefact(one_job, corpus, config):
    names = {
        kept.digest(one_job(c, **options).made_from)
        for c, options in [
            (config, {}),
            (replace(config, loss="in_batch"), {}),
            (config, {"seed": 1}),
        ]
    }
    corpus.clips.loc["clip3", "emotion"] = "glad"  # in the training fold
    names.add(kept.digest(one_job(config).made_from))
    assert len(names) == 4


def test_what_fits_a_step_into_memory_names_no_other_artefact(one_job, config):
    saving = replace(config, accumulate=2, gradient_checkpointing=True)
    assert one_job(saving).made_from == one_job(config).made_from
    assert one_job(saving).config == saving


def test_a_folds_labels_have_no_part_in_its_model(one_job, corpus, config):
    before = run(one_job(config), progress=False)
    held_out = corpus.labelled.index[np.arange(24) // 3 % 3 == 0]
    corpus.clips.loc[held_out, "emotion"] = "calm"
    assert run(one_job(config), progress=False) == before


def test_a_corpus_without_labels_says_so(corpus, folds, model, config):
    corpus.clips["emotion"] = None
    with pytest.raises(ValueError, match="no labelled clip"):
        jobs(corpus, folds, model, config, which=[ALL], progress=False)


def test_a_corpus_without_videos_says_so(corpus, folds, model, config):
    corpus.clips["video"] = None
    with pytest.raises(ValueError, match="no labelled clip with a video"):
        jobs(corpus, folds, model, config, which=[ALL], progress=False)


def test_a_class_that_a_training_fold_lacks_is_told(corpus, folds, model, config):
    glad = corpus.labelled.index[corpus.labelled["emotion"] == "glad"]
    folds = folds.copy()
    folds[glad] = 0
    with pytest.warns(UserWarning, match="training fold of fold 0 have no clip of glad"):
        jobs(corpus, folds, model, config, which=[0], device="cpu", progress=False)


def test_one_class_alone_is_an_error(corpus, folds, model, config):
    corpus.clips.loc[folds.index, "emotion"] = "calm"
    with pytest.raises(ValueError, match="one class alone"):
        jobs(corpus, folds, model, config, which=[0], device="cpu", progress=False)


@pytest.mark.parametrize("fold", [99, -1])
def test_a_fold_that_is_not_there_is_refused(corpus, folds, model, config, fold):
    with pytest.raises(ValueError, match=f"there is no fold {fold}; there are 0, 1, 2"):
        jobs(corpus, folds, model, config, which=[fold], device="cpu", progress=False)
