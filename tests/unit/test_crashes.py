"""Whatever happens to a file operation of a run, the next plain run gives the same numbers and leaves nothing over.

The default is a sample of the operations. Where the environment variable UCBENCH_TEST_NIGHTLY is set, all are tried,
or as many as its value in seconds allows if that is above 1.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import crash_points
import pytest
from trials import NIGHTLY, Trials


@pytest.mark.parametrize(("executor", "sample"), [("serial", 15), ("process:workers=1", 10)])
def test_run_after_a_fault_in_a_file_operation_is_as_an_undisturbed_one(executor, sample, tmp_path):
    program = [sys.executable, crash_points.__file__, executor, str(0 if NIGHTLY else sample), str(tmp_path)]
    seconds = os.environ.get("UCBENCH_TEST_NIGHTLY", "")
    program += [seconds] if seconds.isdecimal() and int(seconds) > 1 else []
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(program, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout.splitlines()[-1])
    trials = Trials(f"faults in file operations, {executor.partition(':')[0]}")
    trials.tried, trials.refused, trials.wrong = report["tried"], report["ends"].get("1", 0), report["problems"]
    trials.of = report["points"]
    trials.end()
    assert report["ends"]["99"] > 0
    assert report["tried"] >= sample
