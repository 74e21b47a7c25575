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


def downloaded(name: str, kind: str, root: Path, options: Mapping[str, Any], parquet: Path | None = None) -> Any:
    """torchvision's data set, which compares what it downloads with its checksums.

    Args:
        name: of the data set, in errors.
        kind: its class in torchvision.
        options: of that class.
        parquet: a folder in which parquet files were looked for first.

    Raises:
        DataError: if it is not there and cannot be downloaded, or is damaged.
    """
    from torchvision import datasets

    try:
        return getattr(datasets, kind)(str(root), **options)
    except (RuntimeError, OSError, ValueError, KeyError, ImportError) as error:
        found = f": did not find torchvision's files in {root}."
        if parquet is not None:
            found = f": found neither {parquet}/*.parquet nor torchvision's files in {root}."
        raise DataError(
            f"{name}{found} Name their folder with root= or in the environment as UCBENCH_DATA, or allow"
            f" download=true. torchvision says: {' '.join(str(error).split())}"
        ) from error
