"""A release as files to publish: images, labels, hashes and machine-readable descriptions.

    images/<label>-<class>/<index>.png   the training set as published, lossless; folders sort by label
    labels.csv                           one row per image, in the training set's order
    release.json                         what was crafted, how, and the measured size of the perturbation
    croissant.json                       the description, see :mod:`ucbench.export.croissant`
    SHA256SUMS                           of all these files, for ``sha256sum -c``

Images and labels are exactly those that a victim without defenses is trained on. They include the images that a mixture
leaves unperturbed; ``labels.csv`` says which.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
import re
import shutil
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import ucbench
from ucbench.crafting.release import Release
from ucbench.data.imageset import ImageSet
from ucbench.errors import UsageError
from ucbench.exploit.labels import label
from ucbench.export.croissant import About, croissant
from ucbench.matrix.cell import Cell
from ucbench.results.records import Record
from ucbench.running.sets import published_of, release_of
from ucbench.running.tasks import task_of
from ucbench.session import Session
from ucbench.store.files import reporting
from ucbench.training.determinism import deterministic

SCHEMA = 1
COLUMNS = ("file", "class", "label", "index", "protected", "sha256")
#: Relative tolerance between measured sizes of the same release.
_SAME = 1e-6
#: Most characters of a class name in a folder's name.
_LONGEST = 40


@dataclass(frozen=True)
class Export:
    """The folder, the release's key, and the numbers of all images and of the perturbed ones."""

    folder: Path
    release: str
    images: int
    protected: int


def export_release(cell: Cell, session: Session, out: Path, about: About, record: Record | None = None) -> Export:
    """Write the release of a cell into ``out``, from the store or crafted now.

    Args:
        out: a folder that is empty or does not exist; it is written completely or not at all.
        about: what only the publisher knows.
        record: the cell's record, if the release must be the one that it describes.

    Raises:
        UsageError: if the cell has no release, or not that of the record, or ``out`` is not empty.
        ContractError: if the poisoner returned what its contract forbids.
        StoreError: if something cannot be written.
    """
    if cell.craft.is_clean:
        raise UsageError("The clean reference has no release to export: it is the data set itself.")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"{out} exists already. Name another --out, or move it away.")
    if record is not None:
        _check_key(record, task_of(cell, session).key)
    key, release = release_of(cell, session)
    if record is not None:
        _check_measured(record, release)
    data = session.data(cell)
    with deterministic(session.numerics):
        published = label(cell.labeling, data.train, published_of(cell, release, session), data.test, session)[0]
    protected = np.zeros(len(published), bool)
    protected[session.protected(cell).indices] = True
    draft = out.with_name(f".{out.name}.{uuid.uuid4().hex}.tmp")
    with reporting(out):
        try:
            hashes = _write_images(draft, published, session)
            _write(draft, "labels.csv", _labels(published, protected, hashes), hashes)
            description = describe(cell, key, release, published, session)
            _write(draft, "release.json", _json(description), hashes)
            dataset = croissant(description, published.classes, hashes, about)
            _write(draft, "croissant.json", _json(dataset), hashes)
            _write(draft, "SHA256SUMS", "".join(f"{hashes[name]}  {name}\n" for name in sorted(hashes)), {})
            if out.exists():
                out.rmdir()
            draft.rename(out)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    return Export(out, key, len(published), int(protected.sum()))


def describe(cell: Cell, key: str, release: Release, published: ImageSet, session: Session) -> dict[str, Any]:
    """The content of ``release.json``, as JSON values."""
    parts = {"poisoner": cell.craft.poisoner, "surrogate": cell.craft.surrogate, "dataset": cell.dataset}
    request = cell.describe()
    for axis in ("defense", "victim", "train_seed"):
        del request[axis]  # the exploiter's, not part of what is published
    return {
        "schema": SCHEMA,
        "release": key,
        "request": request,
        "components": {
            kind: {
                **part.identity(),
                "distribution": part.origin.distribution,
                "distribution_version": part.origin.version,
            }
            for kind, part in parts.items()
            if part is not None
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


def file_of(published: ImageSet, index: int) -> str:
    """Path of the image with that index. Labels and indices have leading zeros, so that names sort by them."""
    number = int(published.known_labels[index])
    name = re.sub(r"[^A-Za-z0-9._-]+", "_", published.classes[number])[:_LONGEST].strip("._")
    prefix = f"{number:0{_digits(len(published.classes))}d}"
    return f"images/{prefix}{f'-{name}' if name else ''}/{index:0{_digits(len(published))}d}.png"


def _digits(count: int) -> int:
    return max(1, len(str(count - 1)))


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


def _write_images(draft: Path, published: ImageSet, session: Session) -> dict[str, str]:
    """Write every image; returns hashes by file, in the set's order."""
    hashes: dict[str, str] = {}
    advance = session.progress.bar("images", len(published))
    for index in range(len(published)):
        buffer = io.BytesIO()
        Image.fromarray(published.images[index].transpose(1, 2, 0)).save(buffer, "PNG")
        _write(draft, file_of(published, index), buffer.getvalue(), hashes)
        advance(1)
    return hashes


def _labels(published: ImageSet, protected: np.ndarray[Any, np.dtype[np.bool_]], hashes: Mapping[str, str]) -> str:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(COLUMNS)
    for index, number in enumerate(published.known_labels.tolist()):
        file = file_of(published, index)
        perturbed = "yes" if protected[index] else "no"
        writer.writerow([file, published.classes[number], number, index, perturbed, hashes[file]])
    return stream.getvalue()


def _write(draft: Path, name: str, content: str | bytes, hashes: dict[str, str]) -> None:
    data = content.encode() if isinstance(content, str) else content
    path = draft / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    hashes[name] = hashlib.sha256(data).hexdigest()


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
