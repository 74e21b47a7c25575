"""Scopes that seed the global generators or set torch's arithmetic, and put everything back."""

from __future__ import annotations

import os
import random

import numpy as np
import pytest
import torch

from ucbench.errors import ContractError
from ucbench.numerics import Numerics
from ucbench.testing import make_run
from ucbench.training.determinism import deterministic, guarded, seeded


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


def test_seed_of_fewer_bits_is_the_remainder_of_the_whole_one():
    run = make_run()
    assert 2**32 < run.seed("x") < 2**63
    assert run.seed("x", bits=32) == run.seed("x") % 2**32
    assert run.generator("x").initial_seed() == run.seed("x")


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


@pytest.mark.parametrize(("dtype", "allowed"), [("float32", False), ("bfloat16", True)])
def test_deterministic_rounds_no_convolution_of_float32_to_tf32(dtype, allowed):
    before = torch.backends.cudnn.allow_tf32
    with deterministic(Numerics("cpu", dtype, threads=1)):
        assert torch.backends.cudnn.allow_tf32 is allowed
    assert torch.backends.cudnn.allow_tf32 is before


def test_deterministic_restores_torch_after_an_error():
    before = settings()

    def fail() -> None:
        with deterministic(Numerics("cpu", "float32", threads=1)):
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert settings() == before


CHANGES = {
    "torch.set_num_threads": lambda: torch.set_num_threads(torch.get_num_threads() + 1),
    "torch.use_deterministic_algorithms": lambda: torch.use_deterministic_algorithms(True),
    "torch.set_default_dtype": lambda: torch.set_default_dtype(torch.float64),
    "torch.set_default_device": lambda: torch.set_default_device("meta"),
    "torch.set_grad_enabled": lambda: torch.set_grad_enabled(False),
    "torch.set_float32_matmul_precision": lambda: torch.set_float32_matmul_precision("medium"),
    "torch.set_flush_denormal": lambda: torch.set_flush_denormal(True),
    "torch.backends.mkldnn.enabled": lambda: setattr(torch.backends.mkldnn, "enabled", False),
    "torch.backends.cudnn.benchmark": lambda: setattr(torch.backends.cudnn, "benchmark", True),
    "torch.backends.cudnn.allow_tf32": lambda: setattr(torch.backends.cudnn, "allow_tf32", False),
    "numpy.seterr": lambda: np.seterr(all="raise"),
    "os.chdir": lambda: os.chdir("/"),
    "torch.nn.functional.cross_entropy": lambda: setattr(torch.nn.functional, "cross_entropy", len),
    "torch.matmul": lambda: setattr(torch, "matmul", len),
    "Module.__call__": lambda: setattr(torch.nn.Module, "__call__", len),
}


def global_state() -> tuple[object, ...]:
    return (
        *settings(), torch.get_default_dtype(), torch.zeros(1).device, torch.is_grad_enabled(), os.getcwd(),
        torch.get_float32_matmul_precision(), torch.backends.mkldnn.enabled, str(np.geterr()), 5e-324 * 1.0,
        torch.backends.cudnn.allow_tf32, torch.nn.functional.cross_entropy, torch.matmul, torch.nn.Module.__call__,
    )  # fmt: skip


@pytest.mark.parametrize("name", CHANGES)
def test_guarded_restores_what_a_component_changes_and_names_both(name):
    before = global_state()
    with pytest.raises(ContractError, match=f"Defense odd changed {name},"), guarded("Defense odd"):
        CHANGES[name]()
    assert global_state() == before


def test_guarded_restores_everything_after_an_error_which_comes_first():
    before = global_state()

    def fail() -> None:
        for change in CHANGES.values():
            change()
        raise KeyError("first")

    with pytest.raises(KeyError, match="first"), guarded("Defense odd"):
        fail()
    assert global_state() == before


def test_guarded_accepts_code_that_restores_what_it_sets():
    with guarded("Defense odd"), torch.no_grad():
        threads = torch.get_num_threads()
        torch.set_num_threads(threads + 1)
        torch.set_num_threads(threads)


def test_guarded_draws_depend_on_its_seed_alone():
    with guarded("one", 3):
        first = draw()
    draw()
    with guarded("two", 3):
        assert draw() == first
    with guarded("two", 4):
        assert draw() != first


def test_deterministic_sets_what_a_caller_may_have_changed():
    torch.set_default_dtype(torch.float64)
    try:
        with deterministic(Numerics("cpu", "float32", threads=1)), torch.no_grad():
            assert torch.zeros(1).dtype == torch.float32
        assert torch.get_default_dtype() == torch.float64
    finally:
        torch.set_default_dtype(torch.float32)


def test_note_that_is_no_json_is_refused_by_name():
    with pytest.raises(ContractError, match=r"Note 'losses': value\[1\] is nan"):
        make_run().note("losses", [1.0, float("nan")])
