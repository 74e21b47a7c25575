"""Data sets of encoded images, which are brought to one size and stored decoded."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from ucbench.data.cache import DecodedImages
from ucbench.data.framing import Framing, Resample, damage
from ucbench.data.images import DamagedImagesError, Picture
from ucbench.data.imageset import ImageSet, LabelSet
from ucbench.data.inventory import Sources
from ucbench.data.params import DatasetParams
from ucbench.errors import DataError

if TYPE_CHECKING:
    from ucbench.store.store import Store

SplitName = Literal["train", "test"]


@dataclass(frozen=True)
class Split:
    """A split before its images are read: N pictures, labels int64 ``[N]``, further label sets, and where it was
    found."""

    pictures: Sequence[Picture]
    labels: NDArray[np.int64]
    classes: tuple[str, ...]
    label_sets: Mapping[str, LabelSet] = field(default_factory=dict)
    sources: Sources = field(default_factory=Sources)


class FramedDataset(ABC):
    """A :class:`ucbench.data.loading.Dataset` that locates its images and leaves reading them to the core.

    A subclass defines ``name``, ``flip`` (whether a mirrored image keeps its label) and :meth:`find`; ``params`` hold
    the size of the images.
    """

    name: str
    flip: bool
    resample: Resample = "bicubic"

    def __init__(self, params: DatasetParams) -> None:
        self.params = params
        self.sources: dict[str, Sources] = {}
        self._framing: Framing | None = None

    @abstractmethod
    def find(self, split: SplitName) -> Split:
        """Locate the images and labels of one split.

        Raises:
            DataError: if a file or column cannot be read; the text names it.
        """

    def load(self, split: SplitName, store: Store | None = None) -> ImageSet:
        """Read one split. The training split decides the size of images that differ in size.

        Args:
            split: ``train`` or ``test``.
            store: where decoded images are stored, or None.

        Raises:
            DataError: if a file, row or column cannot be read; the text names it. Images that cannot be read are named
                together, those of the other split included.
        """
        try:
            return self._load(split, store)
        except DamagedImagesError as error:
            splits: tuple[SplitName, ...] = ("train",) if self.params.validation else ("train", "test")
            raise DamagedImagesError(
                [text for name in splits for text in self._damage(name)] or error.problems
            ) from error

    def _load(self, split: SplitName, store: Store | None) -> ImageSet:
        content = self.find(split)
        self.sources[split] = content.sources
        decoded = DecodedImages(content.pictures, store)
        if self._framing is None:
            training = decoded if split == "train" else DecodedImages(self.find("train").pictures, store)
            self._framing = training.framing(self.params.size, self.params.resize, self.resample)
        return ImageSet(
            images=decoded.images(self._framing),
            labels=content.labels,
            classes=content.classes,
            label_sets=content.label_sets,
            name=f"{self.name} {split}",
            flip=self.flip,
        )

    def _damage(self, split: SplitName) -> list[str]:
        try:
            return damage(self.find(split).pictures)
        except DataError:  # raised when this split is loaded
            return []

    @property
    def note(self) -> str:
        """How the images were brought to one size; empty before the first :meth:`load`."""
        return self._framing.note if self._framing else ""
