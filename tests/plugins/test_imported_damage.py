"""What is no release, or a damaged one, is refused in one sentence that names it; nothing is unpickled."""

from __future__ import annotations

import pickle
import re
import zipfile

import numpy as np
import pytest
import torch
from imported_releases import SHAPE, TRAIN, changes, crafted, every_format, npy, pngs, pt, refused, safetensors
from PIL import Image

from ucbench.errors import DataError, UnmetRequestError, UsageError
from ucbench_imported.params import ReleaseParams


class Code:
    """What a pickle may hold, and no release."""


@pytest.mark.parametrize("name", ["absent", "absent.npy", "absent.pt"])
def test_missing_source_raises_data_error(name, tmp_path):
    refused(tmp_path / name, "does not exist. Give a file .* or a folder", UnmetRequestError)
    with pytest.raises(UnmetRequestError, match=f"{name} does not exist"):
        ReleaseParams(path=tmp_path / name).identity()


def test_other_suffix_is_refused(tmp_path):
    path = tmp_path / "release.mat"
    path.write_bytes(b"MATLAB")
    refused(path, r"none of the suffixes that are read \(\.npy, ")
    with pytest.raises(UsageError, match="none of the suffixes"):
        ReleaseParams(path=path).identity()


@every_format
@pytest.mark.parametrize("share", [0, 0.01, 0.5])
def test_truncated_file_raises_data_error(save, share, tmp_path):
    path = save(tmp_path, changes())
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    refused(path, "cannot be read .* damaged, or holds something other than plain numbers", DataError)


@every_format
def test_file_of_other_content_raises_data_error(save, tmp_path):
    path = save(tmp_path, changes())
    path.write_bytes(b"not what the suffix says" * 1000)
    refused(path, "cannot be read", DataError)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_objects_and_pickles_are_never_unpickled(tmp_path):
    objects = np.array([Code()] * 13, dtype=object)
    np.save(tmp_path / "objects.npy", objects, allow_pickle=True)
    np.savez(tmp_path / "objects.npz", delta=objects)
    (tmp_path / "pickle.npy").write_bytes(pickle.dumps(changes()))
    (tmp_path / "pickle.pt").write_bytes(pickle.dumps(Code()))
    torch.save({"delta": Code()}, tmp_path / "code.pt")
    torch.save({"delta": changes()}, tmp_path / "numpy.pt")
    for path in sorted(tmp_path.iterdir()):
        refused(path, "cannot be read .* save the array by itself again", DataError)


@pytest.mark.filterwarnings("ignore:Validating sparse tensor")
@pytest.mark.parametrize("content", [[torch.zeros(SHAPE)], "text", 3, torch.zeros(SHAPE).to_sparse()])
def test_checkpoint_without_one_tensor_raises_data_error(content, tmp_path):
    torch.save(content, tmp_path / "release.pt")
    refused(tmp_path / "release.pt", "Save one dense tensor, or a dict of tensors", DataError)


def test_file_without_arrays_raises_data_error(tmp_path):
    torch.save({"epsilon": 8}, tmp_path / "release.pt")
    with zipfile.ZipFile(tmp_path / "release.npz", "w"):
        pass
    for name in ("release.pt", "release.npz"):
        refused(tmp_path / name, "holds no array", DataError)


@pytest.mark.parametrize(
    ("save", "dtype"),
    [(npy, bool), (npy, np.complex64), (npy, "S4"), (npy, "datetime64[s]"), (pt, bool), (safetensors, bool)],
)
def test_non_numeric_array_raises_data_error(save, dtype, tmp_path):
    path = save(tmp_path, np.zeros(SHAPE, dtype))
    refused(path, rf"of type {re.escape(str(np.dtype(dtype)))}\. Save whole or real numbers", DataError)


@every_format
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_non_finite_value_raises_with_its_item(save, value, tmp_path):
    values = changes().astype(np.float32)
    values[11, 2, 3, 4] = value
    for kind in ("auto", "perturbations", "pictures"):
        refused(save(tmp_path, values), rf"holds {value} in item 11\.", DataError, kind=kind)


def test_images_of_several_sizes_raise_data_error(tmp_path):
    folder = pngs(tmp_path, TRAIN.images)
    Image.new("RGB", (9, 9)).save(folder / "4.png")
    refused(folder, "must be of one size: 0.png is 10x14 and 4.png is 9x9", DataError)


def test_damaged_image_is_named(tmp_path):
    folder = pngs(tmp_path, TRAIN.images)
    (folder / "7.png").write_bytes((folder / "7.png").read_bytes()[:100])
    with pytest.raises(DataError, match=r"7\.png: cannot be read as an image"):
        crafted(folder)


def test_folder_without_images_raises_data_error(tmp_path):
    (tmp_path / "empty").mkdir()
    refused(tmp_path / "empty", "holds no images. Put them directly into this folder", DataError)
    with pytest.raises(DataError, match="holds no images"):
        ReleaseParams(path=tmp_path / "empty").identity()
