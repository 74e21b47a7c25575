"""Budgets: what is stored never exceeds what was promised, and what is measured is what happened."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from kornia import metrics

from ucbench.data import budget as budget_module
from ucbench.data.budget import Budget, blocks, parse_epsilon
from ucbench.data.distortion import PSNR_CAP, measure
from ucbench.errors import ContractError, UsageError

BUDGETS = st.one_of(
    st.builds(Budget, st.just("linf"), st.floats(1, 255)),
    st.builds(Budget, st.just("l2"), st.floats(1e-3, 30)),
    st.builds(Budget, st.just("l0"), st.floats(1, 100)),
    st.just(Budget("unbounded", None)),
)


def perturbation(seed: int, scale: float, shape: tuple[int, int, int, int] = (3, 3, 9, 7)) -> np.ndarray:
    """Float32 noise whose images differ in size by orders of magnitude; the first is zero."""
    rng = np.random.default_rng(seed)
    per_image = rng.uniform(0, 2, (shape[0], 1, 1, 1)) * scale
    per_image[0] = 0
    return (rng.standard_normal(shape) * per_image).astype(np.float32)


def independent_sizes(changes: np.ndarray, norm: str) -> list[float]:
    """The norms again, image by image and in plain Python."""
    result = []
    for change in changes.tolist():
        pixels = [pixel for rows in zip(*change, strict=True) for pixel in zip(*rows, strict=True)]
        values = [value for pixel in pixels for value in pixel]
        if norm == "linf":
            result.append(max(abs(v) for v in values))
        elif norm == "l2":
            result.append(math.sqrt(sum(v * v for v in values)) / 255)
        else:
            result.append(sum(any(pixel) for pixel in pixels))
    return result


@given(BUDGETS, st.integers(0, 10**6), st.sampled_from([1e-3, 0.02, 0.3, 5.0, 1e30]))
@settings(max_examples=150)
def test_project_never_exceeds_the_budget(budget: Budget, seed: int, scale: float) -> None:
    changes, _ = budget.project(perturbation(seed, scale))
    assert changes.dtype == np.int16
    assert np.abs(changes).max() <= 255
    source = np.random.default_rng(seed + 1).integers(0, 256, changes.shape)
    published = np.clip(source + changes, 0, 255) - source
    assert budget.violation(changes) == 0.0
    if budget.epsilon is not None:
        assert max(independent_sizes(changes, budget.norm)) <= budget.epsilon
        assert max(independent_sizes(published, budget.norm)) <= budget.epsilon


@given(BUDGETS, st.integers(0, 10**6), st.sampled_from([1e-3, 0.02, 0.3]))
@settings(max_examples=60)
def test_project_is_idempotent_and_symmetric_in_sign(budget: Budget, seed: int, scale: float) -> None:
    delta = perturbation(seed, scale)
    changes, moved = budget.project(delta)
    mirrored, mirrored_moved = budget.project(-delta)
    np.testing.assert_array_equal(mirrored, -changes)
    assert mirrored_moved == moved
    again, moved_again = budget.project((changes / 255).astype(np.float32))
    np.testing.assert_array_equal(again, changes)
    assert moved_again == 0.0


@given(BUDGETS, st.integers(0, 10**6))
@settings(max_examples=60)
def test_project_keeps_whole_levels_within_the_budget(budget: Budget, seed: int) -> None:
    rng = np.random.default_rng(seed)
    levels = np.zeros((2, 3, 9, 7), np.int64)
    levels[:, :, 4, 4] = rng.integers(-1, 2, (2, 3))
    wanted = [i for i, size in enumerate(independent_sizes(levels, budget.norm)) if size <= (budget.epsilon or 999)]
    changes, moved = budget.project((levels[wanted] / 255).astype(np.float32))
    np.testing.assert_array_equal(changes, levels[wanted])
    assert moved == 0.0


def test_project_rounds_to_the_nearest_level() -> None:
    delta = np.array([0.4, 0.6, -0.4, -0.6, 7.4, -7.6], np.float32).reshape(1, 3, 1, 2) / 255
    changes, moved = Budget("linf", 8).project(delta)
    assert changes.ravel().tolist() == [0, 1, 0, -1, 7, -8]
    assert moved == 0.0


def test_project_never_rounds_above_a_fractional_linf_epsilon() -> None:
    changes, _ = Budget("linf", 8.7).project(np.full((1, 3, 2, 2), 8.7 / 255, np.float32))
    assert changes.max() == 8


@given(st.floats(0.05, 20), st.integers(0, 10**6), st.sampled_from(["noise", "flat", "patches"]))
@settings(max_examples=60)
def test_project_shrinks_l2_by_less_than_one_level(epsilon: float, seed: int, pattern: str) -> None:
    """Nor does a pattern of few different values vanish because all of them round down together."""
    rng = np.random.default_rng(seed)
    side = {"noise": 16, "flat": 1, "patches": 4}[pattern]
    tiles = rng.standard_normal((2, 3, side, side)).repeat(16 // side, 2).repeat(16 // side, 3)
    lengths = np.sqrt((tiles**2).sum(axis=(1, 2, 3), keepdims=True))
    delta = (tiles / lengths * epsilon).astype(np.float32)  # what project() is given, halves and all
    changes, _ = Budget("l2", epsilon).project(delta)
    for change, nearest in zip(changes.astype(int), np.rint(delta.astype(float) * 255).clip(-255, 255), strict=True):
        dearest_level = 2 * np.abs(nearest).max() - 1
        assert (change == nearest).all() or (change**2).sum() > (epsilon * 255) ** 2 - dearest_level - 1e-3


def test_project_spreads_rounding_over_a_flat_pattern() -> None:
    changes, _ = Budget("l2", 0.2).project(np.full((1, 3, 32, 32), 1.0, np.float32))
    quarters = changes[0].reshape(3, 2, 16, 2, 16).sum(axis=(2, 4)).ravel()
    assert quarters.sum() == 51**2
    assert quarters.max() - quarters.min() <= 6


def test_l0_project_keeps_the_pixels_of_largest_length() -> None:
    delta = np.zeros((1, 3, 2, 2), np.float32)
    delta[0, 0, 0, 0] = 0.5
    delta[0, :, 1, 1] = 0.4
    delta[0, 1, 0, 1] = -0.6
    changes, moved = Budget("l0", 2).project(delta)
    assert np.argwhere(changes[0].any(axis=0)).tolist() == [[0, 1], [1, 1]]
    assert moved == 1 / 12


def test_l0_project_keeps_the_first_of_equal_pixels() -> None:
    changes, _ = Budget("l0", 3).project(np.full((2, 3, 4, 4), 0.1, np.float32))
    assert np.flatnonzero(changes[1].any(axis=0)).tolist() == [0, 1, 2]


def test_moved_share_counts_projection_but_not_rounding() -> None:
    delta = np.full((2, 3, 4, 4), 7.7 / 255, np.float32)
    assert Budget("linf", 8).project(delta)[1] == 0.0
    delta[0, 0, 0, :2] = 0.1
    assert Budget("linf", 8).project(delta)[1] == 2 / 96
    assert Budget("unbounded", None).project(delta)[1] == 0.0
    length = float(np.sqrt((delta[1].astype(np.float64) ** 2).sum()))
    assert Budget("l2", length * 0.9).project(delta[1:])[1] == 1.0


@pytest.mark.parametrize(("excess", "moved"), [(1e-6, 0.0), (2e-3, 1.0)])
def test_violation_tolerates_float32_rounding_only(excess: float, moved: float) -> None:
    """8/255 rounded up to bfloat16 is too large by 0.2 %."""
    delta = np.full((1, 3, 4, 4), 8 / 255 * (1 + excess), np.float32)
    assert Budget("linf", 8).project(delta)[1] == moved


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("norm", ["linf", "l2", "l0", "unbounded"])
def test_budget_names_the_position_of_a_non_finite_value(norm: str, bad: float) -> None:
    delta = np.zeros((4, 3, 2, 2), np.float32)
    delta[2, 1, 0, 1] = bad
    budget = Budget(norm, None if norm == "unbounded" else 8)
    with pytest.raises(ContractError, match=r"\[2, 1, 0, 1\]"):
        budget.project(delta)


def test_non_finite_position_counts_across_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget_module, "blocks", lambda shape: blocks(shape, 12))
    delta = np.zeros((4, 3, 2, 2), np.float32)
    delta[3, 0, 0, 0] = np.nan
    with pytest.raises(ContractError, match=r"\[3, 0, 0, 0\]"):
        Budget("linf", 8).project(delta)


@pytest.mark.parametrize("budget", [Budget("linf", 8.5), Budget("l2", 0.5), Budget("l0", 3)])
def test_violation_is_the_largest_excess(budget: Budget) -> None:
    changes = np.zeros((3, 3, 4, 4), np.int16)
    changes[1, :, :2] = 40
    excess = {"linf": 40 - 8.5, "l2": 40 / 255 * math.sqrt(24) - 0.5, "l0": 8 - 3}[budget.norm]
    assert budget.violation(changes) == pytest.approx(excess)
    assert Budget("unbounded", None).violation(changes) == 0.0


def test_radius_is_in_units_of_the_perturbation() -> None:
    assert Budget("linf", 8).radius == 8 / 255
    assert Budget("l2", 1.5).radius == 1.5
    assert Budget("l0", 4).radius == 4.0
    assert Budget("unbounded", None).radius == math.inf


@given(st.integers(1, 255))
def test_epsilon_parses_levels_with_and_without_denominator(levels: int) -> None:
    assert parse_epsilon(str(levels)) == parse_epsilon(f"{levels}/255") == float(levels)


@pytest.mark.parametrize(
    "text",
    [
        "0",
        "-8",
        "256",
        "256/255",
        "8/256",
        "8/",
        "/255",
        "eight",
        "",
        "nan",
        "inf",
        "1e2",
        "8 8",
        "٨",
        "0.03",
    ],
)
def test_epsilon_parsing_raises_on_nonsense(text: str) -> None:
    with pytest.raises(UsageError, match="psilon"):
        parse_epsilon(text)


def test_epsilon_on_the_unit_scale_raises_with_a_suggestion() -> None:
    with pytest.raises(UsageError, match="n/255"):
        parse_epsilon("0.0314")


@pytest.mark.parametrize(
    ("norm", "epsilon"),
    [
        ("linf", None),
        ("linf", 0),
        ("linf", 0.5),
        ("linf", 256),
        ("l2", -1.0),
        ("l2", math.nan),
        ("l2", math.inf),
        ("l0", 0.5),
        ("unbounded", 8),
        ("l1", 8),
    ],
)
def test_budget_raises_on_meaningless_values(norm: str, epsilon: float | None) -> None:
    with pytest.raises(UsageError):
        Budget(norm, epsilon)


def test_budgets_are_equal_for_equivalent_epsilon_spellings() -> None:
    assert repr(Budget("linf", 8)) == repr(Budget("linf", np.float64(8.0))) == repr(Budget("linf", 8.0))


@given(st.lists(st.integers(0, 6), min_size=1, max_size=4).map(tuple), st.integers(1, 40))
def test_blocks_cover_the_first_axis_once_in_order(shape: tuple[int, ...], block_values: int) -> None:
    covered = [i for block in blocks(shape, block_values) for i in range(*block.indices(shape[0]))]
    assert covered == list(range(shape[0]))
    per_item = math.prod(shape[1:])
    for block in blocks(shape, block_values):
        assert (block.stop - block.start) * per_item <= max(block_values, per_item)


def smooth_images(count: int = 5, height: int = 24, width: int = 20) -> tuple[np.ndarray, np.ndarray]:
    """Smooth images and noisy copies: the first copy is exact, later ones are noisier."""
    rng = np.random.default_rng(0)
    ramp = np.linspace(20, 200, height)[:, None] + 30 * np.sin(np.arange(width) / 3)
    source = np.clip(ramp + rng.normal(0, 4, (count, 3, 1, 1)), 0, 255).astype(np.uint8)
    noise = rng.integers(-8, 9, source.shape) * np.arange(count)[:, None, None, None]
    return source, np.clip(source + noise, 0, 255).astype(np.uint8)


def test_measured_norms_equal_those_of_the_published_difference() -> None:
    source, release = smooth_images()
    measured = measure(source, release)
    difference = release.astype(int) - source
    for norm in ("linf", "l2", "l0"):
        expected = independent_sizes(difference, norm)
        assert measured[f"{norm}_max"] == pytest.approx(max(expected))
        assert measured[f"{norm}_mean"] == pytest.approx(sum(expected) / len(expected))


def test_psnr_averages_images_and_caps_unchanged_ones() -> None:
    source = np.full((2, 3, 8, 8), 100, np.uint8)
    release = source.copy()
    release[1] += 5
    expected = 20 * math.log10(255 / 5)
    assert measure(source[1:], release[1:])["psnr"] == pytest.approx(expected)
    assert measure(source, release)["psnr"] == pytest.approx((PSNR_CAP + expected) / 2)


def ssim_by_definition(x: np.ndarray, y: np.ndarray, side: int) -> float:
    """Wang et al. (2004), equation 13, window by window, of one channel."""
    axis = np.arange(side) - side // 2
    weights = np.exp(-(axis[:, None] ** 2 + axis[None] ** 2) / (2 * 1.5**2))
    weights /= weights.sum()
    values = []
    for top in range(x.shape[0] - side + 1):
        for left in range(x.shape[1] - side + 1):
            a = x[top : top + side, left : left + side].astype(float)
            b = y[top : top + side, left : left + side].astype(float)
            ma, mb = (weights * a).sum(), (weights * b).sum()
            va, vb = (weights * (a - ma) ** 2).sum(), (weights * (b - mb) ** 2).sum()
            cov = (weights * (a - ma) * (b - mb)).sum()
            c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
            values.append((2 * ma * mb + c1) * (2 * cov + c2) / ((ma**2 + mb**2 + c1) * (va + vb + c2)))
    return float(np.mean(values))


@pytest.mark.parametrize(("height", "width", "side"), [(14, 13, 11), (8, 12, 7), (2, 5, 1)])
def test_ssim_equals_its_definition_at_every_size(height: int, width: int, side: int) -> None:
    source, release = smooth_images(2, height, width)
    expected = np.mean([ssim_by_definition(source[i, c], release[i, c], side) for i in range(2) for c in range(3)])
    assert measure(source, release)["ssim"] == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(("height", "width", "side"), [(32, 32, 11), (8, 12, 7)])
def test_psnr_and_ssim_equal_kornias(height: int, width: int, side: int) -> None:
    source, release = (images[1:] for images in smooth_images(4, height, width))
    pairs = list(zip(*(torch.from_numpy(images).double()[:, None] for images in (source, release)), strict=True))
    measured = measure(source, release)
    similarities = [float(metrics.ssim(x, y, side, 255.0, eps=0.0, padding="valid").mean()) for x, y in pairs]
    assert measured["ssim"] == pytest.approx(np.mean(similarities), abs=1e-12)
    assert measured["psnr"] == pytest.approx(np.mean([float(metrics.psnr(x, y, 255.0)) for x, y in pairs]), abs=1e-12)


def test_measures_of_identical_sets_report_no_change() -> None:
    source, _ = smooth_images()
    measured = measure(source, source)
    assert measured["ssim"] == pytest.approx(1.0)
    assert measured["psnr"] == PSNR_CAP
    assert measured["linf_max"] == measured["l2_max"] == measured["l0_max"] == 0.0


def test_measures_are_independent_of_the_block_size() -> None:
    source, release = smooth_images()
    assert measure(source, release, block_values=1) == pytest.approx(measure(source, release), rel=1e-12)


@pytest.mark.parametrize("count", [0, 3])
def test_measures_raise_on_incomparable_sets(count: int) -> None:
    source, release = smooth_images()
    with pytest.raises(ContractError, match="Cannot measure"):
        measure(source[:count], release[:0])
