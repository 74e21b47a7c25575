"""Shared by the comparisons of augmentations: a batch, and the fastest of several plain ways."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property

import numpy as np
import torch

from subjects.base import CLASSES, Measured, Side, synthetic_images
from ucbench.data.imageset import ImageSet


class Batch(Side):
    """A batch of images, and its targets as probabilities."""

    @cached_property
    def stored(self) -> ImageSet:
        return synthetic_images(self.sizes.augmented, self.sizes.side)

    @cached_property
    def x(self) -> torch.Tensor:
        return torch.from_numpy(self.stored.images.copy()).to(self.device).float().div_(255)

    @cached_property
    def targets(self) -> torch.Tensor:
        labels = torch.from_numpy(self.stored.known_labels.copy())
        return torch.nn.functional.one_hot(labels, CLASSES).float().to(self.device)

    def timed(self, change: Callable[[], object]) -> Measured:
        """Seconds of ``rounds`` changes of the batch."""
        started = self.clock()
        for _ in range(self.sizes.rounds):
            change()
        return Measured(self.clock() - started, self.sizes.rounds * self.sizes.augmented)


class PlainBatch(Batch):
    """The fastest of :meth:`ways`, each of which changes the batch once."""

    def ways(self) -> Mapping[str, Callable[[], object]]:
        raise NotImplementedError

    @cached_property
    def _fastest(self) -> tuple[str, Callable[[], object], dict[str, float]]:
        ways, speeds = self.ways(), {}
        np.random.seed(0)  # the plain loops draw their boxes from it
        for name, change in ways.items():
            change()
            started = self.clock()
            change()
            speeds[name] = round(self.sizes.augmented / max(self.clock() - started, 1e-9), 1)
        best = max(speeds, key=lambda name: speeds[name])
        return best, ways[best], speeds

    def measure(self) -> Measured:
        name, change, speeds = self._fastest
        measured = self.timed(change)
        measured.notes.update({"fastest": name, "images_per_second_of_each": speeds})
        return measured


def boxes_of(marked: torch.Tensor) -> list[tuple[int, int, int, int]]:
    """The boxes (top, left, bottom, right) of the marked pixels in ``[B, H, W]``; an empty box for an unmarked image.

    Raises:
        ValueError: if the marked pixels do not form a rectangle.
    """
    boxes = []
    for mask in marked.cpu():
        rows, columns = mask.any(1).nonzero().flatten(), mask.any(0).nonzero().flatten()
        if not len(rows):
            boxes.append((0, 0, 0, 0))
            continue
        box = int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1
        if int(mask.sum()) != (box[2] - box[0]) * (box[3] - box[1]):
            raise ValueError("what an augmentation changed is no rectangle")
        boxes.append(box)
    return boxes
