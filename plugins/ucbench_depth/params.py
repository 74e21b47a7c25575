"""Recipes of shallow victims. Imports no torch.

Learning rates were chosen among three or four by accuracy on clean images held out of the training set of ``photos``
(``validation=0.25``, 410 images, one training each, which does not separate neighbouring rates). Epochs are few
enough for a laptop; accuracy still rose a little in the last ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field

from ucbench import PAPER_RECIPES, QUICK_RECIPE, Recipe

_PRESETS: Mapping[str, Mapping[str, Any]] = {"standard": {}, "quick": QUICK_RECIPE, **PAPER_RECIPES}


class LinearParams(Recipe):
    """The recipe of a linear classifier."""

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = _PRESETS

    epochs: int = Field(20, ge=1, description="passes over the training set")
    lr: float = Field(0.01, gt=0, description="peak learning rate")


class MLPParams(Recipe):
    """The recipe of a fully connected network, its depth and width."""

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = _PRESETS

    layers: int = Field(2, ge=2, le=8, description="linear layers, the last with one output per class")
    width: int = Field(512, ge=1, description="units of a hidden layer")
    epochs: int = Field(20, ge=1, description="passes over the training set")
    lr: float = Field(0.01, gt=0, description="peak learning rate")


class LeNet5Params(Recipe):
    """The recipe of LeNet-5."""

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = _PRESETS

    epochs: int = Field(30, ge=1, description="passes over the training set")
    lr: float = Field(0.03, gt=0, description="peak learning rate")
