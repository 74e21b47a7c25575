"""Each squeezing against a plain reference, pixel by pixel."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from kornia import color, enhance, filters
from PIL import Image, ImageOps
from scipy import ndimage

from ucbench.plugins.registry import installed
from ucbench.testing import sample_images

SIZES = st.tuples(st.integers(1, 12), st.integers(1, 12))
SEEDS = st.integers(0, 2**32)


def noise(seed: int, size: tuple[int, int], count: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 3, *size), dtype=np.uint8)


def squeeze(reference: str, images: np.ndarray) -> np.ndarray:
    component = installed().resolve("defense", reference).build()
    made = component.squeeze(torch.from_numpy(images.copy()))
    assert made.dtype == torch.uint8
    return made.numpy()


def at_random(reference: str, images: np.ndarray, seed: int = 0) -> np.ndarray:
    component = installed().resolve("defense", reference).build()
    generator = torch.Generator().manual_seed(seed)
    return component.squeeze_at_random(torch.from_numpy(images.copy()), generator).numpy()


def to_pillow(image: np.ndarray) -> Image.Image:
    return Image.fromarray(np.ascontiguousarray(image.transpose(1, 2, 0)))


def pixels(image: Image.Image) -> np.ndarray:
    return np.asarray(image).transpose(2, 0, 1)


def through_a_file(image: np.ndarray, **options: object) -> np.ndarray:
    file = io.BytesIO()
    to_pillow(image).save(file, "JPEG", **options)
    with Image.open(io.BytesIO(file.getvalue())) as opened:
        return pixels(opened)


class TestJPEG:
    @given(SEEDS, st.tuples(st.integers(1, 40), st.integers(1, 40)), st.integers(1, 100))
    @settings(max_examples=15)
    def test_jpeg_equals_a_file_written_by_pillow(self, seed, size, quality):
        images = noise(seed, size)
        for image, made in zip(images, squeeze(f"jpeg:{quality}", images), strict=True):
            # As published: without a word on subsampling.
            np.testing.assert_array_equal(made, through_a_file(image, quality=quality))

    @pytest.mark.parametrize(("name", "number"), [("444", 0), ("422", 1), ("420", 2)])
    def test_jpeg_subsampling_is_pillows(self, name, number):
        images = noise(0, (16, 24))
        for image, made in zip(images, squeeze(f"jpeg:90:subsampling={name}", images), strict=True):
            np.testing.assert_array_equal(made, through_a_file(image, quality=90, subsampling=number))

    def test_jpeg_loses_colour_detail_only_by_subsampling(self):
        stripes = np.zeros((1, 3, 16, 16), np.uint8)
        stripes[:, 0, :, ::2], stripes[:, 2, :, 1::2] = 200, 200
        lost = {
            name: np.abs(squeeze(f"jpeg:100:subsampling={name}", stripes) - 1.0 * stripes) for name in ("444", "420")
        }
        assert lost["444"].mean() < 3
        assert lost["420"].mean() > 50

    def test_jpeg_at_random_draws_a_quality_per_image(self):
        image = noise(0, (16, 16), 1)
        made = at_random("jpeg:20:max_quality=23", np.repeat(image, 60, axis=0))
        expected = [squeeze(f"jpeg:{quality}", image)[0] for quality in range(20, 24)]
        drawn = [next(i for i, one in enumerate(expected) if (one == image).all()) for image in made]
        assert np.bincount(drawn, minlength=4).min() > 5

    def test_jpeg_at_random_with_one_quality_equals_fixed(self):
        images = noise(1, (8, 8))
        np.testing.assert_array_equal(at_random("jpeg:30:max_quality=30", images), squeeze("jpeg:30", images))


class TestDifferentiableJPEG:
    """kornia's codec, in the stages of ``jpeg@kornia``."""

    def photographs(self) -> torch.Tensor:
        """Eight images ``[8, 3, 32, 32]`` with the spectrum of photographs, in multiples of 1/255."""
        waves = torch.fft.rfft2(torch.randn(8, 3, 32, 32, generator=torch.Generator().manual_seed(0)))
        rows, columns = torch.fft.fftfreq(32)[:, None], torch.fft.rfftfreq(32)
        x = torch.fft.irfft2(waves / (rows.square() + columns.square()).sqrt().clamp(min=1 / 64), s=(32, 32))
        x = 0.7 * x + 0.8 * x.mean(1, keepdim=True)  # channels of photographs are correlated
        return (255 * (0.5 + 0.2 * x / x.std())).clamp(0, 255).round() / 255

    @pytest.mark.parametrize(("quality", "own_change"), [(10, 25), (50, 19), (90, 12)])
    def test_codec_is_three_levels_from_pillows(self, quality, own_change):
        """On average; and what Pillow changes, as the docstring says it."""
        x = self.photographs()
        pillow = torch.from_numpy(squeeze(f"jpeg:{quality}", (255 * x).round().byte().numpy())).float()
        levels = 255 * installed().resolve("defense", f"jpeg@kornia:quality={quality}").build().at_test(x)
        distance = (levels - pillow).abs()
        assert float(distance.mean()) == pytest.approx(3, abs=0.5)
        assert float(distance.quantile(0.99)) < 22
        assert float((pillow - 255 * x).abs().mean()) == pytest.approx(own_change, abs=1)

    @pytest.mark.parametrize("stage", ["augment", "at_test"])
    def test_gradient_is_the_slope(self, stage):
        component = installed().resolve("defense", "jpeg@kornia:quality=50").build()
        x, generator = 0.25 + 0.5 * self.photographs().double(), torch.Generator().manual_seed(1)
        weights, direction = (torch.randn(x.shape, generator=generator, dtype=x.dtype) for _ in range(2))

        def objective(x: torch.Tensor) -> torch.Tensor:
            out = component.at_test(x) if stage == "at_test" else component.augment(x, None, torch.Generator())
            return (out * weights).sum()

        (gradient,) = torch.autograd.grad(objective(x.requires_grad_()), x)
        with torch.no_grad():
            slope = (objective(x + 1e-7 * direction) - objective(x - 1e-7 * direction)) / 2e-7
        assert gradient.flatten(1).any(1).all()
        assert float(slope) == pytest.approx(float((gradient * direction).sum()), rel=1e-3)

    def test_codec_at_random_draws_a_quality_per_image(self):
        x = self.photographs()[:1].expand(30, -1, -1, -1)
        component = installed().resolve("defense", "jpeg:20:codec=kornia,max_quality=22").build()
        made = component.augment(x, None, torch.Generator().manual_seed(0))
        for quality in (20, 21, 22):
            expected = installed().resolve("defense", f"jpeg@kornia:quality={quality}").build().at_test(x[:1])
            assert int(((made - expected).abs().amax((1, 2, 3)) < 1e-4).sum()) > 4


class TestGrayscale:
    def test_grayscale_equals_pillows_grey(self):
        every_seventh = np.stack(np.meshgrid(*[np.append(np.arange(0, 256, 7), 255)] * 3)).astype(np.uint8)
        images = every_seventh.reshape(1, 3, 38, -1)
        made = squeeze("grayscale", images)
        np.testing.assert_array_equal(made[0], pixels(to_pillow(images[0]).convert("L").convert("RGB")))

    def test_grayscale_is_within_a_level_of_kornias(self):
        """kornia computes OpenCV's luma, of other integer weights: one in a thousand pixels rounds otherwise."""
        images = noise(0, (64, 64), 8)
        other = color.rgb_to_grayscale(torch.from_numpy(images)).numpy()
        distance = np.abs(squeeze("grayscale", images)[:, :1].astype(int) - other)
        assert distance.max() == 1
        assert 0.0005 < distance.mean() < 0.003

    def test_grayscale_keeps_grey_images(self):
        grey = np.arange(256, dtype=np.uint8).reshape(1, 1, 16, 16).repeat(3, axis=1)
        np.testing.assert_array_equal(squeeze("grayscale", grey), grey)

    def test_grayscale_at_random_share_is_the_probability(self):
        images = noise(0, (2, 2), 2000)
        made, grey = at_random("grayscale:probability=0.3", images), squeeze("grayscale", images)
        chosen = (made == grey).all((1, 2, 3))
        np.testing.assert_array_equal(made[~chosen], images[~chosen])
        assert chosen.mean() == pytest.approx(0.3, abs=0.04)


class TestBitDepth:
    VALUES = np.arange(256, dtype=np.uint8).reshape(1, 1, 16, 16).repeat(3, axis=1)

    @pytest.mark.parametrize("bits", range(1, 9))
    def test_bit_depth_floor_equals_posterize(self, bits):
        made = squeeze(f"bit-depth:{bits}", self.VALUES)[0]
        np.testing.assert_array_equal(made, pixels(ImageOps.posterize(to_pillow(self.VALUES[0]), bits)))
        assert len(np.unique(made)) == 2**bits
        kornias = enhance.posterize(torch.from_numpy(self.VALUES).float() / 255, bits)
        np.testing.assert_array_equal(made, (255 * kornias[0]).round().byte().numpy())

    @pytest.mark.parametrize("bits", range(1, 9))
    def test_bit_depth_nearest_takes_the_nearest_even_level(self, bits):
        made = squeeze(f"bit-depth:{bits}:rounding=nearest", self.VALUES)
        levels = np.linspace(0, 255, 2**bits)
        nearest = levels[np.abs(self.VALUES[..., None] - levels).argmin(-1)]
        np.testing.assert_array_equal(made, np.rint(nearest))

    def test_bit_depth_levels_of_two_bits(self):
        assert np.unique(squeeze("bit-depth", self.VALUES)).tolist() == [0, 64, 128, 192]
        assert np.unique(squeeze("bit-depth:rounding=nearest", self.VALUES)).tolist() == [0, 85, 170, 255]

    def test_bit_depth_floor_darkens_by_31_5_and_nearest_does_not(self):
        floor, nearest = (squeeze(f"bit-depth:rounding={how}", self.VALUES) for how in ("floor", "nearest"))
        assert self.VALUES.mean() - floor.mean() == 31.5
        assert self.VALUES.mean() == nearest.mean()

    @pytest.mark.parametrize("rounding", ["floor", "nearest"])
    def test_bit_depth_at_random_draws_bits_per_image(self, rounding):
        made = at_random(f"bit-depth:3:max_bits=5,rounding={rounding}", np.repeat(self.VALUES, 60, axis=0))
        expected = [squeeze(f"bit-depth:{bits}:rounding={rounding}", self.VALUES)[0] for bits in (3, 4, 5)]
        drawn = [next(i for i, one in enumerate(expected) if (one == image).all()) for image in made]
        assert np.bincount(drawn, minlength=3).min() > 8


class TestFilters:
    @given(SEEDS, SIZES, st.sampled_from([3, 5, 7, 9]))
    @settings(max_examples=30)
    def test_median_equals_scipy(self, seed, size, kernel):
        images = noise(seed, size)
        expected = ndimage.median_filter(images, size=(1, 1, kernel, kernel), mode="mirror")
        np.testing.assert_array_equal(squeeze(f"median:{kernel}", images), expected)

    @given(SEEDS, SIZES, st.sampled_from([3, 5, 7, 9]))
    @settings(max_examples=30)
    def test_mean_equals_scipy(self, seed, size, kernel):
        images = noise(seed, size)
        weights = np.ones((1, 1, kernel, kernel))
        total = ndimage.correlate(images.astype(np.float64), weights, mode="mirror")
        np.testing.assert_array_equal(squeeze(f"mean:{kernel}", images), np.rint(np.rint(total) / kernel**2))

    @pytest.mark.parametrize("kernel", [3, 5, 7])
    def test_median_equals_kornias(self, kernel):
        images = noise(kernel, (12, 9))
        other = filters.median_blur(torch.from_numpy(images).float(), kernel, border_type="reflect")
        np.testing.assert_array_equal(squeeze(f"median:{kernel}", images), other.byte().numpy())

    @pytest.mark.parametrize("kernel", [3, 5])
    def test_mean_under_autocast_is_exact(self, kernel):
        images = noise(kernel, (12, 9))
        expected = squeeze(f"mean:{kernel}", images)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            np.testing.assert_array_equal(squeeze(f"mean:{kernel}", images), expected)

    def test_median_of_nine_values_in_any_order(self):
        # A selection by comparisons is right if it is right on all inputs of zeros and ones.
        rows = (np.arange(512)[:, None] >> np.arange(9)) & 1
        images = np.repeat(rows.reshape(-1, 1, 3, 3), 3, axis=1).astype(np.uint8)
        made = squeeze("median", images)[:, :, 1, 1]
        np.testing.assert_array_equal(made, np.repeat(rows.sum(1, keepdims=True) > 4, 3, axis=1))

    def test_filters_reflect_at_the_border_without_repeating_it(self):
        row = np.array([0, 90, 30, 60], np.uint8).reshape(1, 1, 1, 4).repeat(3, axis=1)
        assert squeeze("mean", row)[0, 0, 0].tolist() == [60, 40, 60, 40]
        assert squeeze("median", row)[0, 0, 0].tolist() == [90, 30, 60, 30]

    @pytest.mark.parametrize("name", ["mean", "median"])
    def test_filters_keep_constant_extremes(self, name):
        for level in (0, 255):
            same = np.full((2, 3, 8, 8), level, np.uint8)
            np.testing.assert_array_equal(squeeze(f"{name}:7", same), same)


class TestResizing:
    @given(SEEDS, st.integers(1, 6), st.integers(1, 6), st.sampled_from([2, 3, 4]))
    @settings(max_examples=20)
    def test_resizing_interpolates_block_means(self, seed, rows, columns, factor):
        images = noise(seed, (rows * factor, columns * factor))
        small = F.avg_pool2d(torch.from_numpy(images).float(), factor)
        # With antialias, torch too takes a = -0.5, and enlarging has nothing to smooth.
        large = F.interpolate(small, images.shape[2:], mode="bicubic", antialias=True).clamp(0, 255).numpy()
        assert np.abs(squeeze(f"resize-down-up:{factor}", images) - large).max() <= 2.5

    def test_resizing_greys_a_checkerboard_and_keeps_large_areas(self):
        board = np.indices((16, 16)).sum(0) % 2 * 255
        images = np.stack([board, np.full((16, 16), 77), np.repeat([[20, 220]], 8, axis=1).repeat(16, axis=0)])
        made = squeeze("resize-down-up", images[:, None].repeat(3, axis=1).astype(np.uint8))
        assert set(np.unique(made[0])) <= {127, 128}
        assert (made[1] == 77).all()
        assert (made[2, :, :, :4] == 20).all()
        assert (made[2, :, :, -4:] == 220).all()

    @pytest.mark.parametrize("size", [(1, 1), (1, 5), (7, 9), (8, 8)])
    def test_resizing_returns_any_size(self, size):
        images = sample_images(4, size).images
        for factor in (2, 5, 50):
            assert squeeze(f"resize-down-up:{factor}", images).shape == images.shape

    def test_resizing_by_the_side_leaves_one_colour(self):
        made = squeeze("resize-down-up:8", noise(0, (8, 8)))
        assert (made == made[:, :, :1, :1]).all()
