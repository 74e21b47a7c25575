"""The command that computes a record's cell again."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from ucbench.errors import UsageError
from ucbench.plugins.builtin import CLEAN, SHAM
from ucbench.plugins.grammar import parse
from ucbench.plugins.params import DEFAULT_PRESET
from ucbench.results.records import Record
from ucbench.results.table import SAME_BUDGET, SAME_EXPLOITER


class Companions:
    """Who is read against a sham row.

    Noise of an l2 or l0 budget cannot be asked for by itself: a poisoner of that budget brings it.
    """

    def __init__(self, records: Iterable[Record]) -> None:
        self._by_budget: dict[tuple[Any, ...], Record] = {}
        for record in sorted(records, key=lambda record: str(record["cell"])):
            if record["request"]["poisoner"] not in (CLEAN, SHAM):
                self._by_budget.setdefault(self._key(record), record)

    def of(self, record: Record) -> Record | None:
        """A record whose sham reference ``record`` is, if there is one."""
        return self._by_budget.get(self._key(record))

    @staticmethod
    def _key(record: Record) -> tuple[Any, ...]:
        numerics = repr(sorted(record["numerics"].items()))
        return (*(repr(record["request"][name]) for name in SAME_EXPLOITER + SAME_BUDGET), numerics)


def rerun(record: Record, companions: Companions) -> str | None:
    """The command line, quoted for a POSIX shell, whose cells hold the record's; None if there is none."""
    asked = record
    if record["request"]["poisoner"] == SHAM and record["request"]["norm"] != "linf":
        found = companions.of(record)
        if found is None:
            return None
        asked = found
    try:
        return _printed(["ucbench", "run", *_axes(asked["request"]), *_how(record)])
    except UsageError:
        return None  # Written by no version of ucbench: nothing that a command line could name.


def _axes(request: Mapping[str, Any]) -> list[str]:
    clean = request["poisoner"] == CLEAN
    given: dict[str, Any] = {"dataset": request["dataset"], "poisoner": _poisoner(request)}
    if request["surrogate"] != "none":
        given["surrogate"] = request["surrogate"]
    # An oracle gets the exploiter's labels whatever the command says; who reads none gets none.
    if request["craft_labels"] not in ("none", "exploiter"):
        given["craft-labels"] = request["craft_labels"]
    given |= {name: request[name] for name in ("labeling", "defense", "victim")}
    # Other norms keep their poisoner's own radius.
    if request["norm"] == "linf":
        given["epsilon"] = _number(request["epsilon"])
    if not clean:
        given["mixture"] = _number(request["mixture"])
    given["trusted"] = _number(request["trusted"])
    craft_seed, train_seed = request["craft_seed"], _number(request["train_seed"])
    if craft_seed is None:
        given["train-seed"] = train_seed
    elif craft_seed == request["train_seed"]:
        given["seed"] = train_seed
    else:
        given |= {"craft-seed": _number(craft_seed), "train-seed": train_seed}
    return [part for name, value in given.items() for part in (f"--{name}", str(value))]


def _how(record: Record) -> list[str]:
    """Arithmetic, which is part of every key; metrics beyond those of every record; plugins that were single files."""
    numerics = record["numerics"]
    device = str(record.get("environment", {}).get("device", "cpu")).partition(" ")[0]
    asked = dict.fromkeys(name.rpartition(".")[0] for name in sorted(record.get("metrics", {})) if "." in name)
    origins = {str(part.get("distribution", "")) for part in record.get("components", {}).values()}
    return [
        *("--device", device.partition(":")[0]),
        *("--dtype", str(numerics.get("dtype", "auto"))),
        *(("--threads", str(numerics["threads"])) if "threads" in numerics else ()),
        *(part for name in asked for part in ("--metric", name)),
        *(part for name in sorted(origins) if name.endswith(".py") for part in ("--plugin", name)),
    ]


def _poisoner(request: Mapping[str, Any]) -> str:
    """The poisoner with its preset, which records keep apart; raises UsageError for what is no component."""
    preset = request["preset"]
    return str(replace(parse(str(request["poisoner"])), preset=None if preset == DEFAULT_PRESET else str(preset)))


def _number(value: Any) -> str:
    """The shortest text that reads back as the same number."""
    return str(int(value)) if float(value).is_integer() else repr(float(value))


def _printed(parts: Iterable[str]) -> str:
    """The parts as one line; raises UsageError if one holds what a reader could not see before pasting it."""
    text = shlex.join(parts)
    if not text.isprintable():
        raise UsageError("The command holds characters that cannot be shown.")
    return text
