"""Resizing inside a craft's graph: torch's values, exact gradients, float32, repeatable."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from ucbench.errors import ContractError
from ucbench.training.resize import resize

MODES = ("bilinear", "bicubic")


def images(*shape: int, dtype: torch.dtype = torch.float32, seed: int = 0) -> torch.Tensor:
    return torch.rand(*shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


@given(
    source=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    target=st.tuples(st.integers(1, 60), st.integers(2, 60)),  # to a width of 1, torch leaves the height undone
    mode=st.sampled_from(MODES),
)
@settings(max_examples=80)
def test_resize_equals_antialiased_interpolation(source, target, mode):
    x = images(2, 3, *source, dtype=torch.float64)
    expected = F.interpolate(x, target, mode=mode, antialias=True, align_corners=False)
    torch.testing.assert_close(resize(x, target, mode), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("source", "target"), [((32, 32), (96, 96)), ((96, 64), (24, 50))])
def test_resize_in_float32_equals_antialiased_interpolation(source, target, mode):
    x = images(2, 3, *source)
    expected = F.interpolate(x, target, mode=mode, antialias=True, align_corners=False)
    torch.testing.assert_close(resize(x, target, mode), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("target", [(7, 3), (3, 9)])
def test_resize_gradients_are_exact(target, mode):
    x = images(2, 1, 5, 6, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: resize(x, target, mode), (x,))
    assert torch.autograd.gradgradcheck(lambda x: resize(x, target, mode) ** 2, (x,))


def test_resize_keeps_constant_images():
    x = torch.full((1, 3, 30, 17), 0.25)
    torch.testing.assert_close(resize(x, (13, 51)), torch.full((1, 3, 13, 51), 0.25))


def test_resize_handles_a_single_column():
    x = images(1, 3, 9, 1)
    torch.testing.assert_close(resize(x, (20, 1)), resize(x.expand(1, 3, 9, 4), (20, 4))[..., :1])


def test_resize_keeps_a_side_of_equal_length():
    x = images(2, 3, 16, 20)
    assert torch.equal(resize(x, (16, 20)), x)
    assert torch.equal(resize(x, (16, 9)).flip(2), resize(x.flip(2), (16, 9)))


def test_resize_values_and_gradients_repeat_exactly():
    def once() -> tuple[torch.Tensor, torch.Tensor]:
        x = images(4, 3, 32, 32).requires_grad_()
        y = resize(x, (96, 96))
        y.square().sum().backward()
        return y.detach(), x.grad

    (y, gradient), (again, gradient_again) = once(), once()
    assert torch.equal(y, again)
    assert torch.equal(gradient, gradient_again)


def test_resize_is_independent_of_other_images_in_the_batch():
    x = images(6, 3, 32, 32)
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    torch.testing.assert_close(resize(x[order], (80, 48)), resize(x, (80, 48))[order], rtol=0, atol=1e-6)


def test_resize_is_independent_of_memory_format():
    x = images(3, 3, 12, 20)
    torch.testing.assert_close(resize(x.contiguous(memory_format=torch.channels_last), (30, 25)), resize(x, (30, 25)))


def test_resize_keeps_precision_under_autocast():
    x = images(2, 3, 32, 32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = resize(x, (96, 96))
    assert y.dtype == torch.float32
    assert torch.equal(y, resize(x, (96, 96)))


def test_resize_weights_built_in_inference_mode_allow_backward():
    side = 37  # a side that no other test has put into the cache
    with torch.inference_mode():
        resize(images(1, 3, side, side), (side + 4, side + 4))
    x = images(1, 3, side, side).requires_grad_()
    resize(x, (side + 4, side + 4)).sum().backward()
    assert x.grad is not None


@pytest.mark.parametrize(
    ("x", "size"),
    [
        (torch.rand(3, 8, 8), (4, 4)),
        (torch.rand(1, 3, 8, 8).bfloat16(), (4, 4)),
        (torch.zeros(1, 3, 8, 8, dtype=torch.uint8), (4, 4)),
        (torch.rand(1, 3, 8, 8), (0, 4)),
    ],
)
def test_resize_raises_on_invalid_input(x, size):
    with pytest.raises(ContractError, match="resize takes"):
        resize(x, size)
