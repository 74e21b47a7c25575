"""The command line that computes a record's cell again."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from typing import Any

from ucbench.errors import UsageError
from ucbench.matrix.from_record import options_of
from ucbench.plugins.builtin import ADDED_REFERENCES, SHAM
from ucbench.results.records import Record
from ucbench.results.table import SAME_BUDGET, SAME_EXPLOITER

#: For each sham record's key, a record whose sham reference it is.
Companions = Mapping[tuple[Any, ...], Record]


def companions(records: Iterable[Record]) -> Companions:
    """A poisoner's record for each sham row.

    The command line has no option for an l2 or l0 budget: a poisoner of that budget brings its sham reference along.
    """
    poisoned = (record for record in records if record["request"]["poisoner"] not in ADDED_REFERENCES)
    return {_sham_key(record): record for record in sorted(poisoned, key=lambda record: record["cell"], reverse=True)}


def _sham_key(record: Record) -> tuple[Any, ...]:
    numerics = repr(sorted(record["numerics"].items()))
    return (*(repr(record["request"][name]) for name in SAME_EXPLOITER + SAME_BUDGET), numerics)


def rerun(record: Record, companions: Companions) -> str | None:
    """The command line, quoted for a POSIX shell, that computes the record's cell; None if there is none."""
    requested: Record | None = record
    if record["request"]["poisoner"] == SHAM and record["request"]["norm"] != "linf":
        requested = companions.get(_sham_key(record))
    if requested is None:
        return None
    if record["numerics"].get("compiled") or not record["numerics"]["deterministic"]:
        return None  # only Python sets these parts of the key
    try:
        return _joined(["ucbench", "run", *options_of(requested["request"]), *_other_options(record)])
    except UsageError:
        return None  # an edited record, with names that ucbench cannot have written


def _other_options(record: Record) -> list[str]:
    """Numerics, which are part of every key; requested metrics; plugins that are single files."""
    numerics = record["numerics"]
    device = str(record["environment"].get("device", "cpu")).partition(" ")[0]
    origins = {str(part["distribution"]) for part in record["components"].values()}
    return [
        *("--device", device.partition(":")[0]),
        *("--dtype", numerics["dtype"], "--threads", str(numerics["threads"])),
        *(part for name in sorted(record.get("measured_by", {})) for part in ("--metric", name)),
        *(part for name in sorted(origins) if name.endswith(".py") for part in ("--plugin", name)),
    ]


def _joined(parts: Iterable[str]) -> str:
    """The parts as one line; raises UsageError for characters that a reader could not see before pasting it."""
    text = shlex.join(parts)
    if not text.isprintable():
        raise UsageError("The command holds characters that cannot be shown.")
    return text
