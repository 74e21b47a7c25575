"""The contract of poisoners: their run, and what they return."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from ucbench.errors import UsageError
from ucbench.training.context import Run

if TYPE_CHECKING:
    from ucbench.data.budget import Budget
    from ucbench.data.imageset import ImageSet
    from ucbench.progress import Progress
    from ucbench.training.engine import Engine
    from ucbench.training.surrogate import Surrogate


@dataclass(frozen=True)
class Perturbation:
    """What a poisoner returns.

    Attributes:
        delta: float32 ``[M, 3, H, W]`` in units of the [0, 1] pixel scale, to be *added* to the images.
        index: int64 ``[N]`` into ``delta``; None means M = N, and image i gets ``delta[i]``.
        state: arrays by name that are stored with the release for ``assign``, such as cluster centres.
    """

    delta: NDArray[np.float32]
    index: NDArray[np.int64] | None = None
    state: Mapping[str, NDArray[Any]] = field(default_factory=dict)


class Checkpoint(Protocol):
    """Where a long craft saves its progress, to resume after an interruption."""

    def load(self) -> tuple[int, dict[str, NDArray[Any]]] | None:
        """The last saved ``(step, arrays)``, or None."""

    def save(self, step: int, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Save atomically. May be called at every step; the core decides how often it writes."""


class NoCheckpoint:
    """A checkpoint that stores nothing."""

    def load(self) -> tuple[int, dict[str, NDArray[Any]]] | None:
        return None

    def save(self, step: int, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Do nothing."""


class CraftRun(Run):
    """The run of a poisoner.

    Attributes:
        budget: the core projects the perturbation to it.
        checkpoint: where to save progress.
    """

    def __init__(
        self,
        engine: Engine,
        seed: int,
        progress: Progress,
        *,
        budget: Budget,
        surrogate: Surrogate | None = None,
        checkpoint: Checkpoint | None = None,
    ) -> None:
        super().__init__(engine, ("craft", seed), progress)
        self.budget = budget
        self.checkpoint: Checkpoint = checkpoint or NoCheckpoint()
        self._surrogate = surrogate

    @property
    def surrogate(self) -> Surrogate:
        """The model to optimise against.

        Raises:
            UsageError: if the poisoner's spec names none.
        """
        if self._surrogate is None:
            raise UsageError("This craft has no surrogate. Name one with --surrogate, or in the poisoner's spec.")
        return self._surrogate


@runtime_checkable
class Poisoner(Protocol):
    """``Class(params)``; makes perturbations. The core projects, rounds, clips and measures them."""

    def craft(self, train: ImageSet, run: CraftRun) -> Perturbation:
        """Perturb ``train``. ``train.labels`` are the craft labels, or None.

        A poisoner may also define ``assign(images, labels, state, run) -> int64 [B] | None``: the index of the
        perturbation that each image of an unseen :class:`ucbench.ImageSet` would get, or None if it cannot say.
        ``labels`` come from the source of the craft labels, or are None. The accuracy on the *perturbed* test set is
        measured with it.

        A poisoner that does more than add a shared array may also define
        ``transform(images, index, state) -> images``: float32 tensors ``[B, 3, H, W]`` in [0, 1] to the same, with
        ``index`` int64 ``[B]`` from ``assign``. It replaces the addition for unseen images.
        """
