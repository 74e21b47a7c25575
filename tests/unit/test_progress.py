"""Progress: readable in a file, one view on a terminal, nothing when quiet."""

from __future__ import annotations

import io
import re

import pytest
import screen
from rich.console import Console

from ucbench.progress import Lines, Silent, lines, live, reporting


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock(monkeypatch):
    """A clock that only a test moves."""
    now = [100.0]
    monkeypatch.setattr(lines.time, "monotonic", lambda: now[0])

    def wait(seconds: float) -> None:
        now[0] += seconds

    return wait


def test_lines_are_printed_at_intervals_and_at_the_end(clock):
    stream = io.StringIO()
    advance = Lines(stream, every=15).bar("training the victim", 100)
    for _ in range(100):
        clock(1)
        advance(1)
    assert stream.getvalue().splitlines() == [
        "training the victim: 15/100, about 85 s left",
        "training the victim: 30/100, about 70 s left",
        "training the victim: 45/100, about 55 s left",
        "training the victim: 60/100, about 40 s left",
        "training the victim: 75/100, about 25 s left",
        "training the victim: 90/100, about 10 s left",
        "training the victim: done in 100.0 s",
    ]


def test_lines_of_a_long_bar_become_fewer(clock):
    stream = io.StringIO()
    advance = Lines(stream, every=15).bar("crafting", 36_000)
    for _ in range(36_000):
        clock(1)
        advance(1)
    assert 40 < len(stream.getvalue().splitlines()) < 80


def test_lines_of_a_run_number_its_cells_and_say_now_and_then_what_is_left(clock):
    stream = io.StringIO()
    report = Lines(stream)
    done = report.cells(3, lambda seconds: "about 5 minutes left")
    for seconds, name in ((10, "clean"), (40, "sham"), (60, "uc")):
        report.cell(name)
        with report.stage("measuring"):
            clock(seconds)
        done()
    assert stream.getvalue().splitlines() == [
        "[1/3] clean",
        "[2/3] sham",
        "2 of 3 cells are done, about 5 minutes left.",
        "[3/3] uc",
        "3 cells done in 110 seconds.",
    ]


def test_time_left_is_extrapolated_from_finished_steps(clock):
    stream = io.StringIO()
    advance = Lines(stream, every=15).bar("crafting", 10)
    clock(20)
    advance(0)  # no step yet, so the time left is unknown
    advance(4)
    assert stream.getvalue() == "crafting: 4/10, about 30 s left\n"


def test_lines_of_several_bars_are_named_without_control_characters(clock):
    stream = io.StringIO()
    with reporting(stream=stream) as lines:
        one, two = lines.bar("one", 1), lines.bar("two", 2)
        two(1)
        one(1)
        lines.say("between")
        two(1)
    assert stream.getvalue() == "one: done in 0.0 s\nbetween\ntwo: done in 0.0 s\n"


def frame(view: object, width: int = 80) -> list[str]:
    """The lines of a view on a screen of this width."""
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None)
    console.print(view)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


@pytest.mark.parametrize("width", [60, 80, 120, 160])
def test_view_shows_cell_stage_and_run_with_the_time_left_of_both(clock, width):
    view = live.View(Console(file=io.StringIO()))
    asked = []
    done = view.cells(12, lambda seconds: asked.append(seconds) or "about 12 minutes left")
    for _ in range(3):
        view.cell("photos | sham")
        done()
    view.cell("photos | uc [linf 8] | " + "long-name " * 20)
    advance = view.bar("crafting", 3000)
    clock(20)
    advance(1000)
    cell, stage, run = frame(view, width)
    assert "photos | uc [linf 8] | long-name" in cell
    assert cell.endswith("…")
    assert re.fullmatch(r"  crafting +━+[╸╺]? +1000/3000  40 seconds left", stage)
    assert re.fullmatch(r"  3 of 12 cells +━+[╸╺]? +about 12 minutes left", run)
    assert asked == [40.0]
    assert max(map(len, (cell, stage, run))) <= width


def test_view_shows_the_latest_open_stage_and_none_of_a_cell_that_is_done(clock):
    view = live.View(Console(file=io.StringIO()))
    assert "preparing" in frame(view)[1]
    done = view.cells(2, lambda seconds: "")
    view.cell("clean")
    training = view.bar("training", 10)
    with view.stage("measuring"):
        clock(7)
        assert re.search(r"measuring .* 7 seconds", frame(view)[1])
    assert "training" in frame(view)[1]
    training(12)  # more steps than were said is no error
    assert "computing" in frame(view)[1]
    view.bar("crafting", 10)
    done()  # it failed while it was crafted
    assert "computing" in frame(view)[1]
    view.cell("sham")
    done()
    assert "writing results" in frame(view)[1]
    assert len(frame(view)) == 2


def test_view_wraps_what_stays_with_an_indent(clock):
    stream = io.StringIO()
    live.View(Console(file=stream, width=30)).say("  train: 1640 images: land animals 240, [plants] 160")
    assert stream.getvalue() == "  train: 1640 images: land\n    animals 240, [plants] 160\n"


def test_terminal_keeps_only_what_is_said(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    stream = Terminal()
    with reporting(stream=stream) as report:
        report.bar("crafting", 2)
        report.say("a [line] that stays")
    assert screen.shown(stream.getvalue(), 80) == ["a [line] that stays"]


def test_dumb_terminal_gets_lines(monkeypatch):
    monkeypatch.setenv("TERM", "dumb")
    with reporting(stream=Terminal()) as report:
        assert isinstance(report, Lines)


def test_quiet_prints_nothing_to_file_or_terminal():
    for stream in (io.StringIO(), Terminal()):
        with reporting(quiet=True, stream=stream) as nothing:
            nothing.say("text")
            nothing.bar("text", 1)(1)
        assert stream.getvalue() == ""
        assert isinstance(nothing, Silent)
