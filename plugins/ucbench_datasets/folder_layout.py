"""Which folders hold a split and which a class: ``PATH/train/CLASS`` and ``PATH/test/CLASS``, or ``PATH/CLASS``."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from ucbench import DataError
from ucbench_datasets.listing import Listing
from ucbench_datasets.split_words import SERVES, Role, role_of_word, roles_in

Layout = dict[Role, Path]


def find_layout(listing: Listing) -> Layout:
    """The folder of every split; empty if the root holds class folders.

    A split's folder is called by its word (``train``, ``Test``, ``val``), or has the word in its name (``pets-test``)
    and its class folders recur beside it. All may lie in one folder below the root.

    Raises:
        DataError: if two folders name one split, split folders lie among class folders or within them, or a split's
            folder holds no class folders.
    """
    root = listing.root
    folders = listing.folders(root)
    outside = []
    while len(folders) == 1 and role_of_word(folders[0].name) is None:
        inner = listing.folders(folders[0])
        if not any(role_of_word(folder.name) == "train" for folder in inner):
            break
        outside += listing.files(root)
        root, folders = folders[0], inner
    by_role = _by_role(listing, folders)
    for role, places in by_role.items():
        if len(places) > 1:
            raise DataError(
                f"imagefolder: {_listed(places)} in {root} each name the {role} split. Keep one of them."
            )  # fmt: skip
    layout = {role: places[0] for role, places in by_role.items()}
    others = [folder for folder in folders if folder not in layout.values()]
    if "train" not in layout:
        _refuse_splits_among_classes(listing, layout, others)
        return {}
    trained = {folder.name for folder in listing.folders(layout["train"])}
    tested = folder_of_split(layout, "test")
    both = trained & {folder.name for folder in listing.folders(tested)} if tested else set()
    if misplaced := sorted(
        name for name in trained - both if role_of_word(name) in SERVES["test"] and not _is_class_valid(name, trained)
    ):
        raise DataError(
            f"imagefolder: {layout['train']} holds {misplaced[0]}/, which names a split. Move it beside"
            f" {layout['train'].name}/, or away."
        )
    if doubled := [folder for folder in others if folder.name in trained]:
        raise DataError(
            f"imagefolder: {root} holds {layout['train'].name}/ and, beside it, the class folders {_listed(doubled)}."
            " Move these away, or into the split that they belong to."
        )
    unused = [folder for role, folder in layout.items() if role == "validation" and "test" in layout]
    for folder in unused:
        listing.pass_over(folder, "validation images beside a test split")
    for folder in others:
        listing.pass_over(folder, "folders that name no split")
    for file in [*outside, *listing.files(root)]:
        listing.pass_over(file, "files outside class folders")
    return layout


def folder_of_split(layout: Layout, split: str) -> Path | None:
    """The folder that serves as ``train`` or ``test``, or None."""
    roles = SERVES["train" if split == "train" else "test"]
    return next((layout[role] for role in roles if role in layout), None)


def _by_role(listing: Listing, folders: Sequence[Path]) -> dict[Role, list[Path]]:
    """The folders that name a split, by split."""
    names = {folder.name for folder in folders}
    inner = {
        folder: {entry.name for entry in listing.folders(folder)}
        for folder in folders
        if len(roles_in(folder.name)) == 1 and not _is_class_valid(folder.name, names)
    }
    others = [folder for folder in folders if folder not in inner]
    by_role: dict[Role, list[Path]] = {}
    for folder, classes in inner.items():
        role = role_of_word(folder.name)
        if role == "train" and not classes and len(others) > 1 and len(inner) == 1:
            continue  # a class of trains
        if role is None:
            # A class may be called "bullet_train", or "test-tube" with folders in it; its folders do not recur.
            beside = {other.name for other in others}.union(*(inner[other] for other in inner if other != folder))
            role = roles_in(folder.name)[0] if classes & beside else None
        if role is not None:
            by_role.setdefault(role, []).append(folder)
    return by_role


def _is_class_valid(name: str, names: Collection[str]) -> bool:
    """Whether the folder ``valid`` is a class beside ``invalid``."""
    return name.lower() == "valid" and "invalid" in {other.lower() for other in names}


def _refuse_splits_among_classes(listing: Listing, layout: Layout, classes: Sequence[Path]) -> None:
    root = listing.root
    if layout:
        place = next(iter(layout.values()))
        raise DataError(
            f"imagefolder: {root} holds {place.name}/, which names a split, and no train/. Add train/ with the same"
            f" class folders, or move {place.name}/ away to split the class folders with holdout=0.2."
        )
    for folder in classes:
        roles = {role_of_word(inner.name) for inner in listing.folders(folder)} - {None}
        if roles & {"test", "validation"}:
            raise DataError(
                f"imagefolder: {folder} holds folders that name splits. If it is the data set, name it as PATH; if it"
                f" is a class, arrange its images as {root / 'train' / folder.name} and {root / 'test' / folder.name}."
            )


def _listed(folders: Sequence[Path]) -> str:
    return ", ".join(f"{folder.name}/" for folder in folders)
