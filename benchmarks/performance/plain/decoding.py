"""Decode the images of a parquet file into one array, one by one."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray
from PIL import Image


def decode(file: Path) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Images uint8 ``[N, 3, H, W]`` and labels ``[N]`` of a file with columns ``image`` and ``label``."""
    table = pq.read_table(file)
    images = [np.asarray(Image.open(io.BytesIO(row["bytes"])).convert("RGB")) for row in table["image"].to_pylist()]
    return np.stack(images).transpose(0, 3, 1, 2), table["label"].to_numpy().astype(np.int64)
