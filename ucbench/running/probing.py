"""How long a training of a kind never done here would take, from a few timed steps of it."""

from __future__ import annotations

from typing import Any

import numpy as np

from ucbench.crafting.workbench import Session
from ucbench.exploit.train import Trainer, train
from ucbench.matrix.matrix import Cell
from ucbench.training import DefensePipeline, arithmetic
from ucbench.training.recipe import Recipe

#: Steps of the two trainings whose difference is timed: what every training costs once drops out.
FEW, MORE = 1, 3
#: A forward pass is a third of a training step.
_EVALUATED = 1 / 3


def probe_training(cell: Cell, session: Session) -> float | None:
    """Seconds that training and evaluating the cell's victim would take: from two timed steps on its own images.

    None for a victim without a recipe, whose steps nobody but itself knows. Nothing is stored. The metrics of a record
    and what a defense prepares but once are not part of it.
    """
    victim, recipe = cell.victim.build(), cell.victim.params
    if isinstance(victim, Trainer) or not isinstance(recipe, Recipe):
        return None
    data = session.data(cell)
    with arithmetic(session.numerics):
        few, more = (_timed(cell, session, count * recipe.batch) for count in (FEW, MORE))
    images = min(MORE * recipe.batch, len(data.train)) - min(FEW * recipe.batch, len(data.train))
    if images <= 0:
        return more * recipe.epochs  # the set is one batch
    each = max(more - few, 0.0) / images
    evaluations = -(-recipe.epochs // recipe.evaluate_every)
    return each * (len(data.train) * recipe.epochs + _EVALUATED * len(data.test) * evaluations)


def _timed(cell: Cell, session: Session, count: int) -> float:
    """Seconds of training on ``count`` images for one epoch, evaluations left out."""
    short: dict[str, Any] = {"epochs": 1, "milestones": (), "evaluate_every": 1}
    params = cell.victim.params.model_copy(update=short)
    victim = cell.victim.registry.component_class(cell.victim.spec)(params)
    pipeline = DefensePipeline([(str(part), part.build()) for part in cell.defense])
    data = session.data(cell)
    images = data.train.subset(np.arange(min(count, len(data.train))))
    run = session.context("probe", 0)
    return train(victim, images, data.test.subset(np.arange(1)), data.trusted, pipeline, run, session.engine).seconds
