"""Keeping a store: what is listed, what is found damaged, and what may go."""

from __future__ import annotations

import errno
import os
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
from filelock import Timeout

from ucbench.store.gc import Entry, entries, remove, sweep, unused, verify
from ucbench.store.keys import key
from ucbench.store.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    made = Store(tmp_path / "home")
    for kind, name, size in (("release", "a", 1000), ("release", "b", 3000), ("cell", "c", 10)):
        made.put(kind, key(kind, name), {"values": np.zeros(size, np.uint8)}, {"name": name})
    return made


def names(store: Store) -> list[str]:
    return sorted(store.get(entry.kind, entry.key, touch=False).meta["name"] for entry in entries(store))


def test_gc_entries_state_their_size(store):
    found = {(entry.kind, entry.key): entry for entry in entries(store)}
    assert set(found) == {
        ("release", key("release", "a")),
        ("release", key("release", "b")),
        ("cell", key("cell", "c")),
    }
    big, small = found["release", key("release", "b")], found["release", key("release", "a")]
    assert big.bytes - small.bytes == pytest.approx(2000, abs=8)
    assert [entry.kind for entry in entries(store, ["cell"])] == ["cell"]


def test_gc_use_time_changes_by_opening_but_not_by_verifying(store):
    path = store.get("release", key("release", "a")).path
    os.utime(path, (1e9, 1e9))
    assert all(good for _, good in verify(store))
    assert path.stat().st_mtime == 1e9
    store.get("release", key("release", "a"))
    assert path.stat().st_mtime > 1.5e9


def test_verify_quarantines_a_damaged_object(store):
    file = store.get("release", key("release", "b")).path / "values.npy"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    assert [entry.key for entry, good in verify(store) if not good] == [key("release", "b")]
    assert names(store) == ["a", "c"]
    assert all(good for _, good in verify(store))


def test_gc_removes_the_least_recently_used():
    now = time.time()
    found = [Entry("release", str(age), 100, now - age) for age in (50, 10, 30, 20)]
    assert [e.key for e in unused(found, keep=200)] == ["50", "30"]
    assert [e.key for e in unused(found, keep=0)] == ["50", "30", "20", "10"]
    assert [e.key for e in unused(found, older_than=25)] == ["50", "30"]
    # What is too old goes whatever fits; of the rest, only as much as must.
    assert [e.key for e in unused(found, older_than=40, keep=250)] == ["50", "30"]
    assert unused(found) == []


def test_gc_removed_object_is_made_again(store):
    count, size = remove(store, [e for e in entries(store) if e.kind == "release"])
    assert count == 2
    assert size > 4000
    assert names(store) == ["c"]
    _, made = store.get_or_make("release", key("release", "a"), lambda: ({"values": np.zeros(1)}, {"name": "a"}))
    assert made


def test_gc_keeps_an_object_in_the_making(store):
    chosen = list(entries(store))
    with store.lock("release", key("release", "a")):
        count, _ = remove(store, chosen)
    assert count == 2
    assert names(store) == ["a"]


def test_gc_removes_lock_files_once_nobody_holds_one(store):
    locks = store.root / "locks"
    remove(store, list(entries(store)))
    with store.making("release", key("release", "d")):
        sweep(store)
        with pytest.raises(Timeout):
            store.lock("release", key("release", "d")).acquire(blocking=False)
    assert len(list(locks.iterdir())) == 4
    (locks / "killed.holder").touch()
    sweep(store)
    assert not list(locks.iterdir())
    assert store.get_or_make("release", key("release", "d"), lambda: ({}, {"name": "d"}))[1]


def test_gc_keeps_files_that_stand_for_locks(store, monkeypatch):
    monkeypatch.setattr("ucbench.store.files.fcntl.flock", refuse)
    with store.making("release", key("release", "d")):
        before = sorted((store.root / "locks").iterdir())
        sweep(store)
        assert sorted((store.root / "locks").iterdir()) == before
    assert {path.suffix for path in before} == {".soft", ".holder"}


def refuse(*_: object) -> None:
    raise OSError(errno.ENOLCK, "No locks available")


def test_gc_removes_old_leftovers_only(store):
    quarantine, tmp, checkpoints = (store.root / name for name in ("quarantine", "tmp", "checkpoints"))
    for folder in (quarantine / "bad", tmp / "old", tmp / "new"):
        folder.mkdir(parents=True)
        (folder / "values.npy").write_bytes(b"x" * 100)
    checkpoints.mkdir()
    for name in ("old.npz", "new.npz"):
        (checkpoints / name).write_bytes(b"x" * 10)
    for path in (tmp / "old", checkpoints / "old.npz"):
        os.utime(path, (1e9, 1e9))
    assert sweep(store) == 210
    left = sorted(path.name for folder in (quarantine, tmp, checkpoints) for path in folder.iterdir())
    assert left == ["new", "new.npz"]
    assert names(store) == ["a", "b", "c"]


def test_gc_and_verify_pass_over_stray_files_and_links_to_nothing(store):
    shard = store.get("cell", key("cell", "c")).path.parent
    (shard / ".DS_Store").write_bytes(b"x")
    (shard / "gone").symlink_to(shard / "nowhere")
    (store.root / "objects" / "notes.txt").write_bytes(b"x")
    quarantine = store.root / "quarantine"
    (quarantine / "bad").mkdir(parents=True)
    for folder in (quarantine, quarantine / "bad"):
        (folder / "gone").symlink_to(folder / "nowhere")
    assert names(store) == ["a", "b", "c"]
    assert all(good for _, good in verify(store))
    assert remove(store, list(entries(store, ["cell"])))[0] == 1
    assert sweep(store) == 0
    assert not (quarantine / "bad").exists()


@pytest.mark.parametrize("method", ["stat", "iterdir", "rename"])
def test_gc_passes_over_what_another_process_removes_meanwhile(store, monkeypatch, method):
    leftovers = store.root / "quarantine"
    (leftovers / "bad").mkdir(parents=True)
    real, vanishing = getattr(Path, method), {leftovers / "bad", store.get("cell", key("cell", "c")).path}

    def meanwhile(path, *given, **named):
        if path in vanishing:
            shutil.rmtree(path, ignore_errors=True)
        return real(path, *given, **named)

    monkeypatch.setattr(Path, method, meanwhile)
    found = [entry.kind for entry in entries(store)]
    assert found.count("release") == 2
    assert sweep(store) == 0
    assert not (leftovers / "bad").exists()


def test_gc_of_an_empty_store_finds_nothing(tmp_path):
    store = Store(tmp_path / "nowhere")
    assert list(entries(store)) == []
    assert sweep(store) == 0
