"""Metrics that a request adds: what they may read, and what they must return."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ucbench.errors import ContractError
from ucbench.exploit.train import TrainedVictim
from ucbench.matrix.cell import Cell
from ucbench.matrix.compatibility import check_metrics
from ucbench.metrics.metric import MetricContext
from ucbench.plugins.registry import Component
from ucbench.plugins.specs import MetricSpec
from ucbench.running.sets import ExploiterSets
from ucbench.session import Session
from ucbench.training.context import Run
from ucbench.training.determinism import guarded

#: Records hold no value of this size or above, and one that did could be read by nothing.
LIMIT = 2.0**63

MetricValues = dict[str, dict[str, float | None]]


def reads_victim(metric: Component[MetricSpec]) -> bool:
    """Whether the metric reads the trained victim."""
    return bool({"model", "history"} & set(metric.spec.reads))


def measure_sets(
    requested: Sequence[Component[MetricSpec]],
    sets: ExploiterSets,
    cell: Cell,
    session: Session,
    trained: TrainedVictim | None,
) -> MetricValues:
    """Values of each metric, by its reference; ``trained`` is None where none of them reads the victim.

    Raises:
        ContractError: if a metric writes into the images or labels, or returned what :func:`_checked` refuses. Later
            metrics of the same ``sets`` fail too.
    """
    # All of them, also for a metric that reads one: they share arrays with each other and with the data set.
    inputs = [images for images in (sets.source, sets.train, sets.test, sets.perturbed_test) if images is not None]
    available: dict[str, Any] = {
        "source": sets.source,
        "published": sets.train,
        "test": sets.test,
        "perturbed_test": sets.perturbed_test,
        "model": trained.model if trained else None,
        "history": trained.history if trained else None,
    }
    check_metrics(requested, cell.victim)
    values = {}
    for metric in requested:
        run = Run(session.engine, (f"metric {metric}", cell.train_seed), session.progress)
        context = MetricContext(run, **{name: available[name] for name in metric.spec.reads})
        who = f"Metric {metric}"
        with session.unmodified(who, *inputs), guarded(who, run.seed("global")):
            values[str(metric)] = _checked(metric, metric.build().compute(context))
    return values


def _checked(metric: Component[MetricSpec], values: Any) -> dict[str, float | None]:
    """The values as JSON values.

    Raises:
        ContractError: if they are not finite numbers between -2**63 and 2**63 (or None) by name.
    """
    try:
        numbers = {str(name): None if value is None else float(value) for name, value in dict(values).items()}
    except (TypeError, ValueError, OverflowError) as error:
        raise ContractError(f"Metric {metric} must return a mapping of names to numbers or None: {error}.") from error
    wrong = [name for name, value in numbers.items() if value is not None and not abs(value) < LIMIT]
    if wrong or not numbers:
        what = f"{wrong[0]} = {numbers[wrong[0]]}" if wrong else "nothing"
        raise ContractError(
            f"Metric {metric} returned {what}; values are finite numbers between -2**63 and 2**63, or None where"
            " undefined."
        )
    return numbers
