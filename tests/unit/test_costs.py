"""Predictions of cost: the median of what such work took here, whatever became of the file."""

from __future__ import annotations

import json
import statistics

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_components import CPU, registry

from ucbench.matrix.cell import Cell
from ucbench.matrix.matrix import Request, expand
from ucbench.numerics import Numerics
from ucbench.running.estimate import crafting_work, training_work
from ucbench.store.timings import REMEMBERED, Timings


@given(st.lists(st.floats(0.001, 1e5), min_size=1, max_size=2 * REMEMBERED))
@settings(max_examples=25)
def test_prediction_is_the_median_of_the_latest_timings(tmp_path_factory, seconds):
    root = tmp_path_factory.mktemp("store")
    book = Timings(root)
    for each in seconds:
        book.remember("craft", each)
        book.remember("other", 1e9)
    expected = statistics.median(seconds[-REMEMBERED:])
    assert book.predict("craft") == expected
    assert Timings(root).predict("craft") == pytest.approx(expected, abs=0.001)


def test_prediction_is_missing_for_work_never_done(tmp_path):
    assert Timings(tmp_path).predict("craft") is None
    assert Timings(tmp_path / "absent").predict("craft") is None


def test_timings_skip_damaged_lines(tmp_path):
    good = json.dumps({"work": "craft", "seconds": 3.0}).encode()
    bad = [b"", b"{", b"[1, 2]", b"7", b'{"work": "craft"}', b'{"seconds": 900}', b'{"work": "craft", "seconds": "x"}',
           b'{"work": ["craft"], "seconds": 900}', b"\xff\xfe\x00", good[:10]]  # fmt: skip
    (tmp_path / "timings.jsonl").write_bytes(b"\n".join([good, *bad, good, good + b'{"work"', good]))
    assert Timings(tmp_path).predict("craft") == 3.0
    assert len(Timings(tmp_path)._seconds["craft"]) == 3


def test_timings_file_that_has_grown_keeps_the_lines_that_count(tmp_path):
    book = Timings(tmp_path)
    for seconds in range(30 * REMEMBERED):
        book.remember("craft", seconds)
    book.remember("other", 2.5)
    again = Timings(tmp_path)
    lines = (tmp_path / "timings.jsonl").read_text().splitlines()
    assert len(lines) == REMEMBERED + 1
    assert again._seconds == book._seconds == Timings(tmp_path)._seconds
    again.remember("other", 3.5)
    assert len(Timings(tmp_path)._seconds["other"]) == 2
    assert (tmp_path / "timings.jsonl").read_text().splitlines()[:-1] == lines


def test_timing_stays_in_memory_when_the_store_is_unwritable(tmp_path):
    book = Timings(tmp_path / "absent")
    book.remember("craft", 3.0)
    assert book.predict("craft") == 3.0
    assert Timings(tmp_path / "absent").predict("craft") is None


def cell(**changes) -> Cell:
    defaults = {"datasets": ["spots"], "poisoners": ["leaner"], "victims": ["tiny"], "labelings": ["original"]}
    return expand(Request(**{**defaults, **changes}), registry())[-1]


def test_training_cost_key_ignores_the_poisoner():
    def work(numerics: Numerics = CPU, images: int = 36, **changes) -> str:
        return training_work(cell(**changes), images, (8, 8), numerics)

    assert work(poisoners=["clean"]) == work(epsilons=[4.0]) == work(seeds=[(3, 4)]) == work()
    different = [
        work(victims=["tiny:epochs=9"]), work(defenses=["dim"]), work(images=37), work(Numerics("cpu", "float32", 2)),
        work(Numerics("cuda", "float32", 1)), work(),
    ]  # fmt: skip
    assert len(set(different)) == len(different)


def test_craft_cost_key_ignores_radius_seed_and_victim():
    def work(images: int = 36, **changes) -> str:
        return crafting_work(cell(**changes), images, (8, 8), CPU)

    assert work(epsilons=[4.0]) == work(seeds=[(3, 4)]) == work(victims=["fixed"]) == work(defenses=["dim"]) == work()
    clusters = {"poisoners": ["badge"], "surrogates": ["eyes"], "craft_labels": ["clusters:k=3"]}
    different = [work(poisoners=["stripes"]), work(surrogates=["fitted"]), work(images=18), work(),
                 work(poisoners=["badge"]), work(**clusters)]  # fmt: skip
    assert len(set(different)) == len(different)
