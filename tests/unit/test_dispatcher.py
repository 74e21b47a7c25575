"""The dispatcher with workers that live in this process: whatever they do, each task ends with its own record, once."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import replace

import pytest

from ucbench import StoreError, UsageError
from ucbench.numerics import versions
from ucbench.progress import Silent
from ucbench.running.executors.dispatcher import Dispatcher, Schedule
from ucbench.running.executors.worker import READY, Reply, Request, Worker, WorkerError
from ucbench.running.tasks import Task, task_of
from ucbench.session import Session
from ucbench.store.store import Store
from ucbench.testing.cells import small_cells
from ucbench.testing.samples import NUMERICS

READY_REPLY = Reply(*READY, versions())


class Lines(Silent):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)


@pytest.fixture
def session(tmp_path) -> Session:
    return Session(Store(tmp_path), NUMERICS, Lines())


def tasks(session: Session, seeds: int = 2) -> list[Task]:
    return [task_of(cell, session) for cell in small_cells("spots", seeds=seeds)]


def right(request: Request) -> Reply:
    """What a worker answers that does as it should; the record names the request."""
    kind, _, key = request.id.partition(" ")
    return Reply(request.id, request.attempt, None if kind == "craft" else {"status": "ok", "cell": key})


class Stub(Worker):
    """Replies at once.

    Args:
        act: what comes of a request, in turn; a WorkerError is raised, and nothing at all is a job without an end.
        starts: what each start leads to, in turn; ready, after the last.
    """

    def __init__(
        self, act: Callable[[Request], Iterable[Reply | WorkerError]], starts: Iterable[Reply | WorkerError] = ()
    ) -> None:
        self._act, self._starts = act, iter(starts)
        self.outbox: deque[Reply | WorkerError] = deque()
        self.requests: list[Request] = []
        self.launches, self.alive = 0, False

    def launch(self) -> None:
        assert not self.alive
        self.launches, self.alive = self.launches + 1, True
        self.outbox.append(next(self._starts, READY_REPLY))

    def send(self, request: Request) -> None:
        self.requests.append(request)
        self.outbox.extend(self._act(request))

    def receive(self) -> Reply:
        reply = self.outbox.popleft()
        if isinstance(reply, WorkerError):
            raise reply
        return reply

    def stop(self) -> None:
        self.alive = False
        self.outbox.clear()

    @classmethod
    def wait(cls, workers, seconds):
        return [worker for worker in workers if worker.outbox]


def dispatch(session: Session, work: list[Task], workers: list[Stub], **options) -> dict[str, dict]:
    """Records by key; each is reported once, and no worker is left."""
    records: dict[str, dict] = {}

    def on_done(task: Task, record: dict) -> None:
        assert task.key not in records
        records[task.key] = record

    try:
        Dispatcher(work, session, on_done, workers, **options).run()
    finally:
        assert not any(worker.alive for worker in workers)
    return records


def own(work: list[Task]) -> dict[str, dict]:
    return {task.key: {"status": "ok", "cell": task.key} for task in work}


def test_dispatcher_reports_each_tasks_own_record(session):
    work = tasks(session)
    workers = [Stub(lambda request: [right(request)]) for _ in range(3)]
    assert dispatch(session, work, workers) == own(work)
    releases = {task.release_key for task in work} - {None}
    assert sum(len(worker.requests) for worker in workers) == len(work) + len(releases)


def test_dispatcher_starts_no_more_workers_than_tasks(session):
    workers = [Stub(lambda request: [right(request)]) for _ in range(3)]
    assert dispatch(session, [], workers) == {}
    dispatch(session, tasks(session)[:1], workers)
    assert [worker.launches for worker in workers] == [1, 0, 0]


class Once:
    """Does ``first`` at the first request whose id begins with ``kind``, and as it should at every other."""

    def __init__(self, kind: str, first: Callable[[Request], list[Reply | WorkerError]]) -> None:
        self.kind, self.first = kind, first

    def __call__(self, request: Request) -> list[Reply | WorkerError]:
        if self.kind and request.id.startswith(self.kind):
            self.kind = ""
            return self.first(request)
        return [right(request)]


@pytest.mark.parametrize("kind", ["craft", "cell"])
@pytest.mark.parametrize(
    ("stray", "restarts"),
    [
        pytest.param(lambda request: [right(request)] * 2, 1, id="answers-twice"),
        pytest.param(lambda request: [replace(right(request), attempt=0)], 1, id="other-attempt"),
        pytest.param(lambda request: [replace(right(request), id="cell other")], 1, id="other-job"),
        pytest.param(lambda request: [READY_REPLY], 1, id="ready-again"),
        pytest.param(lambda request: [WorkerError("exit code 1")], 1, id="dies"),
        pytest.param(lambda request: [right(request), WorkerError("exit code 1")], 1, id="dies-afterwards"),
    ],
)
def test_stray_answer_or_death_restarts_the_worker_and_changes_no_record(session, kind, stray, restarts):
    work = tasks(session)
    worker = Stub(Once(kind, stray))
    assert dispatch(session, work, [worker]) == own(work)
    assert worker.launches == 1 + restarts


def test_job_whose_workers_die_twice_fails_alone(session):
    work = tasks(session, seeds=1)
    doomed = work[-1]

    def act(request):
        return [WorkerError("exit code 7") if request.id == f"cell {doomed.key}" else right(request)]

    worker = Stub(act)
    records = dispatch(session, work, [worker])
    failure = records.pop(doomed.key)
    assert records == own(work[:-1])
    assert failure["error"]["type"] == "WorkerDied"
    assert "died (exit code 7)" in failure["error"]["text"]
    assert [request.attempt for request in worker.requests if request.id.endswith(doomed.key)][-2:] == [1, 2]


def test_cells_of_a_release_that_cannot_be_crafted_fail_with_its_error(session):
    (spots,) = [task for task in tasks(session, seeds=1) if "spots" in str(task.cell.craft.poisoner)]
    work = [spots, replace(spots, key="another")]
    worker = Stub(lambda request: [Reply(request.id, request.attempt, ("DataError", "no data"))])
    records = dispatch(session, work, [worker])
    assert {record["error"]["type"] for record in records.values()} == {"DataError"}
    assert len(records) == 2
    assert len(worker.requests) == 1


def test_job_beyond_the_limit_is_stopped_and_not_retried(session, monkeypatch):
    now = [0.0]
    monkeypatch.setattr("ucbench.running.executors.dispatcher.monotonic", lambda: now[0])
    work = tasks(session, seeds=1)
    endless = work[0]

    def act(request):
        if request.id == f"cell {endless.key}":
            now[0] += 11
            return []
        return [right(request)]

    records = dispatch(session, work, [Stub(act)], limit=10)
    assert records.pop(endless.key)["error"] == {"type": "TimeLimit", "text": "Stopped after 10 seconds, the limit."}
    assert records == own(work[1:])


def test_time_for_which_a_job_waits_for_others_does_not_count(session, monkeypatch):
    now = [0.0]
    monkeypatch.setattr("ucbench.running.executors.dispatcher.monotonic", lambda: now[0])
    work = tasks(session, seeds=1)

    class Waiting(Stub):
        late: list[Request] = []  # noqa: RUF012

        def waited(self) -> float:
            return now[0] * 0.9

        @classmethod
        def wait(cls, workers, seconds):
            now[0] += 5
            for request in cls.late[:1] if now[0] % 50 == 0 else ():
                cls.late.remove(request)
                workers[0].outbox.append(right(request))
            return super().wait(workers, seconds)

    assert dispatch(session, work, [Waiting(lambda request: Waiting.late.append(request) or [])], limit=10) == own(work)


def test_store_failure_of_a_worker_ends_the_run(session):
    worker = Stub(lambda request: [Reply(request.id, request.attempt, ("StoreError", "the disk is full"))])
    with pytest.raises(StoreError, match="the disk is full"):
        dispatch(session, tasks(session), [worker])


def test_worker_that_dies_once_before_it_is_ready_is_started_again(session):
    work = tasks(session, seeds=1)
    worker = Stub(lambda request: [right(request)], starts=[WorkerError("exit code 1")])
    assert dispatch(session, work, [worker]) == own(work)
    assert worker.launches == 2


def test_worker_that_cannot_be_started_leaves_the_work_to_the_others(session):
    work = tasks(session)
    never = Stub(lambda request: [], starts=[WorkerError("no room")] * 9)
    assert dispatch(session, work, [never, Stub(lambda request: [right(request)])]) == own(work)
    assert never.launches == 2
    assert "A worker cannot be started: no room" in session.progress.lines


def test_run_without_a_worker_that_can_be_started_is_refused(session):
    workers = [Stub(lambda request: [], starts=[WorkerError("no room")] * 9) for _ in range(2)]
    with pytest.raises(UsageError, match="cannot be started: no room"):
        dispatch(session, tasks(session), workers)


def test_interruption_stops_the_workers(session):
    workers = [Stub(lambda request: [right(request)]) for _ in range(2)]

    def interrupt(task, record):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Dispatcher(tasks(session), session, interrupt, workers).run()
    assert not any(worker.alive for worker in workers)


def test_wait_for_a_first_worker_is_reported_once(session, monkeypatch):
    now = iter(range(0, 10**6, 20))
    monkeypatch.setattr("ucbench.running.executors.dispatcher.monotonic", lambda: next(now))

    class Late(Stub):
        looks = 0

        @classmethod
        def wait(cls, workers, seconds):
            cls.looks += 1
            return super().wait(workers, seconds) if cls.looks > 5 else []

    dispatch(session, tasks(session, seeds=1), [Late(lambda request: [right(request)])], waiting="Waiting for room.")
    assert session.progress.lines.count("Waiting for room.") == 1


def test_versions_of_workers_that_differ_are_reported_once(session):
    other = Reply(*READY, {**versions(), "numpy": "0.1"})
    workers = [Stub(lambda request: [right(request)], starts=[other]) for _ in range(2)]
    dispatch(session, tasks(session), workers)
    (line,) = [line for line in session.progress.lines if "numpy" in line]
    assert line.startswith("A worker has numpy 0.1, this machine ")


class TestSchedule:
    def test_release_is_handed_out_once_and_its_cells_after_it(self, session):
        (spots,) = [task for task in tasks(session, seeds=1) if "spots" in str(task.cell.craft.poisoner)]
        again = Task(spots.cell, "another key", spots.release_key)
        schedule = Schedule([(spots, True), (again, False)])
        job = schedule.next()
        assert (job.kind, job.task) == ("craft", spots)
        assert schedule.next() is None
        assert schedule
        schedule.crafted(job)
        assert [schedule.next().task.key for _ in range(2)] == [spots.key, "another key"]
        assert not schedule

    def test_crafted_releases_are_not_handed_out(self, session):
        work = tasks(session)
        schedule = Schedule([(task, False) for task in work])
        assert [schedule.next().kind for _ in work] == ["cell"] * len(work)

    def test_cells_of_a_release_given_up_are_returned_and_not_handed_out(self, session):
        (spots,) = [task for task in tasks(session, seeds=1) if "spots" in str(task.cell.craft.poisoner)]
        schedule = Schedule([(spots, True)])
        assert schedule.give_up(schedule.next()) == [spots]
        assert not schedule


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (("DataError", "no data"), "DataError: no data"),
        (("DataError", "no data", "colours.py, line 5"), "DataError: no data (colours.py, line 5)"),
        (
            ("KeyError", "Traceback (most recent call last):\n  File ...\nKeyError: 'hue'\n", "waves/hue.py, line 7"),
            "KeyError: 'hue' (waves/hue.py, line 7)",
        ),
        (
            (
                "Lost",
                "Traceback:\n  File ...\na.Lost: once\n\nTraceback\na.<locals>.Lost: two\n\tlines\n",
            ),
            "a.<locals>.Lost: two lines",
        ),
    ],
)
def test_failure_is_said_in_one_line_and_logged_in_full(session, caplog, error, said):
    (spots,) = [task for task in tasks(session, seeds=1) if "spots" in str(task.cell.craft.poisoner)]
    with caplog.at_level("DEBUG", logger="ucbench"):
        dispatch(session, [spots], [Stub(lambda request: [Reply(request.id, request.attempt, error)])])
    (line,) = [line for line in session.progress.lines if line.startswith("failed: ")]
    assert line.endswith(f" | seed 0: {said}")
    assert error[1].strip() in caplog.text
