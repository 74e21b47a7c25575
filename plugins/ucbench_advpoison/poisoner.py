"""Signed steps against a fixed classifier: Fowl et al. (NeurIPS 2021) and Tao et al. (NeurIPS 2021)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from ucbench import ImageSet, Perturbation, UsageError
from ucbench_advpoison.crafter import Aim, Crafter

if TYPE_CHECKING:
    from ucbench import CraftRun
    from ucbench_advpoison.params import AdvPoisonParams, HypoParams


class AdvPoison:
    """Adversarial Poisoning: every image becomes an adversarial example of a classifier trained on the clean images.

    With classifier f and permutation pi of the classes without a fixed point, an image x of class y gets the delta that
    minimises ``CE(f(T(x + delta)), pi(y))`` (targeted; section 3 of the paper) or ``-CE(f(T(x + delta)), y)``
    (untargeted) under random views T. Its label stays y. Of several restarts, the whole set with the lowest mean loss
    is kept, as in the released code.

    Shifted views are padded with the mean colour of the training images, by which the released code's classifier
    normalises. Restarts are compared by the loss of the finished perturbations on unaugmented images, which is not
    random. Each image goes through all its steps before the next batch is begun: the classifier is fixed and in eval
    mode, so images do not influence each other, and each draws its start and views from its own stream. Neither order
    nor batch changes the result beyond rounding in the classifier.
    """

    def __init__(self, params: AdvPoisonParams) -> None:
        self.params = params

    def craft(self, train: ImageSet, run: CraftRun) -> Perturbation:
        """One perturbation per image, ``[N, 3, H, W]``; the state holds ``targets``, int64 ``[K]``, if targeted.

        Raises:
            UsageError: if there is one class only, if ``offset`` maps classes to themselves, or if the surrogate has
                fewer scores than there are classes.
        """
        labels = _labels(train)
        if self.params.goal == "untargeted":
            return Perturbation(Crafter(self.params, train, Aim(labels, away=True), run).craft())
        targets = derangement(self.params.permutation, len(train.classes), self.params.offset, run)
        return Perturbation(Crafter(self.params, train, Aim(targets[labels]), run).craft(), state={"targets": targets})


class Hypo:
    """Hypocritical perturbations: delta minimises ``CE(f(x + delta), y)``, f a classifier trained on the clean images.

    Tao et al. (NeurIPS 2021) call the attack P2.
    """

    def __init__(self, params: HypoParams) -> None:
        self.params = params

    def craft(self, train: ImageSet, run: CraftRun) -> Perturbation:
        """One perturbation per image, ``[N, 3, H, W]``.

        Raises:
            UsageError: if there is one class only, or if the surrogate has fewer scores than there are classes.
        """
        return Perturbation(Crafter(self.params, train, Aim(_labels(train)), run).craft())


def derangement(kind: str, classes: int, offset: int, run: CraftRun) -> NDArray[np.int64]:
    """A permutation of ``classes`` (at least 2) without a fixed point, int64 ``[classes]``.

    Args:
        kind: ``shift`` (y + offset modulo their number) or ``random`` (each derangement equally likely; drawn from the
            stream ``targets``).

    Raises:
        UsageError: if the offset is a multiple of ``classes``.
    """
    identity = np.arange(classes, dtype=np.int64)
    if kind == "shift":
        if offset % classes == 0:
            raise UsageError(
                f"offset={offset} maps each of the {classes} classes to itself: it must not be a multiple of {classes}."
            )
        return (identity + offset) % classes
    generator = run.generator("targets")
    while True:  # about e trials
        drawn = torch.randperm(classes, generator=generator).numpy()
        if (drawn != identity).all():
            return drawn


def _labels(train: ImageSet) -> NDArray[np.int64]:
    """The labels, of two classes at least."""
    labels = train.known_labels
    if len(train.classes) < 2:
        raise UsageError("There is only one class. A classifier needs at least two.")
    return labels
