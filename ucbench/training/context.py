"""What the core gives a component while it works: engine, device, seeds, progress, and a place for notes."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch

from ucbench.store.keys import canonical, derive_seed

if TYPE_CHECKING:
    from ucbench.progress import Progress
    from ucbench.training.engine import Engine

_log = logging.getLogger("ucbench")


class Run:
    """One stage's surroundings; stages that give more have a subclass of their own.

    Args:
        seeds: the stage and its seed, from which every stream's seed is derived.

    Attributes:
        engine: whole trainings and single steps.
        device: where images and models are.
        notes: what :meth:`note` put into the record.
        warnings: what :meth:`warn` put into the record.
    """

    def __init__(self, engine: Engine, seeds: tuple[str, int], progress: Progress) -> None:
        self.engine = engine
        self.device: torch.device = engine.device
        self.notes: dict[str, Any] = {}
        self.warnings: list[str] = []
        self._seeds = seeds
        self._progress = progress

    def seed(self, stream: str) -> int:
        """The integer (63 bits) behind :meth:`generator`, for libraries that take a seed."""
        return derive_seed(*self._seeds, stream)

    def generator(self, stream: str) -> torch.Generator:
        """A CPU generator seeded from the cell's seed and ``stream``; every call starts the stream anew."""
        return torch.Generator().manual_seed(self.seed(stream))

    def progress(self, text: str, total: int) -> Callable[[int], None]:
        """Open a progress bar; call the result with the number of steps done since the last call."""
        return self._progress.bar(text, total)

    def note(self, name: str, value: Any) -> None:
        """Put a diagnostic into the record. ``value`` must be JSON (numbers, text, lists, mappings)."""
        canonical(value)  # refuses what JSON cannot hold here, where the component's own frame is in the traceback
        self.notes[name] = value

    def warn(self, text: str) -> None:
        """Put a warning into the record, and show it."""
        self.warnings.append(text)
        _log.warning(text)
