"""Protect a small folder again and again, killed at another file operation each time; compare with a calm run.

A program, so that its processes are forked from one that has imported and computed everything once and has no threads
of other tests: ``protect_points.py SAMPLE FOLDER`` prints what fell through as JSON.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import sys
import traceback
from pathlib import Path

import tiny_components as tiny
from faults import CRASHED, Fault, Faults
from photo_folder import photograph

from ucbench.protection.protect import protect
from ucbench.protection.request import ProtectionRequest

WAYS = ("exit-before", "exit-after", "torn")
REQUEST = ProtectionRequest(poisoner="badge", labeler="eyes", size=8, clusters="2")


def compute(root: Path, name: str) -> None:
    protect(root / "photos", root / name, REQUEST, tiny.session(root / "store", tiny.registry()))


def run(root: Path, name: str, fault: Fault | None = None) -> tuple[int, int]:
    """The exit code of a run into the folder ``name``, in a process of its own, and its number of file operations."""
    faults = Faults(root / name, fault)
    process = os.fork()
    if process == 0:
        code = 1
        try:
            faults.install()
            compute(root, name)
            code = 0
        except BaseException:
            traceback.print_exc()
        os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), faults.counts()["driver"]


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def try_points(root: Path, sample: int) -> dict[str, object]:
    """The problems, and how many points there are and were tried."""
    (root / "photos" / "below").mkdir(parents=True)
    for number in range(6):
        photograph(number, 20, 16).save(root / "photos" / ("below" if number % 2 else "") / f"{number}.jpg")
    (root / "photos" / "cut.jpg").write_bytes((root / "photos" / "0.jpg").read_bytes()[:-200])
    compute(root, "warm")
    code, operations = run(root, "calm")
    assert code == 0, code
    calm, problems = contents(root / "calm"), []
    points = [Fault("driver", number, way) for way in WAYS for number in range(operations)]
    for fault in random.Random(0).sample(points, min(sample, len(points))):
        # Killed twice: the run that continues is killed too.
        codes = [run(root, "safe", fault)[0], run(root, "safe", Fault("driver", 3, "exit-after"))[0]]
        last, _ = run(root, "safe")
        if last or not set(codes) <= {CRASHED, 0}:
            problems.append(f"{fault}: ended with {codes} and {last}")
        elif (after := contents(root / "safe")) != calm:
            problems.append(f"{fault}: differs in {sorted(n for n in {*after, *calm} if after.get(n) != calm.get(n))}")
        shutil.rmtree(root / "safe")
    return {"points": len(points), "problems": problems}


if __name__ == "__main__":
    print(json.dumps(try_points(Path(sys.argv[2]), int(sys.argv[1]))))
