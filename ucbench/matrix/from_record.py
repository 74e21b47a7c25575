"""The cell that a record describes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ucbench.errors import UsageError
from ucbench.matrix.axes import AXES
from ucbench.matrix.cell import Cell
from ucbench.matrix.matrix import Axes, expand
from ucbench.plugins.grammar import parse
from ucbench.plugins.params import DEFAULT_PRESET
from ucbench.plugins.registry import Registry


def cell_of(record: Mapping[str, Any], registry: Registry) -> Cell:
    """The cell of a record, with the components installed here.

    Raises:
        UsageError: if a component is not installed, or no request yields this cell.
    """
    request = record["request"]
    poisoner = parse(request["poisoner"])
    if request["preset"] != DEFAULT_PRESET:
        poisoner = replace(poisoner, preset=request["preset"])
    craft_seed = request["train_seed"] if request["craft_seed"] is None else request["craft_seed"]
    # A request names neither what a component decides nor the radius of norms other than linf.
    values = {
        axis.request: request[axis.name]
        for axis in AXES
        if axis.request and axis.columns and request[axis.name] not in axis.implied
    }
    if request["norm"] != "linf":
        del values["epsilons"]
    axes = Axes(**{**values, "poisoners": str(poisoner), "seeds": [(craft_seed, request["train_seed"])]})
    for cell in expand(axes, registry):
        if cell.describe() == request:
            return cell
    raise UsageError(
        f"No request yields the cell of record {record['cell']}: it is a reference of {poisoner} in"
        f" {request['norm']}, or other versions of its components made it."
    )
