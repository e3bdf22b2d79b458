"""What a bundle answers: what its run predicted, and what it says of clips that lack something."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from agt_lib.fusion.model import FingerprintError
from agt_lib.prediction import Bundle, answer

LABELS = ["calm", "cross", "glad"]


def of_test(made):
    names = list(made.test.names)
    return {m: part.select(names) for m, part in made.features.items()}


@pytest.mark.parametrize(
    "options", [{}, {"scale": "fold"}, {"reduce": 4}, {"scale": "fold", "reduce": 4}]
)
def test_a_bundle_that_was_written_and_read_answers_as_its_run_predicted(make, options, tmp_path):
    made = make(**options)
    made.bundle.write(tmp_path / "b")
    bundle = Bundle.load(tmp_path / "b")
    speakers = made.corpus.clips["speaker"]
    found = answer(bundle, of_test(made), speakers)
    expected = made.result.test.table(("A+V+T", "AGT"))
    np.testing.assert_allclose(found[LABELS], expected.loc[found.index], atol=1e-6)
    assert (found["emotion"] == expected.loc[found.index].idxmax(axis=1)).all()
    known = "speaker (known)" if options.get("scale") != "fold" else "training clips"
    assert set(found["scaled_by"]) == {known}


def test_without_a_speaker_agt_scaled_by_fold_answers(made):
    found = answer(made.bundle, of_test(made))
    expected = made.result.test.table(("A+V+T", "AGT, scaled by fold"))
    np.testing.assert_allclose(found[LABELS], expected.loc[found.index], atol=1e-6)
    assert set(found["scaled_by"]) == {"training clips"}


def test_a_new_speakers_clips_of_one_call_scale_each_other_from_five_on(made, new_features):
    names = [f"clip{k}" for k in range(100, 112)]
    features = new_features(names)
    loud = {m: replace(part, values=5 + 20 * part.values) for m, part in features.items()}
    who = pd.Series(["new"] * 8 + ["rare"] * 4, index=names)
    found = answer(made.bundle, loud, who)
    assert set(found["scaled_by"][:8]) == {"speaker (8 clips of this call)"}
    assert set(found["scaled_by"][8:]) == {"training clips"}
    quiet = answer(made.bundle, features, who)
    # Scaled by themselves loud clips are nearly what quiet ones are; without, they are far off.
    far = np.abs(found[LABELS] - quiet[LABELS]).max(axis=1)
    assert far[:8].mean() < far[8:].mean()
    alone = answer(made.bundle, {m: p.select(names[:5]) for m, p in loud.items()}, who[:5])
    assert not np.allclose(alone[LABELS], found[LABELS][:5]), "a row depends on the others"


def test_clips_that_could_not_be_read_are_not_counted_for_a_speaker(made, new_features):
    names = [f"clip{k}" for k in range(100, 105)]
    features = new_features(names)
    one = np.arange(5) == 0
    features = {m: replace(part, present=one) for m, part in features.items()}
    found = answer(made.bundle, features, pd.Series("new", index=names))
    assert found["scaled_by"].tolist()[0] == "training clips"
    assert found["emotion"].notna().tolist() == one.tolist()


def test_opinions_gate_and_absence_are_said(made, new_features):
    names = [f"clip{k}" for k in range(100, 106)]
    features = new_features(names, modalities=("audio", "video"))
    hidden = np.array([True, True, False, False, True, True])
    failures = pd.DataFrame({"name": names[2:4], "stage": "open", "reason": "no such file"})
    features["video"] = replace(features["video"], present=hidden, failures=failures)
    features["audio"] = replace(features["audio"], present=np.arange(6) != 3)
    found = answer(made.bundle, features)
    assert found["words"].isna().all()
    assert found["face"].isna().tolist() == [False, False, True, True, False, False]
    assert found.loc["clip102", "absent"] == "face: no such file; words: none given"
    assert pd.isna(found.loc["clip103", "emotion"]), "it has nothing"
    assert found.loc["clip103", LABELS].isna().all()
    assert found["emotion"].notna().sum() == 5
    assert found["confidence"].between(1 / 3, 1).sum() == 5


def test_what_most_models_gate_is_named(made):
    never = answer(made.bundle, of_test(made))
    assert set(never["gated"]) <= {"", "voice", "face", "words", "face, words"}
    strict = {
        name: tuple(
            tuple(replace(m, config=m.config.with_network(gamma=3.0)) for m in of) for of in by_seed
        )
        if name.startswith("AGT")
        else by_seed
        for name, by_seed in made.bundle.models.items()
    }
    gated = answer(replace(made.bundle, models=strict), of_test(made))["gated"]
    assert (gated != "").any()


def test_a_prior_adds_the_vote_and_its_labels_are_checked(made):
    shares = dict(zip(LABELS, (0.6, 0.2, 0.2), strict=True))
    found = answer(made.bundle, of_test(made), prior=shares)
    assert set(found["vote"]) <= set(LABELS)
    again = answer(made.bundle, of_test(made), prior=shares)
    assert (found["vote"] == again["vote"]).all()
    with pytest.raises(ValueError, match="expected one for each of calm, cross, glad"):
        answer(made.bundle, of_test(made), prior={"calm": 1.0})


def test_features_of_another_encoder_are_refused(made):
    other = {m: replace(part, fingerprint="other") for m, part in of_test(made).items()}
    with pytest.raises(FingerprintError, match="audio: the model was fitted on audio made so"):
        answer(made.bundle, other)


def test_an_answer_is_finite_or_an_error(made):
    features = of_test(made)
    values = features["audio"].values.copy()
    values[3] = 1e38
    features["audio"] = replace(features["audio"], values=values)
    with pytest.raises(ValueError, match="no finite answer for 'clip15'"):
        answer(made.bundle, features)
