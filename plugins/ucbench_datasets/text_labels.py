"""Labels that are written as text: numbers of classes, or their names."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ucbench import DataError

#: Largest number of a class without a name: what lies above is an identifier, not a class.
LARGEST_UNNAMED = 65_535
#: A label that is the number of a class.
NUMBER = re.compile(r"[0-9]{1,9}")


@dataclass(frozen=True)
class Naming:
    """How the labels of a training split are written.

    Attributes:
        classes: the names of the classes.
        numbered: whether labels are the numbers of classes, not their names.
    """

    classes: tuple[str, ...]
    numbered: bool

    @classmethod
    def of(cls, labels: Sequence[str], places: Sequence[str], names: Sequence[str] = ()) -> Naming:
        """The naming of the labels of a training split.

        If all are numbers, classes have ``names``, or are the numbers from 0 to the largest; else they are the texts in
        sorted order.

        Args:
            labels: of the training images.
            places: where each is, for errors.
            names: of the classes by number; empty if they have none.

        Raises:
            DataError: if a label is empty, or too large a number.
        """
        for label, place in zip(labels, places, strict=True):
            if not label:
                raise DataError(f"{place}: there is no label.")
        if not all(NUMBER.fullmatch(label) for label in labels):
            return cls(tuple(sorted({unicodedata.normalize("NFC", label) for label in labels})), False)
        if names:
            return cls(tuple(names), True)
        numbers = list(map(int, labels))
        largest = max(numbers, default=-1)
        if largest > LARGEST_UNNAMED:
            place = places[numbers.index(largest)]
            raise DataError(f"{place}: label {largest} is too large to number a class; {LARGEST_UNNAMED} is the last.")
        return cls(tuple(map(str, range(largest + 1))), True)

    def numbers(self, labels: Sequence[str], places: Sequence[str]) -> NDArray[np.int64]:
        """The labels as numbers of classes, int64 ``[N]``.

        Raises:
            DataError: for a label that is none of the classes, naming its place.
        """
        known = {name: number for number, name in enumerate(self.classes)}
        numbers = []
        for label, place in zip(labels, places, strict=True):
            if self.numbered:
                number = int(label) if NUMBER.fullmatch(label) else len(self.classes)
            else:
                number = known.get(unicodedata.normalize("NFC", label), len(self.classes))
            if number >= len(self.classes):
                raise DataError(f"{place}: label {label!r} is none of the training split's classes.")
            numbers.append(number)
        return np.array(numbers, np.int64)
