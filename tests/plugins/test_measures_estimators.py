"""Estimators of mutual information, on pairs whose information is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.feature_selection import mutual_info_regression

from ucbench_measures.dependence import gaussian_kernel, hsic, linear_cka
from ucbench_measures.estimators import histogram, ksg, standard
from ucbench_measures.slicing import ESTIMATORS, projected, sliced

#: Largest error on average that each estimator may have at 300, 1000 and 2000 samples, in nats, for information
#: up to 0.7. The table in docs/analyze.md has what they are.
TOLERANCE = {
    "ksg": (0.05, 0.03, 0.02),
    "histogram": (0.15, 0.08, 0.06),
    "kernel": (0.06, 0.03, 0.02),
    "mine": (0.16, 0.07, 0.05),
    "gaussian": (0.04, 0.02, 0.015),
}
ZERO = {"ksg": 0.01, "histogram": 0.01, "kernel": 0.02, "mine": 0.03, "gaussian": 0.005}


def drawn(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pairs(information: float, count: int, sets: int = 24, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Gaussian pairs of this mutual information in nats, ``[sets, count]``."""
    rng = np.random.default_rng([seed, count])
    r = math.sqrt(1 - math.exp(-2 * information))
    x = rng.standard_normal((sets, count))
    return x, r * x + math.sqrt(1 - r * r) * rng.standard_normal((sets, count))


@pytest.mark.parametrize("name", ESTIMATORS)
@pytest.mark.parametrize("size", range(3))
def test_estimators_recover_the_information_of_gaussian_pairs(name, size):
    for information in (0.2, 0.7):
        x, y = pairs(information, (300, 1000, 2000)[size], 12)
        values = ESTIMATORS[name](x, y, drawn())
        assert values.mean() == pytest.approx(information, abs=TOLERANCE[name][size])


@pytest.mark.parametrize("name", ESTIMATORS)
def test_estimators_are_zero_on_average_for_independent_pairs(name):
    x, y = pairs(0.0, 1000)
    assert ESTIMATORS[name](x, y, drawn()).mean() == pytest.approx(0, abs=ZERO[name])


def test_kernel_keeps_samples_far_from_all_others():
    rng = np.random.default_rng(2)
    x, y = rng.laplace(size=(2, 6, 400))
    x[0, 0] = 30
    width = 400 ** (-1 / 6)
    expected = []
    for a, b in zip(standard(x), standard(y), strict=True):
        slope = (a * b).mean()
        rest = (b - slope * a) / math.sqrt(1 - slope**2)
        sums = []
        for one in (np.stack([a, rest]), a[None], b[None]):
            density = np.exp(-0.5 * np.square((one[:, :, None] - one[:, None]) / width).sum(0))
            np.fill_diagonal(density, 0)
            sums.append(np.log(np.maximum(density.sum(1), np.finfo(np.float32).tiny)))
        expected.append((sums[0] - sums[1] - sums[2]).mean() + math.log(399) - math.log1p(-(slope**2)) / 2)
    np.testing.assert_allclose(ESTIMATORS["kernel"](x, y, drawn()), expected, atol=1e-4)


@pytest.mark.parametrize("name", ESTIMATORS)
def test_estimators_are_symmetric_in_sign_and_scale(name):
    """Mutual information does not change if a variable is mirrored, scaled or shifted."""
    x, y = pairs(0.5, 400, 6)
    before, after = (ESTIMATORS[name](*sample, drawn()) for sample in ((x, y), (7 - 3 * x, y / 5)))
    assert after.mean() == pytest.approx(before.mean(), abs=0.1 if name == "mine" else 0.02)


@pytest.mark.parametrize("name", ESTIMATORS)
def test_estimators_see_dependence_without_correlation_except_the_gaussian_form(name):
    x = np.random.default_rng(0).standard_normal((6, 1000))
    value = ESTIMATORS[name](x, x**2 + 0.1 * x[::-1], drawn()).mean()
    assert (value < 0.1) if name == "gaussian" else (value > 0.6)


@settings(max_examples=20)
@given(st.integers(0, 10_000), st.integers(20, 300), st.floats(0.3, 2.0))
def test_ksg_equals_scikit_learns_where_that_is_positive(seed, count, information):
    x, y = pairs(information, count, 1, seed)
    theirs = mutual_info_regression(x.T, y[0], n_neighbors=3, random_state=0)[0]
    assert max(0.0, float(ksg(x, y, drawn())[0])) == pytest.approx(theirs, abs=1e-6)


def test_histogram_puts_equal_samples_into_one_bin():
    """Else the order of the samples, the same in both variables, would be taken for information."""
    x = np.tile([[0.0, 1.0]], 500)
    y = np.concatenate([np.zeros((1, 500)), np.ones((1, 500))], axis=1)
    assert histogram(x, y, drawn())[0] == pytest.approx(0, abs=0.005)


@settings(max_examples=15)
@given(st.sampled_from(sorted(ESTIMATORS)), st.integers(4, 30), st.integers(1, 4))
def test_estimators_are_finite_for_few_and_for_equal_samples(name, count, distinct):
    x = np.arange(count, dtype=float)[None] % distinct
    assert math.isfinite(sliced(x, x, name, drawn()).mean)


def gaussian_features(count: int = 1000, dimensions: int = 6) -> tuple[torch.Tensor, torch.Tensor, np.ndarray]:
    """Features ``[N, D]`` with noise, and the matrix A of ``y = A x + noise``, both in unit variance before A."""
    rng = np.random.default_rng(5)
    mixing = rng.standard_normal((dimensions, dimensions))
    x = rng.standard_normal((count, dimensions))
    y = x @ mixing.T + rng.standard_normal((count, dimensions))
    return torch.from_numpy(x), torch.from_numpy(y), mixing


def test_sliced_information_equals_the_closed_form_of_gaussian_features():
    x, y, mixing = gaussian_features()
    theta, phi = (projected(torch.eye(6), 64, drawn(seed)) for seed in (1, 2))
    covariance = np.einsum("sd,sd->s", theta, phi @ mixing)
    variance = np.einsum("sd,sd->s", phi @ (mixing @ mixing.T + np.eye(6)), phi)
    exact = float(-0.5 * np.log(1 - covariance**2 / variance).mean())
    for name, tolerance in {"ksg": 0.02, "gaussian": 0.01, "histogram": 0.02}.items():
        found = sliced(projected(x, 64, drawn(1)), projected(y, 64, drawn(2)), name, drawn())
        assert found.mean == pytest.approx(exact, abs=tolerance)


def test_sliced_information_is_invariant_to_rotation_within_its_error():
    x, y, _ = gaussian_features()
    turn = torch.linalg.qr(torch.randn(6, 6, generator=drawn(), dtype=torch.float64)).Q
    before = sliced(projected(x, 200, drawn(1)), projected(y, 200, drawn(2)), "ksg", drawn())
    after = sliced(projected(x @ turn, 200, drawn(3)), projected(3 * y @ turn.T, 200, drawn(4)), "ksg", drawn())
    assert before.mean > 0.05
    assert abs(before.mean - after.mean) < 3 * math.hypot(before.error, after.error)


def test_sliced_information_of_constant_features_is_zero():
    x, constant = projected(torch.rand(50, 3), 5, drawn(1)), projected(torch.full((50, 3), 0.1), 5, drawn(2))
    for name in ESTIMATORS:
        assert sliced(x, constant, name, drawn()) == (0, 0)


@pytest.mark.parametrize("name", ESTIMATORS)
def test_estimators_depend_only_on_the_generator(name):
    x, y = pairs(0.5, 100, 4)
    torch.manual_seed(0)
    one = ESTIMATORS[name](x, y, drawn())
    torch.manual_seed(1)
    assert np.array_equal(one, ESTIMATORS[name](x, y, drawn()))


def test_hsic_is_the_mean_of_all_quadruples():
    """The U-statistic by its definition: over distinct i, j, q, r the mean of k_ij (l_ij + l_qr - 2 l_iq)."""
    rng = np.random.default_rng(0)
    k, l = (np.asarray(m + m.T) for m in rng.random((2, 6, 6)))  # noqa: E741
    terms = [
        k[i, j] * (l[i, j] + l[q, r] - 2 * l[i, q])
        for i in range(6) for j in range(6) for q in range(6) for r in range(6)
        if len({i, j, q, r}) == 4
    ]  # fmt: skip
    assert hsic(torch.from_numpy(k), torch.from_numpy(l)) == pytest.approx(np.mean(terms))


def test_hsic_is_zero_for_independent_and_large_for_equal_features():
    x, y = torch.randn(400, 5, generator=drawn(1)), torch.randn(400, 5, generator=drawn(2))
    same = hsic(gaussian_kernel(x), gaussian_kernel(x))
    assert abs(hsic(gaussian_kernel(x), gaussian_kernel(y))) < 0.02 * same


def test_cka_is_one_for_features_that_differ_by_rotation_scale_and_shift():
    x = torch.randn(100, 4, generator=drawn(), dtype=torch.float64)
    turn = torch.linalg.qr(torch.randn(4, 4, generator=drawn(1), dtype=torch.float64)).Q
    assert linear_cka(x, x) == pytest.approx(1)
    assert linear_cka(x, 5 * x @ turn + 3) == pytest.approx(1)
    assert linear_cka(x, torch.ones(100, 2)) is None


def test_cka_is_zero_for_independent_features_that_outnumber_the_images():
    x, y = torch.randn(100, 400, generator=drawn(1)), torch.randn(100, 400, generator=drawn(2))
    assert linear_cka(x, y) == pytest.approx(0, abs=0.1)
