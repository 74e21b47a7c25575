"""Unlearnable Clusters: the crops and flips of images while crafting."""

from __future__ import annotations

import io
import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from ucbench_uc.params import UCParams
from ucbench_uc.views import Views, _windows


def places(x: torch.Tensor, views: torch.Tensor, sources: torch.Tensor) -> list[tuple[int, int, bool]]:
    """For each view the top, left and mirror with which it is a window of its source; borders are not compared."""
    height, width = x.shape[2:]
    tops, lefts = range(sources.shape[2] - height + 1), range(sources.shape[3] - width + 1)
    found = []
    for source, view in zip(sources, views, strict=True):
        for top, left, mirror in itertools.product(tops, lefts, (False, True)):
            window = source[:, top : top + height, left : left + width]
            window = window.flip(-1) if mirror else window
            if torch.allclose(view[:, 1:-1, 1:-1], window[:, 1:-1, 1:-1], atol=1e-5):
                found.append((top, left, mirror))
    return found


@pytest.mark.parametrize("flip", [True, False])
@pytest.mark.parametrize("crop", ["resize", "reflect", "zeros"])
def test_views_crop_and_mirror_each_image_at_every_place(crop, flip):
    x = torch.rand(300, 3, 14, 21)
    views = Views("images", crop, flip).drawn(x, torch.Generator().manual_seed(0))
    if crop == "resize":  # two more pixels per side of 14, three per side of 21
        sources, positions = F.interpolate(x, (16, 24), mode="bilinear", align_corners=False), 3 * 4
    else:  # an eighth and a seventh of 14, rounded
        sources, positions = F.pad(x, (2, 2, 2, 2), mode="reflect" if crop == "reflect" else "constant"), 5 * 5
    found = places(x, views, sources)
    assert len(found) == len(x)
    assert len(set(found)) == positions * (1 + flip)


@pytest.mark.parametrize("crop", ["resize", "reflect", "zeros", "scales"])
def test_views_show_black_borders_only_where_zeros_move_in(crop):
    views = Views("images", crop, flip=True).drawn(torch.ones(50, 3, 16, 16), torch.Generator().manual_seed(0))
    assert bool((views < 0.999).any()) is (crop == "zeros")


@pytest.mark.parametrize("augment", ["none", "images", "perturbed"])
def test_views_move_the_perturbation_only_where_perturbed_images_are_cropped(augment):
    x, delta = torch.full((1, 3, 16, 16), 0.5), 0.1 * torch.rand(1, 3, 16, 16)
    views = Views(augment, "resize", flip=True)
    seen = torch.cat([views.perturbed(x, delta, torch.Generator().manual_seed(k)) for k in range(8)]) - x
    assert torch.allclose(seen, delta, atol=1e-5) is (augment != "perturbed")


@pytest.mark.parametrize("side", [2, 3, 4, 5])
@pytest.mark.parametrize("crop", ["resize", "reflect", "zeros", "scales"])
def test_views_of_tiny_images_are_finite(crop, side):
    views = Views("images", crop, flip=True).drawn(torch.rand(20, 3, side, 7), torch.Generator().manual_seed(0))
    assert views.shape == (20, 3, side, 7)
    assert torch.isfinite(views).all()
    assert float(views.max()) <= 1 + 1e-6


@pytest.mark.parametrize("crop", ["resize", "scales"])
def test_views_pass_gradients_to_the_pixels(crop):
    x = torch.rand(2, 3, 5, 6, dtype=torch.float64, requires_grad=True)
    views = Views("perturbed", crop, flip=True)
    assert torch.autograd.gradcheck(lambda x: views.drawn(x, torch.Generator().manual_seed(0)), x)


def windows(size: tuple[int, int], count: int = 4000) -> torch.Tensor:
    """Top, left, height and width ``[count, 4]``, as shares of the sides, of the windows that ``scales`` shows.

    Read from images whose red and green are the places of their pixels. At the border a view mixes in a neighbour, so
    pixels two from it are read.
    """
    rows, columns = ((torch.arange(side, dtype=torch.float64) + 0.5) / side for side in size)
    places = torch.stack([rows[:, None].expand(size), columns.expand(size), torch.zeros(size)])
    generator = torch.Generator().manual_seed(0)
    shown = Views("images", "scales", flip=False).drawn(places.expand(count, -1, -1, -1), generator)
    first, last = shown[:, :2, 2, 2], shown[:, :2, -3, -3]
    shares = (last - first) * torch.tensor([side / (side - 5) for side in size])
    return torch.cat([(first + last) / 2 - shares / 2, shares], 1)


@pytest.mark.parametrize("size", [(24, 24), (20, 40)])
def test_scales_shows_windows_of_a_quarter_to_all_of_the_area_anywhere(size):
    top, left, height, width = windows(size).unbind(1)
    area, ratio = height * width, width / height
    assert 0.25 - 1e-3 < area.min() < 0.27
    assert 0.98 < area.max() < 1 + 1e-3
    assert area.mean() == pytest.approx(0.625, abs=0.02)
    assert 0.75 - 1e-3 < ratio.min() < 0.77
    assert 1.3 < ratio.max() < 4 / 3 + 1e-3
    for start, span in ((top, height), (left, width)):
        room = 1 - span
        place = (start / room)[room > 0.2]
        assert place.min() < 0.05
        assert place.max() > 0.95
        assert place.min() > -1e-2
        assert place.max() < 1.01


def test_scales_shows_the_window_as_torch_enlarges_it():
    x = torch.rand(6, 3, 16, 16, dtype=torch.float64)
    views = Views("images", "scales", flip=False).drawn(x, torch.Generator().manual_seed(1))
    scale, offsets = _windows(6, x.shape[2:], torch.Generator().manual_seed(1))
    for image, view, share, place in zip(x, views, scale.double(), offsets.double(), strict=True):
        # grid_sample takes places in [-1, 1] over the whole image.
        steps = (torch.arange(16, dtype=torch.float64) + 0.5) / 16
        rows, columns = (2 * (steps * share[k] + place[k] / 16) - 1 for k in range(2))
        grid = torch.stack(torch.meshgrid(columns, rows, indexing="xy"), -1)[None]
        expected = F.grid_sample(image[None], grid, align_corners=False)[0]
        torch.testing.assert_close(view[:, 1:-1, 1:-1], expected[:, 1:-1, 1:-1], rtol=0, atol=1e-6)


def test_jpeg_is_near_pillows_and_passes_gradients():
    ramp = torch.linspace(0, 1, 32)
    x = torch.stack([ramp.expand(32, 32), ramp[:, None].expand(32, 32), 0.5 * torch.ones(32, 32)])[None]
    x = (x + 0.05 * torch.randn(x.shape, generator=torch.Generator().manual_seed(0))).clamp(0, 1)
    file = io.BytesIO()
    Image.fromarray((x[0] * 255).round().byte().permute(1, 2, 0).numpy()).save(file, "JPEG", quality=50)
    expected = torch.from_numpy(np.array(Image.open(file))).permute(2, 0, 1) / 255
    x.requires_grad_()
    views = Views("none", "resize", flip=True, jpeg=50)
    seen = views.perturbed(x, torch.zeros_like(x), torch.Generator())
    assert (seen[0] - expected).abs().mean() < 0.2 * (x[0] - expected).abs().mean()
    (gradient,) = torch.autograd.grad(seen.square().sum(), x)
    assert gradient.abs().mean() > 0.1


@pytest.mark.parametrize("augment", ["images", "perturbed"])
def test_jpeg_compresses_what_is_perturbed_before_the_crop_of_perturbed_images(augment):
    x, delta = torch.rand(1, 3, 16, 16), 0.1 * torch.rand(1, 3, 16, 16)
    views, plain = Views(augment, "reflect", flip=True, jpeg=20), Views("none", "reflect", flip=True, jpeg=20)
    seen = views.perturbed(x, delta, torch.Generator().manual_seed(2))
    cropped = replace(views, jpeg=None)
    if augment == "perturbed":
        expected = cropped.drawn(plain.perturbed(x, delta, torch.Generator()), torch.Generator().manual_seed(2))
    else:
        drawn = cropped.drawn(x, torch.Generator().manual_seed(2))
        expected = plain.perturbed(drawn, delta, torch.Generator())
    torch.testing.assert_close(seen, expected)


@pytest.mark.parametrize(
    ("student", "expected"),
    [
        ("airbench@small", Views("perturbed", "reflect", True, reach=2)),
        ("resnet18:border=black", Views("perturbed", "zeros", True, reach=4)),
        ("resnet18@uc", Views("perturbed", "resize", True)),
        ("resnet18:enlarge=1.2,crop=0", Views("perturbed", "resize", True, enlarge=1.2)),
    ],
)
def test_crop_student_is_the_crop_of_its_recipe(student, expected):
    assert UCParams(crop="student", student=student).views((32, 32), flip=True) == expected


@pytest.mark.parametrize("flip", ["auto", "alternate", "always", "never"])
@pytest.mark.parametrize("data", [True, False])
def test_crop_student_mirrors_as_its_recipe(flip, data):
    views = UCParams(crop="student", student=f"resnet18:flip={flip}").views((32, 32), flip=data)
    assert views.flip is {"always": True, "never": False}.get(flip, data)


def test_resize_enlarges_by_the_factor_given():
    x = torch.rand(200, 3, 10, 10)
    views = Views("images", "resize", flip=False, enlarge=1.3).drawn(x, torch.Generator().manual_seed(0))
    found = places(x, views, F.interpolate(x, (13, 13), mode="bilinear", align_corners=False))
    assert len(found) == len(x)
    assert len(set(found)) == 4 * 4


def test_views_shift_by_the_reach_given():
    views = Views("perturbed", "reflect", False, reach=1)
    x = torch.arange(64.0).reshape(1, 1, 8, 8).expand(40, 3, 8, 8) / 64
    moved = views.drawn(x, torch.Generator().manual_seed(0))[:, 0, 4, 4] * 64 - 36
    assert {round(float(move)) for move in moved} == {8 * down + right for down in (-1, 0, 1) for right in (-1, 0, 1)}
