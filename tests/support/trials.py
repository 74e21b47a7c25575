"""Many trials of one kind in a test: it fails at the end with all that fell through, and can write how many there were.

With the environment variable ``UCBENCH_TEST_REPORT`` set to a JSON file, :meth:`Trials.end` adds its numbers to it. The
documentation shows ``docs/_data/robustness.json``, written so at full size (``UCBENCH_TEST_NIGHTLY``).
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ucbench.errors import UcbenchError

#: Whether tests try their full sizes.
NIGHTLY = bool(os.environ.get("UCBENCH_TEST_NIGHTLY"))
#: Most trials that a failure lists.
_SHOWN = 20


class Trials:
    """Counts trials.

    Attributes:
        name: what is tried, the key of its numbers in the report.
        tried: how many.
        of: how many there are, if not all were tried.
        refused: how many of them were answered with an error that the command line reports.
        wrong: what fell through, in words.
    """

    def __init__(self, name: str) -> None:
        self.name, self.tried, self.refused, self.wrong = name, 0, 0, list[str]()
        self.of: int | None = None

    def meets(self, reader: Callable[[], Any], what: str) -> None:
        """Try one input: the reader takes it, or refuses it with an error of ucbench."""
        self.tried += 1
        try:
            reader()
        except UcbenchError:
            self.refused += 1
        except BaseException as error:
            self.wrong.append(f"{what}: {type(error).__name__}: {error}")

    def end(self) -> None:
        """Fail if anything fell through."""
        if path := os.environ.get("UCBENCH_TEST_REPORT"):
            report = json.loads(Path(path).read_text()) if Path(path).exists() else {}
            numbers = {"tried": self.tried, "of": self.of or self.tried, "refused": self.refused}
            # What fell through when it was tried first stays in the report.
            first = report.get(self.name, {}).get("at_first", len(self.wrong))
            report[self.name] = {**numbers, "fell_through": len(self.wrong), "at_first": first}
            Path(path).write_text(json.dumps(report, indent=1, sort_keys=True) + "\n")
        assert not self.wrong, "\n".join([f"{len(self.wrong)} of {self.tried}:", *self.wrong[:_SHOWN]])
