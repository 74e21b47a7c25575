"""Runs of crafts with the smallest surrogate."""

from __future__ import annotations

from ucbench.crafting.poisoner import Checkpoint, CraftRun
from ucbench.crafting.surrogate import Surrogate
from ucbench.data.budget import Budget
from ucbench.testing import TinySurrogate, make_run


def craft_run(checkpoint: Checkpoint | None = None, epsilon: float = 8, surrogate: Surrogate | None = None) -> CraftRun:
    return make_run(budget=Budget("linf", epsilon), surrogate=surrogate or TinySurrogate(), checkpoint=checkpoint)
