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


def _in_range(x: Tensor) -> bool:
    """Whether all values are finite and in [0, 1]."""
    return bool(((x >= -TOLERANCE) & (x <= 1 + TOLERANCE)).all())
