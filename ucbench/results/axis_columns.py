"""The axes of a table's rows: which of them rows differ in, which tell rows apart, and what all rows share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ucbench.plugins.builtin import CLEAN
from ucbench.results.columns import REQUESTED, column
from ucbench.results.text import TextColumn, telling_apart

#: Name of the one column for norm and radius.
_BUDGET = "budget"
#: The axes that tell rows apart where several could, the first of them first.
_PRECEDENCE = ("poisoner", _BUDGET, *reversed([column.name for column in REQUESTED]))
#: More than there are axes: a rank above those of all axes is at least this much higher than the first of them.
MANY = len(_PRECEDENCE)


def axis_columns(
    rows: Sequence[Mapping[str, Any]], names: Sequence[str], rank: int = 1
) -> tuple[list[TextColumn], str]:
    """One column per axis, shown only if chosen where rows do not differ in it; and the caption: what all rows share.

    That a row has no value, as the clean reference has no budget, is no difference. 0 trusted images are not mentioned.

    Args:
        rows: values by the name of their column.
        names: the axes; norm and radius become one column behind the others.
        rank: of the first column that tells no rows apart; others have the ranks behind it.
    """
    shown = [
        {name: column(name).text(value) for name, value in row.items()} | {_BUDGET: budget_text(row)} for row in rows
    ]
    axes = ["poisoner", *(name for name in names if name not in ("poisoner", "norm", "epsilon")), _BUDGET]
    values = {name: list(dict.fromkeys(row[name] for row in shown if row[name])) for name in axes}
    varying = sorted((name for name in axes if len(values[name]) > 1), key=_PRECEDENCE.index)
    needed = {"poisoner", *telling_apart(shown, varying)}
    ranks = {name: rank + place for place, name in enumerate(varying) if name not in needed}
    constant = {name: text for name in axes if name not in varying for text in values[name] if name != "poisoner"}
    return [
        TextColumn(
            heading(name),
            [row[name] for row in shown],
            "name" if name == _BUDGET or column(name).type == "text" else "number",
            rank=ranks.get(name, 0),
            name=name,
            on_request=name in constant,
        )
        for name in axes
    ], "; ".join(f"{heading(name)} {text}" for name, text in constant.items() if (name, text) != ("trusted", "0"))


def heading(name: str) -> str:
    """The heading of an axis."""
    return name if name == _BUDGET else column(name).heading


def budget_text(row: Mapping[str, Any]) -> str:
    """Norm and radius: ``linf 8``; ``unbounded``; empty for clean rows, which have no budget."""
    if radius := column("epsilon").text(row["epsilon"]):
        return f"{row['norm']} {radius}"
    return "" if row.get("poisoner") == CLEAN else column("norm").text(row["norm"])
