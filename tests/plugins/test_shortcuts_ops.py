"""One-pixel shortcut: the pixel and colour that a plain search would find, set in every image of a class."""

from __future__ import annotations

import itertools
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ucbench import ImageSet, Perturbation, UsageError
from ucbench.crafting.release import make_release, materialise
from ucbench.data.budget import Budget
from ucbench.testing import make_run, sample_images
from ucbench_shortcuts import ops
from ucbench_shortcuts.ops import OnePixel
from ucbench_shortcuts.params import OPSParams

L0 = Budget("l0", 1)


def craft(train: ImageSet, **options: object) -> Perturbation:
    return OnePixel(OPSParams(**options)).craft(train, make_run(budget=L0))


def image_set(pixels: np.ndarray, labels: list[int] | np.ndarray, classes: int | None = None) -> ImageSet:
    count = classes or int(np.max(labels)) + 1
    return ImageSet(pixels.astype(np.uint8), np.array(labels, np.int64), tuple(f"class {k}" for k in range(count)))


def published(made: Perturbation, train: ImageSet) -> np.ndarray:
    release = make_release(made, train, L0)
    return materialise(train.images, release.changes, release.index)


def scores(images: np.ndarray, dispersion: str) -> dict[tuple[int, ...], Fraction]:
    """Exact score of every (row, column, *colour) with any dispersion: squared where the standard deviation divides."""
    found = {}
    for row, column in np.ndindex(images.shape[2:]):
        for colour in itertools.product((0, 1), repeat=3):
            every = [[abs(int(image[c, row, column]) - 255 * colour[c]) for c in range(3)] for image in images]
            away = [value for image in every for value in image] if dispersion == "std" else [sum(i) for i in every]
            mean = Fraction(sum(away), len(away))
            variance = sum((value - mean) ** 2 for value in away) / len(away)
            if variance:
                found[row, column, *colour] = mean**2 / variance if dispersion == "std" else mean / variance
    return found


class TestSearch:
    @given(st.integers(0, 2**32), st.sampled_from(["std", "variance"]), st.sampled_from([(3, 3), (2, 5)]))
    @settings(max_examples=30)
    def test_ops_equals_a_plain_search(self, seed: int, dispersion: str, size: tuple[int, int]) -> None:
        rng = np.random.default_rng(seed)
        labels = np.arange(14) % 2
        train = image_set(rng.integers(0, 256, (14, 3, *size)), labels)
        state = craft(train, dispersion=dispersion).state
        taken = None
        for label in range(2):
            every = scores(train.images[labels == label], dispersion)
            every.pop(taken, None)
            taken = (*state["pixels"][label].tolist(), *state["colours"][label].astype(int).tolist())
            assert every[taken] >= max(every.values()) * (1 - Fraction(1, 10**9))

    def test_ops_released_counts_channels_as_values_and_paper_adds_them(self):
        # From black: (90, 110, 100) in both images at the first pixel, no channel alike but the same sum;
        # (100, 100, 100) and (106, 106, 106) at the second.
        pixels = np.empty((2, 3, 1, 2))
        pixels[0, :, 0, 0], pixels[1, :, 0, 0] = (90, 110, 100), (110, 90, 103)
        pixels[0, :, 0, 1], pixels[1, :, 0, 1] = 100, 106
        train = image_set(pixels, [0, 0])
        chosen = {}
        for preset, dispersion in (("released", "std"), ("paper", "variance")):
            params = OPSParams.resolve("ops", preset)
            assert params.dispersion == dispersion
            state = OnePixel(params).craft(train, make_run(budget=L0)).state
            every = scores(train.images, dispersion)
            chosen[preset] = (*state["pixels"][0].tolist(), *state["colours"][0].astype(int).tolist())
            assert every[chosen[preset]] == max(every.values())
        assert chosen["released"][1] == 1
        assert chosen["paper"][1] == 0

    def test_ops_without_dispersion_takes_the_furthest_then_first_pixel(self):
        pixels = np.full((3, 3, 2, 2), 100)
        pixels[:, :, 0, 0] = np.arange(3)[:, None]
        pixels[:, :, 1, 0] = pixels[:, :, 1, 1] = 20
        state = craft(image_set(pixels, [0, 0, 0])).state
        assert state["pixels"].tolist() == [[1, 0]]
        assert state["colours"].tolist() == [[1, 1, 1]]

    def test_ops_uses_no_pair_for_two_classes(self):
        one = np.random.default_rng(0).integers(0, 256, (6, 3, 4, 4))
        state = craft(image_set(np.tile(one, (5, 1, 1, 1)), np.repeat(np.arange(5), 6))).state
        assert len(np.unique(np.hstack([state["pixels"], state["colours"]]), axis=0)) == 5

    def test_ops_refuses_more_classes_than_pairs(self):
        train = image_set(np.arange(9 * 3).reshape(9, 3, 1, 1), np.arange(9))
        eight = train.subset(np.arange(8))
        assert len(np.unique(craft(eight).state["colours"][:8], axis=0)) == 8
        with pytest.raises(UsageError, match="have 8 pixels and colours, not 9"):
            craft(train)

    @pytest.mark.parametrize("jointly", [False, True])
    def test_ops_does_not_depend_on_block_size(self, monkeypatch, jointly):
        train = sample_images(23, (5, 4))
        whole = ops.distances(train.images, jointly)
        monkeypatch.setattr(ops, "_BLOCK", 4)
        for one, other in zip(whole, ops.distances(train.images, jointly), strict=True):
            np.testing.assert_array_equal(one, other)


class TestOnePixel:
    @given(st.sampled_from([(8, 8), (10, 14), (1, 3)]), st.integers(1, 9), st.integers(1, 4), st.integers(0, 99))
    @settings(max_examples=20)
    def test_ops_changes_one_pixel_to_one_colour_per_class(
        self, size: tuple[int, int], count: int, classes: int, seed: int
    ) -> None:
        train = sample_images(count, size, classes, seed=seed)
        made = craft(train)
        after = published(made, train)
        for before, image, label in zip(train.images, after, train.known_labels, strict=True):
            row, column = made.state["pixels"][label]
            assert (image[:, row, column] == 255 * made.state["colours"][label]).all()
            image[:, row, column] = before[:, row, column]
            assert (image == before).all()

    def test_ops_transform_changes_unseen_images_alike(self):
        train, component, run = sample_images(20, (6, 9)), OnePixel(OPSParams()), make_run(budget=L0)
        made = component.craft(train, run)
        index = component.assign(train.with_labels(None), train.known_labels, made.state, run)
        x = torch.from_numpy(train.images.copy()).float() / 255
        changed = component.transform(x, torch.from_numpy(index.copy()), made.state)
        np.testing.assert_array_equal((changed * 255).round().numpy(), published(made, train))
        assert component.assign(train.with_labels(None), None, made.state, run) is None

    def test_ops_class_without_images_has_no_pixel(self):
        labels = np.array([0, 0, 2, 2, 2])
        train = image_set(sample_images(5, (4, 4)).images, labels, classes=4)
        state = craft(train).state
        assert state["pixels"][[1, 3]].tolist() == [[-1, -1]] * 2
        x = torch.from_numpy(train.images.copy()).float() / 255
        changed = OnePixel(OPSParams()).transform(x, torch.tensor([1, 0, 3, 2, 1]), state)
        assert (changed != x).any(dim=(1, 2, 3)).tolist() == [False, True, False, True, False]

    def test_ops_marks_clusters_given_as_craft_labels(self):
        clusters = np.random.default_rng(0).integers(0, 3, 30)
        train = sample_images(30, (6, 6), classes=10).with_labels(clusters, tuple("abc"))
        made = craft(train)
        places = made.delta.any(1).reshape(30, -1).argmax(1)
        rows, columns = made.state["pixels"][clusters].T
        np.testing.assert_array_equal(places, rows * 6 + columns)
