"""Releases crafted elsewhere, in files of all formats, and what the import publishes or says of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from ucbench.crafting.release import Release, make_release, materialise
from ucbench.data.budget import Budget
from ucbench.data.imageset import ImageSet
from ucbench.errors import UcbenchError, UsageError
from ucbench.testing import make_run, sample_images
from ucbench.training.context import Run
from ucbench_imported.params import ReleaseParams
from ucbench_imported.poisoner import ImportedRelease

TRAIN = sample_images()
SHAPE = TRAIN.images.shape
LINF = Budget("linf", 8)
ANY = Budget("unbounded", None)


def crafted(path: Path, budget: Budget = LINF, train: ImageSet = TRAIN, **options: object) -> tuple[Release, Run]:
    run = make_run(budget=budget)
    delta = ImportedRelease(ReleaseParams(path=path, **options)).craft(train, run)
    release = make_release(delta, train, budget)
    assert release.meta["moved_share"] == 0
    return release, run


def published(path: Path, budget: Budget = LINF, train: ImageSet = TRAIN, **options: object) -> np.ndarray:
    release, _ = crafted(path, budget, train, **options)
    return materialise(train.images, release.changes, release.index)


def refused(path: Path, match: str, error: type[UcbenchError] = UsageError, **options: object) -> None:
    """The import fails with one sentence or two that name the file."""
    with pytest.raises(error, match=match) as caught:
        crafted(path, **options)
    assert type(caught.value) is error
    assert path.name in str(caught.value)
    assert "\n" not in str(caught.value)


def changes(largest: int = 8, seed: int = 0, shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    """int16 levels, of which every item reaches ``-largest`` and ``largest``."""
    levels = np.random.default_rng(seed).integers(-largest, largest + 1, shape).astype(np.int16)
    levels[:, 0, 0, :2] = -largest, largest
    return levels


def added(levels: np.ndarray, train: ImageSet = TRAIN) -> np.ndarray:
    return np.clip(train.images + levels, 0, 255).astype(np.uint8)


def npy(folder: Path, array: np.ndarray) -> Path:
    np.save(folder / "release.npy", array)
    return folder / "release.npy"


def npz(folder: Path, array: np.ndarray) -> Path:
    np.savez_compressed(folder / "release.npz", delta=array)
    return folder / "release.npz"


def safetensors(folder: Path, array: np.ndarray) -> Path:
    save_file({"delta": torch.from_numpy(array)}, folder / "release.safetensors")
    return folder / "release.safetensors"


def pt(folder: Path, array: np.ndarray) -> Path:
    torch.save(torch.from_numpy(array), folder / "release.pt")
    return folder / "release.pt"


def pth_of_a_dict(folder: Path, array: np.ndarray) -> Path:
    torch.save({"delta": torch.from_numpy(array), "epsilon": 8}, folder / "release.pth")
    return folder / "release.pth"


def old_pt(folder: Path, array: np.ndarray) -> Path:
    torch.save(torch.from_numpy(array), folder / "release.pt", _use_new_zipfile_serialization=False)
    return folder / "release.pt"


def pngs(folder: Path, images: np.ndarray) -> Path:
    (folder / "images").mkdir(exist_ok=True)
    for number, pixels in enumerate(images):
        Image.fromarray(pixels.transpose(1, 2, 0)).save(folder / "images" / f"{number}.png")
    return folder / "images"


#: Of a test that takes ``save``, which writes an array into a folder.
every_format = pytest.mark.parametrize("save", [npy, npz, safetensors, pt, pth_of_a_dict, old_pt])
