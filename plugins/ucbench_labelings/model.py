"""The pretrained model that labelings look through."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ucbench import UsageError

if TYPE_CHECKING:
    from ucbench import Run, Surrogate


def lent_model(run: Run) -> Surrogate:
    """The model ``run`` lends; raises UsageError if there is none."""
    if run.surrogate is None:
        raise UsageError("This labeling looks through a pretrained model, and was lent none; name one with model=.")
    return run.surrogate
