"""Scopes that seed the global generators or set torch's arithmetic, and put everything back."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch

from ucbench.numerics import Numerics
from ucbench.training.determinism import deterministic, seeded


def draw() -> tuple[float, float, float]:
    return torch.rand(()).item(), float(np.random.rand()), random.random()


@pytest.mark.parametrize("seed", [0, 7, 2**63 - 1])
def test_seeded_draws_are_independent_of_earlier_draws(seed):
    with seeded(seed):
        first = draw()
    draw()
    with seeded(seed):
        assert draw() == first
    with seeded(seed ^ 1):
        assert all(a != b for a, b in zip(draw(), first, strict=True))


@pytest.mark.parametrize("raises", [False, True])
def test_seeded_restores_global_generators(raises):
    with seeded(3):
        expected = [draw(), draw()]
    with seeded(3):
        found = [draw()]
        try:
            with seeded(4):
                draw()
                if raises:
                    raise RuntimeError
        except RuntimeError:
            pass
        found.append(draw())
    assert found == expected


def settings() -> tuple[object, ...]:
    return (
        torch.get_num_threads(),
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
        torch.backends.cudnn.benchmark,
    )


def test_deterministic_sets_torch_and_restores_it():
    before = settings()
    with deterministic(Numerics("cpu", "float32", threads=1, deterministic=True)):
        assert settings() == (1, True, True, False)
        with deterministic(Numerics("cpu", "float32", threads=2, deterministic=False)):
            assert settings()[:2] == (2, False)
            assert torch.backends.cudnn.benchmark
        assert settings() == (1, True, True, False)
    assert settings() == before


def test_deterministic_restores_torch_after_an_error():
    before = settings()

    def fail() -> None:
        with deterministic(Numerics("cpu", "float32", threads=1)):
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert settings() == before
