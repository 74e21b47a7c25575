"""Autoregressive noise: a class's filter tells its own noise exactly, and no other's."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ucbench import ImageSet, Perturbation, UsageError
from ucbench.crafting.release import make_release
from ucbench.data.budget import Budget
from ucbench.matrix.matrix import native_budget
from ucbench.plugins.grammar import parse
from ucbench.plugins.registry import installed
from ucbench.testing import make_run, sample_images
from ucbench_shortcuts import ar
from ucbench_shortcuts.ar import Autoregressive, draw_filters, find_filters, noise, noise_blocks, responses
from ucbench_shortcuts.params import ARParams

L2, LINF = Budget("l2", 1), Budget("linf", 8)


def craft(train: ImageSet, budget: Budget = L2, seed: int = 0, **options: object) -> Perturbation:
    return Autoregressive(ARParams(**options)).craft(train, make_run(seed, budget=budget))


def found(count: int, size: tuple[int, int], seed: int = 0, **limits: float) -> np.ndarray:
    chosen = {"largest_norm": 50, "response": 3, "tries": 20_000} | limits
    return find_filters(count, size, np.random.default_rng(seed), **chosen)


def detected(filters: np.ndarray, patterns: np.ndarray) -> np.ndarray:
    """Responses ``[N, K]`` by torch's convolution."""
    detectors = torch.from_numpy(filters.copy()).double()
    detectors[:, :, 2, 2] = -1
    maps = torch.nn.functional.conv2d(torch.from_numpy(patterns.copy()).double(), detectors)
    return maps.relu().sum((2, 3)).numpy()


class TestNoise:
    @given(st.integers(0, 2**32), st.sampled_from([(6, 6), (3, 9), (10, 5)]), st.integers(1, 4))
    @settings(max_examples=20)
    def test_noise_equals_its_prediction_from_neighbours(self, seed: int, size: tuple[int, int], count: int) -> None:
        rng = np.random.default_rng(seed)
        filters = found(1, size, seed, response=0)
        made = noise(filters, count, size, rng)
        assert made.shape == (count, 3, *size)
        for image, channel in np.ndindex(count, 3):
            plane, weights = made[image, channel], filters[0, channel]
            for i in range(2, size[0]):
                for j in range(2, size[1]):
                    predicted = sum(weights[r, c] * plane[i - 2 + r, j - 2 + c] for r in range(3) for c in range(3))
                    assert predicted == pytest.approx(plane[i, j], abs=1e-9 * np.abs(plane).max())

    def test_filters_sum_to_one_and_exclude_the_pixel_itself(self):
        filters = draw_filters(50, np.random.default_rng(0))
        np.testing.assert_allclose(filters.sum((2, 3)), 1)
        assert (filters[:, :, 2, 2] == 0).all()
        assert len(np.unique(filters[..., 0, 0])) == 150

    def test_noise_takes_one_filter_per_image(self):
        filters = found(3, (8, 9))
        together = noise(filters, 3, (8, 9), np.random.default_rng(0))
        np.testing.assert_allclose(np.diag(detected(filters, together)), 0, atol=1e-10)

    def test_noise_starts_from_independent_gaussian_values(self):
        # Averaging keeps a constant, and the edge of the canvas is what it starts from.
        average = np.full((1, 3, 3, 3), 1 / 8)
        average[..., 2, 2] = 0
        made = noise(average, 400, (6, 6), np.random.default_rng(0)).reshape(400, 3, -1)
        apart = np.corrcoef(made[:, :, 0].T) - np.eye(3)
        assert np.abs(apart).max() < 0.2
        assert np.abs(made.mean(0)).max() < 0.1
        assert len(np.unique(made.reshape(400, -1), axis=0)) == 400

    def test_noise_blocks_equal_noise(self, monkeypatch):
        filters = found(1, (5, 6))
        whole = noise(filters, 11, (5, 6), np.random.default_rng(3))
        monkeypatch.setattr(ar, "_VALUES", 4 * 3 * 9 * 10)
        parts = list(noise_blocks(filters, 11, (5, 6), np.random.default_rng(3)))
        assert [len(part) for part in parts] == [4, 4, 3]
        np.testing.assert_array_equal(np.concatenate(parts), whole)


class TestFilters:
    def test_responses_equal_a_convolution(self):
        rng = np.random.default_rng(0)
        filters, patterns = rng.normal(size=(4, 3, 3, 3)), rng.normal(size=(5, 3, 7, 6))
        np.testing.assert_allclose(responses(filters, patterns), detected(filters, patterns))
        assert responses(filters, patterns[..., :2]).tolist() == [[0] * 4] * 5

    def test_filters_respond_to_all_noise_but_their_own(self):
        filters = found(10, (32, 32))
        assert len(filters) == 10
        for own in range(10):
            made = noise(filters[own, None], 20, (32, 32), np.random.default_rng(own))
            answers = detected(filters, made)
            assert answers[:, own].max() < 1e-9
            assert np.delete(answers, own, axis=1).min() > 1

    def test_found_filters_have_bounded_noise(self):
        rng = np.random.default_rng(0)
        with np.errstate(over="ignore"):
            drawn = np.square(noise(draw_filters(100, rng), 100, (32, 32), rng)).sum((1, 2, 3))
        kept = np.square(noise(found(100, (32, 32), response=0), 100, (32, 32), rng)).sum((1, 2, 3))
        assert np.median(drawn) > 1e6
        assert np.median(kept) < 50**2
        assert np.quantile(kept, 0.9) < 10 * 50**2

    def test_find_filters_limits_the_response_to_noise_of_length_one(self):
        lowest = []
        for limit in (0, 5):
            filters = found(8, (32, 32), response=limit)
            for later in range(1, 8):
                made = noise(filters[later, None], 40, (32, 32), np.random.default_rng(later))
                made /= np.sqrt(np.square(made).sum((1, 2, 3), keepdims=True))
                lowest.append(np.median(detected(filters[:later], made), axis=0).min())
        assert min(lowest[:7]) < 3 < 4 < min(lowest[7:])

    def test_find_filters_has_bounded_noise_at_larger_sizes_too(self):
        filters = found(4, (96, 64))
        made = noise(filters, 4, (96, 64), np.random.default_rng(0))
        assert np.median(np.square(made).sum((1, 2, 3))) < 50**2 * 6

    @pytest.mark.parametrize(("classes", "limit"), [(1, 10), (10, 10), (11, 3), (100, 3)])
    def test_ar_asks_for_less_where_there_are_more_than_ten_classes(self, classes, limit):
        assert ARParams().least_response(classes) == limit
        assert ARParams(response=1).least_response(classes) == 1

    def test_find_filters_keeps_its_limits(self):
        assert len(found(1, (16, 16), largest_norm=0.1, tries=500)) == 0
        assert len(found(5, (16, 16), response=1e9, tries=500)) == 1

    def test_find_filters_counts_tries_per_filter(self):
        tries = 2000
        assert len(found(8, (8, 8), tries=tries)) == 8 > len(found(8, (8, 8), tries=1))

    @pytest.mark.parametrize("size", [(2, 2), (1, 5), (4, 6), (8, 8), (64, 48)])
    def test_find_filters_works_at_any_size(self, size):
        assert found(4, size).shape == (4, 3, 3, 3)

    def test_find_filters_does_not_depend_on_the_number_wanted(self):
        np.testing.assert_array_equal(found(3, (8, 8)), found(7, (8, 8))[:3])


class TestAutoregressive:
    def test_ar_filter_identifies_the_images_of_its_class(self):
        train = sample_images(60, (32, 32), classes=5)
        made = craft(train)
        answers = detected(made.state["filters"], made.delta)
        np.testing.assert_array_equal(answers.argmin(1), train.known_labels)
        own = answers[np.arange(60), train.known_labels]
        assert own.max() < 1e-4
        assert np.sort(answers, axis=1)[:, 1].min() > 1e-2

    def test_ar_marks_clusters_given_as_craft_labels(self):
        images = sample_images(40, (16, 16))
        clusters = np.random.default_rng(0).integers(0, 4, 40)
        made = craft(images.with_labels(clusters, tuple("abcd")))
        np.testing.assert_array_equal(detected(made.state["filters"], made.delta).argmin(1), clusters)

    def test_ar_draws_noise_per_image_from_the_seed(self):
        train = sample_images(30, (10, 14), classes=2)
        made = craft(train)
        assert len(np.unique(made.delta.reshape(30, -1), axis=0)) == 30
        np.testing.assert_array_equal(made.delta, craft(train).delta)
        other = craft(train, seed=1)
        assert (made.delta != other.delta).any()
        assert (made.state["filters"] != other.state["filters"]).any()

    @given(
        st.sampled_from([L2, Budget("l2", 0.3), LINF, Budget("linf", 2.5)]),
        st.sampled_from([(8, 8), (9, 14), (2, 5), (1, 1)]),
        st.integers(1, 7),
        st.integers(1, 3),
    )
    @settings(max_examples=20)
    def test_ar_fills_and_keeps_its_budget(
        self, budget: Budget, size: tuple[int, int], count: int, classes: int
    ) -> None:
        train = sample_images(count, size, classes=classes)
        values = craft(train, budget).delta.reshape(count, -1).astype(np.float64)
        lengths = np.abs(values).max(1) if budget.norm == "linf" else np.linalg.norm(values, axis=1)
        np.testing.assert_allclose(lengths, budget.radius, rtol=1e-6)
        assert make_release(craft(train, budget), train, budget).meta["moved_share"] == 0

    def test_ar_fit_scale_keeps_the_process_and_clip_is_stronger(self):
        train = sample_images(20, (32, 32))
        clipped, scaled = (craft(train, LINF, fit=fit) for fit in ("clip", "scale"))
        own = detected(scaled.state["filters"], scaled.delta)[np.arange(20), train.known_labels]
        assert own.max() < 1e-4
        assert np.abs(clipped.delta).mean() > 1.2 * np.abs(scaled.delta).mean()
        np.testing.assert_allclose(np.sign(clipped.delta), np.sign(scaled.delta))

    def test_ar_takes_classes_of_any_size_or_empty(self):
        labels = np.array([0] * 5 + [3], np.int64)
        train = sample_images(6, (12, 12)).with_labels(labels, tuple("abcde"))
        made = craft(train)
        assert len(made.state["filters"]) == 5
        np.testing.assert_array_equal(detected(made.state["filters"], made.delta).argmin(1), labels)

    def test_ar_norm_sets_the_native_radius(self):
        registry = installed()
        for text, budget in (("ar", L2), ("ar:norm=linf", LINF)):
            chosen = registry.resolve("poisoner", parse(text))
            assert native_budget(chosen.spec, chosen.params) == budget

    @pytest.mark.parametrize("budget", [Budget("l0", 1), Budget("unbounded", None)], ids=str)
    def test_ar_refuses_other_norms(self, budget):
        with pytest.raises(UsageError, match=f"ar fills l2 and linf budgets, not {budget}"):
            craft(sample_images(), budget)

    def test_ar_raises_if_no_filter_keeps_the_limits(self):
        with pytest.raises(UsageError, match="found filters for 1 of 3 classes and then none in 300 draws"):
            craft(sample_images(), response=1e9, tries=300)

    @pytest.mark.parametrize(
        ("size", "budget", "warned"),
        [((32, 32), L2, 0), ((16, 64), L2, 0), ((96, 96), Budget("l2", 3), 0), ((96, 96), L2, 1), ((8, 8), LINF, 0)],
    )
    def test_ar_warns_of_an_l2_length_unlike_the_papers(self, size, budget, warned):
        run = make_run(budget=budget)
        Autoregressive(ARParams()).craft(sample_images(1, size, classes=1), run)
        assert len(run.warnings) == warned
        if warned:
            assert "3 at this size" in run.warnings[0]


class TestAssign:
    train = sample_images(40, (8, 8), classes=3)
    unseen = sample_images(30, (8, 8), classes=3, seed=1)

    def assign(self, images: ImageSet, labels: np.ndarray | None, train: ImageSet | None = None) -> np.ndarray | None:
        component, run = Autoregressive(ARParams()), make_run(budget=L2)
        state = component.craft(train or self.train, run).state
        return component.assign(images, labels, state, run)

    def test_ar_assign_gives_noise_of_the_images_class(self):
        index = self.assign(self.unseen, self.unseen.known_labels)
        np.testing.assert_array_equal(self.train.known_labels[index], self.unseen.known_labels)
        assert len(np.unique(index)) > 10

    def test_ar_assign_is_none_without_labels_or_noise_of_a_label(self):
        assert self.assign(self.unseen, None) is None
        two = self.train.subset(np.flatnonzero(self.train.known_labels < 2))
        assert self.assign(self.unseen, self.unseen.known_labels, two) is None
        fits = np.flatnonzero(self.unseen.known_labels < 2)
        assert self.assign(self.unseen.subset(fits), self.unseen.known_labels[fits], two) is not None
