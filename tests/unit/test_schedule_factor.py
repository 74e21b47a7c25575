"""A schedule that multiplies epochs: another victim with another key, and nothing else of the cell changed."""

from __future__ import annotations

import pytest
import tiny_components as tiny
from hypothesis import given
from hypothesis import strategies as st

from ucbench.errors import UsageError
from ucbench.matrix.matrix import dedup_key, expand
from ucbench.matrix.requests import axes
from ucbench.matrix.suite import load_suite
from ucbench.training.recipe import PAPER_RECIPES, Recipe, scale_schedule


def request(**changes):
    return axes(**{"poisoner": "stripes", "dataset": "spots", "victim": "tiny", **changes})


def test_schedule_factor_changes_only_the_victim():
    registry = tiny.registry()
    plain, longer = expand(request(), registry), expand(request(schedule=4), registry)
    for one, other in zip(plain, longer, strict=True):
        changed = {name for name, value in one.describe().items() if other.describe()[name] != value}
        assert changed == {"victim"}
        assert other.victim.params.epochs == 4 * one.victim.params.epochs
        assert dedup_key(one) != dedup_key(other)
        assert one.craft == other.craft


def test_schedule_factor_equals_naming_the_epochs():
    registry = tiny.registry()
    longer = expand(request(schedule=1.5), registry)
    assert [dedup_key(cell) for cell in longer] == [
        dedup_key(cell) for cell in expand(request(victim="tiny:epochs=3"), registry)
    ]
    assert [dedup_key(cell) for cell in expand(request(schedule=1), registry)] == [
        dedup_key(cell) for cell in expand(request(), registry)
    ]


def test_schedule_factor_keeps_explicit_options():
    (cell, *_) = expand(request(victim="tiny:epochs=6,lr=0.2", schedule=0.5), tiny.registry())
    assert (cell.victim.params.epochs, cell.victim.params.lr) == (3, 0.2)


@given(factor=st.floats(0.01, 20), recipe=st.sampled_from(sorted(PAPER_RECIPES)))
def test_schedule_factor_keeps_every_recipe_valid(factor, recipe):
    before = Recipe(**PAPER_RECIPES[recipe])
    options = scale_schedule(before, factor)
    after = Recipe.resolve("victim 'v'", None, None, {**options})
    assert after.epochs == max(1, round(before.epochs * factor))
    assert len(after.milestones) <= len(before.milestones)


def test_schedule_factor_scales_milestones():
    assert scale_schedule(Recipe(epochs=100, schedule="step", milestones=(75, 90)), 2) == {
        "epochs": "200",
        "milestones": "150/180",
    }


def test_schedule_factor_raises_for_a_victim_without_epochs():
    with pytest.raises(UsageError, match="--schedule 2x does not fit victim fixed: it has no epochs"):
        expand(request(victim="fixed", schedule=2), tiny.registry())
    with pytest.raises(UsageError, match="--schedule takes a factor above 0"):
        expand(request(schedule=0), tiny.registry())


def test_schedule_factor_is_read_from_a_suite(tmp_path):
    path = tmp_path / "s.toml"
    path.write_text('name = "s"\nversion = 1\n[common]\nschedule = 4\n[[table]]\npoisoner = "stripes"\n')
    assert load_suite(path).requests()[0]["schedule"] == 4
