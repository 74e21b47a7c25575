"""Metrics that a request adds: what they may read, and what they must return."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ucbench.errors import ContractError
from ucbench.exploit.train import TrainedVictim
from ucbench.matrix.cell import Cell
from ucbench.matrix.compatibility import check_metrics, reads_victim
from ucbench.metrics.metric import MetricContext
from ucbench.plugins.registry import Component
from ucbench.plugins.specs import MetricSpec
from ucbench.running.sets import ExploiterSets, exploiter_sets, release_of
from ucbench.running.stored_victims import is_kept, restored
from ucbench.running.tasks import Task
from ucbench.session import Session
from ucbench.training.context import Run
from ucbench.training.determinism import deterministic, guarded

#: Records hold no value of this size or above, and one that did could be read by nothing.
LIMIT = 2.0**63

MetricValues = dict[str, dict[str, float | None]]


def measure(task: Task, session: Session, requested: Sequence[Component[MetricSpec]]) -> MetricValues | None:
    """Values of metrics for a cell that is done; None if one reads its victim, which was not kept.

    Raises:
        UsageError: if a metric cannot measure the victim.
    """
    cell = task.cell
    check_metrics(requested, cell.victim)
    if any(reads_victim(metric) for metric in requested):
        if not is_kept(task, session):
            return None
        with restored(task, session) as (trained, sets):
            return _measured(requested, sets, cell, session, trained)
    release = release_of(cell, session)
    with deterministic(session.numerics):
        return _measured(requested, exploiter_sets(cell, release, session), cell, session, None)


def measure_apart(
    requested: Sequence[Component[MetricSpec]],
    sets: ExploiterSets,
    cell: Cell,
    session: Session,
    trained: TrainedVictim,
) -> tuple[MetricValues, Exception | None]:
    """Values of every metric that has some, and the error of the first that fails: it must not cost the training."""
    values: MetricValues = {}
    first: Exception | None = None
    with deterministic(session.numerics):
        for metric in requested:
            try:
                values |= _measured([metric], sets, cell, session, trained)
            except Exception as error:
                first = first or error
    return values, first


def _measured(
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
