"""Unlearnable Clusters: generators side by side equal separate ones and the released network; squashes."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from ucbench_uc.generator import GeneratorBank
from ucbench_uc.perturbations import squash


def bank(groups: int, height: int = 12, width: int = 12, channels: int = 4, blocks: int = 2) -> GeneratorBank:
    """A bank in float64, whose norms are not at their initial 1 and 0."""
    torch.manual_seed(0)
    made = GeneratorBank(torch.rand(groups, 3, height, width), channels, blocks).double()
    with torch.no_grad():
        for weight in made.parameters():
            weight.add_(0.1 * torch.rand_like(weight))
    return made


@given(st.integers(2, 40), st.integers(2, 40), st.integers(1, 3))
@settings(max_examples=25)
def test_generator_bank_outputs_have_the_image_size(height: int, width: int, groups: int) -> None:
    with torch.no_grad():
        out = GeneratorBank(torch.rand(groups, 3, height, width), width=2, blocks=1)()
    assert out.shape == (groups, 3, height, width)
    assert torch.isfinite(out).all()
    assert (out.std((2, 3)) > 0).all()


@pytest.mark.parametrize("size", [(12, 12), (6, 10)])
def test_generator_bank_equals_separate_generators(size):
    together = bank(3, *size)
    weights = torch.rand(3, 3, *size, dtype=torch.float64)
    outputs = together()
    (outputs * weights).sum().backward()
    noise = together.noise.reshape(3, 3, *together.noise.shape[2:])[..., : size[0], : size[1]]
    for k in range(3):
        single = GeneratorBank(noise[k : k + 1], 4, 2).double()
        for own, shared in zip(single.parameters(), together.parameters(), strict=True):
            own.data.copy_(shared.data.chunk(3)[k])
        output = single()
        torch.testing.assert_close(output[0], outputs[k], rtol=1e-9, atol=1e-12)
        (output * weights[k]).sum().backward()
        for own, shared in zip(single.parameters(), together.parameters(), strict=True):
            torch.testing.assert_close(own.grad, shared.grad.chunk(3)[k], rtol=1e-7, atol=1e-10)


def test_generator_bank_of_one_equals_the_released_network():
    """Batch norm in training mode on a batch of one, as the released code runs it."""

    class Residual(nn.Module):
        def __init__(self, channels: int) -> None:
            super().__init__()
            half = [
                nn.ReflectionPad2d(1),
                nn.Conv2d(channels, channels, 3, bias=False),
                nn.BatchNorm2d(channels),
            ]
            again = [nn.ReflectionPad2d(1), nn.Conv2d(channels, channels, 3, bias=False), nn.BatchNorm2d(channels)]
            self.layers = nn.Sequential(*half, nn.ReLU(), *again)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + self.layers(x)

    def norm(channels: int) -> list[nn.Module]:
        return [nn.BatchNorm2d(channels), nn.ReLU()]

    up = {"stride": 2, "padding": 1, "output_padding": 1, "bias": False}
    reference = nn.Sequential(
        nn.ReflectionPad2d(3), nn.Conv2d(3, 4, 7, bias=False), *norm(4),
        nn.Conv2d(4, 8, 3, stride=2, padding=1, bias=False), *norm(8),
        nn.Conv2d(8, 16, 3, stride=2, padding=1, bias=False), *norm(16),
        Residual(16), Residual(16),
        nn.ConvTranspose2d(16, 8, 3, **up), *norm(8),
        nn.ConvTranspose2d(8, 4, 3, **up), *norm(4),
        nn.ReflectionPad2d(3), nn.Conv2d(4, 3, 7),
    ).double().train()  # fmt: skip
    ours = bank(1, 16, 20)
    for theirs, own in zip(reference.parameters(), ours.parameters(), strict=True):
        theirs.data.copy_(own.data)
    torch.testing.assert_close(ours(), reference(ours.noise), rtol=1e-9, atol=1e-12)


RAW = torch.tensor([-3.0, -0.05, 0.0, 0.02, 3.0], dtype=torch.float64)


def squashed(name: str) -> tuple[torch.Tensor, torch.Tensor]:
    raw = RAW.clone().requires_grad_()
    value = squash(name, raw.tanh(), 0.1)
    return value.detach(), torch.autograd.grad(value.sum(), raw)[0]


def test_squash_clamp_has_no_gradient_where_it_binds():
    value, gradient = squashed("clamp")
    torch.testing.assert_close(value, RAW.tanh().clamp(-0.1, 0.1))
    assert (gradient != 0).tolist() == [False, True, True, True, False]


def test_squash_tanh_has_a_gradient_everywhere():
    value, gradient = squashed("tanh")
    torch.testing.assert_close(value, 0.1 * RAW.tanh())
    assert (gradient > 0).all()


def test_squash_straight_through_clamps_with_the_unclamped_gradient():
    value, gradient = squashed("straight-through")
    torch.testing.assert_close(value, squashed("clamp")[0])
    torch.testing.assert_close(gradient, 1 - RAW.tanh() ** 2)
