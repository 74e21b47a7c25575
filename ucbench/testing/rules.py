"""Rules of the contract, each with a name and a way to fix what breaks it, and a ledger of verdicts."""

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
    """What a component must keep to.

    Attributes:
        name: lower-kebab, unique among the rules of a kind.
        states: what must hold, a sentence without full stop.
        fix: what to do about a component that breaks it, in whole sentences.
    """

    name: str
    states: str
    fix: str

    def said(self, states: str) -> Rule:
        """The same rule, stated for the case at hand."""
        return dataclasses.replace(self, states=states.rstrip("."))


class RuleError(ContractError):
    """A component breaks ``rule``; ``evidence`` says how it shows, and may be empty."""

    def __init__(self, label: str, rule: Rule, evidence: str = "") -> None:
        super().__init__(f"{label}: {_sentences(rule.states, evidence)}")
        self.rule, self.evidence = rule, evidence


@dataclasses.dataclass(frozen=True)
class Finding:
    """What became of one rule.

    Attributes:
        rule: as it is stated for all cases.
        verdict: ``skipped`` if there was nothing to check it on, or no getting so far.
        evidence: how it shows that the rule is broken, or why it was skipped.
    """

    rule: Rule
    verdict: Verdict
    evidence: str = ""


class Ledger:
    """Takes note of every rule while a check goes on beyond the first that is broken."""

    def __init__(self) -> None:
        self._findings: dict[str, Finding] = {}

    @property
    def failures(self) -> int:
        """How many rules are broken."""
        return sum(finding.verdict == "failed" for finding in self._findings.values())

    def kept(self, rule: Rule) -> None:
        """A case in which the rule holds; other cases may still break it."""
        self._findings.setdefault(rule.name, Finding(rule, "ok"))
        if self._findings[rule.name].verdict == "skipped":
            self._findings[rule.name] = Finding(rule, "ok")

    def broken(self, broken: RuleError) -> None:
        """The first case that breaks a rule is the one that is told."""
        found = self._findings.get(broken.rule.name)
        if found is None or found.verdict != "failed":
            self._findings[broken.rule.name] = Finding(broken.rule, "failed", broken.evidence)

    def skipped(self, rule: Rule, why: str) -> None:
        """The rule has nothing to say about this component."""
        self._findings.setdefault(rule.name, Finding(rule, "skipped", why))

    def findings(self, rules: tuple[Rule, ...], unreached: str) -> tuple[Finding, ...]:
        """What became of ``rules``, in their order; ``unreached`` is why there may be nothing of some."""
        return tuple(self._told(rule, unreached) for rule in rules)

    def _told(self, rule: Rule, unreached: str) -> Finding:
        found = self._findings.get(rule.name)
        if found is None:
            return Finding(rule, "skipped", unreached)
        if found.verdict == "failed" and found.rule.states != rule.states:
            # How the rule was stated for the case tells which call broke it.
            return Finding(rule, "failed", _sentences(found.rule.states, found.evidence))
        return dataclasses.replace(found, rule=rule)


def _sentences(*texts: str) -> str:
    return " ".join(text.rstrip(".") + "." for text in texts if text)


_open: ContextVar[Ledger | None] = ContextVar("ledger", default=None)


def open_ledger() -> Ledger | None:
    """The ledger that checks made here note their findings in; None where they are to raise at the first."""
    return _open.get()


@contextlib.contextmanager
def noting() -> Iterator[Ledger]:
    """Inside the block, checks note what became of each rule instead of raising."""
    ledger = Ledger()
    token = _open.set(ledger)
    try:
        yield ledger
    finally:
        _open.reset(token)
