"""Learning rates by step."""

from __future__ import annotations

import math

from ucbench.training.recipe import Recipe


def cosine(start: float, end: float, step: float, steps: float = 1) -> float:
    """The value at ``step`` of ``steps`` on half a cosine from ``start`` (step 0) to ``end`` (step ``steps``).

    With ``steps`` left at 1, ``step`` is the share in [0, 1] that is done.
    """
    return end + 0.5 * (start - end) * (1 + math.cos(math.pi * step / steps))


def learning_rate(recipe: Recipe, step: int, steps_per_epoch: int) -> float:
    """The rate of optimiser step ``step`` (from 0)."""
    total = recipe.epochs * steps_per_epoch
    warm = round(recipe.warmup * total)
    if step < warm:
        return recipe.lr * (step + 1) / warm
    if recipe.schedule == "cosine":
        return cosine(recipe.lr, recipe.final_lr, (step - warm) / max(1, total - warm))
    if recipe.schedule == "step":
        passed = sum(step >= milestone * steps_per_epoch for milestone in recipe.milestones)
        return float(recipe.lr * recipe.gamma**passed)
    return recipe.lr
