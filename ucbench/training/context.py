"""The run: what the core gives a component (engine, device, seeds, progress, notes)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import torch

from ucbench.errors import ContractError
from ucbench.store.keys import canonical, derive_seed

if TYPE_CHECKING:
    from ucbench.progress import Progress
    from ucbench.training.engine import Engine

_log = logging.getLogger("ucbench")


class Run:
    """What every component gets as ``run``; stages that give more have a subclass.

    Args:
        seeds: the stage and its seed, from which the seeds of all streams are derived.

    Attributes:
        engine: trainings and single optimiser steps.
        device: device of images and models.
        notes: diagnostics of :meth:`note`, for the record.
        warnings: texts of :meth:`warn`, for the record.
        trainers: versions of :meth:`trained_with`, for the record's environment.
    """

    def __init__(self, engine: Engine, seeds: tuple[str, int], progress: Progress) -> None:
        self.engine = engine
        self.device: torch.device = engine.device
        self.notes: dict[str, Any] = {}
        self.warnings: list[str] = []
        self.trainers: dict[str, dict[str, str]] = {}
        self._seeds = seeds
        self._progress = progress

    def seed(self, stream: str, bits: int = 63) -> int:
        """The seed of :meth:`generator`, for libraries that take one: its lowest ``bits``, at most 63.

        NumPy's new generators take all of them. scikit-learn, SciPy and ``numpy.random.RandomState`` take 32.
        """
        return derive_seed(*self._seeds, stream) & ((1 << bits) - 1)

    def generator(self, stream: str) -> torch.Generator:
        """A CPU generator seeded from the cell's seed and ``stream``; every call restarts the stream."""
        return torch.Generator().manual_seed(self.seed(stream))

    def progress(self, text: str, total: int) -> Callable[[int], None]:
        """Open a progress bar of ``total`` steps; call the result with the number of steps done since the last call."""
        return self._progress.bar(text, total)

    def note(self, name: str, value: Any) -> None:
        """Put a diagnostic into the record.

        Raises:
            ContractError: if ``value`` is not JSON (finite numbers, text, lists, mappings).
        """
        try:
            canonical(value)  # fails here, where the traceback shows the component
        except ContractError as error:
            raise ContractError(f"Note {name!r}: {error}") from None
        self.notes[name] = value

    def warn(self, text: str) -> None:
        """Put a warning into the record, and log it."""
        self.warnings.append(text)
        _log.warning(text)

    def trained_with(self, trainer: str, versions: Mapping[str, str]) -> None:
        """Put the versions of a trainer outside this process into the record's environment.

        Args:
            trainer: its name, such as ``keras``.
            versions: of its Python and its libraries, by name.
        """
        self.trainers[trainer] = dict(versions)
