"""What installing other frameworks takes: the record of docs/platforms.md.

    python benchmarks/performance/platforms.py keras paddle ...

Installs each extra's requirements into a temporary environment that has what this one has, and writes
docs/_data/platforms.json; extras that are not named stay as they were.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import sysconfig
import tempfile
import time
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
RECORD = ROOT / "docs" / "_data" / "platforms.json"


def installed(extra: str) -> dict[str, Any]:
    """Seconds and megabytes of an extra's requirements beside what this environment has."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    requirements = project["optional-dependencies"][extra]
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        packages = next(Path(folder).glob("lib/python*/site-packages"))
        here = sysconfig.get_path("purelib")
        (packages / "here.pth").write_text(f"import site; site.addsitedir({here!r})\n", encoding="utf-8")
        before, started = _megabytes(packages), time.perf_counter()
        pip = [f"{folder}/bin/python", "-m", "pip", "install", "--no-cache-dir", *requirements]
        subprocess.run(pip, check=True, stdout=subprocess.DEVNULL)
        seconds, megabytes = time.perf_counter() - started, _megabytes(packages) - before
        name = re.split(r"[\[>=]", requirements[0])[0]
        version = next(packages.glob(f"{name}-*.dist-info")).name.split("-")[1].removesuffix(".dist")
    return {"extra": extra, "version": version, "seconds": round(seconds, 1), "megabytes": megabytes}


def _megabytes(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.rglob("*")) // 10**6


def main(*extras: str) -> None:
    known = json.loads(RECORD.read_text(encoding="utf-8")) if RECORD.exists() else []
    rows = [row for row in known if row["extra"] not in extras] + [installed(extra) for extra in extras]
    RECORD.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
