"""The state that all kinds of noise start from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ucbench import BiLevel, ImageSet, UsageError

if TYPE_CHECKING:
    from ucbench import CraftRun
    from ucbench_eminn.params import SurrogateTraining


def prepared(train: ImageSet, run: CraftRun, params: SurrogateTraining) -> BiLevel:
    """A fresh surrogate and perturbations of zero for ``train``.

    Raises:
        UsageError: for a single image: batch norm needs two; or for a single class, of which nothing can be learned.
    """
    if len(train) < 2:
        raise UsageError(
            f"Error-minimising and error-maximising noise train a network, which needs 2 images; there is {len(train)}."
        )
    if len(train.classes) == 1:
        raise UsageError("There is only one class. Error-minimising and error-maximising noise need at least two.")
    return BiLevel(
        train,
        run,
        lr=params.lr,
        momentum=params.momentum,
        weight_decay=params.weight_decay,
        clip_norm=params.clip_norm,
    )
