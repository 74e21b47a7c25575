"""Checkpoints: what a long computation saves, so that one which is interrupted continues."""

from __future__ import annotations

import logging
import time
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ucbench.store.files import replacing, reporting
from ucbench.store.objects import Arrays, check_arrays

logger = logging.getLogger(__name__)

#: Seconds between two writes of a checkpoint.
CHECKPOINT_EVERY = 20.0


class Checkpoint:
    """Saved state of a long computation, in one file; implements :class:`ucbench.Checkpoint`."""

    def __init__(self, path: Path, every: float) -> None:
        self._path = path
        self._every = every
        self._written = time.monotonic()

    def load(self) -> tuple[int, dict[str, NDArray[Any]]] | None:
        """The last saved ``(step, arrays)``; None without a file, or with a damaged one (and a warning)."""
        with reporting(self._path, "UCBENCH_HOME"):
            try:
                with self._path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
                    arrays = {name.removeprefix("array."): stored[name] for name in stored if name != "step"}
                    return int(stored["step"]), arrays
            except FileNotFoundError:
                return None
            except (zipfile.BadZipFile, ValueError, KeyError, EOFError) as damage:
                logger.warning("%s is damaged (%s): starting over.", self._path, damage)
                return None

    def save(self, step: int, arrays: Arrays) -> None:
        """Save atomically; a no-op within ``every`` seconds of the last write or of the start.

        Raises:
            ContractError: if an array holds Python objects.
            StoreError: if the file cannot be written; the last saved state stays.
        """
        if time.monotonic() - self._written < self._every:
            return
        check_arrays(arrays)
        with replacing(self._path, "UCBENCH_HOME") as file:
            # Prefixed, since savez takes `file` and `step` as arguments.
            entries: dict[str, Any] = {f"array.{name}": array for name, array in arrays.items()}
            np.savez(file, step=np.int64(step), **entries)
        self._written = time.monotonic()
