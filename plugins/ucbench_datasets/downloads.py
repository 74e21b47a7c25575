"""Data sets that torchvision downloads: where they lie, and one error if they do not."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from platformdirs import user_cache_path

from ucbench import DataError


def data_root(root: Path | None) -> Path:
    """The folder of downloaded data sets: ``root``, else UCBENCH_DATA, else ``data`` in ucbench's cache."""
    return Path(root or os.environ.get("UCBENCH_DATA") or user_cache_path("ucbench") / "data").expanduser()


def downloaded(kind: str, root: Path, found: str, options: Mapping[str, Any]) -> Any:
    """torchvision's data set, which compares what it downloads with its checksums.

    Args:
        kind: its class.
        found: begins the error, up to ``torchvision's files``.

    Raises:
        DataError: if it is not there and cannot be downloaded, or is damaged.
    """
    from torchvision import datasets

    try:
        return getattr(datasets, kind)(str(root), **options)
    except (RuntimeError, OSError, ValueError, KeyError, ImportError) as error:
        raise DataError(
            f"{found} torchvision's files in {root}."
            " Name their folder with root= or in the environment as UCBENCH_DATA, or allow download=true."
            f" torchvision says: {' '.join(str(error).split())}"
        ) from error
