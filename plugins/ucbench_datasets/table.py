"""Images that a table in a CSV file lists, with their labels."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from ucbench import DataError, FramedDataset, LazyImage, Sources, Split, SplitName, UnmetRequestError
from ucbench_datasets.listing import some
from ucbench_datasets.params import CsvParams
from ucbench_datasets.split_words import SERVES, Role, role_of_word
from ucbench_datasets.text_labels import NUMBER, Naming

#: What columns are called, if no option names them; ``class`` names the numbers in a column of labels.
_IMAGES = ("path", "file", "filename", "file_name", "image")
_LABELS = ("label", "class", "target", "category")


class _Row(NamedTuple):
    where: str
    image: Path
    label: str
    name: str
    role: Role


class Csv(FramedDataset):
    """``FILE`` with a row per image: its path, its label, and if there is such a column its split.

    Paths are relative to the file's folder, or to ``root``, and do not leave it. Labels are numbers or names; numbers
    beside a column ``class`` have its names. A file ``.tsv`` is separated by tabs.
    """

    name = "csv"
    params: CsvParams

    def __init__(self, params: CsvParams) -> None:
        super().__init__(params)
        self.flip = params.flip
        self._path = params.path.expanduser()
        self._root = (params.root or self._path.parent).expanduser()

    def find(self, split: SplitName) -> Split:
        if self.params.root is not None and not self._root.is_dir():
            raise UnmetRequestError(f"csv: root={self._root} is not a folder.")
        by_role: dict[Role, list[_Row]] = {}
        for row in self._rows():
            by_role.setdefault(row.role, []).append(row)
        rows = next((by_role[role] for role in SERVES[split] if role in by_role), None)
        if rows is None:
            advice = " Add a column split with train and test, or ask for validation=0.2." if split == "test" else ""
            raise UnmetRequestError(f"csv: {self._path} has no {split} rows.{advice}")
        trained = by_role.get("train", [])
        naming = Naming.of([row.label for row in trained], [row.where for row in trained], _names(trained))
        unused = [row.where for row in by_role.get("validation", ())] if "test" in by_role else []
        return Split(
            [LazyImage(row.image, str(row.image)) for row in rows],
            naming.numbers([row.label for row in rows], [row.where for row in rows]),
            naming.classes,
            sources=Sources(
                (self._path.name,), {"validation rows beside test rows": unused} if unused else {}, self._root
            ),
        )

    def _rows(self) -> list[_Row]:
        try:
            with self._path.open(encoding="utf-8-sig", newline="") as file:
                lines = csv.reader(file, delimiter="\t" if self._path.suffix.lower() == ".tsv" else ",", strict=True)
                header = [name.strip() for name in next(lines, [])]
                places, home = self._columns(header), self._root.resolve()
                rows = []
                for line in lines:
                    where = f"{self._path} line {lines.line_num}"
                    if line and len(line) != len(header):
                        raise DataError(f"csv: {where} has {len(line)} values for {len(header)} columns.")
                    if line:
                        texts = {name: line[place].strip() for name, place in places.items()}
                        rows.append(self._row(where, texts, home))
                return rows
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
            raise UnmetRequestError(f"csv: {self._path} is not a file.") from error
        except (OSError, ValueError, csv.Error) as error:
            raise DataError(f"csv: {self._path} cannot be read: {error}.") from error

    def _columns(self, header: Sequence[str]) -> dict[str, int]:
        """The places of image, label, name of the class and split in a line; of the last two only where there are."""
        params, places = self.params, {}
        wanted = {
            "image": (params.image, _IMAGES), "label": (params.label, _LABELS), "split": (params.split, ("split",)),
            "name": (None, ("class",)),
        }  # fmt: skip
        there = f"Its columns: {some(header)}."
        for meaning, (asked, usual) in wanted.items():
            columns = [name for name in ((asked,) if asked else usual) if name in header]
            if not columns and (asked or meaning in ("image", "label")):
                looked = asked or some(usual)
                raise UnmetRequestError(
                    f"csv: {self._path} has no column {looked}; name one with {meaning}=COLUMN. {there}"
                )
            if columns and header.count(columns[0]) > 1:
                raise DataError(f"csv: {self._path} has several columns {columns[0]!r}. {there}")
            if columns:
                places[meaning] = header.index(columns[0])
        return places

    def _row(self, where: str, texts: Mapping[str, str], home: Path) -> _Row:
        path = Path(texts["image"])
        if not texts["image"] or "\0" in texts["image"]:
            raise DataError(f"csv: {where} names no image.")
        image = self._root / path
        if path.is_absolute() or not image.resolve().is_relative_to(home):
            raise DataError(f"csv: {where}: {str(path)!r} leads out of {self._root}. Name another with root=FOLDER.")
        role: Role | None = role_of_word(texts["split"]) if "split" in texts else "train"
        if role is None:
            raise DataError(f"csv: {where}: {texts['split']!r} is no split. Write train, test or validation.")
        return _Row(where, image, texts["label"], texts.get("name", ""), role)


def _names(rows: Sequence[_Row]) -> list[str]:
    """The names of the classes by number, if another column names every number up to the largest; else empty."""
    if not all(row.name and NUMBER.fullmatch(row.label) for row in rows):
        return []
    names: dict[int, str] = {}
    for row in rows:
        number = int(row.label)
        if names.setdefault(number, row.name) != row.name:
            raise DataError(f"csv: {row.where}: label {number} has two names, {names[number]!r} and {row.name!r}.")
    if doubled := [repr(name) for name, count in Counter(names.values()).items() if count > 1]:
        raise DataError(f"csv: {rows[0].where}: several labels have the name {some(doubled, 3)}.")
    return [names[number] for number in sorted(names)] if sorted(names) == list(range(len(names))) else []
