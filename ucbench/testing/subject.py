"""The component under check, and how a broken rule is reported."""

from __future__ import annotations

import contextlib
import dataclasses
import traceback
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from ucbench.data.imageset import ImageSet
from ucbench.errors import ContractError, UcbenchError, UsageError
from ucbench.plugins.registry import Component
from ucbench.plugins.specs import ComponentSpec
from ucbench.testing.rules import Ledger, Rule, RuleError, open_ledger
from ucbench.training.determinism import seeded

R = TypeVar("R", bound=ComponentSpec)

RUNS = Rule(
    "runs",
    "no call may fail",
    "Repeat the call that the evidence names with ucbench.testing.sample_images() and make_run(), as the checks do. "
    "A request that cannot be met is refused by ucbench.UsageError, data that cannot be read by ucbench.DataError.",
)
GENERATORS = Rule(
    "generators",
    "the global generators must be left alone",
    "Draw from run.generator(stream) or numpy.random.default_rng(run.seed(stream)), in batches from the generator that "
    "is handed over. Code that knows only the global ones belongs in a block `with ucbench.training.seeded(seed):`.",
)
INPUTS = Rule(
    "inputs",
    "what is lent must not be modified",
    "Work on a copy: images.images.copy(), x.clone(). torch.from_numpy shares memory with the array it is given, and "
    "methods that end in an underscore write in place.",
)
#: Rules about whatever is called.
CALLS = (RUNS, GENERATORS, INPUTS)


@dataclasses.dataclass(frozen=True)
class Subject(Generic[R]):
    """A component under check.

    Attributes:
        label: what messages call it.
        spec: what it promises.
        make: makes one; an instance given as such is always the same.
        ledger: notes what became of each rule; None where the first broken one is raised.
    """

    label: str
    spec: R
    make: Callable[[], Any]
    ledger: Ledger | None = None

    def build(self) -> Any:
        """One component, which must not fail in the making."""
        try:
            return self.make()
        except UcbenchError:
            raise
        except Exception as error:
            raise RuleError(self.label, RUNS.said("building one failed"), told(error)) from error

    def require(self, holds: bool, rule: Rule, evidence: str) -> None:
        """Raise RuleError with ``evidence``, a sentence without full stop, unless the rule holds."""
        if not holds:
            raise RuleError(self.label, rule, evidence)
        if self.ledger is not None:
            self.ledger.kept(rule)

    def skip(self, why: str, *rules: Rule) -> None:
        """Note that rules do not apply to this component."""
        if self.ledger is not None:
            for rule in rules:
                self.ledger.skipped(rule, why)

    @contextlib.contextmanager
    def apart(self) -> Iterator[None]:
        """What breaks inside the block is noted, and the check goes on behind it; without a ledger, it is raised."""
        try:
            yield
        except RuleError as broken:
            if self.ledger is None:
                raise
            self.ledger.broken(broken)

    @contextlib.contextmanager
    def calling(self, what: str, *sets: ImageSet, state: int = 0, rule: Rule = RUNS) -> Iterator[None]:
        """Run the component's code inside: it must not raise, draw from global generators, or modify ``sets``.

        Args:
            what: the call as messages name it.
            state: seeds the global generators meanwhile. Two calls whose results must be equal use two states.
            rule: the rule that is broken where it raises.
        """
        before = [_fingerprint(images) for images in sets]
        with seeded(state):
            generators = _global_generators()
            try:
                yield
            except RuleError:
                raise
            except ContractError as error:
                raise RuleError(self.label, rule.said(str(error))) from error
            except UcbenchError:
                raise
            except Exception as error:
                raise RuleError(self.label, rule.said(f"{what} failed"), told(error)) from error
            self.require(True, rule, "")
            with self.apart():
                text = f"{what} must leave the global generators alone and draw from run.generator(stream)"
                unchanged = generators == _global_generators()
                self.require(
                    unchanged, GENERATORS.said(text), "The state of torch's or NumPy's global generator changed"
                )
        with self.apart():
            for images, fingerprint in zip(sets, before, strict=True):
                unchanged = _fingerprint(images) == fingerprint
                rule = INPUTS.said(f"{what} must not modify its inputs")
                self.require(unchanged, rule, f"The image set {images.name!r} changed")

    def same(self, first: Mapping[str, NDArray[Any]], second: Mapping[str, NDArray[Any]], rule: Rule) -> None:
        """Require equal bytes under equal names."""
        self.require(
            first.keys() == second.keys(), rule, f"There are {sorted(first)} once and {sorted(second)} another time"
        )
        for name, array in first.items():
            difference = _difference(name, np.asarray(array), np.asarray(second[name]))
            self.require(difference is None, rule, difference or "")


def subject_of(component: object, spec: R | None, kind: type[R]) -> Subject[R]:
    """The subject behind what a check was given: a registered component, or an instance.

    Raises:
        UsageError: if the component is of another kind.
    """
    if isinstance(component, Component):
        if not isinstance(component.spec, kind):
            raise UsageError(f"{component} is a {component.spec.kind}, and this check is for a {kind.kind}.")
        return Subject(f"{kind.kind} {str(component)!r}", component.spec, component.build, open_ledger())
    name = type(component).__qualname__
    known = spec or kind(name=name, summary="", load="")
    return Subject(f"{kind.kind} {name}", known, lambda: component, open_ledger())


def shape_text(value: object) -> str:
    """Type and shape of what a component returned, for evidence."""
    if isinstance(value, np.ndarray | torch.Tensor):
        return f"{value.dtype} {list(value.shape)}"
    return type(value).__qualname__


def told(error: Exception) -> str:
    """The error, and where in the component's own code it came up."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if Path(f.filename).parent != Path(__file__).parent]
    lines = [frame.lineno for frame in frames if frame.filename == frames[0].filename]
    place = f" ({Path(frames[0].filename).name}, line {lines[-1]})" if frames else ""
    return f"{type(error).__name__}: {error}{place}"


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
