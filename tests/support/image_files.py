"""Small data sets on disk: images in folders, and parquet files as the Hugging Face hub writes them."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image


def png(pixels):
    file = io.BytesIO()
    Image.fromarray(np.asarray(pixels, np.uint8)).save(file, "PNG")
    return file.getvalue()


def plain(value, height=4, width=4):
    return png(np.full((height, width, 3), value))


def write_parquet(file, images, names=None, image_type="struct", **columns):
    """Write encoded images and integer columns as the hub does; ``names``: class names by column."""
    if image_type == "struct":
        kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
        rows = [None if p is None else {"bytes": p, "path": "x.png"} for p in images]
    else:
        kind, rows = pa.binary(), images
    arrays = {"image": pa.array(rows, kind)}
    arrays |= {key: v if isinstance(v, pa.Array) else pa.array(v, pa.int64()) for key, v in columns.items()}
    features = {column: {"names": list(n), "_type": "ClassLabel"} for column, n in (names or {}).items()}
    table = pa.table(arrays)
    if names is not None:
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, file, row_group_size=2)


def write_images(folder: Path, **classes):
    """One grey image per value in ``folder/CLASS``, named so that writing order is not sorted order."""
    for name, values in classes.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        for value in reversed(values):
            (folder / name / f"{value:03}.png").write_bytes(plain(value))
