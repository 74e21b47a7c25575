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
from ucbench.data.images import NO_FILE, DamagedImagesError, LazyImage
from ucbench.data.imageset import ImageSet, LabelSet
from ucbench.data.inventory import Sources, with_damaged
from ucbench.data.params import DatasetParams
from ucbench.errors import DataError

if TYPE_CHECKING:
    from ucbench.store.store import Store

SplitName = Literal["train", "test"]


@dataclass(frozen=True)
class Split:
    """A split before its images are read: N images, labels int64 ``[N]``, further label sets, and where it was
    found."""

    images: Sequence[LazyImage]
    labels: NDArray[np.int64]
    classes: tuple[str, ...]
    label_sets: Mapping[str, LabelSet] = field(default_factory=dict)
    sources: Sources = field(default_factory=Sources)


class FramedDataset(ABC):
    """A :class:`ucbench.Dataset` that locates its images and leaves reading them to the core.

    A subclass defines ``name``, ``flip`` (whether a mirrored image keeps its label) and :meth:`find`; ``params`` hold
    the size of the images, and whether damaged ones are left out.
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
                together, those of the other split included. With ``damaged=leave-out``, only files that cannot be
                opened raise it.
        """
        try:
            return self._load(split, store)
        except DamagedImagesError as error:
            if self.params.damaged == "leave-out":
                raise
            splits: tuple[SplitName, ...] = ("train",) if self.params.validation else ("train", "test")
            problems = [text for name in splits for text in self._damage(name)] or error.problems.values()
            missing = all(text.endswith(NO_FILE) for text in problems)  # no damage: such a set is always refused
            advice = "" if missing else ", or read the others with damaged=leave-out"
            raise DamagedImagesError(dict(enumerate(problems)), advice) from error

    def _load(self, split: SplitName, store: Store | None) -> ImageSet:
        content = self._found(split, store)
        self.sources[split] = content.sources
        decoded = DecodedImages(content.images, store)
        if self._framing is None:
            training = decoded if split == "train" else DecodedImages(self._found("train", store).images, store)
            self._framing = training.framing(self.params.size, self.params.resize, self.resample)
        return ImageSet(
            images=decoded.images(self._framing),
            labels=content.labels,
            classes=content.classes,
            label_sets=content.label_sets,
            name=f"{self.name} {split}",
            flip=self.flip,
        )

    def _found(self, split: SplitName, store: Store | None) -> Split:
        content = self.find(split)
        if self.params.damaged == "refuse":
            return content
        damaged = DecodedImages(content.images, store).damaged()
        return _without(content, damaged) if damaged else content

    def _damage(self, split: SplitName) -> list[str]:
        try:
            return list(damage(self.find(split).images).values())
        except DataError:  # raised when this split is loaded
            return []

    @property
    def note(self) -> str:
        """How the images were brought to one size; empty before the first :meth:`load`."""
        return self._framing.note if self._framing else ""


def _without(split: Split, damaged: Sequence[int]) -> Split:
    """The split without the images of these rows, which its sources name as damaged."""
    rows = np.setdiff1d(np.arange(len(split.images)), damaged)
    return Split(
        [split.images[row] for row in rows],
        split.labels[rows],
        split.classes,
        {name: LabelSet(entry.labels[rows], entry.classes) for name, entry in split.label_sets.items()},
        with_damaged(split.sources, [split.images[row].where for row in damaged]),
    )
