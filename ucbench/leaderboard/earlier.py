"""Records of earlier versions of components: which versions a record states, and whether its key follows from them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ucbench.matrix.cell import Cell, Craft
from ucbench.numerics import Numerics
from ucbench.plugins.registry import Component
from ucbench.plugins.specs import ComponentSpec, SurrogateSpec
from ucbench.results.records import BEHIND, Record


@dataclass(frozen=True)
class _Stated(Component[ComponentSpec]):
    """A component as a record states it: the version and parameters of then."""

    stated: Mapping[str, Any]

    def identity(self) -> dict[str, Any]:
        return {name: value for name, value in self.stated.items() if not name.startswith("distribution")}


@dataclass(frozen=True)
class _AsMade(Cell):
    """A cell with components as a record states them; the model behind its labeling is ``stated_labeler``."""

    stated_labeler: Component[SurrogateSpec] | None = None

    @property
    def labeler(self) -> Component[SurrogateSpec] | None:
        return self.stated_labeler


def stated_versions(records: Iterable[Record]) -> dict[tuple[str, str], set[int]]:
    """The versions of all components of finished records, by kind and name.

    Without data sets, of which keys have the images alone.
    """
    versions: dict[tuple[str, str], set[int]] = defaultdict(set)
    for record in records:
        for place, part in record["components"].items() if record["status"] == "ok" else ():
            if place != "dataset":
                versions[place.partition("-")[0], part["name"]].add(part["version"])
    return dict(versions)


def stated_release(record: Record, cell: Cell, numerics: Numerics) -> str | None:
    """The key of the cell's release on the data whose fingerprints a record states; raises without weights."""
    # A record of a mixture does not state the fingerprint of the protected part, so trust the release's key.
    whole = cell.mixture == 1 or cell.craft.is_clean
    return cell.release_key(record["data"]["train"], numerics) if whole else record["release"]


def stated_key(record: Record, cell: Cell, numerics: Numerics) -> str:
    """The key of ``cell`` on the data whose fingerprints a record states; raises as components do without weights."""
    data = record["data"]
    return cell.key(stated_release(record, cell, numerics), data["train"], data["test"], numerics, data.get("trusted"))


def earlier_versions(record: Record, cell: Cell, numerics: Numerics) -> list[str]:
    """The components of which an earlier version made the record, as ``name 1 (here 2)``.

    Empty if there is none, or if the record's key does not follow from the components and the data that it states.

    Args:
        cell: the cell that the record describes, with the components installed here.
    """
    known = record["components"]

    # Of a data set, keys have the images alone. Older records lack some components, for which those here stand.
    parts = {place: part for place, part in cell.components.items() if place != "dataset"}
    if not parts.keys() <= {*known, *BEHIND}:
        return []
    then: dict[str, Any] = {
        place: _Stated(part.spec, part.ref, part.params, part.registry, stated=known[place]) if place in known else part
        for place, part in parts.items()
    }
    as_made = _AsMade(**{
        **vars(cell),
        "craft": _craft_of(cell.craft, then),
        "labeling": then["labeling"],
        "victim": then["victim"],
        "defense": tuple(part for place, part in then.items() if place.startswith("defense-")),
        "stated_labeler": then.get("surrogate-labeling"),
    })  # fmt: skip
    if stated_key(record, as_made, numerics) != record["cell"]:
        return []
    by_number = ["trusted images by number alone"] if cell.reads_trusted and "trusted" not in record["data"] else []
    return by_number + [
        f"{part.spec.name} {known[place]['version']} (here {part.spec.version})"
        for place, part in parts.items()
        if place in known and known[place]["version"] < part.spec.version
    ]


def _craft_of(craft: Craft, then: Mapping[str, Any]) -> Craft:
    """The craft with these components by place."""
    shared: dict[str, Any] = {
        "surrogate": then.get("surrogate"),
        "labels": replace(craft.labels, model=then.get("surrogate-craft-labels")),
    }
    base = craft.base and replace(craft.base, poisoner=then["poisoner-base"], **shared)
    return replace(craft, poisoner=then["poisoner"], base=base, **shared)
