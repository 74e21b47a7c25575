"""The store: objects appear whole or not at all, damaged ones are set aside, and each is made once."""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import multiprocessing
import os
import resource
import time
from pathlib import Path

import numpy as np
import pytest

from ucbench.errors import ContractError, StoreError
from ucbench.store import checkpoint as checkpoint_module
from ucbench.store import files as files_module
from ucbench.store import store as store_module
from ucbench.store.checkpoint import Checkpoint
from ucbench.store.files import atomic_write_bytes, atomic_write_text
from ucbench.store.keys import canonical, key
from ucbench.store.objects import StoredObject
from ucbench.store.store import Store

KEY = key("release", "an example")
ARRAYS = {
    "changes": np.arange(24, dtype=np.int16).reshape(2, 12),
    "state.centers": np.array([0.5, -1.0], np.float32),
}
META = {"seconds": 1.5, "notes": {"kl": [0.1, None, True]}, "text": "é"}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "home")


def put(store: Store) -> StoredObject:
    return store.put("release", KEY, ARRAYS, META)


def leftovers(store: Store) -> list[Path]:
    return [path for folder in ("tmp", "checkpoints") for path in (store.root / folder).glob("*")]


def assert_intact(stored: StoredObject | None) -> None:
    assert stored is not None
    assert dict(stored.meta) == META
    assert set(stored.arrays) == set(ARRAYS)
    for name, array in ARRAYS.items():
        assert stored.arrays[name].dtype == array.dtype
        np.testing.assert_array_equal(stored.arrays[name], array)


def test_put_object_is_read_back_by_another_store(store: Store) -> None:
    assert store.get("release", KEY) is None
    assert_intact(put(store))
    assert_intact(Store(store.root).get("release", KEY))
    assert store.get("surrogate", KEY) is None
    assert not leftovers(store)


def test_get_returns_read_only_memory_maps(store: Store) -> None:
    changes = put(store).arrays["changes"]
    assert isinstance(changes, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        changes[0, 0] = 1


@pytest.mark.parametrize("array", [np.zeros((0, 3)), np.array(3), np.zeros(2, bool), np.asfortranarray(np.eye(3))])
def test_arrays_of_every_shape_round_trip(store: Store, array: np.ndarray) -> None:
    stored = store.put("release", KEY, {"a": array}, {}).arrays["a"]
    assert stored.shape == array.shape
    assert stored.dtype == array.dtype
    np.testing.assert_array_equal(stored, array)


def test_put_keeps_the_first_object(store: Store) -> None:
    put(store)
    second = store.put("release", KEY, {"changes": np.zeros(3)}, {})
    assert_intact(second)


def test_put_keeps_the_winner_of_a_race(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other process's object appears after ours was found missing and written as a draft."""
    write = store_module.write_object

    def write_late(*arguments: object) -> None:
        write(*arguments)
        monkeypatch.setattr(store_module, "write_object", write)
        put(Store(store.root))

    monkeypatch.setattr(store_module, "write_object", write_late)
    assert_intact(store.put("release", KEY, {"changes": np.zeros(3)}, {}))
    assert not leftovers(store)


def flip_last_byte(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def alter_meta(path: Path) -> None:
    path.write_text(path.read_text().replace("1.5", "2.5"))


def claim_other_key(path: Path) -> None:
    """A whole and valid object that lies in the wrong place."""
    store = Store(path.parents[4].with_name("other"))
    elsewhere = store.put("release", key("release", "another"), ARRAYS, META)
    path.write_bytes((elsewhere.path / path.name).read_bytes())


def list_files(path: Path) -> None:
    """A manifest of another form, whose own hash was computed anew."""
    content = {**json.loads(path.read_text()), "files": ["changes.npy"]}
    del content["sha256"]
    path.write_text(json.dumps({**content, "sha256": hashlib.sha256(canonical(content).encode()).hexdigest()}))


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("changes.npy", flip_last_byte),
        ("changes.npy", truncate),
        ("state.centers.npy", Path.unlink),
        ("manifest.json", truncate),
        ("manifest.json", Path.unlink),
        ("manifest.json", alter_meta),
        ("manifest.json", claim_other_key),
        ("manifest.json", list_files),
        ("manifest.json", lambda path: path.write_text("[]")),
        ("manifest.json", lambda path: path.write_bytes(b"\xff\x00")),
    ],
)
def test_damaged_object_is_quarantined_and_rebuilt(
    store: Store, caplog: pytest.LogCaptureFixture, name: str, damage: object
) -> None:
    path = put(store).path
    damage(path / name)
    with caplog.at_level(logging.WARNING, "ucbench"):
        assert store.get("release", KEY) is None
    assert str(path) in caplog.text
    assert len(list((store.root / "quarantine").iterdir())) == 1
    stored, made = store.get_or_make("release", KEY, lambda: (ARRAYS, META))
    assert made
    assert_intact(stored)


def test_get_keeps_an_intact_object_while_no_file_can_be_opened(store: Store) -> None:
    put(store)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, limits[1]))
    try:
        with pytest.raises(StoreError, match="Too many open files"):
            store.get("release", KEY)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    stored = store.get("release", KEY)
    assert stored is not None
    assert_intact(stored)


def test_put_replaces_a_damaged_object(store: Store) -> None:
    truncate(put(store).path / "changes.npy")
    assert_intact(put(store))


def test_get_or_make_calls_the_maker_only_when_missing(store: Store) -> None:
    first = store.get_or_make("release", KEY, lambda: (ARRAYS, META))
    second = store.get_or_make("release", KEY, lambda: pytest.fail("made twice"))
    assert (first[1], second[1]) == (True, False)
    assert_intact(second[0])


def test_failing_maker_leaves_nothing_and_allows_a_retry(store: Store) -> None:
    def broken() -> object:
        raise OSError("the plugin's own file is missing")

    with pytest.raises(OSError, match="the plugin's own file"):
        store.get_or_make("release", KEY, broken)
    assert store.get_or_make("release", KEY, lambda: (ARRAYS, META))[1]


def _make_slowly(root: Path, log: Path, barrier: object) -> None:
    def make() -> tuple[dict[str, np.ndarray], dict[str, object]]:
        with log.open("a") as file:
            file.write(f"{os.getpid()}\n")
        time.sleep(0.3)
        return ARRAYS, META

    barrier.wait()
    stored, _ = Store(root).get_or_make("release", KEY, make)
    assert_intact(stored)


def test_concurrent_processes_make_an_object_once(store: Store, tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(3)
    log = tmp_path / "log"
    workers = [context.Process(target=_make_slowly, args=(store.root, log, barrier)) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    assert len(log.read_text().splitlines()) == 1


def test_different_objects_do_not_share_a_lock(store: Store) -> None:
    def outer() -> tuple[dict[str, np.ndarray], dict[str, object]]:
        assert store.get_or_make("surrogate", KEY, lambda: (ARRAYS, META))[1]
        assert store.get_or_make("release", KEY[::-1], lambda: (ARRAYS, META))[1]
        return ARRAYS, META

    assert store.get_or_make("release", KEY, outer)[1]


def test_full_disk_raises_with_the_path_and_leaves_nothing(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(files_module.os, "fsync", full)
    with pytest.raises(StoreError, match=r"No space left.*UCBENCH_HOME names another place") as caught:
        put(store)
    assert str(store.root) in str(caught.value)
    assert store.get("release", KEY) is None
    assert not leftovers(store)


def test_uncreatable_store_raises_with_its_path(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    store = Store(tmp_path / "file")
    assert store.get("release", KEY) is None
    with pytest.raises(StoreError, match="file"):
        store.get_or_make("release", KEY, lambda: (ARRAYS, META))


def test_get_writes_nothing(store: Store) -> None:
    put(store)
    before = sorted(store.root.rglob("*"))
    store.get_or_make("release", KEY, lambda: pytest.fail("made twice"))
    assert sorted(store.root.rglob("*")) == before


@pytest.mark.parametrize(
    ("arrays", "meta", "text"),
    [
        ({"../up": np.zeros(2)}, {}, "'../up'"),
        ({"": np.zeros(2)}, {}, "name ''"),
        ({"a": np.array([None])}, {}, "'a' holds Python objects"),
        ({"a": np.zeros(2)}, {"b": float("nan")}, "value.b is nan"),
        ({"a": np.zeros(2)}, {"b": {1, 2}}, "value.b is of type"),
    ],
)
def test_unsupported_content_raises_before_writing(
    store: Store, arrays: dict[str, np.ndarray], meta: dict[str, object], text: str
) -> None:
    with pytest.raises(ContractError, match=text):
        store.put("release", KEY, arrays, meta)
    assert not store.root.exists()


def test_manifest_describes_the_object(store: Store) -> None:
    path = put(store).path
    manifest = json.loads((path / "manifest.json").read_text())
    assert (manifest["schema"], manifest["kind"], manifest["key"]) == (1, "release", KEY)
    assert manifest["files"]["changes.npy"]["bytes"] == (path / "changes.npy").stat().st_size
    assert path == store.root / "objects" / "release" / KEY[:2] / KEY


def test_store_path_follows_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UCBENCH_HOME", str(tmp_path))
    assert Store().root == tmp_path
    monkeypatch.setenv("UCBENCH_HOME", "")
    assert Store().root.name == "ucbench"


def test_checkpoint_returns_the_last_saved_state(store: Store) -> None:
    arrays = {"file": np.arange(3), "step": np.float32([0.5]), "array.x": np.zeros((0, 2))}
    checkpoint = store.checkpoint("release", KEY, every=0)
    assert checkpoint.load() is None
    checkpoint.save(1, {"delta": np.zeros(2)})
    checkpoint.save(7, arrays)
    loaded = store.checkpoint("release", KEY).load()
    assert loaded is not None
    assert loaded[0] == 7
    assert loaded[1].keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(loaded[1][name], array)
        assert loaded[1][name].dtype == array.dtype
    assert store.checkpoint("surrogate", KEY).load() is None


def test_checkpoint_respects_its_write_interval(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(checkpoint_module.time, "monotonic", lambda: now)
    checkpoint = store.checkpoint("release", KEY)
    written = []
    for step in range(100):
        now = 1000.0 + step
        checkpoint.save(step, {"x": np.array([step])})
        loaded = checkpoint.load()
        written.append(None if loaded is None else loaded[0])
    assert sorted({step for step in written if step is not None}) == [20, 40, 60, 80]


def test_put_removes_the_checkpoint(store: Store) -> None:
    store.checkpoint("release", KEY, every=0).save(3, {"x": np.zeros(2)})
    other = store.checkpoint("release", KEY[::-1], every=0)
    other.save(4, {"x": np.zeros(2)})
    put(store)
    assert store.checkpoint("release", KEY).load() is None
    assert other.load() is not None


@pytest.mark.parametrize("damage", [truncate, lambda path: path.write_bytes(b""), lambda path: path.write_bytes(b"x")])
def test_damaged_checkpoint_is_ignored(store: Store, caplog: pytest.LogCaptureFixture, damage: object) -> None:
    checkpoint = store.checkpoint("release", KEY, every=0)
    checkpoint.save(3, {"x": np.zeros(200)})
    (path,) = (store.root / "checkpoints").iterdir()
    damage(path)
    assert checkpoint.load() is None
    assert str(path) in caplog.text
    checkpoint.save(4, {"x": np.zeros(2)})
    assert checkpoint.load() is not None


def test_interrupted_checkpoint_write_keeps_the_last_state(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint = store.checkpoint("release", KEY, every=0)
    checkpoint.save(3, {"x": np.zeros(2)})

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(checkpoint_module.np, "savez", interrupted)
    with pytest.raises(KeyboardInterrupt):
        checkpoint.save(4, {"x": np.ones(2)})
    loaded = checkpoint.load()
    assert loaded is not None
    assert loaded[0] == 3
    assert len(leftovers(store)) == 1


def test_checkpoint_raises_on_python_objects(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match="'x' holds Python objects"):
        Checkpoint(tmp_path / "c.npz", 0).save(1, {"x": np.array([{}])})


def test_atomic_write_replaces_the_file_and_keeps_line_ends(tmp_path: Path) -> None:
    path = tmp_path / "new" / "record.json"
    atomic_write_text(path, "one\r\ntwo\né")
    assert path.read_bytes() == "one\r\ntwo\né".encode()
    with path.open("rb") as earlier:
        atomic_write_bytes(path, b"x")
        assert earlier.read().startswith(b"one")
    assert path.read_bytes() == b"x"
    assert list(path.parent.iterdir()) == [path]


def test_failed_write_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "record.json"
    atomic_write_text(path, "old")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(files_module.os, "fsync", full)
    with pytest.raises(StoreError, match=r"record\.json"):
        atomic_write_text(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
