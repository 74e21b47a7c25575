"""What a run is expected to take: by what such work took before, by a few timed steps, by its own pace."""

from __future__ import annotations

import pytest
import tiny_components as tiny

from ucbench.matrix.matrix import Axes, expand
from ucbench.running import estimate as module
from ucbench.running.estimate import TimeLeft, crafting_work, predicted, probe_training, training_work
from ucbench.running.tasks import task_of
from ucbench.store.timings import Timings


@pytest.fixture(autouse=True)
def log(tmp_path, monkeypatch):
    monkeypatch.setenv("TINY_LOG", str(tmp_path / "log"))


def cells(*poisoners: str, **changes):
    request = {"datasets": ["spots"], "poisoners": poisoners, "victims": ["tiny"], "labelings": ["original"]}
    return expand(Axes(**{**request, **changes}), tiny.registry())


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


def test_remaining_time_follows_the_pace_of_the_run(tmp_path, monkeypatch):
    clock, said = Clock(), []
    monkeypatch.setattr(module, "time", clock)
    session = tiny.session(tmp_path)
    tasks = [task_of(cell, session) for cell in cells("stripes", "badge")]
    monkeypatch.setattr(session.progress, "say", said.append)
    clean, sham, stripes, badge = (task.cell for task in tasks)
    remember(session, clean, train=10.0)
    remember(session, sham, craft=0.0)
    remember(session, stripes, craft=20.0)  # 30 with its training, of 10 + 10 + 30 + 50
    remember(session, badge, craft=40.0)
    time_left = TimeLeft(tasks, session)
    clock.now = 100.0
    time_left.on_done(tasks[0])
    # A tenth of the work took 100 seconds, whatever the predictions said of them.
    assert said == ["1 of 4 cells are done, about 15 minutes left."]
    clock.now = 101.0
    time_left.on_done(tasks[1])
    assert len(said) == 1
    clock.now = 500.0
    time_left.on_done(tasks[2])
    assert said[1] == "3 of 4 cells are done, about 8 minutes left."
    clock.now = 900.0
    time_left.on_done(tasks[3])
    assert len(said) == 2


def test_estimate_counts_a_shared_release_once(tmp_path):
    session = tiny.session(tmp_path)
    tasks = [task_of(cell, session) for cell in cells("stripes", defenses=["none", "dim"])]
    for task in tasks:
        remember(session, task.cell, train=1.0, craft=100.0 if task.release_key else None)
    time_left = TimeLeft(tasks, session)
    # Six trainings, and the crafts of sham and stripes.
    assert time_left._work == 6 + 2 * 100


def test_estimate_uses_the_mean_for_an_unknown_kind(tmp_path):
    session = tiny.session(tmp_path)
    tasks = [task_of(cell, session) for cell in cells("clean", victims=["tiny", "tiny:width=5", "fixed"])]
    remember(session, tasks[0].cell, train=2.0)
    remember(session, tasks[1].cell, train=4.0)
    assert TimeLeft(tasks, session)._left[tasks[2].key] == 3


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
