"""Patterns for groups of similar photos. A stand-in."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ucbench.crafting.craft import craft_labels, craft_release
from ucbench.crafting.release import Release
from ucbench.data.budget import Budget
from ucbench.data.imageset import ImageSet
from ucbench.matrix.cell import Craft, CraftLabels
from ucbench.plugins.specs import PoisonerSpec, SurrogateSpec
from ucbench.session import Session


@dataclass(frozen=True)
class PatternSettings:
    """What decides the patterns, beside the photos."""

    poisoner: str
    surrogate: str | None
    epsilon: float
    clusters: int | None
    seed: int


def craft_patterns(images: ImageSet, settings: PatternSettings, session: Session) -> Release:
    """The release of the working images."""
    poisoner = session.registry.resolve(PoisonerSpec, settings.poisoner)
    surrogate = session.registry.resolve(SurrogateSpec, settings.surrogate) if settings.surrogate else None
    labels = CraftLabels("none")
    if poisoner.spec.label_access != "none":
        labels = CraftLabels("clusters", settings.clusters or 2, surrogate)
    used = surrogate if poisoner.spec.surrogate else None
    craft = Craft(poisoner, used, labels, Budget("linf", settings.epsilon), settings.seed)
    return craft_release(craft, images, craft_labels(craft, images, None, session), session)


def assign_patterns(
    release: Release, images: ImageSet, settings: PatternSettings, session: Session, train: ImageSet | None = None
) -> NDArray[np.int64]:
    """The pattern of each of these images, int64 ``[N]``."""
    return np.zeros(len(images), np.int64)
