"""CIFAR-10 and CIFAR-100, from parquet files or from torchvision's."""

from __future__ import annotations

import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from ucbench import DataError, FramedDataset, LabelSet, LazyImage, Sources, Split, SplitName
from ucbench_datasets.downloads import data_root, downloaded
from ucbench_datasets.params import Cifar10Params, Cifar100Params
from ucbench_datasets.parquet import Table, read_table
from ucbench_datasets.parquet_columns import class_names
from ucbench_datasets.parquet_layout import split_files


class Cifar10(FramedDataset):
    """Reads ``ROOT/cifar10/*.parquet`` if there is one, else torchvision's files in ROOT.

    ROOT is the parameter ``root``, else the environment variable ``UCBENCH_DATA``, else ``data`` in ucbench's
    cache. With ``download``, torchvision adds what is missing there.
    """

    name = "cifar10"
    flip = True
    params: Cifar10Params
    #: Label sets by name, with their columns in the parquet files.
    columns: ClassVar[Mapping[str, str]] = {"label": "label"}

    def find(self, split: SplitName) -> Split:
        table = self._table(split)
        column = table.columns["label"]
        return Split(table.images, column.labels, column.classes, sources=table.sources)

    def _table(self, split: SplitName) -> Table:
        root = data_root(self.params.root)
        if any((root / self.name).rglob("*.parquet")):
            return self._from_parquet(*split_files(root / self.name, split))
        loaded = self._torchvision(root, split)
        where = f"{self.name} {split} row"
        images = [LazyImage(pixels, f"{where} {row}") for row, pixels in enumerate(loaded.data)]
        return Table(images, self._namings(loaded, split), Sources((f"{loaded.base_folder}/",)))

    def _from_parquet(self, files: Sequence[Path], sources: Sources) -> Table:
        classes = class_names(files[0])
        unnamed = [column for column in self.columns.values() if column not in classes]
        if unnamed:
            raise DataError(f"{self.name}: {files[0]} has no column {unnamed[0]!r} with class names.")
        table = read_table(files, {column: classes[column] for column in self.columns.values()})
        return Table(table.images, {name: table.columns[column] for name, column in self.columns.items()}, sources)

    def _torchvision(self, root: Path, split: SplitName) -> Any:
        """torchvision's data set, which verifies its files before it reads them."""
        options = {"train": split == "train", "download": self.params.download}
        return downloaded(self.name, self.name.upper(), root, options, parquet=root / self.name)

    def _namings(self, loaded: Any, split: SplitName) -> dict[str, LabelSet]:
        return {"label": LabelSet(np.array(loaded.targets, np.int64), tuple(loaded.classes))}


class Cifar100(Cifar10):
    """As :class:`Cifar10`; both namings are label sets, ``fine`` (100 classes) and ``coarse`` (20)."""

    name = "cifar100"
    params: Cifar100Params
    columns: ClassVar[Mapping[str, str]] = {"fine": "fine_label", "coarse": "coarse_label"}

    def find(self, split: SplitName) -> Split:
        table = self._table(split)
        column = table.columns[self.params.label]
        return Split(table.images, column.labels, column.classes, table.columns, table.sources)

    def _namings(self, loaded: Any, split: SplitName) -> dict[str, LabelSet]:
        # torchvision gives only the fine labels; the file that it has just verified holds both.
        folder = Path(loaded.root) / loaded.base_folder
        rows, names = (pickle.loads((folder / file).read_bytes(), encoding="latin1") for file in (split, "meta"))
        return {
            name: LabelSet(np.array(rows[f"{name}_labels"], np.int64), tuple(names[f"{name}_label_names"]))
            for name in self.columns
        }
