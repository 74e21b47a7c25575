"""Every rule a registered component is under, each with what became of it, as a linter would tell."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

from ucbench.errors import UcbenchError
from ucbench.plugins.grammar import ComponentRef, parse
from ucbench.plugins.registry import Registry
from ucbench.testing import datasets, defenses, executors, exporters, labelings, metrics, poisoners, surrogates, victims
from ucbench.testing.registration import registration
from ucbench.testing.rules import Finding, Rule, noting
from ucbench.testing.subject import told

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
#: The rules of each kind, in the order they are told.
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
    """One component and what became of every rule it is under.

    Attributes:
        kind: of the component.
        reference: as it was checked: with the preset ``quick``, where it has one and nothing else was asked for.
        registration: findings about its spec.
        contract: findings about what it does.
        hindrance: why its contract could not be checked, or not to the end; None if it was.
    """

    kind: str
    reference: str
    registration: tuple[Finding, ...]
    contract: tuple[Finding, ...]
    hindrance: str | None = None

    @property
    def findings(self) -> dict[str, Finding]:
        """All of them by the rule's full name: ``spec/summary``, ``poisoner/same-seed``."""
        named = {f"spec/{finding.rule.name}": finding for finding in self.registration}
        return {**named, **{f"{self.kind}/{finding.rule.name}": finding for finding in self.contract}}

    @property
    def passed(self) -> bool:
        """Whether the contract was checked and no rule is broken."""
        return self.hindrance is None and all(found.verdict != "failed" for found in self.findings.values())


def examine(registry: Registry, kind: str, reference: str) -> Examination:
    """Check a registered component by every rule, however many are broken.

    Raises:
        UsageError: if there is no such component.
        PluginError: if more than one plugin claims its name.
    """
    ref = parse(reference)
    spec = registry.find(kind, ref.name)
    about = registration(spec, registry)
    hindrance = None
    with noting() as ledger:
        try:
            component = registry.resolve(kind, _small(ref, registry.params_class(spec).preset_names()))
            reference = str(component)
            CHECKS[spec.kind](component)
        except UcbenchError as error:
            hindrance = str(error)
        except Exception as error:  # whatever a component does to its check, the others are still to be told of
            hindrance = f"the check failed: {told(error)}"
    unreached = "not checked" if hindrance else "another rule broke before" if ledger.failures else "nothing to show it"
    return Examination(spec.kind, reference, about, ledger.findings(RULES[spec.kind], unreached), hindrance)


def _small(ref: ComponentRef, presets: tuple[str, ...]) -> ComponentRef:
    bare = ref.preset is None and ref.argument is None and not ref.options
    return dataclasses.replace(ref, preset="quick") if bare and "quick" in presets else ref
