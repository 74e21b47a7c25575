"""What the data sets of this package share: pictures brought to the size that the training split decides."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ucbench.data import DatasetParams, Framing, ImageSet, LabelSet, Picture, assemble, choose_framing

SplitName = Literal["train", "test"]


@dataclass(frozen=True)
class Split:
    """A split whose pictures are still to be read: N of them, labels int64 ``[N]``, further label sets."""

    pictures: Sequence[Picture]
    labels: NDArray[np.int64]
    classes: tuple[str, ...]
    label_sets: Mapping[str, LabelSet] = field(default_factory=dict)


class FramedDataset(ABC):
    """A data set that knows where its pictures are; ``params`` says to what size they are brought."""

    name: str
    flip: bool
    resample: Literal["bicubic", "bilinear"] = "bicubic"

    def __init__(self, params: DatasetParams) -> None:
        self.params = params
        self._framing: Framing | None = None

    @abstractmethod
    def find(self, split: SplitName) -> Split:
        """Find the pictures and labels of one split."""

    def load(self, split: SplitName) -> ImageSet:
        found = self.find(split)
        if self._framing is None:
            training = found if split == "train" else self.find("train")
            self._framing = choose_framing(training.pictures, self.params.size, self.params.resize, self.resample)
        return ImageSet(
            images=assemble(found.pictures, self._framing),
            labels=found.labels,
            classes=found.classes,
            label_sets=found.label_sets,
            name=f"{self.name} {split}",
            flip=self.flip,
        )

    @property
    def note(self) -> str:
        """How the pictures were brought to one size; empty before the first :meth:`load`."""
        return self._framing.note if self._framing else ""
