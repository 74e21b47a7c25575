"""Reflection padding against numpy's, and its gradient."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from ucbench.training.padding import reflect_pad


@given(
    st.tuples(st.integers(1, 7), st.integers(1, 7)),
    st.integers(0, 30),
    st.sampled_from([torch.uint8, torch.float32, torch.float64]),
)
@settings(max_examples=80)
def test_reflect_pad_equals_numpy_also_beyond_the_side(size, margin, dtype):
    x = torch.randint(256, (2, 3, *size), generator=torch.Generator().manual_seed(0)).to(dtype)
    padded = reflect_pad(x, margin)
    assert padded.dtype == dtype
    widths = [(0, 0), (0, 0), (margin, margin), (margin, margin)]
    np.testing.assert_array_equal(padded.numpy(), np.pad(x.numpy(), widths, mode="reflect"))


@pytest.mark.parametrize("dim", [0, 1, 2, -1])
def test_reflect_pad_pads_only_the_given_dimensions(dim):
    x = torch.rand(2, 3, 4, generator=torch.Generator().manual_seed(0))
    widths = [(0, 0)] * 3
    widths[dim] = (5, 5)
    np.testing.assert_array_equal(reflect_pad(x, 5, (dim,)).numpy(), np.pad(x.numpy(), widths, mode="reflect"))


@given(st.integers(2, 9), st.integers(2, 9), st.data())
@settings(max_examples=40)
def test_reflect_pad_and_its_gradient_equal_torch(height, width, data):
    pad = data.draw(st.integers(1, min(height, width) - 1))
    x = torch.rand(2, 3, height, width, dtype=torch.float64, requires_grad=True)
    ours, theirs = reflect_pad(x, pad), nn.ReflectionPad2d(pad)(x)
    assert torch.equal(ours, theirs)
    weights = torch.rand_like(ours)
    expected = torch.autograd.grad((theirs * weights).sum(), x)[0]
    torch.testing.assert_close(torch.autograd.grad((ours * weights).sum(), x)[0], expected)


def test_reflect_pad_gradient_counts_how_often_an_entry_appears():
    x = torch.arange(4.0, requires_grad=True)
    reflect_pad(x, 2, (0,)).sum().backward()
    assert x.grad.tolist() == [1, 3, 3, 1]


def test_reflect_pad_leaves_its_input_and_device():
    assert reflect_pad(torch.empty((1, 3, 4, 5), device="meta"), 2).shape == (1, 3, 8, 9)
    x = torch.arange(6).view(2, 3)
    reflect_pad(x, 4)
    assert torch.equal(x, torch.arange(6).view(2, 3))
