"""A data set of PNG files in parquet, in the layout of the Hugging Face hub."""

from __future__ import annotations

import io
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from subjects.base import synthetic_images

#: Number of test images, which are loaded along with the training images.
TESTED = 100


def folder(root: Path, count: int, side: int) -> Path:
    """Folder below ``root`` with ``count`` training and :data:`TESTED` test images, written at the first call."""
    path = root / f"parquet-{count}-{side}"
    if not path.exists():
        path.mkdir()
        _write(path / "train-00000-of-00001.parquet", count, side, 0)
        _write(path / "test-00000-of-00001.parquet", TESTED, side, 1)
    return path


def _write(file: Path, count: int, side: int, seed: int) -> None:
    made = synthetic_images(count, side, seed)
    rows = []
    for image in made.images.transpose(0, 2, 3, 1):
        encoded = io.BytesIO()
        Image.fromarray(image).save(encoded, "PNG")
        rows.append({"bytes": encoded.getvalue(), "path": None})
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    pq.write_table(pa.table({"image": pa.array(rows, kind), "label": pa.array(made.known_labels)}), file)
