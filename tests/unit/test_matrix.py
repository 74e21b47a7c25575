"""Expansion: a request becomes its cross product, every cell after the references it is read against."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import product

import pytest
from tiny_components import registry

from ucbench.errors import UsageError
from ucbench.matrix.cell import Cell, CraftLabels
from ucbench.matrix.compatibility import check_surrogate
from ucbench.matrix.matrix import Request, expand, parse_craft_labels
from ucbench.plugins.registry import installed
from ucbench.plugins.specs import PoisonerSpec, SurrogateSpec

REGISTRY = registry()


def cells(**axes) -> list[Cell]:
    defaults = {"datasets": ["spots"], "poisoners": ["stripes"], "victims": ["tiny"], "labelings": ["original"]}
    return expand(Request(**{**defaults, **axes}), REGISTRY)


def described(*names: str, **axes) -> list[tuple]:
    return [tuple(cell.describe()[name] for name in names) for cell in cells(**axes)]


def protected(*names: str, **axes) -> list[tuple]:
    """What the cells other than the references are."""
    found = [cell.describe() for cell in cells(**axes)]
    return [tuple(each[name] for name in names) for each in found if each["poisoner"] not in ("clean", "sham")]


def test_expand_crosses_all_axes():
    axes = {
        "datasets": ["spots", "ungated"],
        "poisoners": ["stripes", "badge"],
        "victims": ["tiny", "fixed"],
        "labelings": ["original", "shifted"],
        "defenses": ["none", "dim", "dim+dim"],
        "epsilons": [8.0, 16.0],
        "mixtures": [0.5, 1.0],
        "seeds": [(0, 0), (1, 2)],
    }
    names = ("dataset", "poisoner", "victim", "labeling", "defense", "epsilon", "mixture", "craft_seed")
    found = protected(*names, **axes)
    values = [axes[f"{name}s"] for name in names[:-1]]
    assert sorted(found) == sorted(product(*values, [0, 1]))
    # Clean per exploiter and train seed; sham per budget, mixture and craft seed beside.
    exploiters = 2 * 2 * 2 * 3 * 2
    everything = described("poisoner", **axes)
    assert everything.count(("clean",)) == exploiters
    assert everything.count(("sham",)) == exploiters * 2 * 2


def test_expand_puts_references_first_and_once():
    names = ("poisoner", "epsilon", "mixture", "train_seed")
    found = described(*names, poisoners=["stripes", "badge"], mixtures=[0.5, 1.0], seeds=[(0, 0), (1, 1)])
    assert len(set(found)) == len(found) == 2 + 4 + 8
    for place, (poisoner, epsilon, mixture, seed) in enumerate(found):
        if poisoner in ("stripes", "badge"):
            assert ("clean", None, 1.0, seed) in found[:place]
            assert ("sham", epsilon, mixture, seed) in found[:place]


def test_expand_does_not_repeat_a_requested_reference():
    assert described("poisoner", poisoners=["clean", "sham", "stripes"]) == [("clean",), ("sham",), ("stripes",)]
    assert described("poisoner", "mixture", poisoners=["clean"], mixtures=[0.2, 0.4]) == [("clean", 1.0)]


@pytest.mark.parametrize(
    "same",
    [
        {"poisoners": ["stripes", "bars", "stripes:period=4", "stripes@standard"]},
        {"poisoners": ["stripes:share=0.5,period=8", "stripes@wide:share=0.50"]},
        {"victims": ["tiny", "tiny:epochs=2"]},
        {"epsilons": [8, 8.0]},
        {"mixtures": [1, 1.0]},
    ],
)
def test_expand_merges_equal_cells_of_other_spelling(same):
    assert len(protected("poisoner", **same)) == 1


def test_expand_pairs_seeds_and_drops_the_craft_seed_of_clean():
    found = described("poisoner", "craft_seed", "train_seed", seeds=[(0, 5), (1, 5)])
    assert found == [
        ("clean", None, 5), ("sham", 0, 5), ("stripes", 0, 5), ("sham", 1, 5), ("stripes", 1, 5)
    ]  # fmt: skip


def test_epsilon_defaults_to_dataset_then_poisoner():
    def epsilons(**axes) -> list:
        return [epsilon for (epsilon,) in protected("epsilon", **axes)]

    assert epsilons(epsilons=[6.0, 4.0]) == [6, 4]
    assert epsilons() == [24]
    assert epsilons(datasets=["ungated"]) == [12]
    assert epsilons(datasets=["ungated"], poisoners=["plain"]) == [8]


def test_poisoner_of_another_norm_keeps_its_budget_and_sham():
    assert described("poisoner", "norm", "epsilon", poisoners=["blots"], epsilons=[16.0, 32.0]) == [
        ("clean", "unbounded", None),
        ("sham", "l2", 0.5),
        ("blots", "l2", 0.5),
    ]


def test_craft_labels_are_none_without_label_access_and_exploiter_labels_for_oracles():
    found = protected("craft_labels", poisoners=["stripes", "badge", "positive"], craft_labels=["original"])
    assert found == [("none",), ("original",), ("exploiter",)]


@pytest.mark.parametrize(
    ("text", "labels", "written", "access"),
    [
        ("original", CraftLabels("original"), "original", "full"),
        ("clusters", CraftLabels("clusters", 10), "clusters:k=10", "none"),
        ("clusters:k=3", CraftLabels("clusters", 3), "clusters:k=3", "none"),
    ],
)
def test_craft_labels_parse_print_and_state_their_access(text, labels, written, access):
    assert parse_craft_labels(text, REGISTRY) == labels
    assert (str(labels), labels.access) == (written, access)
    assert parse_craft_labels(written, REGISTRY) == labels


def test_craft_labels_inherit_the_access_of_their_model():
    for text, access in (("predicted:model=eyes", "none"), ("clusters:k=3,model=fitted", "full")):
        labels = parse_craft_labels(text, REGISTRY)
        assert (str(labels), labels.access) == (text, access)
        assert parse_craft_labels(str(labels), REGISTRY) == labels
        assert labels.identity() != parse_craft_labels("clusters:k=3", REGISTRY).identity()


@pytest.mark.parametrize(
    "text",
    [
        "exploiter",
        "none",
        "clusters:k=0",
        "clusters:k=1",
        "clusters:k=-3",
        "clusters:k=two",
        "clusters:3",
        "clusters:n=3",
        "original:k=3",
        "original:model=eyes",
        "predicted:k=3",
        "clusters@quick",
    ],
)
def test_craft_labels_raise_on_unknown_values_with_the_known_ones(text):
    with pytest.raises(UsageError, match=rf"{re.escape(repr(text))}.*original, predicted.*clusters:k=K"):
        parse_craft_labels(text, REGISTRY)


def test_cluster_labels_require_a_model_and_accept_a_named_one():
    with pytest.raises(UsageError, match=r"clusters:k=3 need a model.*clusters:model=NAME"):
        cells(poisoners=["badge"], craft_labels=["clusters:k=3"])
    names = ("surrogate", "craft_labels")
    axes = {"poisoners": ["badge"], "craft_labels": ["original", "clusters:k=3", "predicted"]}
    assert protected(*names, **axes, surrogates=["eyes"], labeler="fitted") == [
        ("none", "original"),
        ("eyes", "clusters:k=3"),
        ("none", "predicted:model=fitted"),
    ]
    assert protected(*names, **axes, labeler="fitted")[1:] == [
        ("none", "clusters:k=3,model=fitted"),
        ("none", "predicted:model=fitted"),
    ]


@pytest.mark.parametrize(
    ("poisoner", "surrogate"),
    [
        ("mi-ue", "resnet18:normalize=imagenet,width=16"),
        ("mi-ue@released", "resnet18:normalize=imagenet"),
        ("mi-ue@paper", "resnet18:normalize=imagenet"),
        ("miue@paper:rounds=2", "resnet18:normalize=imagenet"),
        ("adv-poison@rem", "trained:width=16"),
        ("adv-poison@paper", "trained@adv-poison"),
        ("eminn@paper", "resnet18"),
        ("rem@imagenet", "resnet18"),
        ("sep", "resnet18:normalize=data,width=16"),
        ("sep@released", "resnet18:normalize=data"),
        ("aap@cifar100", "resnet18"),
        ("shuffled:'adv-poison@paper'", "trained@adv-poison"),
    ],
)
def test_preset_may_name_a_surrogate_and_a_requested_one_wins(poisoner, surrogate):
    def used(**axes) -> set[str]:
        request = Request(datasets=["digits"], poisoners=[poisoner], victims=["linear"], labelings=["original"], **axes)
        return {str(cell.craft.surrogate) for cell in expand(request, installed()) if not cell.craft.is_added_reference}

    assert used() == {surrogate}
    requested = "trained:width=32" if "adv-poison" in poisoner else "resnet18:width=32"
    assert used(surrogates=[requested]) == {requested}


def test_preset_surrogates_resolve_and_fit_their_poisoners():
    plugins = installed()
    for spec in plugins.specs("poisoner"):
        params = plugins.params_class(spec)
        for preset, reference in params.surrogates.items():
            assert preset in params.preset_names()
            check_surrogate(plugins.find(PoisonerSpec, spec.name), plugins.resolve(SurrogateSpec, reference))


@pytest.mark.parametrize(
    ("dataset", "victim"),
    [
        ("photos", "airbench@small"),
        ("photos:size=64", "resnet18"),
        ("photos:size=63", "airbench@small"),
        ("digits", "resnet18"),
        ("digits:size=9", "airbench@small"),
        ("imagefolder:/nowhere", "resnet18"),
        ("imagefolder:/nowhere:size=32", "airbench@small"),
    ],
)
def test_victim_defaults_by_the_size_of_the_images(dataset, victim):
    request = Request([dataset], ["sham"], [], ["original"], schedule=2)
    found = {cell.victim for cell in expand(request, installed())}
    assert {(one.ref.name, one.ref.preset) for one in found} == {
        (name, preset or None) for name, _, preset in [victim.partition("@")]
    }
    assert all(dict(one.ref.options).get("epochs") for one in found)  # the schedule applies to defaults too


def test_each_data_set_has_its_default_victim():
    request = Request(["photos", "digits"], ["sham"], [], ["original"])
    pairs = {(cell.dataset.spec.name, str(cell.victim)) for cell in expand(request, installed())}
    assert pairs == {("photos", "airbench@small"), ("digits", "resnet18")}


def test_surrogate_defaults_to_that_of_the_poisoner():
    assert protected("surrogate", poisoners=["stripes", "leaner"]) == [("none",), ("eyes",)]
    assert protected("surrogate", poisoners=["leaner"], surrogates=["eyes", "fitted"]) == [("eyes",), ("fitted",)]


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"datasets": ["spot"]}, "Unknown dataset 'spot'. Did you mean 'spots'?"),
        ({"poisoners": ["strips"]}, "Unknown poisoner 'strips'. Did you mean 'stripes'?"),
        ({"victims": ["teeny"]}, "Unknown victim 'teeny'. Did you mean 'tiny'?"),
        ({"labelings": ["orignal"]}, "Unknown labeling 'orignal'. Did you mean 'original'?"),
        ({"defenses": ["dim+dimm"]}, "Unknown defense 'dimm'. Did you mean 'dim'?"),
        ({"defenses": ["none+dim"]}, "Defense 'none+dim': none means no defense, so it joins no chain"),
        ({"poisoners": ["leaner"], "surrogates": ["eye"]}, "Unknown surrogate 'eye'. Did you mean 'eyes'?"),
        ({"poisoners": ["stripes"], "surrogates": ["eye"]}, "Unknown surrogate 'eye'. Did you mean 'eyes'?"),
        ({"poisoners": ["stripes@wid"]}, "has no preset 'wid'. Did you mean 'wide'?"),
        ({"poisoners": ["stripes:perod=3"]}, "has no parameter 'perod'. Did you mean 'period'?"),
        ({"victims": ["tiny:epochs=two"]}, "epochs takes a whole number; got 'two'"),
        ({"mixtures": [0.0]}, "--mixture takes a fraction above 0"),
        ({"mixtures": [0.5, 1.5]}, "got 1.5"),
        ({"mixtures": [float("nan")]}, "got nan"),
        ({"epsilons": [0.5]}, "8-bit levels"),
        ({"seeds": []}, "--seed 0"),
        ({"schedule": "1e308x"}, "--schedule 1e+308x does not fit victim tiny: it would have inf epochs"),
        ({"schedule": 1e19}, "it would have 2e+19 epochs"),
    ],
)
def test_expand_raises_usage_error_on_unknown_or_out_of_range_values(wrong, text):
    with pytest.raises(UsageError, match=re.escape(text)):
        cells(**wrong)


@pytest.mark.parametrize("chain", ["clean-part+clean-pixels", "dim+clean-pixels", "dim+clean-part"])
def test_expand_raises_on_a_control_behind_another_defense(chain):
    with pytest.raises(UsageError, match=f"{chain.partition('+')[2]} reads .* write it first"):
        cells(defenses=[chain])
    assert cells(defenses=["clean-part+dim"])


def test_expand_raises_when_poisoner_and_surrogate_disagree_on_weights():
    trains = PoisonerSpec(name="trains", summary="", load="", surrogate="bare", trains_surrogate=True)
    looks = PoisonerSpec(name="looks", summary="", load="", surrogate="eyes")
    eyes = REGISTRY.resolve("surrogate", "eyes")
    bare = replace(eyes, spec=replace(eyes.spec, untrained=True))
    check_surrogate(trains, bare)
    check_surrogate(looks, eyes)
    check_surrogate(looks, None)
    with pytest.raises(UsageError, match=r"'trains' trains its surrogate, but eyes has weights.*bare"):
        check_surrogate(trains, eyes)
    with pytest.raises(UsageError, match="'looks' needs a surrogate with weights, but eyes has none"):
        check_surrogate(looks, bare)
