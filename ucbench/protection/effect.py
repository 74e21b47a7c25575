"""The check of effect. A stand-in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ucbench.protection.manifest import Manifest
from ucbench.session import Session


def check_effect(
    manifest: Manifest, photos_root: Path, out_root: Path, session: Session, *, by_folder: bool = False
) -> Any:
    """Nothing yet."""
    return None
