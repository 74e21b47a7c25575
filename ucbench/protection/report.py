"""The report. A stand-in."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ucbench.protection.manifest import Manifest
from ucbench.store.files import atomic_write_text


def write_report(
    path: Path, manifest: Manifest, photos_root: Path, out_root: Path, survival: Sequence[Any] = (), effect: Any = None
) -> None:
    """Write the number of photos."""
    atomic_write_text(path, f"{len(manifest.photos)} photos\n")
