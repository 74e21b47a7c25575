"""Which parquet files of a folder hold which split."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

from ucbench import DataError, SplitName

_SPLIT_WORD = re.compile(r"(train|test|validation|valid|val)(?![a-z])", re.IGNORECASE)
#: What serves as which split, the first that there is.
_SERVES: dict[SplitName, tuple[str, ...]] = {
    "train": ("train", ""),
    "test": ("test", "validation", "valid", "val"),
}


def split_files(path: Path, split: SplitName) -> list[Path]:
    """The parquet files of a split, in sorted order.

    ``path`` is one file (the training split), or a folder whose files start with the split's name
    (``train-00000-of-00002.parquet``) or lie in a folder of that name. A folder without test files lends its
    validation files; without training files, those that name no split are the training data.

    Raises:
        DataError: if there are none; the text lists what there is.
    """
    if not path.exists():
        raise DataError(f"parquet: {path} does not exist.")
    groups = {"train": [path]} if path.is_file() else _by_split(path)
    for name in _SERVES[split]:
        if name in groups:
            return groups[name]
    files = [path] if path.is_file() else sorted(path.rglob("*.parquet"))
    there = ", ".join(str(file.relative_to(path.parent)) for file in files[:5]) or "no parquet file"
    advice = ", or ask for validation=0.2" if split == "test" else ""
    raise DataError(f"parquet: {path} has no {split} files; there is {there}. Name them {split}-*.parquet{advice}.")


def _by_split(folder: Path) -> dict[str, list[Path]]:
    """Sorted files by the split they name, those that name none under the empty text."""
    groups: dict[str, list[Path]] = defaultdict(list)
    for file in sorted(folder.glob("*.parquet")):
        word = _SPLIT_WORD.match(file.name)
        groups[word[1].lower() if word else ""].append(file)
    for file in sorted(folder.glob("*/*.parquet")):
        if word := _SPLIT_WORD.fullmatch(file.parent.name):
            groups[word[1].lower()].append(file)
    return groups
