"""How data sets lie in files of many images, such as parquet files and tar archives: which file holds which split."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from ucbench import DataError, Sources, SplitName, UnmetRequestError
from ucbench_datasets.listing import Listing, some
from ucbench_datasets.split_words import SERVES, Role, naming, roles_in

#: How these files end, by the data set that reads them.
_SUFFIXES = {"parquet": ".parquet", "webdataset": ".tar"}
#: Files beside them that hold names of classes.
_NAMES = ("labels.json", "classnames.txt")
_SHARD = re.compile(r"-(\d+)-of-(\d+)")

#: How files name their split (``train``, ``data_train``, the folder ``train/``), and the files that do it so.
_Namings = dict[str, list[Path]]


def split_files(path: Path, split: SplitName, reader: str = "parquet") -> tuple[list[Path], Sources]:
    """The files of a split in sorted order, and what was passed over.

    ``path`` is one file (the training split), or a folder whose files have the split's word in their names
    (``train-00000-of-00002.parquet``, ``data_test.parquet``) or lie in a folder of such a name. Where that is so only
    within a single folder below ``path`` (``data/``, ``plain_text/``), that folder counts. A folder without test files
    uses its validation files; if no file names a split, all are the training data.

    Args:
        reader: ``parquet``, or ``webdataset`` for files of the suffix ``.tar``.

    Raises:
        UnmetRequestError: if ``path`` does not exist, or has no files of the split.
        DataError: if shards are missing or double, some files name a split and others do not, or the split is there in
            two layouts; the text lists the files.
    """
    if not path.exists():
        raise UnmetRequestError(f"{reader}: {path} does not exist.")
    if path.is_file():
        listing, unnamed = Listing(path.parent, reader), [path]
        groups: dict[Role, _Namings] = {}
    else:
        listing = Listing(path, reader)
        groups, unnamed = _by_role(listing, home := _home(path, listing))
        if groups and unnamed:
            raise DataError(
                f"{reader}: {_some(listing, unnamed)} in {home} name no split, but other files do. Rename them to"
                f" train-*{_suffix(listing)} or test-*{_suffix(listing)}, or move them away."
            )
    if unnamed:
        groups = {"train": {"": unnamed}}
    role = next((role for role in SERVES[split] if role in groups), None)
    if role is None:
        raise _nothing_for(split, path, listing)
    files = _of_one_naming(groups[role], role, listing)
    listing.refuse_dangling(files)
    if path.is_dir():
        _refuse_incomplete(files, listing)
    if "test" in groups:
        for unused in (file for part in groups.get("validation", {}).values() for file in part):
            listing.pass_over(unused, "validation files beside test files")
    return files, listing.sources([listing.name(file) for file in files])


def _home(path: Path, listing: Listing) -> Path:
    """The folder of the files: ``path``, or the single folder below it that has any."""
    while True:
        folders = [folder for folder in listing.folders(path) if _suited(listing.below(folder), listing)]
        if _suited(listing.files(path), listing) or len(folders) != 1 or _role_of_folder(folders[0], listing):
            return path
        path = folders[0]


def _by_role(listing: Listing, home: Path) -> tuple[dict[Role, _Namings], list[Path]]:
    """The files by split and naming, and those that name no split."""
    groups: dict[Role, _Namings] = defaultdict(lambda: defaultdict(list))
    unnamed = []
    for file in _suited(listing.files(home), listing):
        roles = roles_in(file.stem)
        if len(roles) > 1:
            raise DataError(
                f"{listing.where}: {file} names several splits: {' and '.join(roles)}. Rename it for one of them."
            )
        if roles:
            groups[roles[0]][naming(file.stem)].append(file)
        else:
            unnamed.append(file)
    for folder in listing.folders(home):
        role = _role_of_folder(folder, listing)
        files = _suited(listing.files(folder), listing) if role else []
        if role and files:
            groups[role][f"{folder.name}/"] = files
        for file in _suited(listing.below(folder), listing):
            if file not in files:
                listing.pass_over(file, "files in other folders")
    for file in listing.below(listing.root):
        if file.suffix.lower() != _suffix(listing) and file.name not in _NAMES:
            listing.pass_over(file, f"files that are not {_suffix(listing)[1:]}")
    return groups, unnamed


def _role_of_folder(folder: Path, listing: Listing) -> Role | None:
    """The split that a folder is named for, unless its files are named for another."""
    roles = roles_in(folder.name)
    within = {role for file in _suited(listing.files(folder), listing) for role in roles_in(file.stem)}
    return roles[0] if len(roles) == 1 and within <= set(roles) else None


def _of_one_naming(namings: _Namings, role: Role, listing: Listing) -> list[Path]:
    if len(namings) > 1:
        examples = ", ".join(listing.name(files[0]) for files in namings.values())
        raise DataError(
            f"{listing.where}: {listing.root} has the {role} split in {len(namings)} layouts, such as {examples}. Keep"
            f" one of them, or name all files {role}-*{_suffix(listing)}."
        )
    return next(iter(namings.values()))


def _refuse_incomplete(files: Sequence[Path], listing: Listing) -> None:
    """Refuse a part of the shards, if any of several files is one."""
    shards = [(int(found[1]), int(found[2])) for file in files if (found := _SHARD.search(file.name))]
    if not shards:
        return
    total = shards[0][1]
    problems = []
    if len(shards) < len(files) or any(count != total for _, count in shards):
        problems.append("they do not belong together")
    numbers = [number for number, _ in shards]
    if missing := sorted(set(range(total)) - set(numbers)):
        shown = some([f"{number:05}-of-{total:05}" for number in missing])
        problems.append(f"{len(missing)} of {total} shards are missing ({shown})")
    if len(set(numbers)) < len(numbers):
        problems.append("shards are there twice")
    if problems:
        raise DataError(
            f"{listing.where}: {_some(listing, files)} in {listing.root} are no complete set of shards:"
            f" {'; '.join(problems)}."
            " Fetch what is missing and remove what is double, or name one file as PATH."
        )


def _nothing_for(split: SplitName, path: Path, listing: Listing) -> UnmetRequestError:
    suffix = _suffix(listing)
    files = [path] if path.is_file() else _suited(listing.below(path), listing)
    there = _some(listing, files) if files else f"no {suffix[1:]} file"
    homes = {file.parent for file in files if split in roles_in(file.stem)} - {path}
    advice = f"Name them {split}-*{suffix}" + (", or ask for validation=0.2." if split == "test" else ".")
    if homes and path.is_dir():
        advice = f"Give one of its folders as PATH, such as {min(homes)}."
    return UnmetRequestError(f"{listing.where}: {path} has no {split} files; there is {there}. {advice}")


def _suffix(listing: Listing) -> str:
    return _SUFFIXES[listing.where]


def _suited(files: Sequence[Path], listing: Listing) -> list[Path]:
    return [file for file in files if file.suffix.lower() == _suffix(listing)]


def _some(listing: Listing, files: Sequence[Path]) -> str:
    return some([listing.name(file) for file in files])
