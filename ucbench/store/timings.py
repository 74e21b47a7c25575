"""Timings of finished work on this machine, from which a plan predicts the same work."""

from __future__ import annotations

import contextlib
import json
import statistics
from collections import defaultdict, deque
from collections.abc import Callable
from pathlib import Path

#: Most recent timings of one kind of work whose median is the prediction.
REMEMBERED = 20


class Timings:
    """Seconds of finished crafts and trainings, one JSON line each in ``root/timings.jsonl``.

    A lost line costs a prediction, never a result: lines are appended without locks, unreadable ones skipped.
    """

    def __init__(self, root: Path) -> None:
        self._path = root / "timings.jsonl"
        self._seconds: dict[str, deque[float]] = defaultdict(lambda: deque(maxlen=REMEMBERED))
        with contextlib.suppress(OSError):
            for line in self._path.read_text(encoding="utf-8", errors="replace").splitlines():
                with contextlib.suppress(ValueError, KeyError, TypeError):
                    entry = json.loads(line)
                    self._seconds[entry["work"]].append(float(entry["seconds"]))

    def remember(self, work: str, seconds: float) -> None:
        self._seconds[work].append(seconds)
        with contextlib.suppress(OSError), self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"work": work, "seconds": round(seconds, 3)}) + "\n")

    def assume(self, work: str, guess: Callable[[], float | None]) -> None:
        """For work never done here, predict what ``guess`` returns; not written to the file."""
        if not self._seconds.get(work) and (seconds := guess()) is not None:
            self._seconds[work].append(seconds)

    def predict(self, work: str) -> float | None:
        """Median seconds of this work; None if it was never done here."""
        seconds = self._seconds.get(work)
        return statistics.median(seconds) if seconds else None
