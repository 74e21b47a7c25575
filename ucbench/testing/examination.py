"""All rules for a registered component, each with its verdict, like the report of a linter."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

from ucbench.errors import UcbenchError
from ucbench.plugins.grammar import parse
from ucbench.plugins.registry import Registry
from ucbench.testing import datasets, defenses, executors, exporters, labelings, metrics, poisoners, surrogates, victims
from ucbench.testing.registration import as_tried, registration
from ucbench.testing.rules import Finding, Rule, collecting
from ucbench.testing.subject import error_text, place_in_package

#: The check of each kind of component.
CHECKS: Mapping[str, Callable[..., None]] = {
    "dataset": datasets.check_dataset,
    "surrogate": surrogates.check_surrogate,
    "poisoner": poisoners.check_poisoner,
    "labeling": labelings.check_labeling,
    "defense": defenses.check_defense,
    "victim": victims.check_victim,
    "metric": metrics.check_metric,
    "executor": executors.check_executor,
    "exporter": exporters.check_exporter,
}
#: The rules of each kind, in the order of reports.
RULES: Mapping[str, tuple[Rule, ...]] = {
    "dataset": datasets.RULES,
    "surrogate": surrogates.RULES,
    "poisoner": poisoners.RULES,
    "labeling": labelings.RULES,
    "defense": defenses.RULES,
    "victim": victims.RULES,
    "metric": metrics.RULES,
    "executor": executors.RULES,
    "exporter": exporters.RULES,
}


@dataclasses.dataclass(frozen=True)
class Examination:
    """One component and the verdict on every rule for it.

    Attributes:
        kind: of the component.
        reference: as checked, with the parameters of :meth:`Registry.sample` if none were named.
        registration: findings on its spec.
        contract: findings on its behaviour.
        not_checked_because: why its contract was not checked completely; None if it was.
    """

    kind: str
    reference: str
    registration: tuple[Finding, ...]
    contract: tuple[Finding, ...]
    not_checked_because: str | None = None

    @property
    def findings(self) -> dict[str, Finding]:
        """All findings by the rule's full name: ``spec/summary``, ``poisoner/same-seed``."""
        named = {f"spec/{finding.rule.name}": finding for finding in self.registration}
        return {**named, **{f"{self.kind}/{finding.rule.name}": finding for finding in self.contract}}

    @property
    def passed(self) -> bool:
        """Whether the contract was checked completely and no rule is broken."""
        return self.not_checked_because is None and all(f.verdict != "failed" for f in self.findings.values())


def examine(registry: Registry, kind: str, reference: str) -> Examination:
    """Check a registered component by every rule, even after broken ones.

    Raises:
        UsageError: if there is no such component.
        PluginError: if more than one plugin claims its name.
    """
    ref = parse(reference)
    spec = registry.find(kind, ref.name)
    error = None
    with collecting() as findings:
        try:
            component = as_tried(registry, spec, ref)
            reference = str(component)
            CHECKS[spec.kind](component)
        except UcbenchError as raised:
            place = place_in_package(raised, spec.load)
            error = f"{raised} ({place})" if place else str(raised)
        except (Exception, SystemExit) as raised:  # a component may break its check in any way; others must be reported
            error = f"the check failed: {error_text(raised, spec.load)}"
    unreached = "not checked" if error else "another rule broke before" if findings.failures else "no case for it"
    contract = findings.on(RULES[spec.kind], unreached)
    return Examination(spec.kind, reference, registration(registry, spec, ref), contract, error)
