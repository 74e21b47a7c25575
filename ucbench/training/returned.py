"""What a component returned: as text for errors, and whether images of a batch are what a stage may return."""

from __future__ import annotations

import numpy as np
from torch import Tensor

#: Tolerance of the range [0, 1], for interpolation in float32.
TOLERANCE = 1e-4


def shape_text(value: object) -> str:
    """Type and shape of a value."""
    if isinstance(value, np.ndarray | Tensor):
        return f"{value.dtype} {list(value.shape)}"
    return type(value).__qualname__


def images_rule(stage: str, x: Tensor) -> str:
    """What the images must be that ``stage`` returns for those of a batch, a sentence without full stop."""
    return f"{stage} must return {str(x.dtype).removeprefix('torch.')} images {list(x.shape)} in [0, 1]"


def misfit(x: Tensor, returned: object) -> str:
    """What is wrong with images returned for the images ``x`` of a batch; empty if nothing is.

    Values out of range count only where those of ``x`` are within.
    """
    if not isinstance(returned, Tensor) or returned.shape != x.shape or returned.dtype != x.dtype:
        return f"Got {shape_text(returned)}"
    if _in_range(x) and not _in_range(returned):
        return f"Values run from {float(returned.min()):.3g} to {float(returned.max()):.3g}"
    return ""


def targets_rule(stage: str, targets: Tensor) -> str:
    """What the targets must be that ``stage`` returns for those of a batch, a sentence without full stop."""
    dtype = str(targets.dtype).removeprefix("torch.")
    return f"{stage} must return {dtype} targets {list(targets.shape)} that are probabilities"


def targets_misfit(targets: Tensor, returned: object) -> str:
    """What is wrong with targets returned for the ``targets`` of a batch; empty if nothing is.

    Values that are no probabilities count only where ``targets`` are.
    """
    if not isinstance(returned, Tensor) or returned.shape != targets.shape or returned.dtype != targets.dtype:
        return f"Got {shape_text(returned)}"
    if _are_probabilities(targets) and not _are_probabilities(returned):
        sums = returned.sum(1)
        least = float(returned.min())
        return f"Rows sum to {float(sums.min()):.3g} to {float(sums.max()):.3g}, the smallest value is {least:.3g}"
    return ""


def _are_probabilities(targets: Tensor) -> bool:
    """Whether no value is negative and each row sums to 1."""
    return bool((targets >= 0).all() and ((targets.sum(1) - 1).abs() <= TOLERANCE).all())


def _in_range(x: Tensor) -> bool:
    """Whether all values are finite and in [0, 1]."""
    return bool(((x >= -TOLERANCE) & (x <= 1 + TOLERANCE)).all())
