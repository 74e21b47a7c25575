"""What every test process starts with."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, settings

# readline, which pytest imports, sets it for child processes, the workers of pytest-xdist among them: what is printed
# into a pipe would have a width.
os.environ.pop("COLUMNS", None)
if "PYTEST_XDIST_WORKER" in os.environ:
    # Workers share the cores; threads of several would wait for each other.
    os.environ.setdefault("OMP_NUM_THREADS", "1")

# No test is about time, and a busy machine is slow.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")


@pytest.fixture
def tiny_log(tmp_path, monkeypatch):
    """The tiny components leave a line for each piece of work, for ``tiny.work_done`` to count."""
    monkeypatch.setenv("TINY_LOG", str(tmp_path / "log"))
