"""The rows every table is read against: noise without information, and a shortcut that cannot be missed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ucbench.crafting.references import Clean, Positive, Sham
from ucbench.crafting.release import Release, make_release, materialise
from ucbench.data.budget import Budget, sizes
from ucbench.data.imageset import ImageSet
from ucbench.errors import DataError, UsageError
from ucbench.exploit.controls import CleanPart, CleanPixels
from ucbench.plugins.builtin_params import PositiveParams
from ucbench.plugins.params import Params
from ucbench.testing import make_run, sample_images


def sham(budget: Budget, seed: int = 0, train: ImageSet | None = None) -> Release:
    train = train or sample_images(7, (6, 9))
    return make_release(Sham(Params()).craft(train, make_run(seed, budget=budget)), train, budget)


@given(
    st.one_of(
        st.builds(Budget, st.just("linf"), st.floats(1, 64)),
        st.builds(Budget, st.just("l2"), st.floats(0.1, 5)),
        st.builds(Budget, st.just("l0"), st.integers(1, 54)),
    ),
    st.integers(0, 100),
)
@settings(max_examples=60)
def test_sham_fills_and_respects_its_budget(budget: Budget, seed: int) -> None:
    # So large that every image has the largest of 129 levels somewhere.
    train = sample_images(7, (32, 32)) if budget.norm == "linf" else None
    found = sizes(sham(budget, seed, train).changes, budget.norm)
    assert found.max() <= budget.epsilon
    least = {"linf": int(budget.epsilon), "l2": 0.85 * budget.epsilon, "l0": int(budget.epsilon)}[budget.norm]
    assert found.min() >= least


def test_sham_is_uniform_over_levels():
    train = sample_images(40, (16, 16))
    changes = sham(Budget("linf", 8), train=train).changes
    levels, counts = np.unique(changes, return_counts=True)
    assert levels.tolist() == list(range(-8, 9))
    expected = changes.size / 17
    assert np.abs(counts - expected).max() < 6 * np.sqrt(expected)


def test_sham_never_exceeds_a_fractional_level():
    assert np.abs(sham(Budget("linf", 2.9)).changes).max() == 2


def test_sham_depends_only_on_the_craft_seed():
    train = sample_images(7, (6, 9))
    first = sham(Budget("linf", 8))
    assert len(np.unique(first.changes.reshape(7, -1), axis=0)) == 7
    other = train.with_images(~train.images).with_labels(None)
    np.testing.assert_array_equal(sham(Budget("linf", 8), train=other).changes, first.changes)
    assert (sham(Budget("linf", 8), seed=1).changes != first.changes).any()


def test_sham_raises_on_an_unbounded_budget():
    with pytest.raises(UsageError, match="An unbounded budget has no sham"):
        sham(Budget("unbounded", None))


def test_clean_equals_the_source():
    train, budget = sample_images(), Budget("unbounded", None)
    release = make_release(Clean(Params()).craft(train, make_run(budget=budget)), train, budget)
    np.testing.assert_array_equal(materialise(train.images, release.changes, release.index), train.images)


def positive(train: ImageSet, seed: int = 0, grid: int = 4) -> Release:
    budget = Budget("linf", 8)
    component = Positive(PositiveParams(grid=grid))
    return make_release(component.craft(train, make_run(seed, budget=budget)), train, budget)


def test_positive_has_one_full_radius_pattern_per_class():
    train = sample_images(20, (8, 12), classes=5)
    release = positive(train)
    np.testing.assert_array_equal(release.index, train.known_labels)
    assert release.changes.shape == (5, 3, 8, 12)
    assert set(np.unique(release.changes)) == {-8, 8}
    assert len(np.unique(release.changes.reshape(5, -1), axis=0)) == 5


@pytest.mark.parametrize("grid", [1, 2, 4])
def test_positive_is_constant_on_its_blocks(grid):
    blocks = positive(sample_images(size=(8, 16)), grid=grid).changes.reshape(3, 3, grid, 8 // grid, grid, 16 // grid)
    assert (blocks == blocks[:, :, :, :1, :, :1]).all()


def test_positive_perturbs_unseen_images_by_class():
    unseen = sample_images(9, seed=1)
    component, run = Positive(PositiveParams()), make_run(budget=Budget("linf", 8))
    index = component.assign(unseen.with_labels(None), unseen.known_labels, {}, run)
    np.testing.assert_array_equal(index, unseen.known_labels)


def test_positive_differs_for_another_seed():
    train = sample_images()
    assert (positive(train).changes != positive(train, seed=1).changes).any()


def test_positive_raises_without_labels():
    with pytest.raises(DataError, match="no labels"):
        positive(sample_images().with_labels(None))


def test_clean_pixels_keep_the_published_labels():
    clean = sample_images()
    published = clean.with_images(~clean.images).with_labels((clean.known_labels + 1) % 3, clean.classes)
    run = make_run(stage="prepare", clean=clean)
    prepared = CleanPixels(Params()).prepare(published, run)
    assert (prepared.images == clean.images).all()
    assert (prepared.known_labels == published.known_labels).all()
    assert prepared.classes == published.classes


def test_clean_pixels_without_the_clean_images_raises():
    with pytest.raises(UsageError, match=r"may read run\.clean"):
        CleanPixels(Params()).prepare(sample_images(), make_run(stage="prepare"))


@given(st.integers(1, 12), st.integers(0, 5))
@settings(max_examples=40)
def test_clean_part_selects_unperturbed_images_evenly(untouched: int, seed: int) -> None:
    clean = sample_images(12, (6, 9))
    order = np.random.default_rng(seed).permutation(12)
    left = np.sort(order[:untouched])
    pixels = clean.images.copy()
    pixels[order[untouched:], 1, 2, 3] ^= 1  # a single value of a single pixel tells
    run = make_run(seed, stage="prepare", clean=clean)
    part = CleanPart(Params()).prepare(clean.with_images(pixels), run)
    assert len(part) == 12
    shown = [int(np.flatnonzero((clean.images == image).all((1, 2, 3)))[0]) for image in part.images]
    assert set(shown) == set(left.tolist())
    times = [shown.count(int(index)) for index in left]
    assert max(times) - min(times) <= 1
    np.testing.assert_array_equal(part.known_labels, clean.known_labels[shown])


def test_clean_part_raises_when_nothing_is_clean():
    train = sample_images(4, (6, 9))
    with pytest.raises(UsageError, match=r"may read run\.clean"):
        CleanPart(Params()).prepare(train, make_run(stage="prepare"))
    run = make_run(stage="prepare", clean=train)
    with pytest.raises(UsageError, match="--mixture below 1"):
        CleanPart(Params()).prepare(train.with_images(255 - train.images), run)
