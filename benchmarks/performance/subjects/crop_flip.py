"""Randomly crop and flip stored 8-bit images into a float32 batch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

import torch
from PIL import Image
from plain import augment as plain_augment

from subjects.augmenting import Batch, PlainBatch
from subjects.base import Evidence, array
from ucbench.training.batches import ResidentSet

#: Pixels on each side.
PADDING = 4


class Fast(Batch):
    @cached_property
    def _resident(self) -> ResidentSet:
        return ResidentSet(self.stored, padding=PADDING, flip=True, device=self.device)

    def check(self) -> tuple[Any, Evidence]:
        """Images in stored order, for the same offsets and flips."""
        draws = self._resident.draw(torch.Generator().manual_seed(6))
        order = torch.arange(len(self.stored), device=self.device)
        images = self._resident.gather(order, draws.offsets, draws.mirrored)
        decisions = draws.offsets.cpu().tolist(), draws.mirrored.cpu().tolist()
        return decisions, Evidence({"images": array(images)})

    def measure(self) -> Any:
        generator = torch.Generator().manual_seed(0)
        return self.timed(lambda: list(self._resident.epoch(len(self.stored), generator)))


class Plain(PlainBatch):
    @cached_property
    def _images(self) -> list[Image.Image]:
        return [Image.fromarray(image) for image in self.stored.images.transpose(0, 2, 3, 1)]

    def check(self, decisions: Any) -> Evidence:
        return Evidence({"images": array(plain_augment.crop_flip(self._images, *decisions, PADDING))})

    def ways(self) -> Mapping[str, Callable[[], object]]:
        side = self.sizes.side
        pixels = torch.from_numpy(self.stored.images.copy()).to(self.device)
        by_pillow = plain_augment.pillow_crop_flip(side, PADDING)
        by_tensor = plain_augment.tensor_crop_flip(side, PADDING)
        ways = {
            "pillow": lambda: by_pillow(self._images).to(self.device),
            "torchvision": lambda: by_tensor(pixels),
        }
        if plain_augment.HAS_KORNIA:
            by_kornia = plain_augment.kornia_crop_flip(side, PADDING)
            ways["kornia"] = lambda: by_kornia(pixels)
        return ways
