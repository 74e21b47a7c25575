"""From records to a table: a row for each cell, beside its references, as CSV and as means over seeds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from ucbench.matrix.axes import GROUP_COLUMNS
from ucbench.plugins.builtin import CLEAN, CLEAN_PART, NO_DEFENSE, POSITIVE, SHAM
from ucbench.results.columns import AVERAGED, COLUMNS, NUMBERS, PART_ACCURACY, PART_GAIN, column, csv_text
from ucbench.results.records import Record
from ucbench.results.statistics import Interval, gap_removed, t_interval
from ucbench.store.files import atomic_write_text

Row = dict[str, Any]

#: What a row must share with its clean reference, and further with its sham reference.
SAME_EXPLOITER = ("dataset", "labeling", "defense", "victim", "trusted", "train_seed")
SAME_BUDGET = ("norm", "epsilon", "mixture", "craft_seed")
#: What a row must share with the control of its mixture. The craft seed alone decides which part is protected.
_SAME_PART = ("dataset", "labeling", "victim", "trusted", "train_seed", "mixture", "craft_seed")
_POISONER = ("poisoner", "preset", "surrogate", "craft_labels")
#: Rows are only compared where images and arithmetic are the same.
SAME_WORLD = ("numerics", "fingerprints")
#: What is averaged over seeds is equal in all of these.
GROUP = (*GROUP_COLUMNS, *SAME_WORLD)
#: Columns that no file has: the poisoner's name without parameters, whether it is an oracle, and the seed of the draw.
_INTERNAL = ("base", "oracle", "unit", *SAME_WORLD)


def rows(records: Iterable[Record]) -> pd.DataFrame:
    """One row for each record, in a fixed order, with the differences to the clean and sham rows among the records.

    The columns are those of results.csv, as :func:`columns` lists them, and:

    * ``base``: the poisoner's name without its parameters; ``oracle``: whether it sees more than a real one can;
    * ``unit``: the seed that was drawn anew: the craft seed, or the train seed where nothing is crafted;
    * ``numerics`` and ``fingerprints``: tuples.

    Measured numbers are floats, NaN where a column does not apply (a failed cell's accuracy, a missing reference).
    Other columns hold the record's values, None for a clean row's craft seed.
    """
    lines = sorted(map(_row, records), key=_order)
    metrics = sorted({name for line in lines for name in line if "." in name})
    table = pd.DataFrame(lines, columns=[*COLUMNS, *metrics, *_INTERNAL], dtype=object)
    table = table.astype({**dict.fromkeys(NUMBERS, float), "oracle": bool, "unit": int})
    accuracy = table["test_accuracy"]
    clean, sham = table[table["poisoner"] == CLEAN], table[table["poisoner"] == SHAM]
    table["clean_accuracy"] = _accuracy_beside(table, clean, SAME_EXPLOITER)
    table["sham_accuracy"] = _accuracy_beside(table, sham, SAME_EXPLOITER + SAME_BUDGET)
    table["drop"] = table["clean_accuracy"] - accuracy
    table["drop_sham"] = table["sham_accuracy"] - accuracy
    table["gap_removed"] = gap_removed(table["clean_accuracy"], accuracy, table["chance"])
    parts = table[(table["defense"] == CLEAN_PART) & (table["mixture"] < 1)]
    # Labels read from published pixels differ between releases, and so do their controls: a poisoner's own comes first.
    part = _accuracy_beside(table, parts, _SAME_PART + _POISONER + SAME_BUDGET)
    part = part.fillna(_accuracy_beside(table, parts, _SAME_PART))
    # The control has no defense, and says nothing of what one does to the rest.
    part = part.where(table["defense"] == NO_DEFENSE)
    if part.notna().any():
        table[PART_ACCURACY], table[PART_GAIN] = part, accuracy - part
    return table


def _accuracy_beside(table: pd.DataFrame, references: pd.DataFrame, same: Sequence[str]) -> pd.Series:
    """For each row the accuracy of the reference that is equal in the columns ``same``; NaN where there is none."""
    keys = list(dict.fromkeys((*same, *SAME_WORLD)))
    accuracies = references.drop_duplicates(keys, keep="last")[[*keys, "test_accuracy"]]
    return table[keys].merge(accuracies, on=keys, how="left")["test_accuracy"]


def _row(record: Record) -> Row:
    request, budget, cost = record["request"], record.get("budget", {}), record.get("cost", {})
    return {
        **request,
        **record.get("metrics", {}),
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
        "base": base_name(request["poisoner"]),
        "oracle": record["oracle"],
        "unit": request["train_seed"] if request["craft_seed"] is None else request["craft_seed"],
        "numerics": tuple(sorted(record["numerics"].items())),
        "fingerprints": (record["data"]["train"], record["data"]["test"]),
    }


def base_name(reference: str) -> str:
    """The name in a component reference: ``uc`` of ``uc:clusters=20``."""
    return reference.partition(":")[0].partition("@")[0]


def _order(row: Row) -> tuple[Any, ...]:
    def text(name: str) -> str:
        return str(row[name])

    return (
        text("dataset"), text("labeling"), text("defense"), text("victim"),
        # A clean row stands before the releases of any budget.
        row["epsilon"] is not None, text("norm"), row["epsilon"] or 0.0, row["mixture"],
        {CLEAN: 0, SHAM: 1, POSITIVE: 2}.get(row["base"], 3), *map(text, _POISONER),
        -1 if row["craft_seed"] is None else row["craft_seed"], row["train_seed"], row["cell"],
    )  # fmt: skip


def columns(table: pd.DataFrame) -> list[str]:
    """The columns that files have: :data:`COLUMNS`, and those of requested metrics (``<metric>.<name>``), by name."""
    return [*COLUMNS, *sorted(name for name in table.columns if "." in name)]


def dicts(table: pd.DataFrame) -> list[Row]:
    """The rows as dicts of plain values, None for what is missing."""
    plain: list[Row] = table.astype(object).where(table.notna(), None).to_dict("records")
    return plain


def to_csv(table: pd.DataFrame) -> str:
    """The rows as CSV with their :func:`columns`."""
    names = columns(table)
    return csv_text([column(name) for name in names], table[names].itertuples(index=False, name=None))


def write_csv(out: Path, table: pd.DataFrame) -> Path:
    """Write ``out/results.csv``, whole or not at all."""
    path = out / "results.csv"
    atomic_write_text(path, to_csv(table))
    return path


def measured(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of finished cells."""
    return table[(table["status"] == "ok") & table["test_accuracy"].notna()]


def grouped(table: pd.DataFrame, names: Sequence[str]) -> Iterator[tuple[tuple[Any, ...], pd.DataFrame]]:
    """The rows by their values of these columns, in the order in which they come."""
    for _, members in table.groupby(list(names), sort=False, dropna=False):
        # Not pandas' own key, which has NaN for None.
        yield tuple(members[name].iloc[0] for name in names), members


def by_unit(table: pd.DataFrame, names: Sequence[str], keys: Sequence[str] = ()) -> pd.DataFrame:
    """Means of these numbers over the rows of each ``unit`` (and each value of ``keys``), in the order they come.

    Trainings on one release are averaged first: they say nothing about another release.
    """
    return table.astype(dict.fromkeys(names, float)).groupby([*keys, "unit"], sort=False)[list(names)].mean()


class Summary(NamedTuple):
    """A group of rows that differ only in their seeds: the values they share, and the means of the others."""

    members: pd.DataFrame
    shared: Row
    means: dict[str, Interval]
    done: int
    failed: int


def summarise(table: pd.DataFrame) -> list[Summary]:
    """Group rows by everything but their seeds, in the order they come, with t intervals over their units."""
    names = [*(number.name for number in AVERAGED), *columns(table)[len(COLUMNS) :]]
    table = table.assign(group=table.groupby(list(GROUP), sort=False, dropna=False).ngroup())
    units = by_unit(table, names, ["group"])
    found = []
    for group, members in table.groupby("group", sort=False):
        done = int((members["status"] == "ok").sum())
        means = {name: t_interval(values) for name, values in units.loc[group].items()}
        found.append(Summary(members, dicts(members.head(1))[0], means, done, len(members) - done))
    return found
