"""What a statement imports."""

from __future__ import annotations

import json
import subprocess
import sys


def imported_by(statement: str) -> set[str]:
    """Top-level packages in memory after ``statement``, which must not fail, in a fresh interpreter."""
    report = "import json, sys; print('\\n' + json.dumps([m.partition('.')[0] for m in sys.modules]))"
    done = subprocess.run([sys.executable, "-c", f"{statement}\n{report}"], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout.splitlines()[-1]))
