"""What the core lends a component while it works: the implementation of :class:`ucbench.training.context.Run`."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import torch
from numpy.typing import NDArray

from ucbench.crafting.poisoner import Checkpoint
from ucbench.crafting.surrogate import Surrogate
from ucbench.progress import Progress
from ucbench.store.keys import canonical, derive_seed
from ucbench.training import Engine

if TYPE_CHECKING:
    from ucbench.data import ImageSet
    from ucbench.data.budget import Budget

_log = logging.getLogger("ucbench")


class NoCheckpoint:
    """A checkpoint that keeps nothing, where there is no store."""

    def load(self) -> tuple[int, dict[str, NDArray[Any]]] | None:
        return None

    def save(self, step: int, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Keep nothing."""


class Run:
    """One stage's surroundings. ``seeds`` are the parts every stream's seed is derived from: the stage and its seed."""

    def __init__(
        self,
        engine: Engine,
        seeds: tuple[str, int],
        progress: Progress,
        *,
        budget: Budget | None = None,
        surrogate: Surrogate | None = None,
        checkpoint: Checkpoint | None = None,
    ) -> None:
        self.engine = engine
        self.device = engine.device
        self.budget = budget
        self.surrogate = surrogate
        self.clean: ImageSet | None = None
        self.checkpoint: Checkpoint = checkpoint or NoCheckpoint()
        self.epoch = 0
        self.notes: dict[str, Any] = {}
        self.warnings: list[str] = []
        self._seeds = seeds
        self._progress = progress

    def seed(self, stream: str) -> int:
        return derive_seed(*self._seeds, stream)

    def generator(self, stream: str) -> torch.Generator:
        return torch.Generator().manual_seed(self.seed(stream))

    def progress(self, text: str, total: int) -> Callable[[int], None]:
        return self._progress.bar(text, total)

    def note(self, name: str, value: Any) -> None:
        canonical(value)  # refuses what JSON cannot hold here, where the component's own frame is in the traceback
        self.notes[name] = value

    def warn(self, text: str) -> None:
        self.warnings.append(text)
        _log.warning(text)
