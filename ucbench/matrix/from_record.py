"""The cell that a record describes, and the options that request it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ucbench.errors import UsageError
from ucbench.matrix.axes import AXES, AXIS
from ucbench.matrix.cell import Cell
from ucbench.matrix.matrix import Request, expand
from ucbench.plugins.builtin import CLEAN
from ucbench.plugins.grammar import parse
from ucbench.plugins.params import DEFAULT_PRESET
from ucbench.plugins.registry import Registry


def cell_of(record: Mapping[str, Any], registry: Registry) -> Cell:
    """The cell of a record, with the components installed here.

    Raises:
        UsageError: if a component is not installed, or no request yields this cell.
    """
    request = record["request"]
    poisoner = poisoner_of(request)
    craft_seed = request["train_seed"] if request["craft_seed"] is None else request["craft_seed"]
    # A request names neither what a component decides nor the radius of norms other than linf.
    values = {
        axis.plural: request[axis.name]
        for axis in AXES
        if axis.plural and axis.columns and request[axis.name] not in axis.implied
    }
    if request["norm"] != "linf":
        del values["epsilons"]
    requested = Request(**{**values, "poisoners": poisoner, "seeds": [(craft_seed, request["train_seed"])]})
    for cell in expand(requested, registry):
        if cell.describe() == request:
            return cell
    raise UsageError(
        f"No request yields the cell of record {record['cell']}: it is a reference of {poisoner} in"
        f" {request['norm']}, or other versions of its components made it."
    )


def options_of(request: Mapping[str, Any]) -> list[str]:
    """The options of the command line that request this cell or release, values included.

    Raises:
        UsageError: for a malformed reference of the poisoner.
    """
    names = [axis.name for axis in AXES if axis.name in request and request[axis.name] not in axis.implied]
    values = {name: request[name] for name in names} | {"poisoner": poisoner_of(request)}
    if request["norm"] != "linf":  # the option is the radius of linf budgets
        del values["epsilon"]
    if request["poisoner"] == CLEAN:
        del values["mixture"]
    if request["craft_seed"] is None:
        del values["craft_seed"]
    elif request["craft_seed"] == request.get("train_seed", request["craft_seed"]):
        values["seed"] = values.pop("craft_seed")
        values.pop("train_seed", None)
    texts = {name: value if isinstance(value, str) else _number(value) for name, value in values.items()}
    return [part for name, text in texts.items() for part in (AXIS[name].option, text)]


def poisoner_of(request: Mapping[str, Any]) -> str:
    """The reference of the poisoner: its preset is a separate field of records.

    Raises:
        UsageError: if it is malformed.
    """
    preset = request["preset"]
    return str(replace(parse(str(request["poisoner"])), preset=None if preset == DEFAULT_PRESET else str(preset)))


def _number(value: Any) -> str:
    """The shortest text that parses to the same number."""
    return str(int(value)) if float(value).is_integer() else repr(float(value))
