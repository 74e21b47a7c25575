"""Patterns of the working size on photos of any size."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from ucbench.errors import ContractError
from ucbench.protection.stretch import central_square, perturbed, stretched

RNG = np.random.default_rng(0)


def pattern(size: int, block: int = 1, level: int = 8) -> np.ndarray:
    blocks = RNG.choice(np.array([-level, level], np.int16), (3, -(-size // block), -(-size // block)))
    return np.ascontiguousarray(blocks.repeat(block, 1).repeat(block, 2)[:, :size, :size])


@pytest.mark.parametrize("size", [1, 5, 96])
def test_stretched_to_the_working_size_changes_nothing(size):
    changes = RNG.integers(-255, 256, (3, size, size)).astype(np.int16)
    np.testing.assert_array_equal(stretched(changes, size, size), changes)


@pytest.mark.parametrize(("size", "side"), [(12, 31), (12, 100), (7, 64), (24, 11), (24, 5), (96, 40), (8, 1)])
def test_stretched_square_is_torchs_bilinear_resize_rounded(size, side):
    changes = RNG.integers(-20, 21, (3, size, size)).astype(np.int16)
    exact = F.interpolate(
        torch.from_numpy(changes)[None].double(), (side, side), mode="bilinear", antialias=side < size
    )
    found = stretched(changes, side, side)
    assert np.abs(found - exact[0].numpy()).max() <= 0.5 + 1e-9


@pytest.mark.parametrize("side", [400, 1000])
def test_stretched_pattern_of_blocks_survives_being_reduced_with_antialiasing(side):
    changes = pattern(96, block=8)
    grey = np.full((side, side, 3), 128, np.uint8)
    reduced = Image.fromarray(perturbed(grey, changes)).resize((96, 96), Image.Resampling.BICUBIC)
    seen = np.asarray(reduced).transpose(2, 0, 1) - 128.0
    cosine = (seen * changes).sum() / np.sqrt(np.square(seen).sum() * np.square(changes.astype(float)).sum())
    assert cosine > 0.95


@given(st.integers(1, 20), st.integers(1, 60), st.integers(1, 60), st.data())
@settings(max_examples=60)
def test_stretched_rows_equal_those_of_the_whole(size, height, width, data):
    changes = RNG.integers(-16, 17, (3, size, size)).astype(np.int16)
    whole = stretched(changes, height, width)
    assert whole.shape == (3, height, width)
    assert np.abs(whole).max() <= np.abs(changes).max()
    start = data.draw(st.integers(0, height - 1))
    stop = data.draw(st.integers(start + 1, height))
    np.testing.assert_array_equal(stretched(changes, height, width, slice(start, stop)), whole[:, start:stop])


@pytest.mark.parametrize(("height", "width"), [(40, 97), (97, 40), (40, 41), (30, 300)])
def test_stretched_pattern_lies_on_the_central_square_and_repeats_along_the_longer_side(height, width):
    changes, side = pattern(16), min(height, width)
    whole = stretched(changes, height, width)
    square = central_square(whole.transpose(1, 2, 0)).transpose(2, 0, 1)
    np.testing.assert_array_equal(square, stretched(changes, side, side))
    axis = 1 if height > width else 2
    head, tail = np.split(whole, [whole.shape[axis] - side], axis)
    np.testing.assert_array_equal(head, np.split(whole, [side], axis)[1])
    assert head.shape[axis] + tail.shape[axis] == max(height, width)


@pytest.mark.parametrize("block_values", [1, 500, 10**6])
def test_perturbed_adds_and_clips_whatever_the_blocks(block_values, monkeypatch):
    monkeypatch.setattr("ucbench.protection.stretch.BLOCK_VALUES", block_values)
    changes, pixels = pattern(8, level=40), RNG.integers(0, 256, (33, 50, 3)).astype(np.uint8)
    pixels[:5], pixels[-5:] = 0, 255
    before = pixels.copy()
    expected = np.clip(pixels.astype(int) + stretched(changes, 33, 50).transpose(1, 2, 0), 0, 255)
    np.testing.assert_array_equal(perturbed(pixels, changes), expected)
    np.testing.assert_array_equal(pixels, before)


def test_stretched_half_levels_go_to_even_on_both_sides_of_zero():
    """Twice as large, pixels 1 and 2 hold three quarters and one quarter of the first: 1.5 and 0.5 of 2 levels."""
    changes = np.zeros((3, 2, 2), np.int16)
    changes[0, :, 0], changes[1, :, 0] = 2, -2
    wide = stretched(changes, 4, 4)
    assert wide[0, 0].tolist() == [2, 2, 0, 0]
    assert wide[1, 0].tolist() == [-2, -2, 0, 0]


@pytest.mark.parametrize(
    "wrong", [np.zeros((3, 4, 5), np.int16), np.zeros((4, 4, 4), np.int16), np.zeros((3, 4, 4), np.int32)]
)
def test_stretched_refuses_patterns_of_another_form(wrong):
    with pytest.raises(ContractError, match=r"int16 \[3, W, W\]"):
        stretched(wrong, 9, 9)


def test_perturbed_refuses_photos_of_another_form():
    with pytest.raises(ContractError, match=r"uint8 \[H, W, 3\]"):
        perturbed(np.zeros((9, 9), np.uint8), pattern(4))
