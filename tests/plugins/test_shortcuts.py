"""Shortcuts from labels alone: a linear classifier separates them, for classes as for clusters."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ucbench import ImageSet, UsageError
from ucbench.crafting.clustering import clusters_of
from ucbench.crafting.release import Release, make_release
from ucbench.data.budget import Budget
from ucbench.metrics.probes import guess_accuracy
from ucbench.testing import TinySurrogate, make_run, sample_images
from ucbench_shortcuts.lsp import LinearlySeparable
from ucbench_shortcuts.params import LSPParams, RandomClassParams, RandomSampleParams
from ucbench_shortcuts.random_noise import RandomClassPatterns, RandomSamples

LINF = Budget("linf", 8)


def release(component: object, train: ImageSet, seed: int = 0, budget: Budget = LINF) -> Release:
    run = make_run(seed, budget=budget)
    return make_release(component.craft(train, run), train, budget)


def lsp(train: ImageSet, seed: int = 0, **options: object) -> Release:
    return release(LinearlySeparable(LSPParams(**options)), train, seed)


def patterns(train: ImageSet, seed: int = 0, **options: object) -> Release:
    return release(RandomClassPatterns(RandomClassParams(**options)), train, seed)


def samples(train: ImageSet, seed: int = 0, **options: object) -> Release:
    return release(RandomSamples(RandomSampleParams(**options)), train, seed)


def clustered(images: ImageSet, k: int) -> ImageSet:
    """The images under their clusters, which are not their classes."""
    clusters = clusters_of(images, k, make_run(), TinySurrogate())
    return images.with_labels(clusters.assignment, tuple(f"cluster {i}" for i in range(k)))


def separable(made: Release, labels: np.ndarray) -> bool:
    """Whether a linear classifier tells all these labels from the perturbations."""
    from sklearn.svm import LinearSVC

    values = made.changes[made.index].reshape(len(labels), -1) / 8
    return bool(LinearSVC(C=100, max_iter=20_000).fit(values, labels).score(values, labels) == 1)


class TestLSP:
    def test_lsp_classes_are_linearly_separable_also_for_unseen_draws(self):
        train = sample_images(400, (16, 20), classes=10)
        made = lsp(train)
        assert separable(made, train.known_labels)
        assert guess_accuracy(made.changes, made.index, train.known_labels, seed=0) >= 99

    def test_lsp_does_not_reveal_other_labels(self):
        made = lsp(sample_images(400, (16, 16), classes=10))
        others = np.random.default_rng(1).integers(0, 10, 400)
        assert guess_accuracy(made.changes, made.index, others, seed=0) < 30

    def test_lsp_separates_clusters_given_as_craft_labels(self):
        train = clustered(sample_images(400, (16, 16), classes=10), 6)
        assert separable(lsp(train), train.known_labels)

    def test_lsp_draws_for_every_image(self):
        made = lsp(sample_images(60, (8, 8)))
        assert len(np.unique(made.changes.reshape(60, -1), axis=0)) == 60

    @given(st.integers(1, 5), st.sampled_from([(8, 8), (9, 14), (5, 4)]), st.floats(1, 32))
    @settings(max_examples=20)
    def test_lsp_fills_and_keeps_its_budget(self, grid: int, size: tuple[int, int], epsilon: float) -> None:
        budget = Budget("linf", epsilon)
        run, train = make_run(budget=budget), sample_images(20, size)
        delta = LinearlySeparable(LSPParams(grid=grid)).craft(train, run).delta
        assert np.abs(delta).max() <= budget.radius + 1e-6
        assert np.abs(delta).reshape(20, -1).max(1).min() == pytest.approx(budget.radius, rel=1e-5)

    def test_lsp_notes_what_clipping_leaves_of_the_root_mean_square(self):
        run, train = make_run(budget=LINF), sample_images(50, (8, 12))
        delta = LinearlySeparable(LSPParams()).craft(train, run).delta
        assert run.notes["root_mean_square"] == pytest.approx(255 * np.sqrt(np.square(delta).mean()), rel=1e-5)
        assert 4 < run.notes["root_mean_square"] < 8

    def test_lsp_patches_are_constant_in_a_channel(self):
        made = lsp(sample_images(20, (16, 8)), grid=4).changes.reshape(20, 3, 4, 4, 4, 2)
        assert (made == made[:, :, :, :1, :, :1]).all()

    def test_lsp_takes_classes_of_any_size_or_empty(self):
        labels = np.array([0] * 40 + [2] * 3 + [3], np.int64)
        train = sample_images(44, (8, 8)).with_labels(labels, ("a", "b", "c", "d"))
        assert separable(lsp(train), labels)

    def test_lsp_refuses_more_classes_than_vertices(self):
        assert len(lsp(sample_images(40, (8, 8), classes=8), grid=1).changes) == 40
        with pytest.raises(UsageError, match="grid=1 has a vertex for 8 classes, not for 9"):
            lsp(sample_images(40, (8, 8), classes=9), grid=1)

    def test_lsp_depends_on_the_seed(self):
        train = sample_images(30, (8, 8))
        np.testing.assert_array_equal(lsp(train).changes, lsp(train).changes)
        assert (lsp(train).changes != lsp(train, seed=1).changes).any()


class TestRandomClassPatterns:
    @pytest.mark.parametrize("pattern", ["blocks", "sign", "uniform"])
    def test_rand_class_has_one_pattern_per_label(self, pattern):
        train = sample_images(30, (8, 12), classes=4)
        made = patterns(train, pattern=pattern)
        assert made.changes.shape == (4, 3, 8, 12)
        np.testing.assert_array_equal(made.index, train.known_labels)
        assert len(np.unique(made.changes.reshape(4, -1), axis=0)) == 4
        assert (made.changes != patterns(train, seed=1, pattern=pattern).changes).any()

    @pytest.mark.parametrize("pattern", ["blocks", "sign"])
    def test_rand_class_signs_have_full_radius(self, pattern):
        assert np.unique(patterns(sample_images(), pattern=pattern).changes).tolist() == [-8, 8]

    def test_rand_class_uniform_spreads_over_the_range(self):
        changes = patterns(sample_images(size=(32, 32)), pattern="uniform").changes
        assert np.unique(changes).tolist() == list(range(-8, 9))
        assert abs(changes.mean()) < 0.3
        assert changes.std() == pytest.approx(16 / np.sqrt(12), rel=0.05)

    def test_rand_class_blocks_are_constant_and_signs_vary_by_pixel(self):
        train = sample_images(size=(16, 16))
        blocks, signs = (
            patterns(train, pattern=pattern).changes.reshape(3, 3, 4, 4, 4, 4) for pattern in ("blocks", "sign")
        )
        assert (blocks == blocks[:, :, :, :1, :, :1]).all()
        assert (signs != signs[:, :, :, :1, :, :1]).any()

    def test_rand_class_marks_clusters_given_as_craft_labels(self):
        train = clustered(sample_images(60, (8, 8), classes=10), 5)
        made = patterns(train)
        assert len(made.changes) == 5
        np.testing.assert_array_equal(made.index, train.known_labels)

    def test_rand_class_assign_returns_labels_or_none(self):
        unseen = sample_images(9, seed=1)
        component, run = RandomClassPatterns(RandomClassParams()), make_run(budget=LINF)
        np.testing.assert_array_equal(component.assign(unseen, unseen.known_labels, {}, run), unseen.known_labels)
        assert component.assign(unseen, None, {}, run) is None


class TestRandomSamples:
    @pytest.mark.parametrize("kind", ["uniform", "sign"])
    def test_rand_sample_draws_noise_per_image_from_the_seed(self, kind):
        train = sample_images(40, (5, 7))
        made = samples(train, kind=kind).changes
        assert made.shape == (40, 3, 5, 7)
        assert len(np.unique(made.reshape(40, -1), axis=0)) == 40
        np.testing.assert_array_equal(made, samples(train, kind=kind).changes)
        assert (made != samples(train, seed=1, kind=kind).changes).any()

    def test_rand_sample_uniform_spreads_over_both_signs(self):
        delta = RandomSamples(RandomSampleParams()).craft(sample_images(200, (16, 16)), make_run(budget=LINF)).delta
        assert np.abs(delta).max() <= LINF.radius + 1e-9
        shares, _ = np.histogram(delta / LINF.radius, 4, (-1, 1), density=True)
        np.testing.assert_allclose(shares, 0.5, atol=0.01)

    def test_rand_sample_signs_have_full_radius_and_equal_shares(self):
        made = samples(sample_images(200, (16, 16)), kind="sign").changes
        assert np.unique(made).tolist() == [-8, 8]
        assert abs((made > 0).mean() - 0.5) < 0.01

    def test_rand_sample_does_not_depend_on_labels(self):
        train = sample_images(400, (8, 8), classes=4)
        made = samples(train)
        assert guess_accuracy(made.changes, made.index, train.known_labels, seed=0) < 40
        np.testing.assert_array_equal(made.changes, samples(train.with_labels(None)).changes)

    @given(st.sampled_from(["uniform", "sign"]), st.floats(1, 64), st.integers(1, 5))
    @settings(max_examples=20)
    def test_rand_sample_keeps_any_budget(self, kind: str, epsilon: float, count: int) -> None:
        budget = Budget("linf", epsilon)
        component = RandomSamples(RandomSampleParams(kind=kind))
        made = release(component, sample_images(count, (3, 4)), budget=budget)
        assert made.meta["moved_share"] == 0
        assert np.abs(made.changes).max() <= epsilon
