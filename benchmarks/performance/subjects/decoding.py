"""Decode PNG files in parquet into one array, with an empty store."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from plain.decoding import decode

from subjects.base import Evidence, Measured, Side
from subjects.encoded import TESTED, folder
from ucbench.plugins.registry import installed
from ucbench.progress import Silent
from ucbench.session import Session
from ucbench.store.store import Store


class Fast(Side):
    def loaded(self, store: Path) -> Any:
        """Both splits, loaded by a new run with ``store``."""
        named = installed().resolve("dataset", f"parquet:{self._folder()}")
        return Session(Store(store), self.setting.numerics, Silent()).dataset(named)

    def _folder(self) -> Path:
        return folder(self.setting.scratch, self.sizes.encoded, self.sizes.side)

    def check(self) -> tuple[Any, Evidence]:
        """All pixels and labels of the training split."""
        with tempfile.TemporaryDirectory(dir=self.setting.scratch) as store:
            train = self.loaded(Path(store)).train
        return None, Evidence({"pixels": _digest(train.images), "labels": train.known_labels})

    def measure(self) -> Measured:
        self._folder()
        with tempfile.TemporaryDirectory(dir=self.setting.scratch) as store:
            started = self.clock()
            self.loaded(Path(store))
            return Measured(self.clock() - started, self.sizes.encoded + TESTED)


class Plain(Side):
    def _files(self) -> list[Path]:
        path = folder(self.setting.scratch, self.sizes.encoded, self.sizes.side)
        return [*path.glob("train-*"), *path.glob("test-*")]

    def check(self, inputs: None) -> Evidence:
        images, labels = decode(self._files()[0])
        return Evidence({"pixels": _digest(images), "labels": labels})

    def measure(self) -> Measured:
        files = self._files()
        started = self.clock()
        for file in files:
            decode(file)
        return Measured(self.clock() - started, self.sizes.encoded + TESTED)


def _digest(images: Any) -> Any:
    """SHA-256 of the pixels, as numbers."""
    import hashlib

    return np.frombuffer(hashlib.sha256(np.ascontiguousarray(images)).digest(), np.uint8)
