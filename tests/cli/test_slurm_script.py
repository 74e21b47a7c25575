"""The array job of `benchmarks/slurm.sh`: its tasks, run as the scheduler would start them, do a suite between them."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "slurm.sh"
SUITE = """
name = "array"
version = 1
title = "Two releases, two seeds"
threads = 1

[common]
dataset = "digits:train_per_class=5,test_per_class=5"
victim = "resnet18@quick:width=16,epochs=1"
seed = "0-1"
trainings = 1

[[table]]
poisoner = ["rand-class", "lsp"]
"""


def test_slurm_array_tasks_run_every_cell_once(tmp_path):
    suite = tmp_path / "array.toml"
    suite.write_text(SUITE)
    scratch, out = tmp_path / "scratch", tmp_path / "results"
    scripts = str(Path(sys.executable).parent)
    alone = {name: value for name, value in os.environ.items() if name != "UCBENCH_HOME"}
    alone |= {"PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}", "SCRATCH": str(scratch)}
    options = ["--suite", str(suite), "--out", str(out)]

    def task(**given: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["sh", str(SCRIPT), *options], env=alone | given, cwd=tmp_path, capture_output=True, text=True, check=False
        )

    written = []
    for number in "12":
        done = task(SLURM_ARRAY_TASK_ID=number, SLURM_ARRAY_TASK_COUNT="2")
        assert done.returncode == 0, done.stderr
        written.append({path.name: path.read_bytes() for path in (out / "records").iterdir()})
    first, both = written
    assert 0 < len(first) < len(both) == 8, "four poisoned cells, and a clean and a sham reference a seed"
    assert all(both[name] == content for name, content in first.items()), "no task touches another's records"
    assert (scratch / "ucbench" / "objects").is_dir(), "the store is where all nodes see it"
    after = subprocess.run(
        [f"{scripts}/ucbench", "run", *options], env=alone, capture_output=True, text=True, check=False
    )
    assert after.returncode == 0, after.stderr
    with (out / "results.csv").open(encoding="utf-8") as file:
        assert len(list(csv.DictReader(file))) == 8
    lone = task()
    assert lone.returncode != 0
    assert "submit it by sbatch" in lone.stderr
