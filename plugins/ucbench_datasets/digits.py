"""scikit-learn's 8x8 digits: real scans, embedded in its wheel, so they are there offline."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ucbench import FramedDataset, LabelSet, LazyImage, Split, SplitName, balanced_indices

_TEST_PER_CLASS = 50
#: Fixed: another seed is another test split, and every published number of this data set changes.
_SPLIT_SEED = 0
_WHITE = 16


class Digits(FramedDataset):
    """1,297 training and 500 test scans; the test split holds 50 of every digit.

    Ink runs from 0 to 16 and is scaled to 0..255, rounded. A mirrored digit is not a digit, so ``flip`` is
    False. Further label sets: ``parity`` (even, odd) and ``magnitude`` (small: 0 to 4, large: 5 to 9).
    """

    name = "digits"
    flip = False
    resample = "bilinear"

    def find(self, split: SplitName) -> Split:
        ink, digits = _scans()
        classes = tuple(str(digit) for digit in range(10))
        tested = balanced_indices(digits, classes, _TEST_PER_CLASS, _SPLIT_SEED)
        rows = tested if split == "test" else np.setdiff1d(np.arange(len(digits)), tested)
        grey = (ink[rows] * 255 + _WHITE // 2) // _WHITE
        pixels = np.repeat(grey.astype(np.uint8)[..., None], 3, axis=3)
        labels = digits[rows]
        return Split(
            images=[LazyImage(scan, f"digits row {row}") for row, scan in zip(rows, pixels, strict=True)],
            labels=labels,
            classes=classes,
            label_sets={
                "parity": LabelSet(labels % 2, ("even", "odd")),
                "magnitude": LabelSet(labels // 5, ("small", "large")),
            },
        )


def _scans() -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Ink ``[1797, 8, 8]`` from 0 to 16, and the digits ``[1797]``.

    Read from scikit-learn's file where it lies in its package: importing scikit-learn takes as long as planning ten
    thousand cells. Without that file, scikit-learn reads it.
    """
    package = importlib.util.find_spec("sklearn")
    if package is not None and package.submodule_search_locations:
        file = Path(package.submodule_search_locations[0]) / "datasets" / "data" / "digits.csv.gz"
        if file.is_file():
            table = np.loadtxt(file, delimiter=",").astype(np.int64)
            return table[:, :-1].reshape(-1, 8, 8), table[:, -1]
    from sklearn.datasets import load_digits

    scans = load_digits()
    return scans.images.astype(np.int64), scans.target.astype(np.int64)
