"""What all tiny components share: a log of their work, and a data set."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from ucbench import DatasetParams, ImageSet, SplitName

CLASSES = ("red", "green", "blue")


def log(line: str) -> None:
    if path := os.environ.get("TINY_LOG"):
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(f"{line}\n")


def work_done() -> Counter[str]:
    """How often each piece of work was done since ``TINY_LOG`` was last emptied."""
    path = Path(os.environ["TINY_LOG"])
    return Counter(path.read_text(encoding="utf-8").splitlines() if path.exists() else [])


class Component:
    """A component that keeps its parameters."""

    def __init__(self, params: Any) -> None:
        self.params = params


class SpotsParams(DatasetParams):
    per_class: int = 12
    brightness: int = 0


class Spots(Component):
    """8x8 images with one bright channel, whose number is the label; noise elsewhere."""

    def load(self, split: SplitName) -> ImageSet:
        rng = np.random.default_rng([self.params.brightness, split == "test"])
        labels = np.arange(3 * self.params.per_class, dtype=np.int64) % 3
        images = rng.integers(60, 180, (len(labels), 3, 8, 8), dtype=np.uint8)
        images[np.arange(len(labels)), labels] += np.uint8(40 + self.params.brightness)
        return ImageSet(images, labels, CLASSES, name="spots")
