"""Rules of the contract: their names, how to fix what breaks them, and the findings of a check."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Literal

from ucbench.errors import ContractError

Verdict = Literal["ok", "failed", "skipped"]


@dataclasses.dataclass(frozen=True)
class Rule:
    """A rule of the contract.

    Attributes:
        name: lower-kebab, unique among the rules of a kind.
        states: what must hold, a sentence without full stop.
        fix: how to fix a component that breaks it, in whole sentences.
    """

    name: str
    states: str
    fix: str

    def stated(self, states: str) -> Rule:
        """The same rule, stated for one case."""
        return dataclasses.replace(self, states=states.rstrip("."))


class RuleError(ContractError):
    """A component breaks ``rule``; ``evidence`` says what was found, and may be empty."""

    def __init__(self, label: str, rule: Rule, evidence: str = "") -> None:
        super().__init__(f"{label}: {_sentences(rule.states, evidence)}")
        self.rule, self.evidence = rule, evidence


@dataclasses.dataclass(frozen=True)
class Finding:
    """The verdict on one rule.

    Attributes:
        rule: as stated for all cases.
        verdict: ``skipped`` if the rule does not apply or could not be checked.
        evidence: what was found if the rule is broken, or why it was skipped.
    """

    rule: Rule
    verdict: Verdict
    evidence: str = ""


class Findings:
    """Collects the verdicts of a check that continues after a broken rule."""

    def __init__(self) -> None:
        self._by_name: dict[str, Finding] = {}

    @property
    def failures(self) -> int:
        """The number of broken rules."""
        return sum(finding.verdict == "failed" for finding in self._by_name.values())

    def passed(self, rule: Rule) -> None:
        """The rule holds in one case; other cases may still break it."""
        finding = self._by_name.get(rule.name)
        if finding is None or finding.verdict == "skipped":
            self._by_name[rule.name] = Finding(rule, "ok")

    def failed(self, error: RuleError) -> None:
        """The rule is broken; the first case is reported."""
        finding = self._by_name.get(error.rule.name)
        if finding is None or finding.verdict != "failed":
            self._by_name[error.rule.name] = Finding(error.rule, "failed", error.evidence)

    def skipped(self, rule: Rule, why: str) -> None:
        """The rule does not apply to this component."""
        self._by_name.setdefault(rule.name, Finding(rule, "skipped", why))

    def on(self, rules: tuple[Rule, ...], unreached: str) -> tuple[Finding, ...]:
        """The findings on ``rules``, in their order; rules without one are skipped because of ``unreached``."""
        return tuple(self._on(rule, unreached) for rule in rules)

    def _on(self, rule: Rule, unreached: str) -> Finding:
        finding = self._by_name.get(rule.name)
        if finding is None:
            return Finding(rule, "skipped", unreached)
        if finding.verdict == "failed" and finding.rule.states != rule.states:
            # The rule as stated for the case says which call broke it.
            return Finding(rule, "failed", _sentences(finding.rule.states, finding.evidence))
        return dataclasses.replace(finding, rule=rule)


def _sentences(*texts: str) -> str:
    return " ".join(text.rstrip(".") + "." for text in texts if text)


_current: ContextVar[Findings | None] = ContextVar("findings", default=None)


def current_findings() -> Findings | None:
    """Where checks made here collect their verdicts; None if they raise at the first broken rule."""
    return _current.get()


@contextlib.contextmanager
def collecting() -> Iterator[Findings]:
    """Inside the block, checks collect verdicts instead of raising."""
    findings = Findings()
    token = _current.set(findings)
    try:
        yield findings
    finally:
        _current.reset(token)
