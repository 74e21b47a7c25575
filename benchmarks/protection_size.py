"""What `ucbench protect` costs in time and memory for a folder, as one more row of a record.

``python benchmarks/protection_size.py PHOTOS --out DIR --json docs/_data/protection_size.json``: protects the photos
of PHOTOS with all defaults but one process and one thread, and notes their number, the pixels of the largest and of
all, seconds, processor seconds and the peak memory of the command.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from ucbench.numerics import environment, resolve
from ucbench.protection.manifest import MANIFEST, read_manifest


def measured(photos: Path, out: Path) -> dict[str, Any]:
    """The row of a folder. The command is the only child of this process."""
    command = [sys.executable, "-m", "ucbench", "protect", str(photos), "--out", str(out), "--jobs", "1", "--threads"]
    started = time.perf_counter()
    subprocess.run([*command, "1"], check=True)
    seconds = time.perf_counter() - started
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return row(out, seconds, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)


def row(out: Path, seconds: float, processor_seconds: float, memory_mib: float) -> dict[str, Any]:
    """What the manifest of a folder says of its photos, and what they took."""
    manifest = read_manifest(out / MANIFEST)
    pixels = [photo.width * photo.height for photo in manifest.photos]
    return {
        "photos": len(pixels),
        "largest_megapixels": max(pixels) / 1e6,
        "megapixels": sum(pixels) / 1e6,
        "largest_change": max(photo.linf for photo in manifest.photos),
        "seconds": round(seconds),
        "processor_seconds": round(processor_seconds),
        "memory_mib": round(memory_mib),
        "machine": environment(resolve(threads=1)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("photos", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--json", type=Path, required=True)
    args = parser.parse_args()
    rows = json.loads(args.json.read_text(encoding="utf-8")) if args.json.exists() else []
    rows.append(measured(args.photos, args.out))
    args.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
