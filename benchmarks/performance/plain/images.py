"""Load images through a DataLoader, with torchvision's transforms."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

#: Numbers of worker processes that are tried.
WORKERS = (0, 1, 2, 4)

# The number of workers that suits a machine is measured here.
warnings.filterwarnings("ignore", message="This DataLoader will create")


class Images(Dataset[tuple[Tensor, int, int]]):
    """PIL images, their labels and their indices.

    Args:
        images: uint8 ``[N, 3, H, W]``.
        labels: int64 ``[N]``.
        transform: from a PIL image to a tensor.
    """

    def __init__(self, images: NDArray[np.uint8], labels: NDArray[np.int64], transform: Callable[..., Tensor]) -> None:
        self._images = [Image.fromarray(image) for image in images.transpose(0, 2, 3, 1)]
        self._labels, self._transform = labels.tolist(), transform

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: int) -> tuple[Tensor, int, int]:
        return self._transform(self._images[index]), self._labels[index], index


def augmenting(
    side: int, padding: int, *, flip: bool, mean: Sequence[float] = (), std: Sequence[float] = ()
) -> Callable:
    """Random crop and flip, then :func:`to_tensor`."""
    steps: list[Callable] = [transforms.RandomCrop(side, padding=padding)]
    if flip:
        steps.append(transforms.RandomHorizontalFlip())
    return transforms.Compose([*steps, to_tensor(mean, std)])


def to_tensor(mean: Sequence[float] = (), std: Sequence[float] = ()) -> Callable:
    """Conversion to a tensor in [0, 1], normalised if ``mean`` and ``std`` are given."""
    steps: list[Callable] = [transforms.ToTensor()]
    if mean:
        steps.append(transforms.Normalize(mean, std))
    return transforms.Compose(steps)


def loader(images: Images, batch: int, *, shuffle: bool, workers: int, device: torch.device) -> DataLoader:
    """Batches of all images; the workers outlive an epoch, as in scripts written for speed."""
    return DataLoader(
        images,
        batch,
        shuffle=shuffle,
        num_workers=workers,
        persistent_workers=workers > 0,
        pin_memory=device.type == "cuda",
    )


def fastest(
    make: Callable[[int], DataLoader], use: Callable[[DataLoader], object], most: int
) -> tuple[int, DataLoader]:
    """The count of :data:`WORKERS`, up to ``most``, that makes ``use`` of a loader quickest, and that loader.

    Workers start before the clock does, and the first use, which finds everything cold, is not timed.
    """
    trials: list[tuple[float, int, DataLoader]] = []
    for workers in (count for count in WORKERS if count <= most):
        made = make(workers)
        if workers:
            next(iter(made))
        if not trials:
            use(made)
        started = time.perf_counter()
        use(made)
        trials.append((time.perf_counter() - started, workers, made))
    return min(trials, key=lambda entry: entry[0])[1:]
