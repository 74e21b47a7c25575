"""What a run is expected to take: by what such work took before, by a few timed steps, by its own pace."""

from __future__ import annotations

import pytest
import tiny_components as tiny

from ucbench.matrix.matrix import Request, expand
from ucbench.running import estimate as module
from ucbench.running.estimate import TimeLeft, crafting_work, predicted, probe_training, training_work
from ucbench.running.tasks import task_of
from ucbench.store.timings import Timings

pytestmark = pytest.mark.usefixtures("tiny_log")


def cells(*poisoners: str, **changes):
    request = {"datasets": ["spots"], "poisoners": poisoners, "victims": ["tiny"], "labelings": ["original"]}
    return expand(Request(**{**request, **changes}), tiny.registry())


def remember(session, cell, *, train: float | None = None, craft: float | None = None) -> None:
    images, part = session.data(cell).train, session.protected(cell).images
    if train is not None:
        session.timings.remember(training_work(cell, len(images), images.size, session.numerics), train)
    if craft is not None:
        session.timings.remember(crafting_work(cell, len(part), part.size, session.numerics), craft)


class Clock:
    """A clock that a test moves."""

    now = 0.0

    def monotonic(self) -> float:
        return self.now


def test_estimate_adds_training_and_pending_craft(tmp_path):
    session = tiny.session(tmp_path)
    *_, cell = cells("stripes")
    task = task_of(cell, session)
    assert predicted(task, session, crafts=False) is None
    remember(session, cell, train=5.0)
    assert predicted(task, session, crafts=False) == 5
    assert predicted(task, session, crafts=True) is None
    remember(session, cell, craft=7.0)
    assert predicted(task, session, crafts=True) == 12


@pytest.fixture
def clock(monkeypatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


def done(train: float, craft: float = 0.0) -> dict:
    """The part of a record that says how long a cell took."""
    return {"status": "ok", "cost": {"seconds": train, "craft_seconds": craft}}


def test_time_left_follows_the_pace_of_the_run(tmp_path, clock):
    session = tiny.session(tmp_path)
    tasks = [task_of(cell, session) for cell in cells("stripes", "badge")]
    clean, sham, stripes, badge = (task.cell for task in tasks)
    remember(session, clean, train=10.0)
    remember(session, sham, craft=0.0)
    remember(session, stripes, craft=20.0)  # 30 with its training, of 10 + 10 + 30 + 50
    remember(session, badge, craft=40.0)
    time_left = TimeLeft(tasks, session)
    assert time_left.text() == "about 100 seconds left"
    clock.now = 100.0
    # A tenth of the work took 100 seconds, whatever the predictions said of them.
    time_left.on_done(tasks[0], done(100.0))
    assert time_left.text() == "about 15 minutes left"
    clock.now = 150.0
    assert time_left.text() == "about 14 minutes left"
    clock.now = 900.0  # the cell at hand takes longer than all others would
    assert time_left.text() == "about 13 minutes left"
    assert time_left.text(at_least=1000.0) == "about 17 minutes left"


def test_time_left_on_two_workers_is_half_of_the_work(tmp_path, clock):
    session = tiny.session(tmp_path)
    tasks = [task_of(cell, session) for cell in cells("stripes", defenses=["none", "dim"])]
    time_left = TimeLeft(tasks, session)
    assert time_left.text() == ""
    clock.now = 10.0
    for task in tasks[:2]:
        time_left.on_done(task, done(10.0))
    clock.now = 20.0
    for task in tasks[2:4]:
        time_left.on_done(task, done(10.0))
    assert time_left.text() == "about 10 seconds left"


def test_time_left_lacks_a_craft_that_was_never_timed_and_says_so(tmp_path, clock):
    session = tiny.session(tmp_path)
    tasks = [task_of(cell, session) for cell in cells("stripes")]
    remember(session, tasks[0].cell, train=10.0)
    time_left = TimeLeft(tasks[2:], session)
    assert time_left.text() == "more than 10 seconds left"
    assert time_left.text(at_least=30.0) == "more than 40 seconds left"


def test_failed_cell_says_nothing_of_the_time_left(tmp_path, clock):
    session = tiny.session(tmp_path)
    tasks = [task_of(cell, session) for cell in cells("stripes", defenses=["none", "dim"])]
    for task in tasks:
        remember(session, task.cell, train=10.0, craft=0.0 if task.release_key else None)
    time_left = TimeLeft(tasks, session)
    clock.now = 1.0
    time_left.on_done(tasks[0], {"status": "failed"})
    assert time_left.text() == "about 50 seconds left"


def test_time_left_counts_a_shared_release_once(tmp_path, clock):
    session = tiny.session(tmp_path)
    tasks = [task_of(cell, session) for cell in cells("stripes", defenses=["none", "dim"])]
    for task in tasks:
        remember(session, task.cell, train=1.0, craft=50.0 if task.release_key else None)
    # Six trainings, and the crafts of sham and stripes.
    assert TimeLeft(tasks, session).text() == f"about {6 + 2 * 50} seconds left"


def test_time_left_takes_the_mean_for_an_unknown_training(tmp_path, clock):
    session = tiny.session(tmp_path)
    tasks = [task_of(cell, session) for cell in cells("clean", victims=["tiny", "tiny:width=5", "fixed"])]
    remember(session, tasks[0].cell, train=2.0)
    remember(session, tasks[1].cell, train=4.0)
    assert TimeLeft(tasks, session).text() == "about 9 seconds left"


def test_estimate_extrapolates_epochs_from_two_timed_steps(tmp_path, monkeypatch):
    def timed(cell, session, count):
        return 0.5 + count / 9  # half a second whatever happens, and a second a batch

    monkeypatch.setattr("ucbench.running.estimate._timed", timed)
    session = tiny.session(tmp_path)
    short, long = (cells("clean", victims=[name])[0] for name in ("tiny:epochs=2", "tiny:epochs=20"))
    # 36 training images in batches of 9, and 36 test images at a third of the cost, every epoch.
    assert probe_training(short, session) == pytest.approx(2 * (4 + 4 / 3))
    assert probe_training(long, session) == pytest.approx(20 * (4 + 4 / 3))


def test_estimate_probe_stores_nothing(tmp_path):
    session = tiny.session(tmp_path / "store")
    *_, cell = cells("clean", defenses=["dim"])
    assert probe_training(cell, session) >= 0
    assert tiny.work_done()["train TinyNet"] == 2
    assert not (tmp_path / "store" / "objects").exists()


def test_estimate_is_unknown_when_steps_cannot_be_timed(tmp_path):
    session = tiny.session(tmp_path)
    assert probe_training(cells("clean", victims=["nearest"], trusted=[3])[0], session) is None
    assert probe_training(cells("clean", victims=["fixed"])[0], session) is None


def test_estimate_never_replaces_a_measured_time(tmp_path):
    book = Timings(tmp_path)
    book.assume("known", lambda: 5.0)
    book.assume("unknowable", lambda: None)
    assert (book.predict("known"), book.predict("unknowable")) == (5.0, None)
    book.remember("measured", 1.0)
    book.assume("measured", lambda: pytest.fail("this was measured"))
    assert Timings(tmp_path).predict("known") is None
