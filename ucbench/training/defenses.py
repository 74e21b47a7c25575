"""A chain of defenses, applied stage by stage in the order of the contract."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ucbench.data import ImageSet
from ucbench.errors import ContractError, UsageError

if TYPE_CHECKING:
    from ucbench.training.context import Run

Loss = Callable[..., Tensor]


class DefensePipeline:
    """Named defenses in the order the exploiter wrote them.

    Args:
        parts: ``(name, component)`` pairs; see :class:`ucbench.training.defenses.Defense` for the methods a component may
        have.

    Raises:
        UsageError: if two parts define ``loss``, or ``select``; the text names both.
    """

    def __init__(self, parts: Sequence[tuple[str, Any]] = ()) -> None:
        self._parts = tuple(parts)
        for method, deed in (("loss", "replace the loss"), ("select", "select the epoch")):
            owners = [name for name, _ in self._having(method)]
            if len(owners) > 1:
                raise UsageError(f"Only one defense of a chain may {deed}, but {' and '.join(owners)} both do.")

    def __len__(self) -> int:
        return len(self._parts)

    def _having(self, method: str) -> list[tuple[str, Any]]:
        return [(name, part) for name, part in self._parts if hasattr(part, method)]

    @property
    def soft_targets(self) -> bool:
        """Whether targets must be probabilities ``[B, K]`` rather than class indices."""
        return bool(self._having("mix") or self._having("loss"))

    @property
    def loss(self) -> Loss | None:
        """``loss(model, x, targets, run, generator)`` of the chain's one owner, or None."""
        owners = self._having("loss")
        return owners[0][1].loss if owners else None

    @property
    def preparing(self) -> tuple[bool, ...]:
        """For every part, whether it has a ``prepare``."""
        return tuple(hasattr(part, "prepare") for _, part in self._parts)

    @property
    def select(self) -> Callable[[Sequence[float]], int] | None:
        """``select(scores)`` of the chain's one owner, or None."""
        owners = self._having("select")
        return owners[0][1].select if owners else None

    def prepare(self, train: ImageSet, run: Run) -> ImageSet:
        """Apply every ``prepare`` in order.

        Raises:
            ContractError: if a part changed the number of images.
        """
        for name, part in self._having("prepare"):
            prepared = part.prepare(train, run)
            if not isinstance(prepared, ImageSet) or len(prepared) != len(train):
                raise ContractError(
                    f"Defense {name}: prepare() must return an ImageSet of the same {len(train)} images."
                )
            train = prepared
        return train

    def augment(self, x: Tensor, run: Run, generator: torch.Generator) -> Tensor:
        for _, part in self._having("augment"):
            x = part.augment(x, run, generator)
        return x

    def mix(self, x: Tensor, targets: Tensor, run: Run, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        for _, part in self._having("mix"):
            x, targets = part.mix(x, targets, run, generator)
        return x, targets

    def at_test(self, x: Tensor) -> Tensor:
        for _, part in self._having("at_test"):
            x = part.at_test(x)
        return x
