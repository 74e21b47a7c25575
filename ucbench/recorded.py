"""The cell that a record describes."""

from __future__ import annotations

from dataclasses import replace

from ucbench.errors import UsageError
from ucbench.grammar import parse
from ucbench.matrix import Axes, Cell, expand
from ucbench.params import DEFAULT_PRESET
from ucbench.records import Record
from ucbench.registry import Registry

#: What a cell says of craft labels where there is nothing to ask for.
_NOT_ASKED = ("none", "exploiter")


def cell_of(record: Record, registry: Registry) -> Cell:
    """The cell, made of the components installed here.

    Raises:
        UsageError: if one of them is not installed, or the description is of no cell that can be asked for.
    """
    request = record["request"]
    poisoner = parse(request["poisoner"])
    if request["preset"] != DEFAULT_PRESET:
        poisoner = replace(poisoner, preset=request["preset"])
    craft_seed = request["train_seed"] if request["craft_seed"] is None else request["craft_seed"]
    axes = Axes(
        datasets=[request["dataset"]],
        poisoners=[str(poisoner)],
        victims=[request["victim"]],
        labelings=[request["labeling"]],
        defenses=[request["defense"]],
        surrogates=[] if request["surrogate"] == "none" else [request["surrogate"]],
        craft_labels=["original"] if request["craft_labels"] in _NOT_ASKED else [request["craft_labels"]],
        epsilons=[request["epsilon"]] if request["norm"] == "linf" else [],
        mixtures=[request["mixture"]],
        trusted=[request["trusted"]],
        seeds=[(craft_seed, request["train_seed"])],
    )
    for cell in expand(axes, registry):
        if cell.describe() == request:
            return cell
    raise UsageError(
        f"Record {record['cell']} describes no cell that can be asked for by itself: a reference of {poisoner} in"
        f" {request['norm']}, or one that other versions of its components made."
    )
