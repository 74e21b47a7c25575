"""Class-wise convolution: what a plain loop would make of an image."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ucbench import ImageSet, Perturbation, UsageError
from ucbench.crafting.release import make_release, materialise
from ucbench.data.budget import Budget
from ucbench.testing import make_run, sample_images
from ucbench_shortcuts import cuda
from ucbench_shortcuts.cuda import ClassWiseConvolution
from ucbench_shortcuts.params import CUDAParams

UNBOUNDED = Budget("unbounded", None)


def craft(train: ImageSet, seed: int = 0, **options: object) -> Perturbation:
    return ClassWiseConvolution(CUDAParams(**options)).craft(train, make_run(seed, budget=UNBOUNDED))


def transformed(images: np.ndarray, index: np.ndarray, kernels: np.ndarray) -> np.ndarray:
    x = torch.from_numpy(images.astype(np.float32))
    return ClassWiseConvolution(CUDAParams()).transform(x, torch.from_numpy(index), {"kernels": kernels}).numpy()


def by_loops(image: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """One image ``[3, H, W]``, pixel by pixel, in float64."""
    channels, height, width = image.shape
    reach = len(kernel) // 2
    result = np.zeros(image.shape)
    for channel, row, column in np.ndindex(channels, height, width):
        for r, c in np.ndindex(*kernel.shape):
            y, x = row + r - reach, column + c - reach
            if 0 <= y < height and 0 <= x < width:
                result[channel, row, column] += float(kernel[r, c]) * float(image[channel, y, x])
    return result / result.max() if result.max() > 0 else result


class TestTransform:
    @given(st.integers(0, 2**32), st.sampled_from([(4, 4), (3, 7), (1, 2)]), st.sampled_from([1, 3, 5]))
    @settings(max_examples=20)
    def test_cuda_transform_equals_a_plain_loop(self, seed: int, size: tuple[int, int], side: int) -> None:
        rng = np.random.default_rng(seed)
        images, kernels = rng.random((4, 3, *size)), rng.random((3, side, side)).astype(np.float32)
        index = rng.integers(0, 3, 4)
        made = transformed(images, index, kernels)
        for image, label, result in zip(images, index, made, strict=True):
            np.testing.assert_allclose(result, by_loops(image, kernels[label]), atol=1e-5)

    def test_cuda_scales_every_image_to_a_largest_value_of_one(self):
        images = np.random.default_rng(0).random((5, 3, 6, 6)) * np.linspace(0.1, 1, 5)[:, None, None, None]
        kernels = craft(sample_images()).state["kernels"]
        made = transformed(images, np.zeros(5, np.int64), kernels)
        assert made.max((1, 2, 3)).tolist() == [1] * 5
        alone = transformed(images[2:3], np.zeros(1, np.int64), kernels)
        np.testing.assert_array_equal(made[2:3], alone)

    def test_cuda_keeps_black_images(self):
        assert not transformed(np.zeros((2, 3, 4, 4)), np.zeros(2, np.int64), np.ones((1, 3, 3), np.float32)).any()

    def test_cuda_keeps_grey_images_grey(self):
        grey = np.repeat(np.random.default_rng(0).random((3, 1, 5, 5)), 3, axis=1)
        made = transformed(grey, np.arange(3), craft(sample_images()).state["kernels"])
        assert (made == made[:, :1]).all()


class TestKernels:
    @given(st.sampled_from([1, 3, 5, 9]), st.floats(0, 0.9), st.integers(0, 99))
    @settings(max_examples=20)
    def test_kernels_have_one_entry_of_one_and_others_within_blur(self, side: int, blur: float, seed: int) -> None:
        kernels = craft(sample_images(), seed, kernel=side, blur=blur).state["kernels"]
        assert kernels.shape == (3, side, side)
        flat = np.sort(kernels.reshape(3, -1), axis=1)
        assert (flat[:, -1] == 1).all()
        assert (flat[:, :-1] >= 0).all()
        assert (flat[:, :-1] <= np.float32(blur)).all()

    def test_kernels_differ_between_classes(self):
        classes = 200
        flat = craft(sample_images(classes, (1, 1), classes)).state["kernels"].reshape(classes, 9)
        assert np.bincount(flat.argmax(1), minlength=9).min() > 5
        others = flat[flat < 1]
        assert others.min() < 0.01
        assert others.max() > 0.29
        assert others.mean() == pytest.approx(0.15, abs=0.01)

    def test_cuda_presets_are_the_papers(self):
        small, large = (CUDAParams.resolve("cuda", preset) for preset in (None, "imagenet"))
        assert (small.kernel, small.blur, large.kernel, large.blur) == (3, 0.3, 9, 0.06)

    def test_cuda_refuses_even_kernels(self):
        with pytest.raises(UsageError, match="odd side to have a middle, not 4"):
            CUDAParams.resolve("cuda", options={"kernel": "4"})


class TestClassWiseConvolution:
    def test_cuda_release_equals_the_transformed_set(self):
        train, component, run = sample_images(20, (10, 14)), ClassWiseConvolution(CUDAParams()), make_run()
        made = component.craft(train, run)
        index = component.assign(train.with_labels(None), train.known_labels, made.state, run)
        release = make_release(made, train, UNBOUNDED)
        expected = transformed(train.images.astype(np.float32) / np.float32(255), index.copy(), made.state["kernels"])
        np.testing.assert_array_equal(
            materialise(train.images, release.changes, release.index), np.rint(expected * np.float32(255))
        )
        assert component.assign(train.with_labels(None), None, made.state, run) is None

    def test_cuda_images_of_a_class_share_a_kernel_in_any_set(self):
        train = sample_images(12, (8, 8))
        made = craft(train)
        for few in (np.array([5]), np.flatnonzero(train.known_labels == 1)):
            np.testing.assert_array_equal(craft(train.subset(few)).delta, made.delta[few])

    def test_cuda_does_not_depend_on_block_size(self, monkeypatch):
        train = sample_images(11, (5, 4))
        whole = craft(train).delta
        monkeypatch.setattr(cuda, "_VALUES", 4 * 3 * 5 * 4)
        np.testing.assert_array_equal(craft(train).delta, whole)

    def test_cuda_blurs_clusters_given_as_craft_labels(self):
        same = np.tile(sample_images(2, (6, 6)).images[:1] + 90, (12, 1, 1, 1))
        same[:, :, 2, 3] = 255
        clusters = np.arange(12, dtype=np.int64) % 4
        delta = craft(ImageSet(same, clusters, tuple("abcd"))).delta
        assert len(np.unique(delta.reshape(12, -1), axis=0)) == 4
        np.testing.assert_array_equal(delta[:4], delta[4:8])

    def test_cuda_depends_on_the_seed(self):
        train = sample_images()
        np.testing.assert_array_equal(craft(train).delta, craft(train).delta)
        assert (craft(train).delta != craft(train, seed=1).delta).any()
