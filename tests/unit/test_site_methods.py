"""Pages of methods: their order, their formulas as text, and what they say of a defense."""

from __future__ import annotations

import pytest
import site_records as made
from site_pages import built, ranked, rows_of, text_of

from ucbench import installed
from ucbench.leaderboard.site import build_site
from ucbench.leaderboard.site.methods import Method, is_static_by_default
from ucbench.plugins.specs import DefenseSpec, PoisonerSpec


def test_method_page_has_results_before_images_and_folds_all_but_one_sheet(tmp_path):
    for name in ("one", "two", "three"):
        made.write(tmp_path / name, made.board(seeds=1))
    build_site(tmp_path, tmp_path / "site", rules_of=ranked)
    text = text_of(tmp_path / "site" / "poisoners" / "uc.html")
    places = [
        text.index(part) for part in ("<h2>Results", "<h2>Images", "<img", "On 2 other boards", "<h2>Publication")
    ]
    assert places == sorted(places)
    assert text[: text.index("On 2 other boards")].count("<img") == 1


def test_method_page_names_rare_axes_beside_the_numbers(tmp_path):
    records = [*made.board(), *(made.record("uc", seed=seed, trusted=100) for seed in range(4))]
    page = built(tmp_path, records) / "poisoners" / "uc.html"
    assert rows_of(page, "trusted images 100 50.0")
    assert rows_of(page, "uc none 41.5")


def test_method_page_shows_formulas_with_indices_and_escapes_them():
    spec = PoisonerSpec(
        name="x",
        summary="x",
        load="x:X",
        label_access="none",
        granularity="sample",
        budget="linf",
        equation=r"$$a_{y_i} < \|\delta\|_\infty$$ where <b> and `max_a` are $b^2$",
        fidelity="`max_b` is 2; $c_1$ is not & never was",
    )
    method = Method("poisoner", "x", spec, ())
    assert method.equation == [
        ("a<sub>y<sub>i</sub></sub> &lt; ‖δ‖<sub>∞</sub>", True),
        ("where &lt;b&gt; and <code>max_a</code> are b<sup>2</sup>.", False),
    ]
    assert method.fidelity == ["<code>max_b</code> is 2.", "c<sub>1</sub> is not &amp; never was."]


@pytest.mark.parametrize(
    ("name", "when"),
    [("jpeg", "once, before training"), ("cutmix", "during training"), ("iss", "once, before training")],
)
def test_method_page_says_when_a_defense_acts_with_its_defaults(name, when):
    registry = installed()
    spec = registry.find(DefenseSpec, name)
    method = Method("defense", name, spec, (), is_static_by_default(spec, registry))
    assert dict(method.facts)["acts"] == when
