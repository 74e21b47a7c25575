# listed.py
import csv
from pathlib import Path

import numpy as np
from pydantic import Field

from ucbench import (
    DataError,
    DatasetParams,
    DatasetSpec,
    FramedDataset,
    LazyImage,
    Split,
    hookimpl,
)

SAMPLE = Path(__file__).with_name("tiny")


class ListedParams(DatasetParams):
    argument = "root"
    locations = frozenset({"root"})

    root: str = Field(description="folder with train.csv and test.csv")


class Listed(FramedDataset):
    name = "listed"
    flip = True

    def find(self, split):
        rows = self._rows(split)
        classes = tuple(sorted({name for _, name in self._rows("train")}))
        unknown = {name for _, name in rows} - set(classes)
        if unknown:
            raise DataError(f"{split}.csv: no training images: {unknown}.")
        labels = [classes.index(name) for _, name in rows]
        root = Path(self.params.root)
        images = [LazyImage(root / file, file) for file, _ in rows]
        return Split(images, np.array(labels, np.int64), classes)

    def _rows(self, split):
        path = Path(self.params.root) / f"{split}.csv"
        try:
            return list(csv.reader(path.read_text().splitlines()))
        except OSError as error:
            raise DataError(f"{path}: {error.strerror}.") from error


@hookimpl
def ucbench_datasets():
    yield DatasetSpec(
        name="listed",
        summary="Images that tables list: listed:FOLDER",
        load=f"{__name__}:Listed",
        params=f"{__name__}:ListedParams",
        sample=f"'{SAMPLE}'",
    )
