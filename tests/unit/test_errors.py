"""Suggestions for names that do not exist, and errors in notebooks."""

from __future__ import annotations

import pytest

from ucbench.errors import UsageError, did_you_mean


@pytest.mark.parametrize(
    ("wrong", "known", "suggested"),
    [
        ("UC", ("uc", "uca", "ucb"), "'uc'"),
        ("randomaffine", ("RandomAffine", "RandomAffine3D"), "'RandomAffine'"),
        ("ln", ("LN", "Ln", "lns"), "'LN' or 'Ln'"),
        ("gros", ("GRO", "Gro"), "'GRO' or 'Gro'"),
    ],
)
def test_did_you_mean_names_only_what_differs_in_case_and_loses_none(wrong, known, suggested):
    assert did_you_mean(wrong, known) == f" Did you mean {suggested}?"
    assert did_you_mean(wrong, reversed(known)) == f" Did you mean {suggested}?"


def test_notebook_shows_the_text_of_an_error_without_a_traceback():
    assert UsageError("no such \x1b[31mthing.\nFix it.")._render_traceback_() == [
        "UsageError: no such \\x1b[31mthing.\nFix it."
    ]
