"""Tables of text: at every width each cell is whole when its lines are joined, and no number is broken."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ucbench.errors import UsageError
from ucbench.results.text import (
    TextColumn,
    chosen,
    facts_lines,
    fitted,
    table_lines,
    telling_apart,
    text_width,
    wrapped,
)

NAMES = st.text("ab1:,+@/-_=", min_size=1, max_size=40)
WORDS = st.lists(st.text("abc", min_size=1, max_size=9), min_size=1, max_size=20).map(" ".join)
NUMBERS = st.builds("{:.1f}{}".format, st.floats(-100, 100), st.sampled_from(["", " ± 2.1", " ± 12.0"]))
CELLS = {"name": NAMES, "number": NUMBERS, "prose": WORDS}


@st.composite
def tables(draw) -> list[TextColumn]:
    count = draw(st.integers(1, 5))
    kinds = draw(st.lists(st.sampled_from(sorted(CELLS)), min_size=1, max_size=6))
    return [
        TextColumn(f"heading {place} %", draw(st.lists(CELLS[kind], min_size=count, max_size=count)), kind, place)
        for place, kind in enumerate(kinds)
    ]


def columns_of(lines: list[str]) -> list[list[str]]:
    """The lines of each column, cut where the rule says."""
    rule = next(line for line in lines if set(line) <= set("─ "))
    starts = [place for place in range(len(rule)) if rule[place] == "─" and (place == 0 or rule[place - 1] == " ")]
    ends = [*(start - 2 for start in starts[1:]), None]
    return [[line[start:end].rstrip() for line in lines] for start, end in zip(starts, ends, strict=True)]


@settings(max_examples=40)
@given(tables(), st.integers(20, 200))
def test_every_shown_cell_is_whole_at_any_width_and_no_number_is_broken(table, width):
    shown, left_out = fitted(table, width)
    assert len(shown) + left_out == len(table)
    lines = table_lines(shown, width)
    for column, texts in zip(shown, columns_of(lines), strict=True):
        below = next(place for place, text in enumerate(texts) if text and set(text) == {"─"})
        assert " ".join("".join(f"{text} " for text in texts[:below]).split()) == column.title
        if column.kind == "number":
            assert [text.strip() for text in texts[below + 1 :] if text] == list(column.cells)
        else:
            whole = "".join(texts[below + 1 :]).replace(" ", "")
            assert whole == "".join(column.cells).replace(" ", "")


@settings(max_examples=40)
@given(tables())
def test_more_columns_are_shown_on_wider_screens_and_all_on_one_line_each_without_a_width(table):
    counts = [len(fitted(table, width)[0]) for width in range(20, 260, 20)]
    assert counts == sorted(counts)
    assert fitted(table, None) == (table, 0)
    assert len(table_lines(table)) == 2 + len(table[0].cells)


@settings(max_examples=40)
@given(tables(), st.integers(20, 200))
def test_no_line_is_longer_than_the_screen_where_the_first_column_alone_fits(table, width):
    shown, _ = fitted(table, width)
    if len(shown) > 1:
        assert max(map(text_width, table_lines(shown, width))) <= width


@given(st.text("abcdefgh:,+@/-", min_size=1, max_size=30), st.integers(1, 30))
def test_first_characters_of_a_name_stay_together(name, width):
    assert len(table_lines([TextColumn("n", [name])], width)[2]) >= min(8, len(name))


def test_columns_of_the_highest_rank_are_left_out_first():
    table = [TextColumn("name", ["x" * 10]), TextColumn("a", ["y" * 10], rank=4), TextColumn("b", ["z" * 10], rank=3)]
    assert [[column.title for column in fitted(table, width)[0]] for width in (34, 33, 22, 21)] == [
        ["name", "a", "b"], ["name", "b"], ["name", "b"], ["name"],
    ]  # fmt: skip


def test_name_is_broken_before_a_column_of_low_rank_is_left_out():
    name = TextColumn("poisoner", ["rand-class:pattern=sign"])
    drop, linf = TextColumn("drop", ["46.1"], "number", rank=1), TextColumn("linf", ["8"], "number", rank=5)
    assert fitted([name, drop, linf], 35) == ([name, drop, linf], 0)
    shown, left_out = fitted([name, drop, linf], 20)
    assert (shown, left_out) == ([name, drop], 1)
    assert table_lines(shown, 20) == [
        "poisoner       drop",
        "─────────────  ────",
        "rand-class:    46.1",
        " pattern=sign",
    ]


def test_numbers_are_aligned_at_the_sign_of_their_interval():
    column = TextColumn("accuracy", ["70.9 ± 7.4", "8.0", "100.0 ± 12.1"], "number")
    assert table_lines([column])[2:] == [" 70.9 ± 7.4", "  8.0", "100.0 ± 12.1"]


def test_empty_columns_and_those_that_nobody_asked_for_are_not_left_out():
    table = [TextColumn("name", ["uc"]), TextColumn("install", [""]), TextColumn("clean %", ["90.0"], on_request=True)]
    assert fitted(table, 10) == (table[:1], 0)


@pytest.mark.parametrize("name", ["clean_accuracy", "CLEAN %", "Clean accuracy", " clean  %"])
def test_columns_are_chosen_by_name_or_heading(name):
    column = TextColumn("clean %", ["90.0"], "number", rank=7, name="clean_accuracy", on_request=True)
    assert chosen([TextColumn("n", ["4"]), column], [name]) == [column]


def test_unknown_column_is_refused_with_the_nearest_and_all_names():
    with pytest.raises(UsageError) as refused:
        chosen([TextColumn("drop", []), TextColumn("sham %", [], name="clean_accuracy")], ["clean_acuracy"])
    assert str(refused.value) == (
        "There is no column 'clean_acuracy'. Did you mean 'clean_accuracy'? Columns: drop, clean_accuracy."
    )


def test_rows_are_told_apart_by_as_few_columns_as_do_it():
    rows = [{"poisoner": "uc", "defense": d, "labels": d * 2, "victim": "v"} for d in ("none", "jpeg")]
    assert telling_apart(rows, ["poisoner", "victim", "defense", "labels"]) == ["defense"]


def test_wide_letters_count_as_two_columns_and_controls_are_shown():
    lines = table_lines([TextColumn("name", ["図図", "a\x1b[1m"]), TextColumn("n", ["1", "2"], "number")])
    assert lines == ["name      n", "────────  ─", "図図      1", "a\\x1b[1m  2"]


def test_facts_are_wrapped_beside_their_label():
    lines = facts_lines([("a", "one two three"), ("long label", "x")], 20)
    assert lines == ["a           one two three", "long label  x"]
    assert facts_lines([("title", "words " * 7)], 40) == [f"title  {'words ' * 5}".strip(), "       words words"]


@given(WORDS, st.integers(12, 60))
def test_wrapped_text_keeps_its_words(text, width):
    lines = wrapped(f"  {text}", width, "  ")
    assert " ".join(lines).split() == text.split()
    assert all(line.startswith("    ") for line in lines[1:])
    assert max(map(len, lines)) <= max(width, 13)
