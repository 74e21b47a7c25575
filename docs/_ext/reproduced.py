"""Published figures beside those of our leaderboards.

Replaces ``<!-- reproduced: POISONER -->`` in a page by two tables: what was published of the poisoner, and what
``leaderboards`` hold of it, held-out parts of training sets left out; and ``<!-- reproduced under defenses -->`` by one
of poisoners under defenses. Published figures are kept by hand in ``docs/_data/published.csv``, which
`ucbench leaderboard diff` reads as well; its columns ``method`` and ``here`` are ours: the poisoner, and the defenses
of our boards that a published one is shown beside.
"""

from __future__ import annotations

import csv
import functools
import re
from typing import Any

from _ext import measured
from _ext.markdown import code, replace_markers, table
from _ext.paths import DOCS
from ucbench.plugins.builtin import CLEAN

MARKER = re.compile(r"<!-- reproduced: ([\w-]+) -->")
PUBLISHED = DOCS / "_data" / "published.csv"


def published(poisoner: str) -> list[dict[str, str]]:
    """The published rows of a poisoner, with the clean accuracy of the same table, if any, as ``clean``."""
    rows = _figures()
    clean = {_table_of(row): row["value"] for row in rows if row["method"] == CLEAN}
    return [
        {**row, "clean": clean.get(_table_of(row), "")} for row in rows if row["method"] == poisoner and not row["here"]
    ]


@functools.cache
def _figures() -> tuple[dict[str, str], ...]:
    with PUBLISHED.open(encoding="utf-8", newline="") as file:
        return tuple(csv.DictReader(file))


def _table_of(row: dict[str, str]) -> tuple[str, ...]:
    return tuple(row[name] for name in ("paper", "table", "dataset", "victim"))


def beside(poisoner: str) -> str:
    """The two tables as Markdown."""
    rows = published(poisoner)
    used = {name: heading for name, heading in _COLUMNS.items() if any(row[name] for row in rows)}
    first = table(list(used.values()), [[_shown(row[name]) for name in used] for row in rows])
    ours = measured.undefended(poisoner)
    return f"{first}\n\nHere:\n\n{ours}" if ours else f"{first}\n\nHere: not run."


def defended() -> str:
    """One table: accuracy without a defense and with it, as published and here, for what both have."""
    plain = {_attack_of(row): row["value"] for row in _figures() if not row["here"]}
    published: dict[tuple[str, str], list[str]] = {}
    for row in _figures():
        for defense in row["here"].split():
            where = "" if row["dataset"] == "CIFAR-10" else f", {row['dataset']} at {row['eps']}"
            shown = (
                f"{_change(plain.get(_attack_of(row), ''), row['value'])} ({row['paper'].partition(' (')[0]}{where})"
            )
            published.setdefault((defense, row["method"]), []).append(_shown(shown))
    lines = [
        [
            *(code(defense), code(ours.poisoner), "; ".join(texts)),
            *(_change(ours.plain, ours.defended), ours.clean, str(ours.crafts)),
        ]
        for (defense, poisoner), texts in sorted(published.items())
        for ours in measured.defended(defense, poisoner)
    ]
    header = ["defense here", "poisoner here", "published, without → with", "here, without → with", "clean with", "n"]
    return table(header, lines)


def _attack_of(row: dict[str, str]) -> tuple[str, ...]:
    return tuple(row[name] for name in ("paper", "dataset", "poisoner", "victim"))


def _change(plain: str, defended: str) -> str:
    return f"{plain or '?'} → {defended}"


_COLUMNS = {
    "paper": "published by",
    "poisoner": "called",
    "dataset": "data",
    "eps": "budget",
    "victim": "victim",
    "clean": "clean %",
    "value": "test accuracy %",
    "setting": "setting",
}


def _shown(text: str) -> str:
    words = {"RN18": "ResNet-18"}
    return words.get(text, text).replace("±", "\N{NO-BREAK SPACE}±\N{NO-BREAK SPACE}")


def inserted(text: str) -> str:
    """``text`` with the tables in place of their markers; ``<!-- regimes -->`` gives all training regimes."""
    for marker, text_of in {
        "<!-- regimes -->": measured.regimes,
        "<!-- reproduced under defenses -->": defended,
    }.items():
        if marker in text:
            text = text.replace(marker, text_of())
    return MARKER.sub(lambda found: beside(found[1]), text)


def setup(app: Any) -> dict[str, bool]:
    return replace_markers(app, inserted)
