"""Executors: each piece of work once, the same records, and nothing lost when workers die."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import time
from pathlib import Path

import disturbing_components as disturbing

from ucbench.progress import Silent
from ucbench.running.executors.params import ProcessParams
from ucbench.running.executors.process import Processes
from ucbench.running.executors.schedule import Schedule
from ucbench.running.executors.serial import Serial
from ucbench.running.runner import run_cells
from ucbench.running.tasks import Task, task_of
from ucbench.session import Session
from ucbench.store.store import Store
from ucbench.testing.cells import small_cells, small_registry
from ucbench.testing.samples import NUMERICS


def session(home: Path) -> Session:
    return Session(Store(home), NUMERICS, Silent())


def tasks(home: Path, *poisoners: str, seeds: int = 2) -> list[Task]:
    at = session(home)
    return [task_of(cell, at) for cell in small_cells(*poisoners, seeds=seeds)]


class TestSchedule:
    def test_a_release_is_handed_out_once_and_its_cells_after_it(self, tmp_path):
        (spots,) = [task for task in tasks(tmp_path, "spots", seeds=1) if "spots" in str(task.cell.craft.poisoner)]
        again = Task(spots.cell, "another key", spots.release_key)
        schedule = Schedule([spots, again], crafted=())
        job = schedule.next()
        assert (job.kind, job.task) == ("craft", spots)
        assert schedule.next() is None
        assert schedule
        schedule.crafted(job)
        assert [schedule.next().task.key for _ in range(2)] == [spots.key, "another key"]
        assert not schedule

    def test_what_is_crafted_already_is_not_handed_out(self, tmp_path):
        everything = tasks(tmp_path, "spots")
        schedule = Schedule(everything, {task.release_key for task in everything})
        assert [schedule.next().kind for _ in everything] == ["cell"] * len(everything)

    def test_cells_whose_release_was_given_up_are_told_and_gone(self, tmp_path):
        (task,) = [task for task in tasks(tmp_path, "failing", seeds=1) if "failing" in str(task.cell.craft.poisoner)]
        schedule = Schedule([task], crafted=())
        assert schedule.given_up(schedule.next()) == [task]
        assert not schedule


def records(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / "records").glob("*.json")}


def comparable(found: list[dict]) -> list[dict]:
    return [{name: value for name, value in record.items() if name not in ("cost", "environment")} for record in found]


def test_processes_write_the_records_that_one_process_writes(tmp_path):
    cells = small_cells("spots", "positive")
    alone = run_cells(cells, session(tmp_path / "one"), small_registry(), out=tmp_path / "one-out", executor=Serial())
    together = run_cells(
        cells,
        session(tmp_path / "two"),
        small_registry(),
        out=tmp_path / "two-out",
        executor=Processes(ProcessParams(workers=2)),
    )
    assert comparable(together) == comparable(alone)
    assert records(tmp_path / "two-out").keys() == records(tmp_path / "one-out").keys()


class Murderer(Silent):
    """Kills one of the driver's children whenever a cell is begun, a given number of times."""

    def __init__(self, kills: int) -> None:
        self.kills = kills

    def say(self, text: str) -> None:
        if text.startswith("[") and self.kills:
            self.kills -= 1
            child = next(iter(sorted(_children())))
            os.kill(child, signal.SIGKILL)


def _children() -> list[int]:
    return [child.pid for child in multiprocessing.active_children() if child.pid]


def test_killed_workers_cost_nothing_but_time(tmp_path):
    cells = small_cells("spots", seeds=3)
    undisturbed = run_cells(cells, session(tmp_path / "one"), small_registry())
    driver = Session(Store(tmp_path / "two"), NUMERICS, Murderer(2))
    disturbed = run_cells(cells, driver, small_registry(), executor=Processes(ProcessParams(workers=2)))
    assert driver.progress.kills == 0
    assert comparable(disturbed) == comparable(undisturbed)


def disturbed(tmp_path: Path, poisoner: str, **params) -> dict[str, dict]:
    """Records by poisoner of a run with one that disturbs it."""
    registry = disturbing.registry()
    cells = small_cells(poisoner, "spots", seeds=1, registry=registry)
    found = run_cells(cells, session(tmp_path), registry, executor=Processes(ProcessParams(**params)))
    return {record["request"]["poisoner"]: record for record in found}


def status(found: dict[str, dict]) -> dict[str, str]:
    return {name: record["status"] for name, record in found.items()}


def test_a_job_that_kills_its_workers_fails_and_the_rest_goes_on(tmp_path):
    found = disturbed(tmp_path, "deadly", workers=2)
    assert status(found) == {"clean": "ok", "sham": "ok", "spots": "ok", "deadly": "failed"}
    assert found["deadly"]["error"]["type"] == "WorkerDied"
    assert "killed by SIGKILL" in found["deadly"]["error"]["text"]


class LeapingClock:
    """Leaps at every look while the process that ``mark`` names is alive, and goes on as usual before and after.

    So no machine is too slow for the other jobs, and nobody waits. One leap would not do: it can come before the
    worker's word that it has begun is heard.
    """

    def __init__(self, mark: Path) -> None:
        self._mark, self._leaps = mark, 0

    def __call__(self) -> float:
        if self._mark.exists() and (process := self._mark.read_text()):
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(process), 0)
                self._leaps += 1
        return time.monotonic() + 10**6 * self._leaps


def test_a_job_beyond_the_limit_is_stopped_and_the_rest_goes_on(tmp_path, monkeypatch):
    mark = tmp_path / "begun"
    monkeypatch.setenv("ENDLESS_MARK", str(mark))
    monkeypatch.setattr("ucbench.running.executors.process.monotonic", LeapingClock(mark))
    found = disturbed(tmp_path, "endless", workers=1, limit=10**5)
    assert status(found) == {"clean": "ok", "sham": "ok", "spots": "ok", "endless": "failed"}
    assert found["endless"]["error"] == {"type": "TimeLimit", "text": "Stopped after 100000 seconds, the limit."}


def test_no_worker_outlives_its_run(tmp_path):
    run_cells(small_cells("spots"), session(tmp_path), small_registry(), executor=Processes(ProcessParams(workers=2)))
    assert multiprocessing.active_children() == []
