"""What came of cells: records, the rows made of them, means over seeds, and whether a regime shows anything."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from ucbench.results.columns import COLUMNS, Column
from ucbench.results.records import SCHEMA, Record, read_record, read_records, write_record

if TYPE_CHECKING:
    from ucbench.results.gate import Gate, gates
    from ucbench.results.statistics import Interval, interval, t_interval
    from ucbench.results.table import Row, Summary, dicts, rows, summarise, to_csv, write_csv

__all__ = [
    "COLUMNS",
    "SCHEMA",
    "Column",
    "Gate",
    "Interval",
    "Record",
    "Row",
    "Summary",
    "dicts",
    "gates",
    "interval",
    "read_record",
    "read_records",
    "rows",
    "summarise",
    "t_interval",
    "to_csv",
    "write_csv",
    "write_record",
]

# pandas and scipy would cost every command that only reads records.
_LAZY = {
    **dict.fromkeys(("Gate", "gates"), "gate"),
    **dict.fromkeys(("Interval", "interval", "t_interval"), "statistics"),
    **dict.fromkeys(("Row", "Summary", "dicts", "rows", "summarise", "to_csv", "write_csv"), "table"),
}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(importlib.import_module(f"{__name__}.{_LAZY[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
