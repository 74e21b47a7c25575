"""Timings of finished work on this machine, from which a plan predicts the same work."""

from __future__ import annotations

import contextlib
import json
import statistics
from collections import defaultdict, deque
from collections.abc import Callable
from pathlib import Path

from ucbench.errors import StoreError
from ucbench.store.files import atomic_write_text

#: Most recent timings of one kind of work whose median is the prediction.
REMEMBERED = 20
#: The file is written anew when it has this many times the lines that are remembered.
_SURPLUS = 10


class Timings:
    """Seconds of finished crafts and trainings, one JSON line each in ``root/timings.jsonl``.

    A lost line costs a prediction, never a result: lines are appended without locks, unreadable ones skipped.
    """

    def __init__(self, root: Path) -> None:
        self._path = root / "timings.jsonl"
        self._seconds: dict[str, deque[float]] = defaultdict(lambda: deque(maxlen=REMEMBERED))
        lines: list[str] = []
        with contextlib.suppress(OSError):
            lines = self._path.read_text(encoding="utf-8", errors="replace").splitlines()
        for line in lines:
            with contextlib.suppress(ValueError, KeyError, TypeError):
                entry = json.loads(line)
                self._seconds[entry["work"]].append(float(entry["seconds"]))
        kept = [_line(work, seconds) for work, past in self._seconds.items() for seconds in past]
        if len(lines) > _SURPLUS * max(len(kept), REMEMBERED):
            with contextlib.suppress(StoreError):
                atomic_write_text(self._path, "".join(kept), "UCBENCH_HOME")

    def remember(self, work: str, seconds: float) -> None:
        self._seconds[work].append(seconds)
        with contextlib.suppress(OSError), self._path.open("a", encoding="utf-8") as file:
            file.write(_line(work, seconds))

    def assume(self, work: str, guess: Callable[[], float | None]) -> None:
        """For work never done here, predict what ``guess`` returns; not written to the file."""
        if not self._seconds.get(work) and (seconds := guess()) is not None:
            self._seconds[work].append(seconds)

    def predict(self, work: str) -> float | None:
        """Median seconds of this work; None if it was never done here."""
        seconds = self._seconds.get(work)
        return statistics.median(seconds) if seconds else None


def _line(work: str, seconds: float) -> str:
    return json.dumps({"work": work, "seconds": round(seconds, 3)}) + "\n"
