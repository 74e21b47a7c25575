"""Several processes: the records of one process, and nothing lost when workers die."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import re
import signal
import time
from collections.abc import Callable
from pathlib import Path

import disturbing_components as disturbing
import pytest

from ucbench.plugins.registry import Registry
from ucbench.progress import Silent
from ucbench.running.executors.process import Processes, ProcessParams, WaitClock
from ucbench.running.executors.serial import Serial
from ucbench.running.interruption import interruptible
from ucbench.running.runner import run_cells
from ucbench.session import Session
from ucbench.store.store import Store
from ucbench.testing.cells import small_cells, small_registry
from ucbench.testing.samples import NUMERICS


def session(home: Path, registry: Registry | None = None) -> Session:
    return Session(Store(home), NUMERICS, Silent(), registry or small_registry())


def names(folder: Path) -> set[str]:
    return {path.name for path in (folder / "records").glob("*.json")}


def comparable(records: list[dict]) -> list[dict]:
    return [
        {name: value for name, value in record.items() if name not in ("cost", "environment")} for record in records
    ]


class KillingProgress(Silent):
    """Kills one of the driver's children as soon as a cell is begun, once."""

    def __init__(self) -> None:
        self.killed: int | None = None

    def cell(self, text: str) -> None:
        if self.killed is None:
            self.killed = min(child.pid for child in multiprocessing.active_children() if child.pid)
            os.kill(self.killed, signal.SIGKILL)


def test_processes_one_of_which_is_killed_write_the_records_of_one_process(tmp_path):
    cells = small_cells("spots")
    alone = run_cells(cells, session(tmp_path / "one"), out=tmp_path / "one-out", executor=Serial())
    driver = Session(Store(tmp_path / "two"), NUMERICS, KillingProgress(), small_registry())
    executor = Processes(ProcessParams(workers=2))
    together = run_cells(cells, driver, out=tmp_path / "two-out", executor=executor)
    assert driver.progress.killed
    assert comparable(together) == comparable(alone)
    assert names(tmp_path / "two-out") == names(tmp_path / "one-out")
    assert multiprocessing.active_children() == []


class LeapingClock:
    """Leaps at every look while the process that ``mark`` names is alive, and goes on as usual before and after.

    So no machine is too slow for the other jobs, and nobody waits.
    """

    def __init__(self, mark: Path) -> None:
        self._mark, self._leaps = mark, 0

    def __call__(self) -> float:
        if self._mark.exists() and (process := self._mark.read_text()):
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(process), 0)
                self._leaps += 1
        return time.monotonic() + 10**6 * self._leaps


@pytest.fixture(scope="module")
def disturbed(tmp_path_factory) -> dict[str, dict]:
    """Records by poisoner of one worker's run, in which everything happens to its processes."""
    folder = tmp_path_factory.mktemp("disturbed")
    cells = small_cells("deadly", "endless", "forking", "quitting", "spots", seeds=1, registry=disturbing.registry())
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ENDLESS_MARK", str(folder / "begun"))
        patch.setattr("ucbench.running.executors.dispatcher.monotonic", LeapingClock(folder / "begun"))
        executor = Processes(ProcessParams(workers=1, limit=10**5))
        records = run_cells(cells, session(folder, disturbing.registry()), executor=executor)
    return {record["request"]["poisoner"]: record for record in records}


def test_job_that_kills_its_workers_fails_alone(disturbed):
    assert {name: record["status"] for name, record in disturbed.items()} == {
        "clean": "ok",
        "sham": "ok",
        "spots": "ok",
        "forking": "ok",
        "deadly": "failed",
        "endless": "failed",
        "quitting": "failed",
    }
    assert disturbed["deadly"]["error"]["type"] == "WorkerDied"
    assert "killed by SIGKILL" in disturbed["deadly"]["error"]["text"]


def test_job_beyond_the_limit_is_stopped(disturbed):
    assert disturbed["endless"]["error"] == {"type": "TimeLimit", "text": "Stopped after 100000 seconds, the limit."}


def test_interruption_that_a_component_raises_is_recorded_as_its_failure(disturbed):
    assert disturbed["quitting"]["error"]["type"] == "KeyboardInterrupt"
    assert "by a plugin" in disturbed["quitting"]["error"]["text"]
    assert re.fullmatch(r"disturbing_components.py, line \d+", disturbed["quitting"]["error"]["place"])


def drive_endless(folder: Path) -> None:
    """Run a cell without an end in a worker, as the main program of a process."""
    cells = small_cells("endless", seeds=1, registry=disturbing.registry())
    code = 0
    try:
        with interruptible() as received:
            run_cells(cells, session(folder, disturbing.registry()), executor=Processes(ProcessParams(workers=1)))
    except KeyboardInterrupt:
        code = received[0]
    os._exit(code)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_workers_end_with_a_driver_that_is_ended_by(number, tmp_path, monkeypatch):
    monkeypatch.setenv("ENDLESS_MARK", str(tmp_path / "begun"))
    driver = multiprocessing.get_context("fork").Process(target=drive_endless, args=(tmp_path,))
    driver.start()
    wait_until(lambda: (tmp_path / "begun").exists() and (tmp_path / "begun").read_text())
    worker = int((tmp_path / "begun").read_text())
    os.kill(driver.pid, number)
    driver.join(30)
    assert driver.exitcode == (number if number == signal.SIGTERM else -number)
    wait_until(lambda: not is_running(worker))


def wait_until(condition) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def is_running(process: int) -> bool:
    """Whether the process exists and is no zombie, which only its new parent can remove."""
    status = Path(f"/proc/{process}/stat")
    return status.exists() and status.read_text().rpartition(")")[2].split()[0] != "Z"


def test_signal_that_is_ignored_or_handled_stays_so():
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)  # ignored where nohup started the tests
    with interruptible() as received, pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGHUP)
    assert received == [signal.SIGHUP]
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with interruptible() as received:
            os.kill(os.getpid(), signal.SIGHUP)
        assert received == []
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_second_signal_does_not_stop_what_the_first_one_began():
    done = []

    def end() -> None:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        finally:
            os.kill(os.getpid(), signal.SIGHUP)
            done.append("cleaned up")

    with pytest.raises(KeyboardInterrupt), interruptible():
        end()
    assert done == ["cleaned up"]


def test_wait_clock_counts_waits_only():
    clock = WaitClock(multiprocessing.get_context("spawn"))
    assert clock.seconds() == 0
    with clock.running("Waiting."):
        assert clock.seconds() < clock.seconds()
    waited = clock.seconds()
    assert clock.seconds() == waited > 0


class Shared:
    """Two numbers in memory; ``then`` is called once, after the access of this number."""

    def __init__(self, access: int, then: Callable[[], None]) -> None:
        self._numbers, self._access, self._then = [0.0, 0.0], access, then

    def __getitem__(self, place: int) -> float:
        number = self._numbers[place]
        self._accessed()
        return number

    def __setitem__(self, place: int, number: float) -> None:
        self._numbers[place] = number
        self._accessed()

    def _accessed(self) -> None:
        self._access -= 1
        if self._access == 0:
            self._then()


@pytest.mark.parametrize("access", range(2, 6))
def test_wait_clock_counts_a_wait_whenever_it_is_read_at_its_end(monkeypatch, access):
    """The wait begins with the first access of shared memory, and ends with four more."""
    now, seen = [100.0], []
    monkeypatch.setattr("ucbench.running.executors.process.monotonic", lambda: now[0])
    clock = WaitClock(multiprocessing.get_context("spawn"))
    clock._values = Shared(access, lambda: seen.append(clock.seconds()))
    with clock.running("Waiting."):
        now[0] += 5
    assert clock.seconds() == 5
    assert seen[0] >= 5


def test_wait_clock_counts_a_wait_that_ends_while_it_is_read(monkeypatch):
    now = [100.0]
    monkeypatch.setattr("ucbench.running.executors.process.monotonic", lambda: now[0])
    clock = WaitClock(multiprocessing.get_context("spawn"))
    wait = clock.running("Waiting.")
    clock._values = Shared(2, lambda: wait.__exit__(None, None, None))
    wait.__enter__()
    now[0] += 5
    assert clock.seconds() >= 5
    assert clock.seconds() == 5


def test_component_that_forks_leaves_every_answer_to_its_own_job(disturbed, tmp_path):
    cells = small_cells("forking", "spots", seeds=1, registry=disturbing.registry())
    alone = run_cells(cells, session(tmp_path, disturbing.registry()))
    assert comparable([disturbed[record["request"]["poisoner"]] for record in alone]) == comparable(alone)
