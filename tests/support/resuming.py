"""Crafts that are interrupted: they go on from what they saved, and end as one that is not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ucbench.crafting.poisoner import CraftRun
from ucbench.testing import MemoryCheckpoint


def check_resumes(craft: Callable[[MemoryCheckpoint], tuple[Any, CraftRun]], steps: int) -> CraftRun:
    """Check that a craft, resumed from any of its states, does the rest alone and has the same result; its whole run.

    Args:
        craft: perturbations and run of a craft with this checkpoint.
        steps: states that it saves.
    """
    checkpoint = MemoryCheckpoint()
    whole, run = craft(checkpoint)
    assert [step for step, _ in checkpoint.saved] == list(range(1, steps + 1))
    assert steps > 0
    for state in checkpoint.saved:
        rest = MemoryCheckpoint(state)
        resumed, again = craft(rest)
        np.testing.assert_array_equal(resumed, whole)
        assert again.notes == run.notes
        assert [step for step, _ in rest.saved] == list(range(state[0] + 1, steps + 1))
    return run
