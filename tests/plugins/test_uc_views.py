"""Unlearnable Clusters: the crops and flips of images while crafting."""

from __future__ import annotations

import itertools

import pytest
import torch
import torch.nn.functional as F

from ucbench_uc.views import Views


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


@pytest.mark.parametrize("crop", ["resize", "reflect", "zeros"])
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
@pytest.mark.parametrize("crop", ["resize", "reflect", "zeros"])
def test_views_of_tiny_images_are_finite(crop, side):
    views = Views("images", crop, flip=True).drawn(torch.rand(20, 3, side, 7), torch.Generator().manual_seed(0))
    assert views.shape == (20, 3, side, 7)
    assert torch.isfinite(views).all()
    assert float(views.max()) <= 1 + 1e-6


def test_views_pass_gradients_to_the_pixels():
    x = torch.rand(2, 3, 5, 6, dtype=torch.float64, requires_grad=True)
    views = Views("perturbed", "resize", flip=True)
    assert torch.autograd.gradcheck(lambda x: views.drawn(x, torch.Generator().manual_seed(0)), x)
