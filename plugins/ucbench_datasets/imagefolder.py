"""Images sorted into one folder per class."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ucbench import DataError, FramedDataset, LazyImage, Split, SplitName, UnmetRequestError, stratified_split
from ucbench_datasets.exported import class_names, images_of
from ucbench_datasets.folder_layout import Layout, find_layout, folder_of_split
from ucbench_datasets.listing import Listing
from ucbench_datasets.params import ImageFolderParams

_SUFFIXES = frozenset({
    ".avif", ".bmp", ".gif", ".jfif", ".jpe", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp",
})  # fmt: skip
#: Fixed, so that ``subset_seed`` never moves an image between training and test split.
_HOLDOUT_SEED = 0


class ImageFolder(FramedDataset):
    """Images in ``PATH/train/CLASS`` and ``PATH/test/CLASS`` (or ``val``), or in ``PATH/CLASS``.

    ``PATH/CLASS`` is split by ``holdout``; without it, and without ``train/``, all of it is the training
    split and there is no test split. See :mod:`ucbench_datasets.folder_layout` for the names of split folders.

    Classes and files are in plain sorted order of their names, whatever the file system says. The classes are those of
    the training split; the test split may lack some. Folders within a class belong to it, linked ones too. The
    inventory names hidden files, system files, and files without an image's suffix, which are passed over.

    Where a folder of classes is that of an exported release, the classes have the names and the order that it lists.
    """

    name = "imagefolder"
    params: ImageFolderParams

    def __init__(self, params: ImageFolderParams) -> None:
        super().__init__(params)
        self.flip = params.flip
        self._path = params.path.expanduser()

    def find(self, split: SplitName) -> Split:
        if not self._path.is_dir():
            raise UnmetRequestError(f"imagefolder: {self._path} is not a folder.")
        listing = Listing(self._path, "imagefolder")
        whole, layout = _images_of(self._path, listing), find_layout(listing)
        if self.params.holdout is not None:
            self._refuse_holdout(layout)
            return self._held_out(_read(whole, listing, _classes(whole, listing)), self.params.holdout, split)
        folder = folder_of_split(layout, split) if layout else whole if split == "train" else None
        if folder is None:
            advice = "validation=0.2" if layout else "holdout=0.2"
            raise UnmetRequestError(
                f"imagefolder: {self._path} has no train/ with a test/ or val/ beside it. Add a test split, or ask for"
                f" {advice}, a share of every class."
            )
        train = _images_of(layout.get("train", whole), listing)
        return _read(_images_of(folder, listing), listing, _classes(train, listing))

    def _refuse_holdout(self, layout: Layout) -> None:
        if not layout:
            return
        train = layout["train"]
        if folder_of_split(layout, "test"):
            raise UnmetRequestError(
                f"imagefolder: {train.parent} has a test split. Leave out holdout={self.params.holdout}."
            )
        raise UnmetRequestError(
            f"imagefolder: holdout= splits a folder of classes, and {train.parent} has {train.name}/. Ask for"
            f" validation={self.params.holdout}."
        )

    def _held_out(self, whole: Split, fraction: float, split: SplitName) -> Split:
        rest, held = stratified_split(whole.labels, whole.classes, fraction, _HOLDOUT_SEED, f"imagefolder {self._path}")
        rows = rest if split == "train" else held
        images = [whole.images[row] for row in rows]
        return Split(images, whole.labels[rows], whole.classes, sources=whole.sources)


def _images_of(folder: Path, listing: Listing) -> Path:
    images = images_of(folder)
    if images != folder:
        for entry in (*listing.folders(folder), *listing.files(folder)):
            if entry != images:
                listing.pass_over(entry, "beside the images of an exported release")
    return images


def _classes(folder: Path, listing: Listing) -> tuple[str, ...]:
    """The names of the classes, in the order of their folders; of an export, in that of their labels."""
    names, folders = class_names(folder), [entry.name for entry in listing.folders(folder)]
    labelled = [name for name in names if name in folders]
    classes = tuple(names.get(name, name) for name in [*labelled, *(name for name in folders if name not in names)])
    if not classes:
        raise DataError(f"imagefolder: {folder} holds no class folders. Sort the images into one folder per class.")
    composed = [unicodedata.normalize("NFC", name) for name in classes]
    if doubled := {name for name in composed if composed.count(name) > 1}:
        raise DataError(f"imagefolder: {folder} holds two folders of class {min(doubled)!r}. Merge them.")
    return classes


def _read(folder: Path, listing: Listing, classes: Sequence[str]) -> Split:
    """The images of the class folders in ``folder``; ``classes`` are those of the training split."""
    listing.refuse_dangling(loose := listing.files(folder))
    for file in loose:
        listing.pass_over(file, "files outside class folders")
    # macOS may store an accented name in another encoding than the rest of the world.
    numbers = {unicodedata.normalize("NFC", name): number for number, name in enumerate(classes)}
    images: list[list[Path]] = [[] for _ in classes]
    names = class_names(folder)
    unknown = []
    for entry in listing.folders(folder):
        files = _images(entry, listing)
        name = names.get(entry.name, entry.name)
        number = numbers.get(unicodedata.normalize("NFC", name))
        if number is not None:
            images[number] += files
        elif files:
            unknown.append(name)
    if unknown:
        raise DataError(
            f"imagefolder: {folder} has images of {', '.join(map(repr, unknown))}, but the training split has no such"
            " class. Add training images, or remove these."
        )
    return Split(
        images=[LazyImage(file, str(file)) for files in images for file in files],
        labels=np.repeat(np.arange(len(classes), dtype=np.int64), [len(files) for files in images]),
        classes=tuple(classes),
        sources=listing.sources([listing.name(folder)]),
    )


def _images(folder: Path, listing: Listing) -> list[Path]:
    images = []
    for file in listing.below(folder):
        if file.suffix.lower() in _SUFFIXES:
            images.append(file)
        else:
            listing.pass_over(file, "files without an image's suffix")
    listing.refuse_dangling(images)
    return images
