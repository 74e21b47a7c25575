"""benchmarks/gpu: the data in parts, the order of the cells, and what a limited time leaves."""

from __future__ import annotations

import io
import json
import signal
import time

import numpy as np
import pyarrow.parquet as pq
import pytest
from benchmark_scripts import script
from PIL import Image

from ucbench.results.records import read_records
from ucbench.session import open_session
from ucbench.testing.cells import small_cells, small_registry

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def parts():
    with script("gpu/parts") as module:
        yield module


@pytest.fixture(scope="module")
def fill():
    with script("gpu/fill") as module:
        yield module


def write_sheets(folder):
    """Five sheets of four images and one of six; returns images ``[N, 32, 32, 3]`` and labels by split."""
    rng = np.random.default_rng(0)
    made = {
        "train": rng.integers(0, 256, (20, 32, 32, 3), np.uint8),
        "test": rng.integers(0, 256, (6, 32, 32, 3), np.uint8),
    }
    sheets = {f"data_batch_{n + 1}": made["train"][4 * n : 4 * n + 4] for n in range(5)} | {"test_batch": made["test"]}
    folder.mkdir()
    for name, images in sheets.items():
        Image.fromarray(images.reshape(len(images), -1, 3)).save(folder / f"{name}.png")
    labels = {split: (np.arange(len(images)) * 3 % 10).tolist() for split, images in made.items()}
    for split in made:
        (folder / f"{split}_labels.json").write_text(json.dumps(labels[split]))
    return {split: (made[split], labels[split]) for split in made}


def read(folder, split):
    table = pq.read_table(folder / f"{split}-00000-of-00001.parquet")
    images = [np.asarray(Image.open(io.BytesIO(row["bytes"]))) for row in table["img"].to_pylist()]
    return np.stack(images), table["label"].to_pylist(), table


def test_parts_of_sheets_and_of_parquet_join_to_the_same_data_set(parts, tmp_path):
    true = write_sheets(tmp_path / "sheets")
    parts.make(tmp_path / "sheets", tmp_path / "parts")
    assert len(list((tmp_path / "parts").iterdir())) == 3
    parts.join(tmp_path / "parts", tmp_path / "data")
    for split, (images, labels) in true.items():
        found = read(tmp_path / "data" / "cifar10", split)
        assert (found[0] == images).all()
        assert found[1] == labels
    parts.make(tmp_path / "data" / "cifar10", tmp_path / "again")
    parts.join(tmp_path / "again", tmp_path / "joined")
    for split in true:
        assert read(tmp_path / "joined" / "cifar10", split)[2].equals(read(tmp_path / "data" / "cifar10", split)[2])


def test_join_refuses_a_missing_part_and_make_an_empty_source(parts, tmp_path, capsys):
    write_sheets(tmp_path / "sheets")
    _, second, _ = parts.make(tmp_path / "sheets", tmp_path / "parts")
    second.unlink()
    assert parts.main(["join", str(tmp_path / "parts"), str(tmp_path / "data")]) == 1
    assert "has 2 of 3 parts with 17 of 26 images" in capsys.readouterr().err
    assert parts.main(["make", str(tmp_path / "parts"), str(tmp_path / "more")]) == 1
    assert "neither train-*.parquet nor sheets" in capsys.readouterr().err


def test_fill_completes_the_gate_and_the_core_before_the_others(fill):
    session = open_session(device="cpu", dtype="float32", threads=1)
    cells = fill.cells_of(fill.request(tiny=False), session.registry)
    places = [fill.place(cell, [fill.FAST, fill.SLOW]) for cell in cells]
    assert places == sorted(places)
    assert set(places) == {1, 2, 3, 4, 5, 6}
    crafts: dict[str, set[int | None]] = {}
    for cell in cells[: places.count(1)]:
        assert str(cell.victim) == fill.FAST
        crafts.setdefault(cell.craft.poisoner.spec.name, set()).add(cell.craft.seed)
    # The gate asks for an interval over crafts.
    assert crafts == {"clean": {None}, **{name: {0, 1, 2, 3} for name in ("sham", "positive", "rand-class")}}
    named = [cell.craft.poisoner.spec.name for cell, place in zip(cells, places, strict=True) if place == 2]
    assert sorted(set(named)) == sorted(fill.CORE)
    assert all(named[n : n + 3] == [named[n]] * 3 for n in range(0, len(named), 3))


def test_fill_computes_nothing_after_its_time_and_continues_later(fill, tmp_path):
    def session():
        return fill.Session(
            fill.Store(tmp_path / "store"), fill.resolve("cpu", "float32", 1), registry=small_registry()
        )

    cells, handler = small_cells("spots", "failing"), signal.getsignal(signal.SIGALRM)
    assert fill.fill(cells, session(), tmp_path / "out", time.monotonic() - 1) == []
    assert signal.getsignal(signal.SIGALRM) == handler
    assert signal.getitimer(signal.ITIMER_REAL)[0] == 0
    first = fill.fill(cells[:3], session(), tmp_path / "out", time.monotonic() + 600)
    records = fill.fill(cells, session(), tmp_path / "out", time.monotonic() + 600)
    assert records[:3] == first
    assert len(list(read_records(tmp_path / "out"))) == len(cells)
    assert {record["status"] for record in records} == {"ok", "failed"}
    assert list(fill.speeds(records)) == ["linear"]


def test_fill_says_which_goals_are_met(fill):
    def record(victim: str, seconds: float, accuracy: float, poisoner: str = "clean") -> dict:
        return {
            "request": {"victim": victim, "poisoner": poisoner}, "cost": {"train_seconds": seconds}, "epochs": 30,
            "metrics": {"test_accuracy": accuracy},
        }  # fmt: skip

    failed = {"request": {"victim": fill.FAST, "poisoner": "clean"}, "status": "failed"}
    records = [record(fill.FAST, 5, 94.2), record(fill.FAST, 6, 94.0), record(fill.FAST, 5, 12, "lsp"), failed]
    lines = fill.goals([*records, record(fill.SLOW, 30, 90)], {fill.FAST: 0.26, fill.SLOW: 0.249})
    assert [line.rpartition(", ")[2] for line in lines] == ["met", "not met", "met", "not met"]
    assert "94.1 % in 5.0 s" in lines[0]
    assert "200 s at this pace" in lines[1]
    assert fill.goals([record("lenet5", 1, 90)], {}) == []
