"""Principal components: what they keep, what they do not look at."""

from dataclasses import replace

import numpy as np
import pytest

from agt_lib.fusion.data import with_speakers
from agt_lib.fusion.reduction import reduced


@pytest.fixture
def wide(data_of):
    """Clips whose 300 columns of voice lie nearly in a plane; some have none."""
    data, rng = data_of(), np.random.default_rng(0)
    plane = rng.standard_normal((90, 2)) @ rng.standard_normal((2, 300))
    voice = 5 + 40 * plane + 0.1 * rng.standard_normal((90, 300))
    present = data.present.copy()
    present[:5, 0] = False
    voice[:5] = np.nan
    features = data.features | {"audio": voice.astype(np.float32)}
    return replace(data, features=features, present=present)


def test_two_components_hold_what_lies_in_a_plane(wide):
    (small,), how = reduced(2, wide)
    assert small.dims == {"audio": 2, "video": 2}
    there = wide.is_present("audio")
    z = how["audio"].scaler(wide.features["audio"][there])
    back = small.features["audio"][there] @ np.linalg.pinv(how["audio"].components)
    assert np.square(z - back).mean() < 1e-3
    assert (small.features["audio"][~there] == 0).all()
    assert np.square(small.features["audio"][there]).mean() == pytest.approx(1, rel=1e-3)


def test_a_modality_with_fewer_columns_is_standardised_alone(wide):
    (same,), _ = reduced(6, wide)
    x = wide.features["video"]
    z = (x - x.mean(0)) / x.std(0)
    np.testing.assert_allclose(same.features["video"], z / np.sqrt(np.square(z).mean()), atol=1e-4)


def test_no_label_is_looked_at_and_all_parts_are(wide, data_of):
    other = replace(wide, labels=np.roll(wide.labels, 1))
    (a,), (b,) = (reduced(2, part)[0] for part in (wide, other))
    np.testing.assert_array_equal(a.features["audio"], b.features["audio"])
    moved = replace(wide, features={m: 3 * x for m, x in wide.features.items()})
    (alone,), ((together, none, _), _) = reduced(2, wide)[0], reduced(2, wide, None, moved)
    assert none is None
    assert alone.fingerprints["audio"] != together.fingerprints["audio"]
    assert np.abs(alone.features["audio"] - together.features["audio"]).max() > 0.01


def test_speakers_are_standardised_before(wide):
    groups = np.array([f"s{k % 3}" for k in range(90)], object)
    loud = {m: x * (1 + 9 * (groups == "s0"))[:, None] for m, x in wide.features.items()}
    (data,) = with_speakers(replace(wide, groups=groups, features=loud))
    (small,), _ = reduced(2, data)
    there = wide.is_present("audio")
    spread = [
        np.square(small.features["audio"][there & (groups == s)]).mean() for s in ("s0", "s1")
    ]
    assert spread[0] < 10 * spread[1]  # 100 times without
    assert small.by_speaker is None


def test_no_columns_are_refused(wide):
    with pytest.raises(ValueError, match="1 or more; got 0"):
        reduced(0, wide)
