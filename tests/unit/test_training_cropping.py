"""Crop and flip inside a graph: values and gradients as a plain loop, as scipy and as indexing have them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from torch import Tensor

from ucbench.training.cropping import CropFlip, shifted

FILL = torch.tensor([0.2, 0.5, 0.7], dtype=torch.float64)


def plain_view(image: Tensor, offset: list[float], mirrored: bool) -> Tensor:
    """One image ``[3, H, W]`` by bilinear interpolation, pixel by pixel."""
    _, height, width = image.shape

    def at(i: int, j: int) -> Tensor:
        return image[:, i, j] if 0 <= i < height and 0 <= j < width else FILL

    out = torch.empty_like(image)
    for i in range(height):
        for j in range(width):
            y, x = i + offset[0], (width - 1 - j if mirrored else j) + offset[1]
            top, left = int(np.floor(y)), int(np.floor(x))
            b, a = y - top, x - left
            upper = (1 - a) * at(top, left) + a * at(top, left + 1)
            lower = (1 - a) * at(top + 1, left) + a * at(top + 1, left + 1)
            out[:, i, j] = (1 - b) * upper + b * lower
    return out


@given(
    st.integers(1, 7),
    st.integers(1, 7),
    st.lists(st.tuples(st.floats(-4, 4), st.floats(-4, 4), st.booleans()), min_size=1, max_size=3),
)
@settings(max_examples=30)
def test_shifted_equals_bilinear_values_taken_pixel_by_pixel(height, width, moves):
    x = torch.rand(len(moves), 3, height, width, dtype=torch.float64)
    offsets = torch.tensor([move[:2] for move in moves], dtype=torch.float64)
    out = shifted(x, offsets, torch.tensor([move[2] for move in moves]), FILL)
    expected = [plain_view(image, list(move[:2]), move[2]) for image, move in zip(x, moves, strict=True)]
    torch.testing.assert_close(out, torch.stack(expected), rtol=0, atol=1e-12)


def test_shifted_equals_scipy_for_fractional_offsets():
    x, offsets = torch.rand(2, 3, 9, 12, dtype=torch.float64), torch.tensor([[1.3, -2.6], [-0.5, 0.25]]).double()
    out = shifted(x, offsets, torch.zeros(2, dtype=torch.bool), FILL)
    for b, c in np.ndindex(2, 3):
        one = ndimage.shift(x[b, c].numpy(), -offsets[b].numpy(), order=1, mode="grid-constant", cval=float(FILL[c]))
        np.testing.assert_allclose(out[b, c].numpy(), one, atol=1e-12)


def cut_by_index(x: Tensor, offsets: Tensor, mirrored: Tensor, padding: int) -> Tensor:
    """Pad by ``padding`` zeros and cut at ``offsets`` ``[B, 2]`` by index arithmetic."""
    height, width = x.shape[2:]
    columns = torch.arange(width).expand(len(x), -1)
    columns = torch.where(mirrored[:, None], width - 1 - columns, columns) + offsets[:, 1:]
    rows = torch.arange(height) + offsets[:, :1]
    padded = F.pad(x, (padding,) * 4).permute(0, 2, 3, 1)
    return padded[torch.arange(len(x))[:, None, None], rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 6), st.integers(0, 2**16))
@settings(max_examples=40)
def test_shifted_has_the_bits_of_indexing_for_whole_pixels(height, width, padding, seed):
    generator = torch.Generator().manual_seed(seed)
    x = torch.rand((5, 3, height, width), generator=generator).requires_grad_()
    offsets = torch.randint(0, 2 * padding + 1, (5, 2), generator=generator)
    mirrored = torch.rand(5, generator=generator) < 0.5
    weights = torch.randn(x.shape, generator=generator)
    results = []
    for made in (cut_by_index(x, offsets, mirrored, padding), shifted(x, offsets - padding, mirrored)):
        (gradient,) = torch.autograd.grad(made, x, weights)
        results.append((made, gradient))
    assert all(torch.equal(one, other) for one, other in zip(*results, strict=True))


def test_shifted_keeps_precision_under_autocast():
    x, still = torch.rand(2, 3, 9, 12), torch.zeros(2, dtype=torch.bool)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(shifted(x, torch.zeros(2, 2), still), x)


def test_shifted_with_a_scale_cuts_a_window_out_of_the_enlarged_image():
    x = torch.rand(2, 3, 14, 21, dtype=torch.float64)
    large = F.interpolate(x, scale_factor=8 / 7, mode="bilinear", align_corners=False)  # 16 x 24
    corners = torch.tensor([[0, 3], [2, 1]])
    out = shifted(x, corners * 7 / 8, torch.tensor([False, True]), scale=7 / 8, border="reflect")
    for image, enlarged, (top, left), mirror in zip(out, large, corners.tolist(), (False, True), strict=True):
        window = enlarged[:, top : top + 14, left : left + 21]
        inner = (window.flip(-1) if mirror else window)[:, 1:-1, 1:-1]  # at the border, interpolate repeats it
        torch.testing.assert_close(image[:, 1:-1, 1:-1], inner, rtol=0, atol=1e-12)


def test_shifted_with_reflection_equals_padding_and_cutting():
    x = torch.rand(3, 3, 6, 8, dtype=torch.float64)
    offsets = torch.tensor([[-2.0, 3.0], [0.0, -3.0], [2.0, 1.0]])
    out = shifted(x, offsets, torch.zeros(3, dtype=torch.bool), border="reflect")
    padded = F.pad(x, (3, 3, 3, 3), mode="reflect")
    for image, source, (down, right) in zip(out, padded, offsets.long().tolist(), strict=True):
        assert torch.equal(image, source[:, 3 + down : 9 + down, 3 + right : 11 + right])


@pytest.mark.parametrize("flip", [False, True])
def test_crop_flip_shows_every_whole_offset_up_to_an_eighth_of_the_shorter_side(flip):
    x = torch.rand(1, 3, 16, 24).expand(400, -1, -1, -1)
    seen = CropFlip((16, 24), flip=flip)(x, torch.Generator().manual_seed(0))
    padded = F.pad(x[:1], (2, 2, 2, 2))
    windows = [padded[:, :, top : top + 16, left : left + 24] for top in range(5) for left in range(5)]
    windows += [window.flip(-1) for window in windows] if flip else []
    counts = torch.stack([(seen == window).flatten(1).all(1).sum() for window in windows])
    assert counts.sum() == 400
    assert counts.min() > 0


def test_crop_flip_by_fractions_reaches_its_share_of_each_side():
    ramp = torch.linspace(0.2, 0.8, 40)[:, None].expand(300, 3, 40, 8)
    seen = CropFlip((40, 8), flip=False, whole=False)(ramp, torch.Generator().manual_seed(0))
    offsets = ((seen - ramp)[:, 0, 20, 4] / (0.6 / 39)).sort().values
    assert offsets[0] == pytest.approx(-5, abs=0.2)
    assert offsets[-1] == pytest.approx(5, abs=0.2)
    assert (offsets - offsets.round()).abs().mean() > 0.1
