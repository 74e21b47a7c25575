"""Views of SimCLR: colours as torchvision defines them, windows where they should be, chance for every image."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from ucbench.training.contrastive import (
    ContrastiveViews,
    blurred,
    brightness,
    contrast,
    grey,
    hue,
    jittered,
    on_share,
    saturation,
    windowed,
)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def random_images(count: int = 8, size: tuple[int, int] = (12, 9), seed: int = 0) -> Tensor:
    return torch.rand((count, 3, *size), generator=seeded(seed))


class TestColour:
    @pytest.mark.parametrize(
        ("change", "reference", "amounts"),
        [
            (brightness, "adjust_brightness", (0.0, 0.4, 1.0, 1.8)),
            (contrast, "adjust_contrast", (0.0, 0.4, 1.0, 1.8)),
            (saturation, "adjust_saturation", (0.0, 0.4, 1.0, 1.8)),
            (hue, "adjust_hue", (-0.2, -0.1, 0.0, 0.13, 0.5)),
        ],
    )
    def test_colour_changes_equal_torchvision(self, change, reference, amounts):
        from torchvision.transforms.v2 import functional

        x = random_images(len(amounts))
        x[0], x[1, :, 0] = 0.5, 1.0
        expected = [getattr(functional, reference)(image, amount) for image, amount in zip(x, amounts, strict=True)]
        torch.testing.assert_close(change(x, torch.tensor(amounts)), torch.stack(expected), rtol=0, atol=2e-4)

    def test_jittered_draws_amounts_and_order_per_image(self):
        x, generator = random_images(24), seeded()
        amounts = torch.tensor([1.0, 1, 1, 0]) + torch.tensor([0.4, 0.4, 0.4, 0.1]) * (
            2 * torch.rand(24, 4, generator=generator) - 1
        )
        orders = torch.rand(24, 4, generator=generator).argsort(1)
        expected = []
        for image, order, amount in zip(x, orders.tolist(), amounts, strict=True):
            image = image[None]
            for which in order:
                image = (brightness, contrast, saturation, hue)[which](image, amount[which : which + 1])
            expected.append(image[0])
        torch.testing.assert_close(jittered(x, 0.5, seeded()), torch.stack(expected))
        assert len({tuple(order) for order in orders.tolist()}) > 8

    @given(st.integers(1, 9), st.sampled_from([0.5, 1.0, 1.25]), st.integers(0, 2**32))
    @settings(max_examples=20)
    def test_jittered_stays_in_range(self, count, strength, seed):
        x = random_images(count, seed=seed).round(decimals=1)
        after = jittered(x, strength, seeded(seed))
        assert after.shape == x.shape
        assert after.min() >= 0
        assert after.max() <= 1

    def test_jittered_of_strength_zero_changes_nothing(self):
        torch.testing.assert_close(jittered(random_images(), 0.0, seeded()), random_images(), rtol=0, atol=1e-5)

    def test_hue_and_grey_keep_grey_images(self):
        x = random_images()[:, :1].expand(-1, 3, -1, -1)
        torch.testing.assert_close(hue(x, torch.linspace(-0.5, 0.5, 8)), x)
        torch.testing.assert_close(grey(x), x[:, :1])


class TestWindows:
    def test_windowed_resizes_the_content_of_each_window(self):
        x = random_images(2, (16, 24))
        sides, corners = torch.tensor([[0.5, 0.25], [0.25, 0.5]]), torch.tensor([[0.25, 0.5], [0.75, 0.0]])
        seen = windowed(x, sides, corners, torch.tensor([False, True]))
        first = F.interpolate(x[:1, :, 4:12, 12:18], size=(16, 24), mode="bilinear")
        second = F.interpolate(x[1:, :, 12:16, 0:12], size=(16, 24), mode="bilinear").flip(3)
        # At the edges of a window its neighbours in the image count too.
        inner = slice(2, -2), slice(2, -2)
        torch.testing.assert_close(seen[0, :, *inner], first[0, :, *inner])
        torch.testing.assert_close(seen[1, :, *inner], second[0, :, *inner])

    def test_windowed_of_the_whole_image_is_the_image_or_its_mirror(self):
        x, whole, corner = random_images(), torch.ones(8, 2), torch.zeros(8, 2)
        torch.testing.assert_close(windowed(x, whole, corner, torch.zeros(8, dtype=torch.bool)), x)
        torch.testing.assert_close(windowed(x, whole, corner, torch.ones(8, dtype=torch.bool)), x.flip(3))

    @pytest.mark.parametrize(("size", "crop"), [((32, 32), 0.08), ((32, 32), 0.5), ((20, 28), 0.2), ((10, 40), 0.08)])
    def test_windows_have_areas_and_ratios_in_range_and_lie_inside(self, size, crop):
        sides, corners, _ = ContrastiveViews(size, flip=True, crop=crop)._windows(4000, seeded())
        assert corners.min() >= 0
        assert (corners + sides).max() <= 1 + 1e-6
        cut = (sides == 1).any(1)
        area, ratio = sides.prod(1)[~cut], (sides[:, 1] / sides[:, 0] * size[1] / size[0])[~cut]
        assert (area.min() >= crop * (1 - 1e-5)) & (area.max() <= 1)
        assert (ratio.min() >= 3 / 4 - 1e-4) & (ratio.max() <= 4 / 3 + 1e-4)
        if size == (32, 32):
            assert cut.float().mean() < 0.01
            # Uniform in area but for what does not fit; centred on the image.
            assert area.mean() == pytest.approx((1 + crop) / 2, abs=0.06)
            assert (corners + sides / 2).mean() == pytest.approx(0.5, abs=0.02)

    def test_windows_of_crop_one_show_almost_the_whole_image(self):
        sides, corners, _ = ContrastiveViews((32, 32), flip=True, crop=1.0)._windows(50, seeded())
        assert sides.max() <= 1
        assert sides.min() > 0.8  # as long as the shape is free, the cut-off last resort
        assert (corners >= 0).all()


class TestBlur:
    def test_blurred_equals_a_gaussian_of_each_image_width(self):
        x = torch.zeros(2, 3, 81, 81)
        x[:, :, 40, 40] = 1
        sigma = torch.tensor([0.5, 2.0])
        after = blurred(x, sigma)
        taps = torch.arange(-4, 5)
        for image, width in zip(after, sigma, strict=True):
            line = torch.exp(-0.5 * (taps / width) ** 2)
            line = line / line.sum()
            torch.testing.assert_close(image[0, 36:45, 36:45], line[:, None] * line)
        torch.testing.assert_close(after.sum((2, 3)), torch.ones(2, 3))

    def test_blurred_keeps_a_constant_image_up_to_its_border(self):
        x = torch.full((3, 3, 70, 2), 0.3)
        torch.testing.assert_close(blurred(x, torch.tensor([0.1, 1.0, 2.0])), x)

    def test_views_blur_and_jitter_more_above_64_pixels(self):
        small, large = (ContrastiveViews((side, side), flip=True, crop=0.2) for side in (64, 65))
        assert (small.blur, small.strength) == (False, 0.5)
        assert (large.blur, large.strength) == (True, 1.0)
        assert ContrastiveViews((65, 65), flip=True, crop=0.2, strength=0.0).strength == 0


class TestViews:
    @given(
        st.integers(1, 6),
        st.sampled_from([(8, 8), (5, 17), (1, 1), (66, 6)]),
        st.booleans(),
        st.sampled_from([0.08, 1.0]),
        st.integers(0, 2**32),
    )
    @settings(max_examples=25)
    def test_views_keep_shape_and_range_and_modify_no_input(self, count, size, flip, crop, seed):
        x = random_images(count, size, seed)
        x[0], kept = 1.0, x.clone()
        kept[0] = 1.0
        after = ContrastiveViews(size, flip=flip, crop=crop)(x, seeded(seed))
        assert (after.shape, after.dtype) == (x.shape, torch.float32)
        assert torch.isfinite(after).all()
        assert after.min() >= 0
        assert after.max() <= 1
        assert torch.equal(x, kept)

    def test_views_depend_only_on_the_generator(self):
        x, views = random_images(), ContrastiveViews((12, 9), flip=True, crop=0.2)
        generator, torch_state = seeded(), torch.get_rng_state()
        first = views(x, generator)
        assert torch.equal(first, views(x, seeded()))
        assert (first != views(x, generator)).flatten(1).any(1).all()
        assert torch.equal(torch_state, torch.get_rng_state())

    def test_views_of_copies_differ(self):
        after = ContrastiveViews((12, 9), flip=True, crop=0.2)(random_images(1).expand(20, -1, -1, -1), seeded())
        assert len(torch.unique(after.flatten(1), dim=0)) == 20

    def test_views_keep_the_order_of_images(self):
        levels = torch.linspace(0.1, 0.9, 9)
        x = levels[:, None, None, None].expand(-1, 3, 10, 10)
        after = ContrastiveViews((10, 10), flip=True, crop=0.2, strength=0.0)(x, seeded())
        torch.testing.assert_close(after, x.contiguous())

    @pytest.mark.parametrize("flip", [True, False])
    def test_views_mirror_half_of_the_images_only_if_allowed(self, flip):
        x = torch.linspace(0, 1, 16).expand(400, 3, 16, 16)
        after = ContrastiveViews((16, 16), flip=flip, crop=0.2, strength=0.0)(x, seeded())
        mirrored = (after[..., 0] > after[..., -1]).flatten(1).all(1).float().mean()
        assert mirrored == (pytest.approx(0.5, abs=0.08) if flip else 0)

    def test_views_turn_a_fifth_grey_and_jitter_four_fifths(self):
        x = torch.tensor([0.8, 0.4, 0.2])[:, None, None].expand(2000, 3, 4, 4)
        after = ContrastiveViews((4, 4), flip=True, crop=0.2)(x, seeded()).flatten(2).mean(2)
        grey = (after.amax(1) - after.amin(1)) < 1e-4
        kept = (after - x[0, :, 0, 0]).abs().amax(1) < 1e-4
        spread = 4 * math.sqrt(0.16 / 2000)
        assert grey.float().mean() == pytest.approx(0.2, abs=spread)
        assert kept.float().mean() == pytest.approx(0.2 * 0.8, abs=spread)


class TestShares:
    def test_on_share_changes_only_the_chosen_images_possibly_none(self):
        x = random_images(200, (2, 2))
        after = on_share(x, 0.3, seeded(), lambda some: some + 2)
        changed = (after > 1).flatten(1).all(1)
        assert 30 < changed.sum() < 90
        assert torch.equal(after[~changed], x[~changed])
        torch.testing.assert_close(after[changed], x[changed] + 2)
        assert on_share(x, 0.0, seeded(), lambda some: some[:0]) is x

    def test_views_of_images_with_a_gradient_equal_those_without_and_pass_it(self):
        x, views = random_images(), ContrastiveViews((12, 9), flip=True, crop=0.2, blur=True)
        plain = views(x, seeded())
        moving = x.clone().requires_grad_()
        shown = views(moving, seeded())
        torch.testing.assert_close(shown.detach(), plain, rtol=0, atol=1e-4)
        (gradient,) = torch.autograd.grad(shown.sum(), moving)
        assert torch.isfinite(gradient).all()
        assert gradient.flatten(1).any(1).all()

    def test_views_jitter_and_grey_less_often_by_the_factor(self):
        x = torch.tensor([0.2, 0.5, 0.7])[:, None, None].expand(2000, 3, 4, 4)  # which no crop changes
        seen = ContrastiveViews((4, 4), flip=False, crop=1.0, often=0.5)(x, seeded())
        grey_share = (seen - seen.mean(1, keepdim=True)).abs().amax((1, 2, 3)) < 1e-6
        same_share = (seen - x).abs().amax((1, 2, 3)) < 1e-6
        assert grey_share.float().mean() == pytest.approx(0.1, abs=0.03)
        assert same_share.float().mean() == pytest.approx(0.6 * 0.9, abs=0.04)
