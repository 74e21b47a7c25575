"""Where the files of a release lie, and the lists that platforms read beside the images.

==============  =======================================================================================================
``None``        ``images/<label>-<class>/<index>.png``; folders sort by label
``imagefolder`` ``train/<class>/<index>.png``, as torchvision's ``ImageFolder`` reads ``train``
                (https://docs.pytorch.org/vision/stable/generated/torchvision.datasets.ImageFolder.html)
``yolo``        the same, as Ultralytics' classifiers read it (https://docs.ultralytics.com/datasets/classify/)
``paddleclas``  and ``train_list.txt`` of paths and labels, ``label_list.txt`` of labels and classes
                (https://github.com/PaddlePaddle/PaddleClas, docs/en/data_preparation/classification_dataset_en.md)
``sagemaker``   and ``train_lst/train.lst`` of numbers, labels and paths, one of the algorithm's four channels
                (https://docs.aws.amazon.com/sagemaker/latest/dg/image-classification.html)
``vertex``      and ``import.csv`` of uses, addresses and classes
                (https://cloud.google.com/vertex-ai/docs/image-data/classification/prepare-data)
``azure``       and an MLTable of JSON lines, for AutoML
                (https://learn.microsoft.com/azure/machine-learning/reference-automl-images-schema)
==============  =======================================================================================================

Test images, where they are asked for, lie in ``test`` and in lists of their own.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ucbench.errors import UsageError, did_you_mean

if TYPE_CHECKING:  # the command line names the platforms, and starts faster without NumPy
    import numpy as np
    from numpy.typing import NDArray

    from ucbench.data.imageset import ImageSet

#: Most characters of a class name in a folder's name.
_LONGEST = 40
#: Folders that readers take for a split, and no name.
_TAKEN = ("", "train", "training", "test", "testing", "val", "valid", "validation")


@dataclass(frozen=True)
class PublishedSplit:
    """A split to be written.

    Attributes:
        name: ``train`` or ``test``.
        images: its N images with their labels.
        protected: bool ``[N]``: which of them were perturbed.
        files: their N paths in the folder.
    """

    name: str
    images: ImageSet
    protected: NDArray[np.bool_]
    files: Sequence[str] = ()


Splits = Sequence[PublishedSplit]


@dataclass(frozen=True)
class FileLayout:
    """A layout of files.

    Attributes:
        lists: the lists beside the images by name, from the splits and the address that the folder will have.
        schemes: how that address begins; empty where lists hold relative paths.
        numbered: whether folders begin with the label instead of being named for the split.
    """

    lists: Callable[[Splits, str], Mapping[str, str]] = lambda splits, address: {}
    schemes: tuple[str, ...] = ()
    numbered: bool = False

    def check(self, address: str | None, name: str) -> None:
        """Refuse an address that is missing, of another kind, or of no use."""
        if not self.schemes and address is not None:
            raise UsageError("--address is of no use in this layout, whose lists hold relative paths. Leave it out.")
        if self.schemes and not (address or "").startswith(self.schemes):
            raise UsageError(
                f"--for {name} writes the address of every image. Give that of the folder with --address"
                f" {self.schemes[0]}..."
            )

    def files(self, split: str, images: ImageSet) -> list[str]:
        """The path of every image. Indices have leading zeros, so that names sort by them."""
        folders = numbered(images.classes) if self.numbered else named(images.classes)
        top, digits = "images" if self.numbered else split, _digits(len(images))
        return [f"{top}/{folders[label]}/{row:0{digits}d}.png" for row, label in enumerate(images.known_labels)]


def numbered(classes: Sequence[str]) -> list[str]:
    """A folder per class that begins with the label, with leading zeros."""
    names = map(_safe, classes)
    return [f"{label:0{_digits(len(classes))}d}{name and f'-{name}'}" for label, name in enumerate(names)]


def named(classes: Sequence[str]) -> list[str]:
    """A folder per class with its name; with the label behind it where another's, a split's or none is the same."""
    names = [_safe(name) for name in classes]
    often = Counter([*(name.lower() for name in names), *_TAKEN, *_TAKEN])
    folders = [name if often[name.lower()] == 1 else f"{name or 'class'}-{label}" for label, name in enumerate(names)]
    return folders if len({name.lower() for name in folders}) == len(folders) else numbered(classes)


def _safe(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "_", name)[:_LONGEST].strip("._")


def _digits(count: int) -> int:
    return max(1, len(str(count - 1)))


def _paddleclas(splits: Splits, address: str) -> dict[str, str]:
    lists = {"train": "train_list.txt", "test": "val_list.txt"}
    classes = splits[0].images.classes
    return {
        **{lists[split.name]: "".join(f"{file} {label}\n" for file, label in _rows(split)) for split in splits},
        "label_list.txt": "".join(f"{label} {_one_line(name)}\n" for label, name in enumerate(classes)),
    }


def _sagemaker(splits: Splits, address: str) -> dict[str, str]:
    # Numbers are unique over both lists, and paths relative to the channel of the images.
    texts, first = {}, 0
    for split, name in zip(splits, ("train", "validation"), strict=False):
        rows = [(label, file.removeprefix(f"{split.name}/")) for file, label in _rows(split)]
        text = "".join(f"{number}\t{label}\t{file}\n" for number, (label, file) in enumerate(rows, first))
        texts[f"{name}_lst/{name}.lst"] = text
        first += len(rows)
    return texts


def _vertex(splits: Splits, address: str) -> dict[str, str]:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    for split, use in zip(splits, ("training", "test"), strict=False):
        writer.writerows([use, f"{address.rstrip('/')}/{file}", name] for file, name in _named_rows(split))
    return {"import.csv": stream.getvalue()}


_MLTABLE = """\
paths:
  - file: ./{file}
transformations:
  - read_json_lines:
      encoding: utf8
      invalid_lines: error
      include_path_column: false
  - convert_column_types:
      - columns: image_url
        column_type: stream_info
"""


def _azure(splits: Splits, address: str) -> dict[str, str]:
    texts = {}
    for split, name in zip(splits, ("training", "validation"), strict=False):
        height, width = split.images.size
        details = {"format": "png", "width": f"{width}px", "height": f"{height}px"}
        rows: list[dict[str, Any]] = [
            {"image_url": f"{address.rstrip('/')}/{file}", "image_details": details, "label": label}
            for file, label in _named_rows(split)
        ]
        folder, file = f"{name}-mltable-folder", f"{name}_annotations.jsonl"
        texts[f"{folder}/MLTable"] = _MLTABLE.format(file=file)
        texts[f"{folder}/{file}"] = "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows)
    return texts


def _rows(split: PublishedSplit) -> list[tuple[str, int]]:
    return list(zip(split.files, split.images.known_labels.tolist(), strict=True))


def _named_rows(split: PublishedSplit) -> list[tuple[str, str]]:
    return [(file, split.images.classes[label]) for file, label in _rows(split)]


def _one_line(name: str) -> str:
    return " ".join(name.split())


#: The layout of ``ucbench export`` without ``--for``.
PLAIN = FileLayout(numbered=True)
#: Those of files, by platform. ``hf`` is of another kind: see :mod:`ucbench.export.hub`.
LAYOUTS: Mapping[str, FileLayout] = {
    "imagefolder": FileLayout(),
    "yolo": FileLayout(),
    "paddleclas": FileLayout(_paddleclas),
    "sagemaker": FileLayout(_sagemaker),
    "vertex": FileLayout(_vertex, ("gs://",)),
    "azure": FileLayout(_azure, ("azureml://",)),
}
#: The platform whose layout has no files of images.
HUB = "hf"
#: What ``--for`` takes.
PLATFORMS = (HUB, *LAYOUTS)


@dataclass(frozen=True)
class Target:
    """How a release is laid out.

    Attributes:
        platform: one of :data:`PLATFORMS`, or None.
        address: what the folder will be called on the platform, for lists of addresses.
        with_test: whether the clean test images are written too.
    """

    platform: str | None = None
    address: str | None = None
    with_test: bool = False

    @property
    def layout(self) -> FileLayout | None:
        """The platform's layout of files, if it has one."""
        return LAYOUTS.get(self.platform or "")

    def check(self) -> None:
        """Refuse what does not exist or fit together.

        Raises:
            UsageError: with what to give instead.
        """
        layout = self.layout
        if self.platform is None and (self.with_test or self.address):
            given = "--with-test" if self.with_test else "--address"
            raise UsageError(f"{given} needs --for: the plain layout holds the training set alone.")
        if self.platform not in (None, *PLATFORMS):
            raise UsageError(
                f"There is no layout for {self.platform!r}.{did_you_mean(str(self.platform), PLATFORMS)} There are"
                f" {', '.join(PLATFORMS)}."
            )
        if layout is not None:
            layout.check(self.address, str(self.platform))
        elif self.address:
            raise UsageError("--address is of no use for hf, whose files hold the images. Leave it out.")
