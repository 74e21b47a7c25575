"""Opening releases crafted elsewhere: arrays in files and images in folders, read a block at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import safe_open
from torch import Tensor

from ucbench import DataError, Framing, LazyImage, UsageError, assemble, did_you_mean
from ucbench_imported.content import check_format, images_in, shards_in

Array = NDArray[Any]

_MOST_NAMES = 8


@dataclass(frozen=True)
class Source:
    """Numbers read in blocks.

    Attributes:
        where: what messages call it.
        shape: of all of it, as stored; the first axis counts the items.
        dtype: whole or real numbers.
        read: gives the items of a slice of the first axis.
        folder: True for a folder of images, which are uint8 ``[N, 3, H, W]``.
    """

    where: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    read: Callable[[slice], Array]
    folder: bool = False


def open_source(path: Path, key: str | None = None) -> Source:
    """Open a file of arrays or a folder of images; no code in it is run.

    ``.npy``, ``.safetensors`` and what ``torch.save`` writes today stay on disk and are mapped; ``.npz`` and torch's
    old format are read whole.

    Args:
        key: the name of the array in a file that holds several.

    Raises:
        DataError: naming the path if it is missing, damaged, or holds no array of numbers.
        UsageError: if ``key`` is needed, wrong or superfluous, or the format is another.
    """
    if path.is_dir():
        _refuse_key(path, key)
        return _images(path, _stored(shards) if (shards := shards_in(path)) else _files(path))
    check_format(path)
    readers = {".npy": _numpy, ".npz": _numpy, ".safetensors": _safetensors, ".pt": _torch, ".pth": _torch}
    # Damaged files are answered with nearly any exception: OSError, ValueError, zlib.error, RuntimeError, ...
    try:
        return readers[path.suffix.lower()](path, key)
    except (DataError, UsageError):
        raise
    except Exception as error:
        reason = str(error).strip().partition("\n")[0].rstrip(".")
        raise DataError(
            f"release: {path} cannot be read ({type(error).__name__}: {reason}). It is damaged, or holds something"
            " other than plain numbers; save the array by itself again."
        ) from error


def _numpy(path: Path, key: str | None) -> Source:
    if _is_zip(path):
        with path.open("rb") as file, np.load(file, allow_pickle=False) as content:
            array = content[_chosen(path, key, content.files)]
    else:
        array = np.lib.format.open_memmap(path, mode="r")
        _refuse_key(path, key)
    return Source(str(path), array.shape, _checked(path, array.dtype), lambda block: np.asarray(array[block]))


def _safetensors(path: Path, key: str | None) -> Source:
    file = safe_open(path, framework="pt")
    rows = file.get_slice(_chosen(path, key, list(file.keys())))
    shape = tuple(rows.get_shape())
    # The format has types that NumPy lacks (bfloat16): an empty block shows what they become.
    dtype = _values(rows[:0]).dtype if shape else np.dtype(np.float32)
    return Source(str(path), shape, _checked(path, dtype), lambda block: _values(rows[block]))


def _torch(path: Path, key: str | None) -> Source:
    mapped = _is_zip(path)
    content = torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    if isinstance(content, Mapping):
        tensors = {str(name): value for name, value in content.items() if isinstance(value, Tensor)}
        content = tensors[_chosen(path, key, list(tensors))]
    else:
        _refuse_key(path, key)
    if not isinstance(content, Tensor) or content.layout != torch.strided:
        what = "a sparse tensor" if isinstance(content, Tensor) else f"a {type(content).__name__}"
        raise DataError(f"release: {path} holds {what}. Save one dense tensor, or a dict of tensors.")
    tensor = content.detach()
    return Source(
        str(path),
        tuple(tensor.shape),
        _checked(path, _values(tensor.new_empty(0)).dtype),
        lambda block: _values(tensor[block]),
    )


def _files(path: Path) -> list[LazyImage]:
    return [LazyImage(file, str(file)) for file in images_in(path)]


def _stored(shards: Sequence[Path]) -> list[LazyImage]:
    """The encoded images of parquet files, in the order of their column ``index`` if there is one."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    images, indices = [], []
    for file in shards:
        try:
            names = set(pq.read_schema(file).names) & {"image", "index"}
            table = pq.read_table(file, columns=sorted(names)).to_pydict()
            encoded = [memoryview(image["bytes"]) for image in table["image"]]
            images += [LazyImage(image, f"{file} row {row}") for row, image in enumerate(encoded)]
            indices += [int(index) for index in table.get("index", ())]
        except (pa.ArrowException, OSError, KeyError, TypeError, ValueError) as error:
            raise DataError(f"release: {file} holds no column image of encoded images: {error}.") from error
    if not indices:
        return images
    if sorted(indices) != list(range(len(images))):
        raise DataError(f"release: the indices in {shards[0].parent} do not count the images from 0. Export it again.")
    return [images[row] for row in np.argsort(indices)]


def _images(path: Path, images: Sequence[LazyImage]) -> Source:
    if not images:
        raise DataError(f"release: {path} holds no images.")
    size = images[0].size()
    framing = Framing(size, size)

    def read(block: slice) -> Array:
        for image in images[block]:
            if (found := image.size()) != size:
                first, other = (Path(each.where).name for each in (images[0], image))
                raise DataError(
                    f"release: the images of {path} must be of one size: {first} is {size_text(size)} and"
                    f" {other} is {size_text(found)} (height x width)."
                )
        return assemble(images[block], framing)

    return Source(str(path), (len(images), 3, *size), np.dtype(np.uint8), read, folder=True)


def _is_zip(path: Path) -> bool:
    # By its first bytes, as NumPy and torch do: zipfile.is_zipfile searches the end, where numbers may look like one.
    with path.open("rb") as file:
        return file.read(4) in (b"PK\x03\x04", b"PK\x05\x06")


def size_text(size: tuple[int, int]) -> str:
    """Height and width as messages write them."""
    return f"{size[0]}x{size[1]}"


def _chosen(path: Path, key: str | None, names: list[str]) -> str:
    """The name of the array that is meant."""
    if not names:
        raise DataError(f"release: {path} holds no array. Save one, with one item for each training image.")
    shown = ", ".join(names[:_MOST_NAMES]) + (", ..." if len(names) > _MOST_NAMES else "")
    if key is None:
        if len(names) > 1:
            raise UsageError(f"release: {path} holds several arrays: {shown}. Say which, with key=NAME.")
        return names[0]
    if key not in names:
        raise UsageError(f"release: {path} holds no {key!r}.{did_you_mean(key, names)} It holds: {shown}.")
    return key


def _refuse_key(path: Path, key: str | None) -> None:
    if key is not None:
        raise UsageError(f"release: {path} holds no arrays by name. Leave out key={key}.")


def _checked(path: Path, dtype: np.dtype[Any]) -> np.dtype[Any]:
    if dtype.kind not in "iuf":
        raise DataError(f"release: {path} holds values of type {dtype}. Save whole or real numbers.")
    return dtype


def _values(tensor: Tensor) -> Array:
    """A tensor's numbers; of floats that NumPy lacks, as float32."""
    if tensor.is_floating_point() and tensor.dtype not in (torch.float32, torch.float64):
        tensor = tensor.float()
    array: Array = tensor.numpy()
    return array
