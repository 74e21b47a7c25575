"""Small data sets: images in folders, and parquet files as the Hugging Face hub writes them; writing and loading."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from ucbench.data.loading import load_dataset
from ucbench_datasets.imagefolder import ImageFolder
from ucbench_datasets.params import ImageFolderParams, ParquetParams
from ucbench_datasets.parquet import Parquet


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def png(pixels):
    return encoded(Image.fromarray(np.asarray(pixels, np.uint8)))


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


def write_splits(folder):
    """``train/`` and ``test/`` with the classes cat (1, 2; 11) and dog (3, 4; 12); returns ``folder``."""
    write_images(folder / "train", cat=[1, 2], dog=[3, 4])
    write_images(folder / "test", cat=[11], dog=[12])
    return folder


def two_tables(folder, train="train.parquet", test="test.parquet", **columns):
    """Files of two training images (1, 2) and two test images (11, 12)."""
    columns = columns or {"label": [0, 1]}
    write_parquet(folder / train, [plain(1), plain(2)], **columns)
    write_parquet(folder / test, [plain(11), plain(12)], **columns)


def folders(path, **options):
    """Both splits of ``imagefolder:PATH``."""
    params = ImageFolderParams(path=path, **options)
    return load_dataset(ImageFolder(params), params)


def tables(path, **options):
    """Both splits of ``parquet:PATH``."""
    params = ParquetParams(path=path, **options)
    return load_dataset(Parquet(params), params)


def levels(images):
    """The grey level of each image."""
    return images.images[:, 0, 0, 0].tolist()
