"""The component under check, and how a broken rule is reported."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from ucbench.components import ComponentRecord
from ucbench.data import ImageSet
from ucbench.errors import ContractError, UcbenchError, UsageError
from ucbench.registry import Resolved
from ucbench.training import seeded

R = TypeVar("R", bound=ComponentRecord)


@dataclasses.dataclass(frozen=True)
class Subject(Generic[R]):
    """A component under check.

    Attributes:
        label: what messages call it.
        record: what it promises.
        build: makes one; an instance given as such is always the same.
    """

    label: str
    record: R
    build: Callable[[], Any]

    def require(self, holds: bool, rule: str, evidence: str) -> None:
        """Raise ContractError with ``rule`` and ``evidence``, two sentences without full stop, unless it holds."""
        if not holds:
            raise ContractError(f"{self.label}: {rule}. {evidence}.")

    @contextlib.contextmanager
    def calling(self, what: str, *sets: ImageSet, state: int = 0) -> Iterator[None]:
        """Run the component's code inside: it must not raise, draw from global generators, or modify ``sets``.

        Args:
            what: the call as messages name it.
            state: seeds the global generators meanwhile. Two calls whose results must be equal use two states.
        """
        before = [_fingerprint(images) for images in sets]
        with seeded(state):
            generators = _global_generators()
            try:
                yield
            except UcbenchError as error:
                if isinstance(error, ContractError):
                    raise ContractError(f"{self.label}: {error}") from error
                raise
            except Exception as error:
                raise ContractError(f"{self.label}: {what} failed. {type(error).__name__}: {error}") from error
            self.require(
                generators == _global_generators(),
                f"{what} must leave the global generators alone and draw from run.generator(stream)",
                "The state of torch's or NumPy's global generator changed",
            )
        for images, fingerprint in zip(sets, before, strict=True):
            self.require(
                _fingerprint(images) == fingerprint,
                f"{what} must not modify its inputs",
                f"The image set {images.name!r} changed",
            )

    def same(self, first: Mapping[str, NDArray[Any]], second: Mapping[str, NDArray[Any]], rule: str) -> None:
        """Require equal bytes under equal names."""
        self.require(
            first.keys() == second.keys(), rule, f"There are {sorted(first)} once and {sorted(second)} another time"
        )
        for name, array in first.items():
            difference = _difference(name, np.asarray(array), np.asarray(second[name]))
            self.require(difference is None, rule, difference or "")


def subject_of(component: object, record: R | None, kind: type[R]) -> Subject[R]:
    """The subject behind what a check was given: a registered component, or an instance.

    Raises:
        UsageError: if the component is of another kind.
    """
    if isinstance(component, Resolved):
        if not isinstance(component.record, kind):
            raise UsageError(f"{component} is a {component.record.kind}, and this check is for a {kind.kind}.")
        return Subject(f"{kind.kind} {str(component)!r}", component.record, component.build)
    name = type(component).__qualname__
    return Subject(f"{kind.kind} {name}", record or kind(name=name, summary="", load=""), lambda: component)


def shape_text(value: object) -> str:
    """Type and shape of what a component returned, for evidence."""
    if isinstance(value, np.ndarray | torch.Tensor):
        return f"{value.dtype} {list(value.shape)}"
    return type(value).__qualname__


def _fingerprint(images: ImageSet) -> str:
    # A copy's, since a set remembers its own.
    return dataclasses.replace(images).fingerprint


def _global_generators() -> tuple[object, ...]:
    # Not Python's: the mere import of some libraries draws from it.
    _, keys, *rest = np.random.get_state()
    return torch.get_rng_state().numpy().tobytes(), np.asarray(keys).tobytes(), tuple(rest)


def _difference(name: str, first: NDArray[Any], second: NDArray[Any]) -> str | None:
    """Where two arrays differ; None if they are equal."""
    if first.shape != second.shape or first.dtype != second.dtype:
        return f"{name} is {shape_text(first)} once and {shape_text(second)} another time"
    equal = (first == second) | ((first != first) & (second != second))
    if equal.all():
        return None
    place = tuple(int(i) for i in np.argwhere(~np.atleast_1d(equal))[0])
    values = np.atleast_1d(first)[place], np.atleast_1d(second)[place]
    return (
        f"{name} differs in {int((~equal).sum())} of {equal.size} values, first at {list(place)}:"
        f" {values[0]} and {values[1]}"
    )
