"""Scopes that set global state: the generators' seeds, torch's threads and determinism."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator

import numpy as np
import torch

from ucbench.numerics import Numerics


@contextlib.contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed the global generators of torch, NumPy and Python within the block, and restore them after it."""
    python, legacy = random.getstate(), np.random.get_state()
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        random.seed(seed)
        np.random.seed(seed % 2**32)
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(legacy)


@contextlib.contextmanager
def deterministic(numerics: Numerics) -> Iterator[None]:
    """Apply thread count and determinism to torch within the block, and restore them after it."""
    threads, deterministic = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    warn_only, benchmark = torch.is_deterministic_algorithms_warn_only_enabled(), torch.backends.cudnn.benchmark
    torch.set_num_threads(numerics.threads)
    # warn_only: an operation without a deterministic form must not end a week-long run.
    torch.use_deterministic_algorithms(numerics.deterministic, warn_only=True)
    torch.backends.cudnn.benchmark = not numerics.deterministic
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(deterministic, warn_only=warn_only)
        torch.backends.cudnn.benchmark = benchmark
