"""The component under check: how a check calls it and reports broken rules."""

from __future__ import annotations

import contextlib
import dataclasses
import re
import traceback
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ucbench.data.imageset import ImageSet
from ucbench.errors import ContractError, UcbenchError, UsageError, place_of
from ucbench.plugins.registry import Component
from ucbench.plugins.specs import ComponentSpec
from ucbench.testing.rules import Findings, Rule, RuleError, current_findings
from ucbench.training.determinism import seeded
from ucbench.training.returned import shape_text

S = TypeVar("S", bound=ComponentSpec)

#: Where an image set is made, and refuses images or labels of a wrong type, shape or range.
_MAKING = {ImageSet.__post_init__.__code__, ImageSet.with_images.__code__}

RUNS = Rule(
    "runs",
    "no call may fail",
    "Compare name and arguments of the method with its contract in the Python API. Repeat the call that the evidence "
    "names with ucbench.testing.sample_images() and make_run(), as the checks do. "
    "Raise ucbench.UsageError for a request that cannot be met, ucbench.DataError for data that cannot be read.",
)
GENERATORS = Rule(
    "generators",
    "the global generators must be left alone",
    "Draw from run.generator(stream) or numpy.random.default_rng(run.seed(stream)), in batches from the generator "
    "argument. Put code that only knows the global ones in a block `with ucbench.seeded(seed):`.",
)
INPUTS = Rule(
    "inputs",
    "inputs must not be modified",
    "Work on a copy: images.images.copy(), x.clone(). torch.from_numpy shares memory with its array, and methods that "
    "end in an underscore write in place.",
)
#: Rules about every call.
CALLS = (RUNS, GENERATORS, INPUTS)


@dataclasses.dataclass(frozen=True)
class Subject(Generic[S]):
    """A component under check.

    Attributes:
        label: its name in messages.
        spec: what it declares.
        make: makes a new one, or returns the instance that the check was called with.
        package: where its code is: errors name a line of it.
        findings: collects the verdicts; None if the first broken rule is raised.
    """

    label: str
    spec: S
    make: Callable[[], Any]
    package: str
    findings: Findings | None = None

    def build(self) -> Any:
        """One component."""
        with self.running("building one"):
            return self.make()

    def require(self, holds: bool, rule: Rule, evidence: str) -> None:
        """Raise RuleError with ``evidence``, a sentence without full stop, unless the rule holds."""
        if not holds:
            raise RuleError(self.label, rule, evidence)
        if self.findings is not None:
            self.findings.passed(rule)

    def skip(self, why: str, *rules: Rule) -> None:
        """Note that rules do not apply to this component."""
        if self.findings is not None:
            for rule in rules:
                self.findings.skipped(rule, why)

    @contextlib.contextmanager
    def isolated(self) -> Iterator[None]:
        """A broken rule ends only the block, and the check goes on after it. Without findings, it is raised."""
        try:
            yield
        except RuleError as error:
            if self.findings is None:
                raise
            self.findings.failed(error)

    @contextlib.contextmanager
    def accepting(self, rule: Rule, error: type[UcbenchError] = ContractError) -> Iterator[None]:
        """The rule is broken if the core's code inside raises ``error``, and holds otherwise."""
        try:
            yield
        except error as raised:
            raise RuleError(self.label, rule.stated(str(raised))) from raised
        self.require(True, rule, "")

    @contextlib.contextmanager
    def running(self, what: str, rule: Rule = RUNS, malformed: Rule | None = None) -> Iterator[None]:
        """The rule is broken if the component's code inside raises, unless it reports an error of the user.

        Args:
            malformed: the rule that is broken instead by making an image set with wrong images or labels.
        """
        try:
            yield
        except RuleError:
            raise
        except ContractError as error:
            place = place_in_package(error, self.package)
            raise RuleError(self.label, rule.stated(str(error)), place and f"Raised by {place}") from error
        except UcbenchError as error:
            if not any(frame.f_code in _MAKING for frame, _ in traceback.walk_tb(error.__traceback__)):
                raise
            place, said = place_in_package(error, self.package), str(error).removesuffix(".")
            evidence = f"{said} ({place})" if place else said
            raise RuleError(self.label, malformed or rule.stated(f"{what} failed"), evidence) from error
        except Exception as error:
            raise RuleError(self.label, rule.stated(f"{what} failed"), error_text(error, self.package)) from error

    @contextlib.contextmanager
    def calling(
        self,
        what: str,
        *inputs: ImageSet | Tensor,
        state: int = 0,
        rule: Rule = RUNS,
        malformed: Rule | None = None,
    ) -> Iterator[None]:
        """Run the component's code inside: it must not raise, draw from global generators, or modify ``inputs``.

        Args:
            what: the call as messages name it.
            state: seed of the global generators. Two calls whose results must be equal use two states.
            rule: the rule that is broken if the code raises; ``malformed``: as of :meth:`running`.
        """
        before = [_snapshot(value) for value in inputs]
        with seeded(state):
            generators = _global_generators()
            with self.running(what, rule, malformed):
                yield
            self.require(True, rule, "")
            with self.isolated():
                self.require(
                    generators == _global_generators(),
                    GENERATORS.stated(
                        f"{what} must leave the global generators alone and draw from run.generator(stream)"
                    ),
                    "The state of torch's or NumPy's global generator changed",
                )
        with self.isolated():
            for value, snapshot in zip(inputs, before, strict=True):
                name = f"The image set {value.name!r}" if isinstance(value, ImageSet) else "A tensor"
                self.require(
                    _snapshot(value) == snapshot,
                    INPUTS.stated(f"{what} must not modify its inputs"),
                    f"{name} changed",
                )

    def same(self, first: Mapping[str, NDArray[Any]], second: Mapping[str, NDArray[Any]], rule: Rule) -> None:
        """Require equal bytes under equal names."""
        self.require(
            first.keys() == second.keys(), rule, f"There are {sorted(first)} once and {sorted(second)} another time"
        )
        for name, array in first.items():
            difference = _difference(name, np.asarray(array), np.asarray(second[name]))
            self.require(difference is None, rule, difference or "")


def subject_of(component: object, spec: S | None, kind: type[S]) -> Subject[S]:
    """The subject of a check's argument: a registered component, or an instance.

    Raises:
        UsageError: if the component is of another kind.
    """
    if isinstance(component, Component):
        if not isinstance(component.spec, kind):
            raise UsageError(f"{component} is a {component.spec.kind}, and this check is for a {kind.kind}.")
        label = f"{kind.kind} {str(component)!r}"
        return Subject(label, component.spec, component.build, component.spec.load, current_findings())
    name = type(component).__qualname__
    spec = spec or kind(name=name, summary="", load="")
    return Subject(f"{kind.kind} {name}", spec, lambda: component, type(component).__module__, current_findings())


def error_text(error: BaseException, package: str) -> str:
    """The error, and where in the component's package it was raised, or came through."""
    place = place_in_package(error, package) or "where the core calls the component or reads what it returned"
    return f"{type(error).__name__}: {error} ({place})"


def place_in_package(error: BaseException, package: str) -> str:
    """``stripes.py, line 12``: the last line of the component's package that led to the error; empty if none did.

    Args:
        package: of the component; what follows its first dot or colon does not count.
    """
    root = re.split("[.:]", package)[0]
    # The core's components share their package with these checks.
    return place_of(error, lambda name: name.split(".")[0] == root and not name.startswith("ucbench.testing."))


def _snapshot(value: ImageSet | Tensor) -> str | bytes:
    # A copy's fingerprint, since a set remembers its own.
    if isinstance(value, ImageSet):
        return dataclasses.replace(value).fingerprint
    return value.detach().numpy().tobytes()


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
