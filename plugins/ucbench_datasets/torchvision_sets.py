"""Data sets that torchvision reads and downloads, by their own splits."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from ucbench import DataError, FramedDataset, LabelSet, LazyImage, Sources, Split, SplitName, stratified_split
from ucbench_datasets.downloads import data_root, downloaded
from ucbench_datasets.params import DownloadParams, ImagenetteParams, PetsParams

#: Share and seed of the test split of a set that has none; others are another split, and every number changes.
_TEST_SHARE, _SPLIT_SEED = 0.2, 0


@dataclass(frozen=True)
class _Source:
    """How torchvision's class is asked for a split, and answers.

    Attributes:
        load: name of the class.
        images: the N images of what it loaded, files or pixels.
        labels: their labels ``[N]``.
        classes: the names of the classes.
        splits: its names of the splits; empty if it has none.
        unused: its splits that serve as neither.
    """

    load: str
    images: Callable[[Any], Sequence[Any]]
    labels: Callable[[Any], Sequence[int]]
    classes: Callable[[Any], Sequence[str]] = lambda loaded: loaded.classes
    splits: Mapping[str, str] = field(default_factory=lambda: {"train": "train", "test": "test"})
    unused: tuple[str, ...] = ()


def _pixels(loaded: Any) -> Sequence[Any]:
    return list(loaded.data.transpose(0, 2, 3, 1))


class TorchvisionSet(FramedDataset):
    """One of torchvision's data sets; subclasses say which.

    ROOT, where its files are or are downloaded to, is the parameter ``root``, else ``UCBENCH_DATA``, else ``data`` in
    ucbench's cache.
    """

    source: _Source
    #: Images by split ("" for a set without), where torchvision looks only whether a folder is there.
    counts: ClassVar[Mapping[str, int]] = {}
    flip = True
    params: DownloadParams

    def find(self, split: SplitName) -> Split:
        source, root = self.source, data_root(self.params.root)
        asked = {"split": source.splits[split]} if source.splits else {}
        loaded = downloaded(self.name, source.load, root, {**asked, **self.options()})
        labels, classes = np.array(source.labels(loaded), np.int64), tuple(map(str, source.classes(loaded)))
        if (count := self.counts.get(asked.get("split", ""), len(labels))) != len(labels):
            raise DataError(
                f"{self.name}: {root} holds {len(labels):,} of its {count:,} images, perhaps since a download was"
                " interrupted. Remove its folder and fetch it again."
            )
        images = [
            LazyImage(image, f"{self.name} {split} row {row}")
            if isinstance(image, np.ndarray)
            else LazyImage(Path(image), str(image))
            for row, image in enumerate(source.images(loaded))
        ]
        unused = {"splits that are not read": source.unused} if source.unused else {}
        served = f"split {asked['split']}" if asked else f"a fixed part of {self.name}"
        content = Split(images, labels, classes, self.label_sets(loaded), Sources((served,), unused))
        if source.splits:
            return content
        rows = stratified_split(labels, classes, _TEST_SHARE, _SPLIT_SEED, self.name)[split == "test"]
        return Split([images[row] for row in rows], labels[rows], classes, sources=content.sources)

    def options(self) -> dict[str, Any]:
        """Arguments of torchvision's class besides root and split."""
        return {"download": self.params.download}

    def label_sets(self, loaded: Any) -> dict[str, LabelSet]:
        """Further label sets."""
        return {}


class Svhn(TorchvisionSet):
    """73,257 training and 26,032 test crops of house numbers at 32x32 pixels; the extra ones are not read."""

    name = "svhn"
    flip = False
    source = _Source("SVHN", _pixels, lambda d: d.labels, lambda d: "0123456789", unused=("extra",))


class Stl10(TorchvisionSet):
    """5,000 training and 8,000 test images of 10 classes at 96x96 pixels; the unlabeled ones are not read."""

    name = "stl10"
    source = _Source(
        "STL10",
        _pixels,
        lambda d: d.labels,
        lambda d: getattr(d, "classes", list(map(str, range(10)))),  # from a file that torchvision does not demand
        unused=("unlabeled",),
    )


class Pets(TorchvisionSet):
    """3,680 training and 3,669 test photographs of cats and dogs; label sets ``breed`` (37) and ``species`` (2)."""

    name = "pets"
    params: PetsParams
    source = _Source(
        "OxfordIIITPet", lambda d: d._images, lambda d: d._labels, splits={"train": "trainval", "test": "test"}
    )

    def find(self, split: SplitName) -> Split:
        content = super().find(split)
        label_set = content.label_sets[self.params.label]
        return Split(content.images, label_set.labels, label_set.classes, content.label_sets, content.sources)

    def label_sets(self, loaded: Any) -> dict[str, LabelSet]:
        return {
            "breed": LabelSet(np.array(loaded._labels, np.int64), tuple(loaded.classes)),
            "species": LabelSet(np.array(loaded._bin_labels, np.int64), tuple(loaded.bin_classes)),
        }


class Flowers102(TorchvisionSet):
    """1,020 training and 6,149 test photographs of 102 kinds of flowers; the validation split is not read."""

    name = "flowers102"
    source = _Source("Flowers102", lambda d: d._image_files, lambda d: d._labels, unused=("val",))


class EuroSat(TorchvisionSet):
    """27,000 satellite images of 10 kinds of land at 64x64 pixels.

    It has no splits: a fifth of each class, drawn once for all, is the test split.
    """

    name = "eurosat"
    counts: ClassVar[Mapping[str, int]] = {"": 27_000}
    source = _Source("EuroSAT", lambda d: [file for file, _ in d.samples], lambda d: d.targets, splits={})


class Gtsrb(TorchvisionSet):
    """26,640 training and 12,630 test photographs of 43 kinds of traffic signs, of several sizes."""

    name = "gtsrb"
    flip = False
    source = _Source(
        "GTSRB",
        lambda d: [file for file, _ in d._samples],
        lambda d: [label for _, label in d._samples],
        lambda d: list(map(str, range(43))),
    )


class Imagenette(TorchvisionSet):
    """9,469 training and 3,925 test photographs of 10 classes of ImageNet."""

    name = "imagenette"
    counts: ClassVar[Mapping[str, int]] = {"train": 9_469, "val": 3_925}
    params: ImagenetteParams
    source = _Source(
        "Imagenette",
        lambda d: [file for file, _ in d._samples],
        lambda d: [label for _, label in d._samples],
        lambda d: [names[0] for names in d.classes],
        splits={"train": "train", "test": "val"},
    )

    def options(self) -> dict[str, Any]:
        edition = self.params.edition
        folder = data_root(self.params.root) / f"imagenette2{'' if edition == 'full' else f'-{edition[:3]}'}"
        # Some versions of torchvision refuse to download what is there.
        return {"size": edition, "download": self.params.download and not folder.is_dir()}
