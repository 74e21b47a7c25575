"""Images sorted into one folder per class."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import numpy as np

from ucbench import DataError, FramedDataset, Picture, Split, SplitName, stratified_split
from ucbench_datasets.params import ImageFolderParams

_SUFFIXES = {".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}
#: Fixed, so that ``subset_seed`` never moves an image between training and test split.
_HOLDOUT_SEED = 0


class ImageFolder(FramedDataset):
    """Images in ``PATH/train/CLASS`` and ``PATH/test/CLASS`` (or ``val``), or in ``PATH/CLASS``.

    ``PATH/CLASS`` is split by ``holdout``; without it, and without ``train/``, all of it is the training
    split and there is no test split. Classes and files are in plain sorted order of their names, whatever the
    file system says. Hidden files and files without an image's suffix are skipped; folders
    within a class belong to it.
    """

    name = "imagefolder"
    params: ImageFolderParams

    def __init__(self, params: ImageFolderParams) -> None:
        super().__init__(params)
        self.flip = params.flip
        self._path = params.path.expanduser()

    def find(self, split: SplitName) -> Split:
        if not self._path.is_dir():
            raise DataError(f"imagefolder: {self._path} is not a folder.")
        if self.params.holdout is None:
            return self._read(self._folder(split))
        return self._held_out(self._read(self._path), self.params.holdout, split)

    def _folder(self, split: SplitName) -> Path:
        if split == "train":
            train = self._path / "train"
            return train if train.is_dir() else self._path
        for name in ("test", "val"):
            if (self._path / "train").is_dir() and (self._path / name).is_dir():
                return self._path / name
        raise DataError(
            f"imagefolder: {self._path} has no train/ with a test/ or val/ beside it. Add a test split, or"
            " ask for holdout=0.2 (a folder of classes) or validation=0.2 (train/ only)."
        )

    def _read(self, folder: Path) -> Split:
        try:
            folders = [entry.name for entry in folder.iterdir() if entry.is_dir()]
        except OSError as error:
            raise DataError(f"imagefolder: {folder} cannot be read: {error}") from error
        classes = tuple(sorted(name for name in folders if not name.startswith(".")))
        if not classes:
            raise DataError(f"imagefolder: {folder} holds no class folders.")
        files = [_files(folder / name) for name in classes]
        return Split(
            pictures=[Picture(file, str(file)) for group in files for file in group],
            labels=np.repeat(np.arange(len(classes), dtype=np.int64), [len(group) for group in files]),
            classes=classes,
        )

    def _held_out(self, whole: Split, fraction: float, split: SplitName) -> Split:
        kept, held = stratified_split(whole.labels, whole.classes, fraction, _HOLDOUT_SEED, f"imagefolder {self._path}")
        rows = kept if split == "train" else held
        return Split([whole.pictures[row] for row in rows], whole.labels[rows], whole.classes)


def _files(folder: Path) -> list[Path]:
    names = sorted(file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file())
    return [folder / name for name in names if _is_image(name)]


def _is_image(name: str) -> bool:
    hidden = any(part.startswith(".") for part in name.split("/"))
    return not hidden and PurePosixPath(name).suffix.lower() in _SUFFIXES
