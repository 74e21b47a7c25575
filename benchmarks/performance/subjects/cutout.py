"""Cutout: a black square of half the side, placed separately in every image."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

import torch
from plain import augment as plain_augment

from subjects.augmenting import Batch, PlainBatch, boxes_of
from subjects.base import Evidence, array
from ucbench.plugins.registry import installed
from ucbench.progress import Silent
from ucbench.training.defenses import DefenseRun


class Fast(Batch):
    @cached_property
    def _defense(self) -> Any:
        return installed().resolve("defense", "cutout").build()

    def _cut(self, x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        return self._defense.augment(x, DefenseRun(self.engine, ("train", 0), Silent()), generator)

    def check(self) -> tuple[Any, Evidence]:
        """Images with squares; white images reveal where the squares are."""
        boxes = boxes_of(self._cut(torch.ones_like(self.x), torch.Generator().manual_seed(6))[:, 0] == 0)
        return boxes, Evidence({"images": array(self._cut(self.x, torch.Generator().manual_seed(6)))})

    def measure(self) -> Any:
        generator = torch.Generator().manual_seed(0)
        return self.timed(lambda: self._cut(self.x, generator))


class Plain(PlainBatch):
    def check(self, boxes: Any) -> Evidence:
        return Evidence({"images": array(plain_augment.erase(self.x, boxes))})

    def ways(self) -> Mapping[str, Callable[[], object]]:
        side = self.sizes.side // 2
        by_torchvision = plain_augment.torchvision_erasing(0.25)
        ways = {
            "slices": lambda: plain_augment.cutout(self.x, side),
            "torchvision": lambda: by_torchvision(self.x),
        }
        if plain_augment.HAS_KORNIA:
            by_kornia = plain_augment.kornia_erasing(0.25)
            ways["kornia"] = lambda: by_kornia(self.x)
        return ways
