"""Recipes as typed parameters, and the literature's as presets."""

from __future__ import annotations

import pytest

from ucbench.errors import UsageError
from ucbench.plugins.registry import installed
from ucbench.training.recipe import PAPER_RECIPES, Recipe


def of(**options: str) -> Recipe:
    return Recipe.resolve("victim 'some'", options=options)


def test_recipe_parses_command_line_options():
    recipe = of(epochs="100", lr="1e-2", schedule="step", milestones="75/90", clip_norm="none", nesterov="true")
    assert (recipe.epochs, recipe.lr, recipe.milestones) == (100, 0.01, (75, 90))
    assert recipe.clip_norm is None
    assert recipe.nesterov is True


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"epochs": "10", "milestones": "5/10"}, "must rise and lie below epochs=10"),
        ({"epochs": "10", "milestones": "7/5"}, "must rise"),
        ({"epochs": "10", "milestones": "5/5"}, "must rise"),
        ({"epochs": "0"}, "epochs takes a whole number, at least 1; got '0'"),
        ({"batch": "0"}, "batch"),
        ({"lr": "0"}, "lr"),
        ({"momentum": "1"}, "momentum"),
        ({"warmup": "1"}, "warmup"),
        ({"label_smoothing": "1"}, "label_smoothing"),
        ({"crop": "-0.1"}, "crop"),
        ({"schedule": "sine"}, "schedule"),
        ({"learning_rate": "0.1"}, "no parameter 'learning_rate'"),
    ],
)
def test_recipe_raises_on_invalid_values(options, text):
    with pytest.raises(UsageError, match=text):
        of(**options)


@pytest.mark.parametrize("name", PAPER_RECIPES)
def test_recipe_presets_are_valid(name):
    Recipe(**PAPER_RECIPES[name])


@pytest.mark.parametrize("option", ["enlarge", "test_views"])
def test_victims_keep_the_keys_they_had_before_an_option_that_they_do_not_use(option):
    registry = installed()
    recipes = [spec for spec in registry.specs("victim") if issubclass(registry.params_class(spec), Recipe)]
    needed = {"timm": ":test_efficientnet", "openclip-probe": ":RN50:weights=random"}
    assert len(recipes) > 10
    for spec in recipes:
        assert option not in registry.resolve("victim", spec.name + needed.get(spec.name, "")).params.identity()


def test_recipe_presets_equal_published_values():
    """methods.md, section 5: epochs, batch, peak rate and weight decay of each protocol."""
    published = {
        "eminn": (60, 128, 0.1, 5e-4),
        "mi-ue": (200, 128, 0.5, 1e-4),
        "mi-ue-at": (100, 128, 0.1, 5e-4),
        "adv-poison": (200, 128, 0.1, 5e-4),
        "uc": (90, 512, 0.1, 5e-4),
        "apbench": (200, 256, 0.1, 5e-4),
    }
    recipes = {name: Recipe(**values) for name, values in PAPER_RECIPES.items()}
    assert {name: (r.epochs, r.batch, r.lr, r.weight_decay) for name, r in recipes.items()} == published
    assert all(recipe.momentum == 0.9 for recipe in recipes.values())
    assert recipes["eminn"].clip_norm == 5
    assert recipes["mi-ue"].final_lr == recipes["uc"].final_lr == 1e-6
    halved = recipes["apbench"]
    assert (halved.schedule, halved.milestones, halved.gamma) == ("step", (100,), 0.5)
    attacked = recipes["mi-ue-at"]
    assert (attacked.schedule, attacked.milestones, attacked.gamma) == ("step", (40, 80), 0.1)
    assert (round(224 * recipes["uc"].enlarge), recipes["uc"].crop) == (256, 0)
    assert {name: r.normalize for name, r in recipes.items() if r.normalize != "data"} == {
        "eminn": "none",
        "mi-ue": "none",
        "mi-ue-at": "none",
        "uc": "half",
    }
