"""What remains of a perturbation after processing. A stand-in."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ucbench.progress import Progress
from ucbench.protection.manifest import ProtectedPhoto


def survival(
    photos: Sequence[ProtectedPhoto], photos_root: Path, out_root: Path, progress: Progress | None = None
) -> tuple[Any, ...]:
    """Nothing yet."""
    return ()
