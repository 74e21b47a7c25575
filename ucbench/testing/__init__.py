"""Contract checks for plugins, and tiny inputs to run components on.

Each check runs one component on small images, on the CPU in float32. It returns None, or raises a :class:`RuleError`
with the broken rule and the evidence. It takes a registered component or an instance::

    from ucbench import installed
    from ucbench.testing import check_poisoner

    check_poisoner(installed().sample("poisoner", "quilt"))
    check_poisoner(installed().resolve("poisoner", "quilt:grid=4"))
    check_poisoner(Quilt(QuiltParams()), spec=QUILT)

The ``rule`` of a :class:`RuleError` has a name and says how to fix the component. :func:`examine` continues after a
broken rule and returns the verdict on each, as ``ucbench check-plugin`` does.

An instance is checked against ``spec``, or against the defaults of its kind. A registered component is built anew for
every call, as in the core. Errors that the user has to fix (:class:`~ucbench.UsageError`, :class:`~ucbench.DataError`)
pass through.
"""

from ucbench.testing.cells import small_cells
from ucbench.testing.datasets import check_dataset
from ucbench.testing.defenses import check_defense
from ucbench.testing.examination import CHECKS, RULES, Examination, examine
from ucbench.testing.executors import check_executor
from ucbench.testing.exporters import check_exporter, sample_leaderboard
from ucbench.testing.labelings import check_labeling
from ucbench.testing.metrics import check_metric
from ucbench.testing.poisoners import check_poisoner
from ucbench.testing.rules import Finding, Rule, RuleError
from ucbench.testing.samples import NUMERICS, MemoryCheckpoint, TinySurrogate, make_run, sample_images
from ucbench.testing.surrogates import check_surrogate
from ucbench.testing.victims import check_victim

__all__ = [
    "CHECKS",
    "NUMERICS",
    "RULES",
    "Examination",
    "Finding",
    "MemoryCheckpoint",
    "Rule",
    "RuleError",
    "TinySurrogate",
    "check_dataset",
    "check_defense",
    "check_executor",
    "check_exporter",
    "check_labeling",
    "check_metric",
    "check_poisoner",
    "check_surrogate",
    "check_victim",
    "examine",
    "make_run",
    "sample_images",
    "sample_leaderboard",
    "small_cells",
]
