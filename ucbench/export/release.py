"""A release as files to publish: images, labels, hashes and machine-readable descriptions.

    labels.csv      one row per image, in the training set's order
    release.json    what was crafted, how, and the measured size of the perturbation
    croissant.json  the description, see :mod:`ucbench.export.croissant`
    SHA256SUMS      of all these files, for ``sha256sum -c``

Images, lossless, and further lists lie where the platform expects them, see :mod:`ucbench.export.layouts`. For the
Hugging Face hub, shards and a card take the place of images, ``labels.csv`` and ``croissant.json``, see
:mod:`ucbench.export.hub`.

Images and labels are exactly those that a victim without defenses is trained on. They include the images that a mixture
leaves unperturbed; ``labels.csv`` says which.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
import os
import shlex
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

import numpy as np

import ucbench
from ucbench.crafting.release import Release
from ucbench.data.imageset import ImageSet
from ucbench.errors import UsageError
from ucbench.export.croissant import About, croissant
from ucbench.export.hub import card, png, shards
from ucbench.export.layouts import HUB, PLAIN, PublishedSplit, Splits, Target
from ucbench.matrix.cell import Cell
from ucbench.matrix.from_record import options_of
from ucbench.plugins.citations import bibtex
from ucbench.plugins.grammar import parse
from ucbench.plugins.params import Params
from ucbench.results.records import Record
from ucbench.running.preflight import check_folder
from ucbench.running.sets import crafted, labelled, published_of
from ucbench.running.tasks import stated_components, task_of
from ucbench.session import Session
from ucbench.store.files import draft_name, is_occupied, reporting
from ucbench.store.places import is_path, last_part, without_folders
from ucbench.store.untrusted import as_utf8, only_text
from ucbench.training.determinism import deterministic

SCHEMA = 1
COLUMNS = ("file", "class", "label", "index", "protected", "sha256", "split")
#: Relative tolerance between measured sizes of the same release.
_SAME = 1e-6


@dataclass(frozen=True)
class Export:
    """The folder, the release's key, and the numbers of training images and of the perturbed ones."""

    folder: Path
    release: str
    images: int
    protected: int


def export_release(
    cell: Cell, session: Session, out: Path, about: About, record: Record | None = None, target: Target | None = None
) -> Export:
    """Write the release of a cell into ``out``, from the store or crafted now.

    Args:
        out: a folder that is empty or does not exist; it is written completely or not at all.
        about: what only the publisher knows.
        record: the cell's record, if the release must be the one that it describes.
        target: the layout; by default the plain one.

    Raises:
        UsageError: if the cell has no release, or not that of the record, ``out`` has files or is the working folder,
            or the target is wrong.
        ContractError: if the poisoner returned what its contract forbids.
        StoreError: if something cannot be written.
    """
    target = target or Target()
    target.check()
    # "." has no name, which the draft beside it needs, and no folder can replace a link.
    out = Path(os.path.realpath(out))
    if out == Path.cwd():
        raise UsageError("--out is the working folder, which cannot be replaced. Name another folder.")
    if cell.craft.is_clean:
        raise UsageError("The clean reference has no release to export: it is the data set itself.")
    if is_occupied(out):
        raise UsageError(f"{out} exists already. Name another --out, or move it away.")
    check_folder(out.parent)
    if record is not None:
        _check_key(record, task_of(cell, session).key)
    key, release = crafted(cell, session)
    if record is not None:
        _check_measured(record, release)
    splits = _splits(cell, release, session, target.with_test)
    train = splits[0]
    description = describe(cell, key, release, train.images, session)
    draft = _Draft(out.with_name(draft_name(out.name)))
    with reporting(out):
        try:
            if target.platform == HUB:
                _write_hub(draft, splits, description, cell, about, session)
            else:
                _write_files(draft, splits, description, cell, about, session, target)
            draft.write("SHA256SUMS", "".join(f"{digest}  {name}\n" for name, digest in sorted(draft.hashes.items())))
            if out.exists():
                out.rmdir()
            draft.folder.rename(out)
        finally:
            shutil.rmtree(draft.folder, ignore_errors=True)
    return Export(out, key, len(train.images), int(train.protected.sum()))


def _splits(cell: Cell, release: Release, session: Session, with_test: bool) -> Splits:
    data = session.data(cell)
    with deterministic(session.numerics):
        train, test, _ = labelled(cell, data.train, published_of(cell, release, session), data.test, session)
    classes = tuple(only_text(name) for name in train.classes)  # names of folders may be bytes that are not text
    train, test = (images.with_labels(images.known_labels, classes) for images in (train, test))
    protected = np.zeros(len(train), bool)
    protected[session.protected(cell).indices] = True
    tested = [PublishedSplit("test", test, np.zeros(len(test), bool))] if with_test else []
    return [PublishedSplit("train", train, protected), *tested]


class _Draft:
    """A folder to be filled, and the hashes of its files by name."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.hashes: dict[str, str] = {}

    def write(self, name: str, content: str | bytes) -> None:
        data = as_utf8(content) if isinstance(content, str) else content
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        self.hashes[name] = hashlib.sha256(data).hexdigest()


def _write_files(
    draft: _Draft,
    splits: Splits,
    description: Mapping[str, Any],
    cell: Cell,
    about: About,
    session: Session,
    target: Target,
) -> None:
    layout = target.layout or PLAIN
    splits = [replace(split, files=layout.files(split.name, split.images)) for split in splits]
    advance = session.progress.bar("images", sum(len(split.images) for split in splits))
    for split in splits:
        for row, file in enumerate(split.files):
            draft.write(file, png(split, row))
            advance(1)
    draft.write("labels.csv", _labels(splits, draft.hashes))
    for name, text in layout.lists(splits, target.address or "").items():
        draft.write(name, text)
    draft.write("release.json", _json(description))
    dataset = croissant(description, splits[0].images.classes, draft.hashes, about, _cite(cell))
    draft.write("croissant.json", _json(dataset))


def _write_hub(
    draft: _Draft, splits: Splits, description: Mapping[str, Any], cell: Cell, about: About, session: Session
) -> None:
    advance = session.progress.bar("images", sum(len(split.images) for split in splits))
    for split in splits:
        for name, content, rows in shards(split):
            draft.write(name, content)
            advance(rows)
    draft.write("release.json", _json(description))
    tested = ["--with-test"] if len(splits) > 1 else []
    options = [*options_of(description["request"]), "--for", HUB, *tested, "--out", "release"]
    command = shlex.join(["ucbench", "export", *options])
    draft.write("README.md", card(description, splits, command, _cite(cell), about))


def _cite(cell: Cell) -> list[str]:
    """BibTeX of what made the release, then of its source."""
    made = (cell.craft.made_by, cell.dataset.spec)
    return [entry.rstrip() for spec in made for entry in bibtex(spec.name, spec.paper)]


def describe(cell: Cell, key: str, release: Release, published: ImageSet, session: Session) -> dict[str, Any]:
    """The content of ``release.json``, as JSON values."""
    request, parts = cell.describe(), cell.components
    for axis in ("defense", "victim", "train_seed"):
        del request[axis]  # the exploiter's, not part of what is published
    for axis in ("dataset", "poisoner", "surrogate", "craft_labels", "labeling"):
        request[axis] = _without_folders(request[axis], type(parts[axis].params) if axis in parts else None)
    return {
        "schema": SCHEMA,
        "release": key,
        "request": request,
        "components": {
            place: _texts_without_folders(part)
            for place, part in stated_components(cell).items()
            if place.partition("-")[0] not in ("defense", "victim")
        },
        "poisoner": {"paper": cell.craft.made_by.paper, "summary": cell.craft.made_by.summary},
        "images": len(published),
        "size": list(published.size),
        "classes": list(published.classes),
        "source": session.data(cell).train.fingerprint,
        "measured": dict(release.meta["measured"]),
        "numerics": session.numerics.identity(),
        "environment": dict(release.meta.get("environment", {})),
        "exported_by": {"ucbench": ucbench.__version__},
    }


def _without_folders(reference: str, params: type[Params] | None = None) -> str:
    """The reference with paths shortened to their last part: folders of a machine are nobody's business.

    Paths are the values of fields of that type in ``params``, texts that begin as a path, and absolute ones anywhere,
    also in references within this one.
    """
    fields = params.model_fields if params else {}
    paths = {name for name, field in fields.items() if Path in (field.annotation, *get_args(field.annotation))}

    def shortened(name: str | None, text: str) -> str:
        return last_part(text) if name in paths or is_path(text) else _without_folders(text)

    try:
        part = parse(reference)
    except UsageError:
        return without_folders(reference)
    argument = None if part.argument is None else shortened(params.argument if params else None, part.argument)
    options = tuple((name, shortened(name, value)) for name, value in part.options)
    changed = replace(part, argument=argument, options=options)
    # Quoting stays as it is where nothing else changes.
    return without_folders(reference if changed == part else str(changed))


def _texts_without_folders(value: Any) -> Any:
    """A JSON value whose texts are as of :func:`_without_folders`."""
    if isinstance(value, str):
        return last_part(value) if is_path(value) else _without_folders(value)
    if isinstance(value, Mapping):
        return {name: _texts_without_folders(entry) for name, entry in value.items()}
    return [_texts_without_folders(entry) for entry in value] if isinstance(value, list | tuple) else value


def _check_key(record: Record, key: str) -> None:
    if key != record["cell"]:
        raise UsageError(
            f"The cell of record {record['cell']} has the key {key} here: data, a component's version or numerics"
            " differ from those of the record. Name the axes instead, to export this machine's release."
        )


def _check_measured(record: Record, release: Release) -> None:
    recorded, measured = record.get("budget", {}), release.meta["measured"]
    for name, value in recorded.items():
        if not math.isclose(value, measured.get(name, math.nan), rel_tol=_SAME, abs_tol=_SAME):
            raise UsageError(
                f"The release crafted here is not that of record {record['cell']}: its {name} is {measured.get(name)}"
                f" instead of {value}. Copy the store that the record was made with (UCBENCH_HOME), or name the axes"
                " instead, to export this machine's release."
            )


def _labels(splits: Splits, hashes: Mapping[str, str]) -> str:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(COLUMNS)
    for split in splits:
        labels = split.images.known_labels.tolist()
        for index, (file, number) in enumerate(zip(split.files, labels, strict=True)):
            perturbed = "yes" if split.protected[index] else "no"
            name = split.images.classes[number]
            writer.writerow([file, name, number, index, perturbed, hashes[file], split.name])
    return stream.getvalue()


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
