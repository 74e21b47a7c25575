"""Data sets of the library ``datasets``: folders that it saved, and those of the Hugging Face hub."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ucbench import DataError, FramedDataset, Sources, Split, SplitName, UnmetRequestError, UsageError
from ucbench_datasets.params import HuggingFaceParams
from ucbench_datasets.parquet import read_split
from ucbench_datasets.parquet_layout import split_files
from ucbench_datasets.split_words import SERVES, Role, roles_in

#: What ``save_to_disk`` writes beside the files of a split, and beside the splits.
_STATE, _SPLITS = "state.json", "dataset_dict.json"
#: What may be a name on the hub: no absolute path, and none that begins with ``.`` or ``~``.
_NAME = re.compile(r"[\w-][\w.-]*(/[\w.-]+)?", re.ASCII)


class HuggingFace(FramedDataset):
    """``OWNER/NAME`` of the hub, a folder that ``save_to_disk`` wrote, or a folder of parquet files.

    Folders are read without the library ``datasets``; the hub needs it. Labels and images are found as in parquet
    files.
    """

    name = "hf"
    params: HuggingFaceParams

    def __init__(self, params: HuggingFaceParams) -> None:
        super().__init__(params)
        self.flip = params.flip
        self._located: tuple[dict[str, list[Path]], Path | None] | None = None

    def find(self, split: SplitName) -> Split:
        folder, label, image = Path(self.params.path).expanduser(), self.params.label, self.params.image
        if folder.is_dir() and not any((folder / name).is_file() for name in (_STATE, _SPLITS)):
            training, sources = split_files(folder, "train")
            files, sources = (training, sources) if split == "train" else split_files(folder, split)
            return read_split(files, training, sources, label, image)
        if not folder.is_dir() and not _NAME.fullmatch(self.params.path):
            raise UnmetRequestError(f"hf: {self.params.path} is no folder, and names on the hub are OWNER/NAME.")
        if self._located is None:
            self._located = (saved(folder), None) if folder.is_dir() else on_hub(self.params)
        splits, home = self._located
        by_role = _by_role(splits, self.params.path)
        name = next((by_role[role] for role in SERVES[split] if role in by_role), None)
        if name is None or "train" not in by_role:
            advice = " Ask for validation=0.2." if "train" in by_role else ""
            missing = split if "train" in by_role else "train"
            raise UnmetRequestError(f"hf: {self.params.path} has no {missing} split but {', '.join(splits)}.{advice}")
        serving = {by_role["train"], name, next((by_role[role] for role in SERVES["test"] if role in by_role), "")}
        unused = tuple(other for other in splits if other not in serving)
        sources = Sources((name,), {"splits that are not read": unused} if unused else {})
        return read_split(splits[name], splits[by_role["train"]], sources, label, image, home)


def saved(folder: Path) -> dict[str, list[Path]]:
    """The files of every split of a folder that ``save_to_disk`` wrote.

    Raises:
        DataError: if a description is damaged, or a file is missing or leads out of the folder; the text names it.
    """
    if not (folder / _SPLITS).is_file():
        return {"train": _files(folder)}
    names = _read(folder / _SPLITS).get("splits")
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise DataError(f"hf: {folder / _SPLITS} lists no splits. Save the data set again.")
    return {name: _files(_within(folder, name)) for name in names}


def _files(folder: Path) -> list[Path]:
    listed = _read(folder / _STATE).get("_data_files")
    entries = listed if isinstance(listed, list) else []
    names = [entry.get("filename") for entry in entries if isinstance(entry, dict)]
    if not names or not all(isinstance(name, str) and name.endswith(".arrow") for name in names):
        raise DataError(f"hf: {folder / _STATE} lists no Arrow files. Save the data set again.")
    files = [_within(folder, str(name)) for name in names]
    if missing := [file for file in files if not file.is_file()]:
        raise DataError(f"hf: {missing[0]} is missing. Fetch the data set again.")
    return files


def _within(folder: Path, name: str) -> Path:
    if "\0" in name or not (folder / name).resolve().is_relative_to(folder.resolve()):
        raise DataError(f"hf: {folder} lists {name!r}, which is outside it.")
    return folder / name


def _read(file: Path) -> Mapping[str, Any]:
    try:
        value = json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"hf: {file} cannot be read: {error}. Save the data set again.") from error
    if not isinstance(value, dict):
        raise DataError(f"hf: {file} holds no JSON object. Save the data set again.")
    return value


def on_hub(params: HuggingFaceParams) -> tuple[dict[str, list[Path]], Path]:
    """The files of every split in the cache of ``datasets``, downloaded if need be, and the folder they lie in.

    Raises:
        UsageError: if the library is missing; the text has the install line.
        DataError: if there is no such data set, or it cannot be fetched.
    """
    try:
        import datasets
    except ImportError as error:
        raise UsageError(
            f"hf: {params.path} is no folder, and the Hugging Face hub needs the library datasets:"
            ' pip install "ucbench[datasets]"'
        ) from error
    try:
        loaded = datasets.load_dataset(params.path, params.config, revision=params.revision)
    except Exception as error:  # of the library, the hub's client, the network
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"hf: {params.path} is no folder, and cannot be fetched from the hub: {reason}") from error
    files = {str(name): [Path(file["filename"]) for file in split.cache_files] for name, split in loaded.items()}
    if unstored := [name for name, stored in files.items() if not stored]:
        raise DataError(
            f"hf: {params.path}: split {unstored[0]} is in memory only. Unset HF_DATASETS_IN_MEMORY_MAX_SIZE."
        )
    return files, Path(datasets.config.HF_CACHE_HOME)


def _by_role(names: Iterable[str], where: str) -> dict[Role, str]:
    by_role: dict[Role, str] = {}
    for name in names:
        roles = roles_in(name)
        if len(roles) == 1 and by_role.setdefault(roles[0], name) != name:
            raise DataError(f"hf: {where} has two {roles[0]} splits, {by_role[roles[0]]} and {name}. Choose a config=.")
    return by_role
