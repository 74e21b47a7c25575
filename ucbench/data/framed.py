"""Data sets whose pictures lie encoded somewhere: brought to one size, and kept decoded in the store."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from ucbench.data.cache import DecodedImages
from ucbench.data.images import Framing, Picture, Resample
from ucbench.data.imageset import ImageSet, LabelSet
from ucbench.data.params import DatasetParams

if TYPE_CHECKING:
    from ucbench.store.store import Store

SplitName = Literal["train", "test"]


@dataclass(frozen=True)
class Split:
    """A split whose pictures are still to be read: N of them, labels int64 ``[N]``, further label sets."""

    pictures: Sequence[Picture]
    labels: NDArray[np.int64]
    classes: tuple[str, ...]
    label_sets: Mapping[str, LabelSet] = field(default_factory=dict)


class FramedDataset(ABC):
    """A :class:`ucbench.data.loading.Dataset` that finds its pictures, and leaves reading them to the core.

    A subclass gives ``name``, whether a mirrored picture keeps its label (``flip``), and :meth:`find`; ``params`` say
    to what size pictures are brought.
    """

    name: str
    flip: bool
    resample: Resample = "bicubic"

    def __init__(self, params: DatasetParams) -> None:
        self.params = params
        self._framing: Framing | None = None

    @abstractmethod
    def find(self, split: SplitName) -> Split:
        """Find the pictures and labels of one split.

        Raises:
            DataError: naming the file or column that cannot be read.
        """

    def load(self, split: SplitName, store: Store | None = None) -> ImageSet:
        """Read one split. Pictures of several sizes get the one that the training split decides.

        Args:
            split: which one.
            store: where decoded pictures are kept, and taken from when the same are asked for again.

        Raises:
            DataError: naming the file, row or column that cannot be read.
        """
        found = self.find(split)
        pictures = DecodedImages(found.pictures, store)
        if self._framing is None:
            training = pictures if split == "train" else DecodedImages(self.find("train").pictures, store)
            self._framing = training.framing(self.params.size, self.params.resize, self.resample)
        return ImageSet(
            images=pictures.images(self._framing),
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
