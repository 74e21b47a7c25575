"""Divide CIFAR-10 into three files, each below 60 MB, for a machine that takes small files only; and join them there.

    python benchmarks/gpu/parts.py make SOURCE .data/cifar10-parts
    python benchmarks/gpu/parts.py join .data/cifar10-parts .data

SOURCE has parquet files as the Hugging Face hub lays them out (``train-*.parquet``, ``test-*.parquet``), or sheets: the
images ``data_batch_1.png`` to ``data_batch_5.png`` and ``test_batch.png``, in which every row of pixels, or every 1,024
pixels in reading order, is an image of 32 x 32, with labels in ``train*.json`` and ``test*.json``. Encoded images of
parquet files stay as they are.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from PIL import Image

from ucbench.protection.photo import any_size

PARTS, LARGEST = 3, 60_000_000
SPLITS = ("train", "test")
CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
_FEATURES = {"img": {"_type": "Image"}, "label": {"names": list(CLASSES), "_type": "ClassLabel"}}
SCHEMA = pa.schema(
    [("img", pa.struct([("bytes", pa.binary()), ("path", pa.string())])), ("label", pa.int64())],
    metadata={"huggingface": json.dumps({"info": {"features": _FEATURES}})},
)
SIDE = 32


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=("make", "join"))
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    options = parser.parse_args(arguments)
    try:
        for path in (make if options.action == "make" else join)(options.source, options.target):
            print(f"{path}: {path.stat().st_size / 1e6:.1f} MB")
    except (OSError, ValueError) as error:
        print(f"parts.py: {error}", file=sys.stderr)
        return 1
    return 0


def make(source: Path, folder: Path) -> list[Path]:
    """Write ``part-1-of-3.parquet`` and so on, with a column for the split; returns their paths.

    Raises:
        ValueError: if SOURCE has no images, or a part is too large.
    """
    tables = []
    for split in SPLITS:
        table = pa.Table.from_batches(list(_batches(source, split)), SCHEMA)
        if not len(table):
            raise ValueError(f"{source} has neither {split}-*.parquet nor sheets with their labels")
        tables.append(table.append_column("split", pa.array([split] * len(table))))
    whole = pa.concat_tables(tables)
    folder.mkdir(parents=True, exist_ok=True)
    ends = np.linspace(0, len(whole), PARTS + 1).astype(int)
    paths = [folder / f"part-{number}-of-{PARTS}.parquet" for number in range(1, PARTS + 1)]
    for path, start, end in zip(paths, ends, ends[1:], strict=False):
        part = whole.slice(start, end - start)
        pq.write_table(part.replace_schema_metadata({"images": str(len(whole))}), path, compression="none")
        if path.stat().st_size >= LARGEST:
            raise ValueError(f"{path} has {path.stat().st_size:,} bytes, of at most {LARGEST:,}")
    return paths


def join(folder: Path, data: Path) -> list[Path]:
    """Write ``cifar10/train-00000-of-00001.parquet`` and that of the test images below ``data``; returns their paths.

    Raises:
        ValueError: if a part is missing.
    """
    paths = sorted(folder.glob(f"part-*-of-{PARTS}.parquet"))
    parts = [pq.read_table(path) for path in paths]
    total = int((parts[0].schema.metadata or {}).get(b"images", 0)) if parts else 0
    if len(parts) != PARTS or sum(map(len, parts)) != total:
        raise ValueError(
            f"{folder} has {len(parts)} of {PARTS} parts with {sum(map(len, parts)):,} of {total:,} images"
        )
    whole = pa.concat_tables(part.replace_schema_metadata(None) for part in parts)
    written = []
    (data / "cifar10").mkdir(parents=True, exist_ok=True)
    for split in SPLITS:
        rows = whole.filter(pc.equal(whole["split"], split)).select(["img", "label"])
        written.append(data / "cifar10" / f"{split}-00000-of-00001.parquet")
        pq.write_table(rows.cast(SCHEMA), written[-1], compression="none")
    return written


def _batches(source: Path, split: str) -> Iterator[pa.RecordBatch]:
    """The images and labels of a split, from parquet files or sheets."""
    for path in sorted(source.glob(f"{split}-*.parquet")):
        table = pq.read_table(path).select(["img", "label"])
        yield from table.replace_schema_metadata(SCHEMA.metadata).cast(SCHEMA).to_batches()
    sheets = [source / f"data_batch_{n}.png" for n in range(1, 6)] if split == "train" else [source / "test_batch.png"]
    labels = next(iter(sorted(source.glob(f"{split}*.json"))), None)
    if labels is None or not all(path.is_file() for path in sheets):
        return
    numbers = json.loads(labels.read_text(encoding="utf-8"))
    images = np.concatenate([_sheet(path) for path in sheets])
    if len(images) != len(numbers):
        raise ValueError(f"{source}: {len(images):,} {split} images and {len(numbers):,} labels")
    encoded = [{"bytes": _png(image), "path": None} for image in images]
    yield pa.RecordBatch.from_arrays([pa.array(encoded, SCHEMA.field("img").type), pa.array(numbers)], schema=SCHEMA)


def _sheet(path: Path) -> np.ndarray:
    with any_size(), Image.open(path) as sheet:  # ten thousand images in one
        return np.asarray(sheet.convert("RGB")).reshape(-1, SIDE, SIDE, 3)


def _png(image: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "PNG")
    return stream.getvalue()


if __name__ == "__main__":
    sys.exit(main())
