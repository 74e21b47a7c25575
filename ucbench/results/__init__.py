"""From records to rows: each cell beside its references, as CSV and as a table of means over seeds."""

from __future__ import annotations

import csv
import io
import math
import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ucbench.plugins.builtin import CLEAN, CLEAN_PART, NO_DEFENSE, POSITIVE, SHAM
from ucbench.results.records import Record
from ucbench.results.statistics import Interval, t_interval
from ucbench.store.files import atomic_write_text

Row = dict[str, Any]

#: Columns of results.csv, in order. Accuracies, drops and chance in percent; gap_removed a fraction; psnr in dB.
COLUMNS = (
    "dataset", "poisoner", "preset", "surrogate", "craft_labels", "label_access", "granularity", "labeling", "defense",
    "victim", "norm", "epsilon", "mixture", "trusted", "craft_seed", "train_seed", "epochs", "test_accuracy",
    "balanced_accuracy", "matched_accuracy", "test_accuracy_best", "train_accuracy", "perturbed_test_accuracy",
    "chance", "clean_accuracy", "sham_accuracy", "drop", "drop_sham", "gap_removed", "guess_accuracy", "cosine_gap",
    "linear_probe", "measured_linf",
    "measured_l2", "measured_l0", "psnr", "ssim", "seconds", "craft_seconds", "images_per_second", "status", "cell",
)  # fmt: skip

#: What a row must share with its clean reference, and further with its sham reference.
_SAME_EXPLOITER = ("dataset", "labeling", "defense", "victim", "trusted", "train_seed")
_SAME_BUDGET = ("norm", "epsilon", "mixture", "craft_seed")
#: What a row must share with the control of its mixture. Which part is protected, the craft seed draws alone.
_SAME_PART = ("dataset", "labeling", "victim", "trusted", "train_seed", "mixture", "craft_seed")
_POISONER = ("poisoner", "preset", "surrogate", "craft_labels")
#: Columns that only tables with that control have: its accuracy, and what the protected part added to it, in points.
PART_ACCURACY, PART_GAIN = f"{CLEAN_PART}.accuracy", f"{CLEAN_PART}.gain"
#: What is averaged over seeds is equal in all of these.
_GROUP = (
    "dataset", "poisoner", "preset", "surrogate", "craft_labels", "labeling", "defense", "victim", "norm", "epsilon",
    "mixture", "trusted",
)  # fmt: skip


def rows(records: Iterable[Record]) -> list[Row]:
    """One row a record, in a fixed order, with the differences to the clean and sham rows among the same records.

    A column that does not apply (a clean row's craft seed, a failed cell's accuracy, a missing reference) is None.
    Rows of mixtures whose control is among the records have :data:`PART_ACCURACY` and :data:`PART_GAIN` as well.
    """
    found = [_row(record) for record in records]
    clean = {_reference_key(row, _SAME_EXPLOITER): row for row in found if row["poisoner"] == CLEAN}
    sham = {_reference_key(row, _SAME_EXPLOITER + _SAME_BUDGET): row for row in found if row["poisoner"] == SHAM}
    for row in found:
        own = row["test_accuracy"]
        row["clean_accuracy"] = _accuracy(clean.get(_reference_key(row, _SAME_EXPLOITER)))
        row["sham_accuracy"] = _accuracy(sham.get(_reference_key(row, _SAME_EXPLOITER + _SAME_BUDGET)))
        row["drop"] = _difference(row["clean_accuracy"], own)
        row["drop_sham"] = _difference(row["sham_accuracy"], own)
        row["gap_removed"] = gap_removed(row["clean_accuracy"], own, row["chance"])
    _beside_clean_parts(found)
    return sorted(found, key=_order)


def _beside_clean_parts(table: Sequence[Row]) -> None:
    controls = [row for row in table if row["defense"] == CLEAN_PART and row["mixture"] < 1]
    # Labels read from published pixels differ between releases, and so do their controls: a poisoner's own comes first.
    keys = (_SAME_PART + _POISONER + _SAME_BUDGET, _SAME_PART)
    parts = [{_reference_key(row, names): _accuracy(row) for row in controls} for names in keys]
    for row in table:
        alone = [part.get(_reference_key(row, names)) for part, names in zip(parts, keys, strict=True)]
        accuracy = next((value for value in alone if value is not None), None)
        # The control has no defense, and says nothing of what one does to the rest.
        if accuracy is not None and row["defense"] == NO_DEFENSE:
            row[PART_ACCURACY] = accuracy
            row[PART_GAIN] = _difference(row["test_accuracy"], accuracy)


def grouped_by(table: Iterable[Row], names: Sequence[str]) -> dict[tuple[Any, ...], list[Row]]:
    """The rows by their values of these columns, in the order in which they come."""
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in table:
        groups.setdefault(tuple(row[name] for name in names), []).append(row)
    return groups


def gap_removed(clean: float | None, accuracy: float | None, chance: float | None) -> float | None:
    """(clean - accuracy) / (clean - chance), accuracies below chance counting as chance; None where undefined."""
    if clean is None or accuracy is None or chance is None or clean <= chance:
        return None
    return (clean - max(accuracy, chance)) / (clean - chance)


def _row(record: Record) -> Row:
    metrics, budget, cost = record.get("metrics", {}), record.get("budget", {}), record.get("cost", {})
    values = {
        **record["request"],
        **metrics,
        "label_access": record["label_access"],
        "granularity": record["granularity"],
        "epochs": record.get("epochs"),
        "measured_linf": budget.get("linf_max"),
        "measured_l2": budget.get("l2_max"),
        "measured_l0": budget.get("l0_max"),
        "psnr": budget.get("psnr"),
        "ssim": budget.get("ssim"),
        "seconds": cost.get("seconds"),
        "craft_seconds": cost.get("craft_seconds"),
        "images_per_second": cost.get("images_per_second"),
        "status": record["status"],
        "cell": record["cell"],
        "numerics": tuple(sorted(record["numerics"].items())),
        "fingerprints": (record["data"]["train"], record["data"]["test"]),
    }
    return {**dict.fromkeys(COLUMNS), **values}


def _reference_key(row: Row, columns: Sequence[str]) -> tuple[Any, ...]:
    return (*(row[column] for column in columns), row["numerics"], row["fingerprints"])


def _accuracy(row: Row | None) -> float | None:
    return None if row is None else row["test_accuracy"]


def _difference(reference: float | None, own: float | None) -> float | None:
    return None if reference is None or own is None else reference - own


def _rank(name: str) -> int:
    return {CLEAN: 0, SHAM: 1, POSITIVE: 2}.get(name.partition(":")[0], 3)


def _order(row: Row) -> tuple[Any, ...]:
    def text(name: str) -> str:
        return str(row[name])

    return (
        text("dataset"), text("labeling"), text("defense"), text("victim"),
        # A clean row stands before the releases of any budget.
        row["epsilon"] is not None, text("norm"), row["epsilon"] or 0.0, row["mixture"],
        _rank(row["poisoner"]), text("poisoner"), text("preset"), text("surrogate"), text("craft_labels"),
        -1 if row["craft_seed"] is None else row["craft_seed"], row["train_seed"], row["cell"],
    )  # fmt: skip


def columns(table: Iterable[Row]) -> list[str]:
    """:data:`COLUMNS`, and those of the metrics that were asked for (``<metric>.<name>``), by name."""
    asked = {name for row in table for name in row if "." in name}
    return [*COLUMNS, *sorted(asked)]


def to_csv(table: Iterable[Row]) -> str:
    """The rows as CSV with their :func:`columns`; numbers in a fixed format, None as an empty field."""
    table = list(table)
    names = columns(table)
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(names)
    for row in table:
        writer.writerow([_text(name, row.get(name)) for name in names])
    return stream.getvalue()


def _text(column: str, value: Any) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if column in ("epsilon", "mixture"):
        return f"{value:g}"
    if isinstance(value, float):
        fine = "." in column or column in ("gap_removed", "cosine_gap", "ssim", "measured_l2")
        return f"{value:.4f}" if fine else f"{value:.2f}"
    return str(value)


def write_csv(out: Path, table: Iterable[Row]) -> Path:
    """Write ``out/results.csv``, whole or not at all."""
    path = out / "results.csv"
    atomic_write_text(path, to_csv(table))
    return path


class Summary(NamedTuple):
    """A group of rows that differ only in their seeds: the values they share, and the means of the others."""

    shared: Row
    means: dict[str, Interval]
    done: int
    failed: int


#: Numbers that are averaged over seeds.
AVERAGED = (
    "test_accuracy", "train_accuracy", "perturbed_test_accuracy", "matched_accuracy", "chance", "clean_accuracy",
    "sham_accuracy", "drop", "drop_sham", "gap_removed", "guess_accuracy", "cosine_gap", "linear_probe",
    "measured_linf", "psnr", "seconds", "craft_seconds",
)  # fmt: skip


def summarise(table: Sequence[Row]) -> list[Summary]:
    """Group rows by everything but their seeds, in the order they come.

    The craft seed is the unit: trainings on one release are averaged before means and intervals are taken, since they
    say nothing about another release. Where nothing was drawn (clean), the train seed is.
    """
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in table:
        groups.setdefault(_reference_key(row, _GROUP), []).append(row)
    return [
        Summary(
            members[0],
            {name: t_interval(_unit_means(members, name)) for name in (*AVERAGED, *columns(members)[len(COLUMNS) :])},
            sum(m["status"] == "ok" for m in members),
            sum(m["status"] != "ok" for m in members),
        )
        for members in groups.values()
    ]


def _unit_means(members: Iterable[Row], name: str) -> list[float]:
    units: dict[int, list[float]] = {}
    for row in members:
        if row.get(name) is not None:
            units.setdefault(row["train_seed" if row["craft_seed"] is None else "craft_seed"], []).append(row[name])
    return [statistics.fmean(values) for values in units.values()]


INTERVAL_CHECK, ONE_SEED = "half-width of the interval", "needs two seeds"


class Gate(NamedTuple):
    """Whether a regime can show an effect at all (see :func:`gates`)."""

    shared: Row
    checks: dict[str, tuple[bool, str]]

    @property
    def passed(self) -> bool:
        return all(ok for ok, _ in self.checks.values())

    @property
    def verdict(self) -> str:
        """In words; a single seed that passes all else leaves the verdict open."""
        if self.passed:
            return "passed"
        failed = {name for name, (ok, _) in self.checks.items() if not ok}
        if failed == {INTERVAL_CHECK} and self.checks[INTERVAL_CHECK][1] == ONE_SEED:
            return "open until there are two seeds"
        return "NOT passed: this regime shows nothing"

    @property
    def text(self) -> str:
        """The verdict and what it rests on."""
        checks = "; ".join(f"{name} {text}{'' if ok else ' (no)'}" for name, (ok, text) in self.checks.items())
        return f"{self.verdict}. {checks}."


def gates(table: Sequence[Row]) -> list[Gate]:
    """Judge every regime in which ``positive`` was run.

    A regime passes where the victim reaches at least 95 % train accuracy on the positive release, positive removes at
    least 70 % of the clean-minus-chance gap, clean and sham differ by at most 10 % of it, and the 95 % interval of the
    positive row has a half-width of at most 10 points (which takes two seeds or more).
    """
    return [
        _gate(group)
        for group in summarise(table)
        if group.shared["poisoner"].partition(":")[0] == POSITIVE and group.done
    ]


def _gate(group: Summary) -> Gate:
    mean = {name: interval.mean for name, interval in group.means.items()}
    train, removed, half = mean["train_accuracy"], mean["gap_removed"], group.means["test_accuracy"].half
    gap = mean["clean_accuracy"] - mean["chance"]
    difference = abs(mean["clean_accuracy"] - mean["sham_accuracy"]) / gap if gap > 0 else math.nan
    return Gate(
        group.shared,
        {
            "train accuracy on the release": (train >= 95, f"{train:.1f} %, at least 95"),
            "positive removes": (removed >= 0.7, f"{100 * removed:.0f} % of the gap, at least 70"),
            "|clean - sham|": (difference <= 0.1, f"{100 * difference:.0f} % of the gap, at most 10"),
            INTERVAL_CHECK: (
                half <= 10,
                ONE_SEED if math.isnan(half) else f"{half:.1f} points, at most 10",
            ),
        },
    )
