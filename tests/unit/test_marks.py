"""Marks: one per poisoner wherever it is drawn, different within a figure, and visible to everybody."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from ucbench.leaderboard.marks import GREY, INK, PALETTE, SHAPES, mark_of, marks
from ucbench.plugins.builtin import REFERENCES
from ucbench.plugins.registry import installed

SHIPPED = sorted(spec.name for spec in installed().specs("poisoner"))
NAMES = st.from_regex(r"[a-z][a-z0-9-]{0,12}", fullmatch=True)


def luminance(colour: str) -> float:
    """Relative luminance as the Web Content Accessibility Guidelines define it."""
    channels = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_shipped_poisoners_have_different_marks_and_shapes():
    found = marks(SHIPPED)
    assert len(set(found.values())) == len(SHIPPED)
    shapes = [found[name].shape for name in SHIPPED if name not in REFERENCES]
    assert len(set(shapes)) == len(shapes)


def test_references_alone_are_grey_and_open():
    found = marks(SHIPPED)
    assert {name for name in SHIPPED if found[name].colour == GREY} == set(REFERENCES)
    assert {name for name in SHIPPED if found[name].is_open} == set(REFERENCES)


@given(st.lists(NAMES, max_size=20, unique=True), st.randoms(use_true_random=False))
def test_marks_are_different_and_independent_of_order_with_third_party_poisoners(others, random):
    names = [*others, *SHIPPED]
    found = marks(names)
    assert len(set(found.values())) == len({*others, *SHIPPED})
    random.shuffle(names)
    assert marks(names) == found
    assert all(found[name] == mark_of(name) for name in SHIPPED)


def test_marks_are_shared_only_where_there_are_no_more():
    others = [f"third-{number}" for number in range(156)]
    assert len(set(marks(others).values())) == 156
    assert len(set(marks([*others, "another"]).values())) == 156


def test_options_and_presets_do_not_change_the_mark():
    assert mark_of("uc:clusters=20") == mark_of("uc@paper") == mark_of("uc")


def test_colours_are_visible_on_white_and_near_black():
    for colour, ground in itertools.product(PALETTE, ("#ffffff", "#131416")):
        assert contrast(colour, ground) >= 3, (colour, ground)
    assert contrast(INK, "#ffffff") >= 4.5
    assert contrast(INK, "#131416") >= 4


def test_shapes_fit_a_mark():
    for points in SHAPES.values():
        assert all(x * x + y * y <= 1.36**2 for x, y in points)
