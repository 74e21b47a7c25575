"""What is wrong with the records of a leaderboard, and how sentences name records."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, NamedTuple

from ucbench.errors import UsageError
from ucbench.matrix.from_record import poisoner_of
from ucbench.matrix.names import titled
from ucbench.results.records import Record

#: Most examples that a message lists.
SHOWN = 5

Severity = Literal["error", "warning"]


class Problem(NamedTuple):
    """One error or warning, as a sentence."""

    severity: Severity
    text: str


def record_title(record: Record) -> str:
    """A record in one line, in the form of :func:`ucbench.running.tasks.title`."""
    request = record["request"]
    try:
        poisoner = poisoner_of(request)
    except UsageError:  # an edited record, with a name that ucbench cannot have written
        poisoner = request["poisoner"]
    return f"{titled(request, poisoner)} ({record['cell'][:8]})"


def some(texts: Iterable[str]) -> str:
    """The first texts, and how many more there are."""
    all_texts = list(texts)
    more = f"; and {len(all_texts) - SHOWN} more" if len(all_texts) > SHOWN else ""
    return "; ".join(all_texts[:SHOWN]) + more
