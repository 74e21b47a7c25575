"""Means over seeds: rows that differ only in their seeds, as one group."""

from __future__ import annotations

from typing import NamedTuple

import pandas as pd

from ucbench.results.columns import AVERAGED, COLUMNS
from ucbench.results.statistics import Interval, Nested, nested, t_interval
from ucbench.results.table import GROUP, Row, by_unit, columns, dicts


class Summary(NamedTuple):
    """Rows that differ only in seeds: the values of the first, means over crafts, and the cells done and failed.

    ``accuracy`` has the means of test accuracy by their two sources of variance.
    """

    members: pd.DataFrame
    shared: Row
    means: dict[str, Interval]
    accuracy: Nested
    done: int
    failed: int


def summarise(table: pd.DataFrame) -> list[Summary]:
    """Group rows by everything but the seeds, in order of appearance, with t intervals over units."""
    names = [*(number.name for number in AVERAGED), *columns(table)[len(COLUMNS) :]]
    table = table.assign(group=table.groupby(list(GROUP), sort=False, dropna=False).ngroup())
    units = by_unit(table, names, ["group"])
    first = dicts(table.drop_duplicates("group"))
    summaries = []
    for (group, members), shared in zip(table.groupby("group", sort=False), first, strict=True):
        done = int((members["status"] == "ok").sum())
        means = {name: t_interval(values) for name, values in units.loc[group].items()}
        accuracy = nested(members["test_accuracy"], members["unit"])
        summaries.append(Summary(members, shared, means, accuracy, done, len(members) - done))
    return summaries
