"""What is checked before a run, and what becomes of its records when the store fails in the middle."""

from __future__ import annotations

import errno
import os
import platform
import re
import subprocess
import sys
import threading
from contextlib import contextmanager
from dataclasses import replace

import pytest
import tiny_components as tiny
import torch
from filelock import SoftFileLock

from ucbench import api
from ucbench.errors import StoreError, UsageError
from ucbench.matrix.matrix import Request, expand
from ucbench.numerics import Numerics
from ucbench.progress import Silent
from ucbench.results.records import read_records
from ucbench.results.table import rows, to_csv
from ucbench.running.preflight import device_problem, preflight, store_problem, store_warnings
from ucbench.running.runner import run_cells
from ucbench.steps import run_session
from ucbench.store.files import draft_name, locked, sweep_drafts
from ucbench.store.store import Store

pytestmark = pytest.mark.usefixtures("tiny_log")


def cells(*poisoners: str):
    return expand(Request(["spots"], poisoners, ["tiny"], ["original"]), tiny.registry())


@pytest.mark.parametrize(
    ("device", "count", "text"),
    [
        ("cpu", 0, ""),
        ("cuda", 0, "finds no NVIDIA GPU here. Use --device cpu, or auto."),
        ("cuda:0", 1, ""),
        ("cuda:2", 2, "There is no GPU cuda:2: this machine has cuda:0 to cuda:1."),
        ("cuda:x", 1, "Unknown device 'cuda:x'."),
    ],
)
def test_device_that_does_not_exist_is_a_sentence(device, count, text, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: bool(count))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    problem = device_problem(Numerics(device, "float32", 1))
    assert text in problem
    assert bool(problem) == bool(text)


def test_victim_that_takes_no_such_images_is_refused_before_anything_runs(tmp_path):
    session = tiny.session(tmp_path)
    cell, other, *_ = cells("stripes")
    small = replace(other, victim=replace(cell.victim, spec=replace(cell.victim.spec, smallest=9)))
    with pytest.raises(UsageError, match=r"tiny takes images of 9 pixels and more, but those of spots have 8x8\. Name"):
        run_cells([cell, small], session)
    assert not tiny.work_done()
    assert run_cells([cell], session)[0]["status"] == "ok"


def test_plan_refuses_a_victim_for_larger_images_and_names_others(tmp_path, monkeypatch):
    monkeypatch.setenv("UCBENCH_HOME", str(tmp_path))
    with pytest.raises(UsageError, match=r"airbench@small .* digits have 8x8\. .*--victim: .*resnet18") as error:
        api.plan(dataset="digits", poisoner="sham", victim="airbench@small")
    assert "airbench," not in str(error.value)


@pytest.mark.parametrize("act", [api.plan, api.run])
@pytest.mark.parametrize(
    ("request_of", "text"),
    [
        ({"poisoner": "uc:clusters=5000"}, r"Poisoner uc:clusters=5000 cannot .* 5000 images, but digits has \d+\."),
        ({"poisoner": "shuffled:'uc:clusters=5000'"}, r"Poisoner uc:clusters=5000 cannot"),
        (
            {"poisoner": "uc:clusters=99", "mixture": 0.05},
            r"but the part of digits that a mixture of 0\.05 protects has \d\d\.",
        ),
        (
            {"poisoner": "rand-class", "craft_labels": "clusters:k=5000"},
            r"Craft labels clusters:k=5000,.* cannot .* 5000 images, but digits has",
        ),
        (
            {"poisoner": "sham", "labeling": "kmeans:k=5000"},
            r"Labeling kmeans:k=5000 cannot .* 5000 images, but digits",
        ),
        (
            {"poisoner": "sham", "defense": "universal-subtract:clusters=5000"},
            r"Defense universal-subtract:clusters=5000 cannot .* 5000 images, but digits has",
        ),
    ],
)
def test_more_clusters_than_images_are_refused_before_anything_runs(request_of, text, act, tmp_path, monkeypatch):
    monkeypatch.setenv("UCBENCH_HOME", str(tmp_path))
    with pytest.raises(UsageError, match=text):
        act(dataset="digits", victim="resnet18:width=16", **request_of)
    assert not list((tmp_path / "objects").glob("release/*"))


def test_as_many_clusters_as_images_are_planned(tmp_path, monkeypatch):
    monkeypatch.setenv("UCBENCH_HOME", str(tmp_path))
    data = {"dataset": "digits:train_per_class=2", "victim": "resnet18:width=16"}
    assert len(api.plan(**data, poisoner="uc:clusters=20")) == 3
    with pytest.raises(UsageError, match="has 20"):
        api.plan(**data, poisoner="uc:clusters=21")


def test_check_that_a_plugin_gets_wrong_stops_no_other_cell(tmp_path, monkeypatch):
    def wrong(*arguments):
        raise RuntimeError("a fault of the plugin")

    monkeypatch.setattr(tiny.protector.StripesParams, "check_names", wrong)
    monkeypatch.setattr(tiny.protector.StripesParams, "least_images", wrong)
    records = run_cells(cells("stripes"), tiny.session(tmp_path))
    assert {record["status"] for record in records} == {"ok"}


@pytest.mark.parametrize("wrong", ["device", "store", "out"])
def test_run_is_refused_before_data_are_read(wrong, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(tiny.Spots, "load", lambda self, split: pytest.fail("data were read"))
    (tmp_path / "file").touch()
    session = tiny.session(tmp_path / ("file/store" if wrong == "store" else "store"), tiny.registry())
    if wrong == "device":
        session = session.with_numerics(Numerics("cuda", "float32", 1))
    out = tmp_path / ("file/out" if wrong == "out" else "out")
    with pytest.raises(UsageError if wrong == "device" else StoreError, match=r"GPU|Not a directory"):
        run_session(cells("stripes"), session, out=out)


def test_folder_without_permission_is_a_problem_and_names_the_folder(tmp_path, monkeypatch):
    (tmp_path / "objects").mkdir()
    monkeypatch.setattr(os, "access", lambda path, mode: str(path) != str(tmp_path / "objects"))
    assert f"no permission for {tmp_path / 'objects'}" in store_problem(tmp_path)


def test_file_in_place_of_the_store_is_called_a_file(tmp_path):
    (tmp_path / "file").touch()
    assert f"{tmp_path / 'file'} is a file" in store_problem(tmp_path / "file")


def test_preflight_leaves_nothing_in_the_folders_that_it_tries(tmp_path):
    preflight(tiny.session(tmp_path / "store"), tmp_path / "out")
    assert {path.name for path in tmp_path.rglob("*")} == {"store", "tmp", "out"}


@pytest.mark.parametrize(("mode", "warned"), [(0o700, False), (0o755, False), (0o757, True), (0o777, True)])
def test_store_that_others_can_write_is_warned_of(mode, warned, tmp_path):
    tmp_path.chmod(mode)
    assert bool(list(store_warnings(tmp_path))) == warned


def test_file_system_without_locks_gets_files_as_locks_and_a_warning(tmp_path, monkeypatch):
    def refuse(*arguments):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("ucbench.store.files.fcntl.flock", refuse)
    tmp_path.chmod(0o700)
    (warning,) = store_warnings(tmp_path)
    assert "File locks do not work" in warning
    store = Store(tmp_path)
    assert isinstance(store.lock("release", "ab"), SoftFileLock)
    assert store.get_or_make("release", "ab", lambda: ({}, {"made": 1}))[0].meta == {"made": 1}
    with pytest.raises(ZeroDivisionError) as caught:
        store.get_or_make("release", "cd", lambda: 1 / 0)
    assert caught.value.__context__ is None
    assert not list((tmp_path / "locks").iterdir())


def test_waiting_for_another_process_is_announced_and_ends_with_its_object(tmp_path):
    waits = []
    began = threading.Event()

    @contextmanager
    def waiting(text):
        waits.append(text)
        began.set()
        yield
        waits.append("over")

    lock = Store(tmp_path).lock("release", "ab")
    lock.acquire()
    other = Store(tmp_path, waiting)
    thread = threading.Thread(target=other.get_or_make, args=("release", "ab", lambda: ({}, {})))
    thread.start()
    assert began.wait(30)
    assert waits == ["Waiting for another process, which makes the same release."]
    Store(tmp_path).put("release", "ab", {}, {"made": 1})
    lock.release()
    thread.join(30)
    assert waits[1:] == ["over"]
    other.get_or_make("release", "cd", lambda: ({}, {}))
    assert waits[1:] == ["over"], "nobody held this lock"


@pytest.mark.parametrize(("poisoner", "fits"), [("stripes", True), ("blots", False)])
def test_releases_that_do_not_fit_on_the_disk_stop_the_run_before_any_training(poisoner, fits, tmp_path, monkeypatch):
    """The perturbations of 36 images do not fit, and one for all images does."""
    registry = tiny.registry()
    (*_, cell) = cells(poisoner)
    monkeypatch.setattr("ucbench.running.preflight.shutil.disk_usage", lambda path: Free)
    session = tiny.session(tmp_path, registry)
    if fits:
        assert run_cells([cell], session)[0]["status"] == "ok"
    else:
        with pytest.raises(StoreError, match="The 1 releases to craft need"):
            run_cells([cell], session)
        assert not tiny.work_done()


class Free:
    free = 36 * 3 * 8 * 8 * 2 - 1


@pytest.mark.parametrize("unstored", ["cell", "victim"])
def test_record_is_written_before_the_run_ends_with_its_store(tmp_path, monkeypatch, unstored):
    put = Store.put
    planned = [replace(cell, keep_victim=True) for cell in cells("stripes")]

    def full(self, kind, key, arrays, meta):
        if kind == unstored:
            raise StoreError("no space left")
        return put(self, kind, key, arrays, meta)

    out = tmp_path / "out"
    with monkeypatch.context() as patch:
        patch.setattr(Store, "put", full)
        with pytest.raises(StoreError, match="no space left"):
            run_cells(planned, tiny.session(tmp_path / "store"), out=out)
    (record,) = read_records(out)
    assert record["status"] == "ok"
    assert "unstored" not in record
    assert tiny.work_done()["train TinyNet"] == 1
    records = run_cells(planned, tiny.session(tmp_path / "store"), out=out)
    assert [one["status"] for one in records] == ["ok"] * 3
    assert tiny.work_done()["train TinyNet"] == 3


class Stopping(Silent):
    """Ends the run when it comes to the cell of ``stripes``."""

    def __init__(self, error: BaseException) -> None:
        self._error = error

    def cell(self, text: str) -> None:
        if "stripes" in text:
            raise self._error


@pytest.mark.parametrize("error", [StoreError("no space left"), KeyboardInterrupt()], ids=["store", "interrupted"])
@pytest.mark.parametrize("writable", [True, False])
def test_run_that_ends_early_leaves_the_table_of_its_records(tmp_path, monkeypatch, error, writable):
    out, session = tmp_path / "out", tiny.session(tmp_path / "store")
    session.progress = Stopping(error)
    if not writable:
        monkeypatch.setattr("ucbench.results.table.write_csv", lambda *_: 1 / 0)
    with pytest.raises(type(error)) as caught:
        run_session(cells("stripes"), session, out=out)
    assert caught.value is error
    assert len(list(read_records(out))) == 2
    assert (out / "results.csv").exists() == writable
    if writable:
        assert (out / "results.csv").read_text() == to_csv(rows(read_records(out)))


def test_request_that_is_refused_leaves_no_table(tmp_path, monkeypatch):
    monkeypatch.setattr("ucbench.running.runner.check_space", refuse)
    with pytest.raises(UsageError):
        run_session(cells("stripes"), tiny.session(tmp_path / "store"), out=tmp_path / "out")
    assert not list((tmp_path / "out").rglob("*.csv"))


def refuse(*_):
    raise UsageError("refused")


def test_store_that_fails_while_a_release_is_crafted_ends_the_run_without_a_failed_record(tmp_path, monkeypatch):
    def full(self, kind, key, arrays, meta):
        raise StoreError("no space left")

    monkeypatch.setattr(Store, "put", full)
    (*_, cell) = cells("stripes")
    with pytest.raises(StoreError):
        run_cells([cell], tiny.session(tmp_path / "store"), out=tmp_path / "out")
    assert not list(read_records(tmp_path / "out"))


def test_drafts_of_killed_writers_go_and_other_files_stay(tmp_path):
    other_machine = ".results.csv.elsewhere." + "0" * 32 + ".tmp"
    names = [draft_name("results.csv"), other_machine, "results.csv", ".hidden.tmp", f"model.{'0' * 32}"]
    for name in names:
        (tmp_path / name).touch()
    (tmp_path / draft_name("object")).mkdir()
    with locked(tmp_path):  # somebody writes
        sweep_drafts(tmp_path)
        assert len(list(tmp_path.iterdir())) == 6
    sweep_drafts(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == set(names[1:])
    sweep_drafts(tmp_path, age=0)
    assert {path.name for path in tmp_path.iterdir()} == set(names[2:])


def test_wait_names_the_process_that_holds_the_lock(tmp_path):
    """Another process holds the lock until this one has said for whom it waits."""
    statement = (
        "import sys, pathlib; from ucbench.store.store import Store;"
        "make = lambda: (print('made', flush=True), input()) and ({}, {});"
        "Store(pathlib.Path(sys.argv[1])).get_or_make('release', 'ab', make)"
    )
    command = [sys.executable, "-c", statement, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "made\n"
        said = []

        @contextmanager
        def waiting(text):
            said.append(text)
            process.stdin.write("\n")
            process.stdin.flush()
            yield

        assert not Store(tmp_path, waiting).get_or_make("release", "ab", lambda: pytest.fail("it was made"))[1]
    (text,) = said
    holder = rf"process {process.pid} on {re.escape(platform.node())} \(since \d\d:\d\d\)"
    assert re.fullmatch(rf"Waiting for {holder}, which makes the same release\.", text)
    assert not list((tmp_path / "locks").glob("*.holder"))
