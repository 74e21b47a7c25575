"""CutMix with one box per image."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

import torch
from plain import augment as plain_augment

from subjects.augmenting import Batch, PlainBatch, boxes_of
from subjects.base import CLASSES, Evidence, array
from ucbench.plugins.registry import installed
from ucbench.progress import Silent
from ucbench.training.defenses import DefenseRun


class Fast(Batch):
    @cached_property
    def _defense(self) -> Any:
        return installed().resolve("defense", "cutmix:probability=1.0").build()

    def _mixed(self, x: torch.Tensor, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        return self._defense.mix(x, self.targets, DefenseRun(self.engine, ("train", 0), Silent()), generator)

    def check(self) -> tuple[Any, Evidence]:
        """Mixed images and targets; constant images of distinct values reveal boxes and partners."""
        numbers = torch.arange(len(self.x), device=self.device).float()
        marked, _ = self._mixed(numbers.view(-1, 1, 1, 1).expand_as(self.x), torch.Generator().manual_seed(6))
        foreign = marked[:, 0] != numbers.view(-1, 1, 1)
        boxes = boxes_of(foreign)
        partner = torch.where(foreign, marked[:, 0], -1).amax((1, 2))
        partner = torch.where(partner < 0, numbers, partner).long()
        mixed, targets = self._mixed(self.x, torch.Generator().manual_seed(6))
        return (array(partner), boxes), Evidence({"images": array(mixed), "targets": array(targets)})

    def measure(self) -> Any:
        generator = torch.Generator().manual_seed(0)
        return self.timed(lambda: self._mixed(self.x, generator))


class Plain(PlainBatch):
    def check(self, inputs: Any) -> Evidence:
        partner, boxes = torch.from_numpy(inputs[0]).long(), inputs[1]
        mixed, targets = plain_augment.paste(self.x, self.targets, partner, boxes)
        return Evidence({"images": array(mixed), "targets": array(targets)})

    def ways(self) -> Mapping[str, Callable[[], object]]:
        by_torchvision = plain_augment.torchvision_cutmix(CLASSES)
        ways = {
            "slices": lambda: plain_augment.cutmix(self.x, self.targets),
            "torchvision": lambda: by_torchvision(self.x, self.targets),
        }
        if plain_augment.HAS_KORNIA:
            by_kornia = plain_augment.kornia_cutmix(CLASSES)
            ways["kornia"] = lambda: by_kornia(self.x, self.targets)
        return ways
