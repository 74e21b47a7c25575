"""Keys: everything that can change a number changes them, and nothing else does."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_components import registry

from ucbench.matrix.cell import Cell
from ucbench.matrix.matrix import Request, expand
from ucbench.numerics import Numerics

CPU = Numerics("cpu", "float32", 2)


def last(raised: tuple[tuple[str, int], ...] = (), **axes) -> Cell:
    """The requested cell, without its references."""
    defaults = {
        "datasets": ["spots"],
        "poisoners": ["leaner"],
        "victims": ["tiny"],
        "labelings": ["original"],
        "defenses": ["dim"],
    }
    return expand(Request(**{**defaults, **axes}), registry(*raised))[-1]


def release_key(cell: Cell, numerics: Numerics = CPU, part: str = "part") -> str | None:
    return cell.release_key(part, numerics)


def cell_key(cell: Cell, numerics: Numerics = CPU, train: str = "train", test: str = "test", part: str = "part") -> str:
    return cell.key(release_key(cell, numerics, part), train, test, numerics)


BASE = last()

#: What makes another release, and so another cell.
PROTECTOR = {
    "poisoner": {"poisoners": ["stripes"]},
    "its version": {"raised": (("leaner", 2),)},
    "surrogate": {"surrogates": ["fitted"]},
    "its version, too": {"raised": (("eyes", 2),)},
    "epsilon": {"epsilons": [16.0]},
    "norm": {"poisoners": ["blots"]},
    "craft seed": {"seeds": [(1, 0)]},
}
#: What leaves the release as it is and makes another cell.
EXPLOITER = {
    "train seed": {"seeds": [(0, 1)]},
    "labeling": {"labelings": ["shifted"]},
    "no defense": {"defenses": ["none"]},
    "two defenses": {"defenses": ["dim+dim"]},
    "victim": {"victims": ["fixed"]},
    "recipe": {"victims": ["tiny:epochs=3"]},
    "victim's version": {"raised": (("tiny", 2),)},
    "labeling's version": {"raised": (("original", 2),)},
    "defense's version": {"raised": (("dim", 2),)},
    "mixture": {"mixtures": [0.5]},
}


@pytest.mark.parametrize("change", PROTECTOR.values(), ids=PROTECTOR)
def test_protector_side_enters_both_keys(change):
    assert release_key(last(**change)) != release_key(BASE)
    assert cell_key(last(**change)) != cell_key(BASE)


@pytest.mark.parametrize("change", EXPLOITER.values(), ids=EXPLOITER)
def test_exploiter_side_shares_the_release_key(change):
    assert release_key(last(**change)) == release_key(BASE)
    assert cell_key(last(**change)) != cell_key(BASE)


def test_keys_differ_for_every_change():
    keys = [cell_key(BASE), *(cell_key(last(**change)) for change in (PROTECTOR | EXPLOITER).values())]
    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize(
    "numerics", [Numerics("cpu", "bfloat16", 2), Numerics("cpu", "float32", 3), Numerics("cpu", "float32", 2, False)]
)
def test_numerics_enter_both_keys(numerics):
    assert release_key(BASE, numerics) != release_key(BASE)
    assert cell_key(BASE, numerics) != cell_key(BASE)
    assert cell_key(last(poisoners=["clean"]), numerics) != cell_key(last(poisoners=["clean"]))


def test_device_enters_no_key():
    assert release_key(BASE, replace(CPU, device="cuda:1")) == release_key(BASE)
    assert cell_key(BASE, replace(CPU, device="cuda:1")) == cell_key(BASE)


@pytest.mark.parametrize("data", [{"train": "other"}, {"test": "other"}, {"part": "other"}])
def test_data_enter_keys_by_fingerprint(data):
    assert cell_key(BASE, **data) != cell_key(BASE)


def test_dataset_enters_keys_only_by_fingerprint():
    assert cell_key(last(datasets=["ungated"], epsilons=[24.0])) == cell_key(BASE)


def test_craft_labels_enter_the_release_key():
    cells = {labels: last(poisoners=["badge"], surrogates=["eyes"], craft_labels=[labels]) for labels in
            ("original", "clusters:k=3", "clusters:k=4")}  # fmt: skip
    assert len({release_key(cell) for cell in cells.values()}) == 3
    eyes, fitted = (
        last(poisoners=["badge"], surrogates=[name], craft_labels=["clusters:k=3"]) for name in ("eyes", "fitted")
    )
    assert release_key(eyes) != release_key(fitted)


def test_labeling_enters_only_the_release_key_of_an_oracle():
    def keys(poisoner: str) -> set[str | None]:
        return {release_key(last(poisoners=[poisoner], labelings=[name])) for name in ("original", "shifted")}

    assert len(keys("badge")) == 1
    assert len(keys("positive")) == 2


def test_clean_cell_key_has_no_release_craft_seed_or_budget():
    clean = [
        expand(
            Request(
                ["spots"],
                ["stripes"],
                ["tiny"],
                ["original"],
                epsilons=[epsilon],
                mixtures=[mixture],
                seeds=[(seed, 7)],
            ),
            registry(),
        )[0]
        for epsilon, mixture, seed in ((8.0, 1.0, 0), (16.0, 0.5, 1))
    ]
    assert [release_key(cell) for cell in clean] == [None, None]
    assert cell_key(clean[0]) == cell_key(clean[1])


OPTIONS = st.fixed_dictionaries(
    {
        "period": st.integers(2, 9).map(str),
        "share": st.floats(0.01, 1.0, allow_nan=False).map(repr),
    }
)


@given(OPTIONS, st.permutations(["period", "share"]), st.sampled_from(["bars", "stripes", "stripes@standard"]))
@settings(max_examples=30)
def test_keys_ignore_spelling_and_order_of_options(options, order, name):
    def written(spelled: str, keys: list[str]) -> Cell:
        return last(poisoners=[f"{spelled}:" + ",".join(f"{key}={options[key]}" for key in keys)])

    assert cell_key(written(name, order)) == cell_key(written("stripes", ["period", "share"]))


@given(OPTIONS, OPTIONS)
@settings(max_examples=30)
def test_keys_are_equal_exactly_for_equal_parameters(one, other):
    def cell(options: dict[str, str]) -> Cell:
        return last(poisoners=["stripes:" + ",".join(f"{key}={value}" for key, value in options.items())])

    assert (release_key(cell(one)) == release_key(cell(other))) == (one == other)


def test_keys_equal_for_implicit_and_explicit_defaults():
    assert cell_key(last(poisoners=["stripes:period=4"])) == cell_key(last(poisoners=["stripes"]))
    assert cell_key(last(poisoners=["stripes:period=8"])) == cell_key(last(poisoners=["stripes@wide"]))
    assert cell_key(last(mixtures=[1])) == cell_key(last(mixtures=[1.0]))
    assert release_key(last(epsilons=[8])) == release_key(last(epsilons=[8.0]))


def test_labeling_model_enters_the_cell_key_and_craft_labels():
    requested = [
        last(labelings=["seen"]),
        last(labelings=["seen:model=others"]),
        last((("eyes", 2),), labelings=["seen"]),
    ]
    assert len({cell_key(cell) for cell in requested}) == 3
    oracles = [
        last(raised, labelings=[labeling], poisoners=["positive"], defenses=["none"])
        for raised, labeling in (((), "seen"), ((), "seen:model=others"), ((("eyes", 2),), "seen"))
    ]
    assert len({release_key(cell) for cell in oracles}) == 3


def test_raised_version_of_shuffled_changes_the_key_of_its_release():
    cell = last(poisoners=["shuffled:leaner"])
    poisoner = cell.craft.poisoner
    versions = [
        replace(
            cell, craft=replace(cell.craft, poisoner=replace(poisoner, spec=replace(poisoner.spec, version=version)))
        )
        for version in (1, 2, 3)
    ]
    assert len({release_key(each) for each in versions}) == 3
    assert release_key(versions[0]) == release_key(cell)
