import numpy as np
import pytest
from scipy.linalg import orthogonal_procrustes
from scipy.stats import ortho_group

from agt_lib.clip_tuning.spaces import Rotation, linear_cka

RNG = np.random.default_rng(0)
A, B = RNG.standard_normal((50, 6)), RNG.standard_normal((50, 9))


def test_cka_is_its_definition_by_kernels():
    centre = np.eye(50) - 1 / 50
    k, m = (centre @ x @ x.T @ centre for x in (A, B))
    hsic = np.sum(k * m) / np.sqrt(np.sum(k * k) * np.sum(m * m))
    assert linear_cka(A, B) == pytest.approx(hsic, rel=1e-12)


def test_cka_is_one_for_a_turned_moved_and_scaled_copy_and_small_for_another_space():
    turn = ortho_group.rvs(6, random_state=1)
    assert linear_cka(A, 3 * A @ turn + 5) == pytest.approx(1)
    assert linear_cka(A, B) < 0.3


def test_a_rotation_undoes_turning_and_moving():
    turn = ortho_group.rvs(6, random_state=1)
    found = Rotation.fit(A @ turn + 2, onto=A)
    np.testing.assert_allclose(found((A @ turn + 2)[:7]), A[:7], atol=1e-12)


def test_a_rotation_is_the_orthogonal_matrix_that_scipy_finds():
    noisy = A + RNG.standard_normal(A.shape)
    expected, _ = orthogonal_procrustes(noisy - noisy.mean(0), A - A.mean(0))
    np.testing.assert_allclose(Rotation.fit(noisy, onto=A).turn, expected, atol=1e-10)
