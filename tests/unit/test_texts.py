"""Texts of specs: TeX between dollar signs becomes one line of Unicode, clauses become sentences."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ucbench.plugins.registry import installed
from ucbench.plugins.texts import plain, sentences

EQUATIONS = {spec.name: spec.equation for spec in installed().specs("poisoner") if spec.equation}


@pytest.mark.parametrize(
    ("tex", "shown"),
    [
        (r"$$\min_{\theta} f(x; \theta)$$", "min_θ f(x; θ)"),
        (r"within $\|\delta_i\|_\infty \le \varepsilon$ of it", "within ‖δ_i‖_∞ ≤ ε of it"),
        (r"$\frac{1}{n} \sum_{i=1}^n x_{y_i}$", "1/n Σ_{i=1}^n x_{y_i}"),
        (r"$\frac{a + b}{\max(c)}$", "(a + b)/(max(c))"),
        (r"$\log\Bigl(1 + \frac{\frac{1}{D}}{2}\Bigr)$", "log(1 + (1/D)/2)"),
        (r"$\mathrm{CE}(f), \quad v \sim \mathcal{N}(0, A^\top)$", "CE(f), v ~ N(0, A^⊤)"),
    ],
)
def test_plain_shows_tex_as_unicode(tex, shown):
    assert plain(tex) == shown


@given(st.text(st.characters(exclude_characters="$"), max_size=20))
def test_plain_leaves_text_without_formulas_alone(text):
    assert plain(text) == text


@pytest.mark.parametrize("equation", EQUATIONS.values(), ids=EQUATIONS)
def test_plain_leaves_no_tex_of_a_shipped_equation(equation):
    shown = plain(equation)
    assert re.search(r"[\\$]|frac|mathrm|operatorname", shown) is None
    assert shown.count("(") == shown.count(")")
    assert shown.count("{") == shown.count("}")


def test_sentences_end_at_semicolons_outside_code_and_parentheses():
    assert sentences("`a; b` is c; d (e; f (g; h)); i;j.") == ["`a; b` is c.", "D (e; f (g; h)).", "I;j."]


@given(st.lists(st.text("a ,:é", max_size=8).map(str.strip).filter(bool), min_size=1, max_size=5))
def test_sentences_are_what_was_joined(parts):
    assert sentences("; ".join(parts)) == [f"{part[0].upper()}{part[1:]}." for part in parts]
