"""The values of requested metrics in records and in the store, and which training they are of. Imports no torch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ucbench.matrix.cell import CORE_VERSION, Cell
from ucbench.plugins.registry import Component
from ucbench.plugins.specs import MetricSpec
from ucbench.results.records import Record
from ucbench.session import Session
from ucbench.store.keys import key as key_of


def with_metrics(record: Record, cell: Cell, key: str, session: Session) -> Record | None:
    """The record with every requested metric, from itself or from the store; None if one was never measured.

    Values of an earlier version of a metric, or of another training of the cell, do not count.
    """
    for metric in cell.metrics:
        identity = metric_key(key, metric)
        if record.get("measured_by", {}).get(str(metric)) == identity:
            continue
        values = stored_values(record, identity, session)
        if values is None:
            return None
        record = with_values(record, key, metric, values)
    return record


def stored_values(record: Record, identity: str, session: Session) -> Mapping[str, float | None] | None:
    """A metric's values in the store, by its key; None if there are none of the training that the record states."""
    stored = session.store.get("metric", identity)
    if stored is None or stored.meta.get("training") != training_of(record):
        return None
    values: Mapping[str, float | None] = stored.meta["values"]
    return values


def training_of(record: Record) -> str:
    """What tells the trainings of a cell apart: its history and numbers, except those of requested metrics.

    Other hardware or another library makes another training of the same key, and so does another craft of its release.
    """
    measured_by = record.get("measured_by", {})
    numbers = {name: value for name, value in record["metrics"].items() if metric_of(name, measured_by) is None}
    return key_of("training", {"metrics": numbers, "history": record["history"], "budget": record["budget"]})


def with_values(record: Record, key: str, metric: Component[MetricSpec], values: Mapping[str, float | None]) -> Record:
    """The record of the cell with this key, with a metric's values in place of earlier ones.

    Their columns begin with the metric's reference, such as ``robust-accuracy:epsilon=4.accuracy``.
    """
    measured_by = {**record.get("measured_by", {}), str(metric): metric_key(key, metric)}
    others = {name: value for name, value in record["metrics"].items() if metric_of(name, measured_by) != str(metric)}
    current = {f"{metric}.{name}": value for name, value in values.items()}
    return {**record, "metrics": others | current, "measured_by": measured_by}


def recorded_values(record: Record, metric: str) -> dict[str, float | None]:
    """A metric's values in a record, by their names."""
    measured_by = record.get("measured_by", {})
    return {
        column.removeprefix(f"{metric}."): value
        for column, value in record["metrics"].items()
        if metric_of(column, measured_by) == metric
    }


def metric_of(column: str, metrics: Iterable[str]) -> str | None:
    """Which of these metrics the column is of: the longest with which it begins; None if there is none.

    A dot ends no reference: both ``robust-accuracy:4.5`` and names of values may hold one.
    """
    return max((metric for metric in metrics if column.startswith(f"{metric}.")), key=len, default=None)


def metric_key(cell_key: str, metric: Component[MetricSpec]) -> str:
    """Key of a metric's values for a cell."""
    return key_of("metric", {"core": CORE_VERSION, "cell": cell_key, "metric": metric.identity()})
