"""Progress: readable in a file, moving on a terminal, nothing when quiet."""

from __future__ import annotations

import io
import re

import pytest

from ucbench import progress
from ucbench.progress import Lines, Silent, reporting


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock(monkeypatch):
    """A clock that only a test moves."""
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])

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


def test_terminal_shows_bars_with_time_left_and_hides_finished_ones():
    stream = Terminal()
    with reporting(stream=stream) as bars:
        first, second = bars.bar("first [stage]", 2), bars.bar("second stage", 10)
        first(1)
        first(1)
        first(1)  # one step too many is no error
        second(3)
        bars.say("a [line] that stays")
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", stream.getvalue())
    assert "a [line] that stays" in text
    assert "first [stage]" in text
    last_frame = text.rpartition("\r")[2]
    assert re.search(r"second stage .* 3/10 .* left ", last_frame)
    assert "first" not in last_frame


def test_quiet_prints_nothing_to_file_or_terminal():
    for stream in (io.StringIO(), Terminal()):
        with reporting(quiet=True, stream=stream) as nothing:
            nothing.say("text")
            nothing.bar("text", 1)(1)
        assert stream.getvalue() == ""
        assert isinstance(nothing, Silent)
