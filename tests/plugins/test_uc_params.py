"""Unlearnable Clusters: presets, the keys of published records, and what follows from the image size."""

from __future__ import annotations

import pytest

from ucbench.errors import UsageError
from ucbench.plugins.registry import installed
from ucbench.store.keys import key
from ucbench_uc import ucbench_poisoners
from ucbench_uc.params import UCParams

#: methods.md, section 1.1, and its reading of paper against released code.
PUBLISHED = {
    "clusters": 10,
    "epochs": 50,
    "batch": 256,
    "lr": 1e-4,
    "final_lr": 1e-6,
    "weight_decay": 5e-4,
    "squash": "clamp",
    "coarseness": 1,
    "distance": "kl",
    "temperature": 1.0,
    "derangement": "shift",
    "augment": "images",
    "crop": "resize",
    "centres": "stored",
    "space": "raw",
    "perturbation": "generator",
    "holdout": 0.0,
    "width": 64,
    "residual_blocks": 6,
    "together": False,
}


@pytest.mark.parametrize("preset", ["paper", "released"])
def test_presets_equal_published_values(preset):
    params = installed().resolve("poisoner", f"uc@{preset}").params
    resolved = params.model_dump()
    assert {name: resolved[name] for name in PUBLISHED} == PUBLISHED
    assert params.student_count((224, 224)) == 0


def test_preset_released_fits_on_all_images_in_order():
    paper, released = (installed().resolve("poisoner", f"uc@{name}").params for name in ("paper", "released"))
    assert (paper.fit_on, released.fit_on) == ("cluster", "all")
    assert (paper.shuffle, released.shuffle) == (True, False)


def test_preset_quick_is_shorter_than_standard():
    quick, standard = (installed().resolve("poisoner", name).params for name in ("uc@quick", "uc"))
    assert quick.steps < standard.steps


def test_preset_photos_is_standard_with_crops_of_other_scales():
    photos, standard = (installed().resolve("poisoner", name).params.model_dump() for name in ("uc@photos", "uc"))
    assert {name for name in photos if photos[name] != standard[name]} == {"crop"}
    assert photos["crop"] == "scales"


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ("uc", "297a78355b25ed41c72daf45a397a2f5"),
        ("uc@quick", "3a8cff8ed8465a07c45e29182f7f435c"),
        ("uc@paper", "098e0c47c09572fd5667ea3f74f3a531"),
        ("uc@released", "6db76a4d06690c05e62a20a9b0fd1ac9"),
    ],
)
def test_presets_keep_the_keys_of_published_records(reference, expected):
    assert key("poisoner", installed().resolve("poisoner", reference).identity()) == expected


@pytest.mark.parametrize(("name", "value"), [("jpeg", 75), ("coarser", 8)])
def test_later_parameter_enters_the_key_only_where_it_is_used(name, value):
    plain, named, used = (UCParams(**options).identity() for options in ({}, {name: None}, {name: value}))
    assert plain == named != used


def test_coarser_is_refused_for_a_generator():
    with pytest.raises(UsageError, match="coarser needs perturbation=direct"):
        installed().resolve("poisoner", "uc:coarser=8,perturbation=generator")


def test_spec_states_access_granularity_and_budget_of_the_paper():
    (record,) = ucbench_poisoners()
    assert (record.label_access, record.granularity, record.budget) == ("none", "cluster", "linf")
    assert record.native_epsilon == 16
    assert not record.projects
    assert "2301.01217" in record.paper


@pytest.mark.parametrize(("size", "students", "clusters"), [((8, 8), 0, 10), ((32, 32), 3, 20)])
def test_numbers_of_students_and_clusters_follow_the_image_size(size, students, clusters):
    params = installed().resolve("poisoner", "uc").params
    assert (params.student_count(size), params.cluster_count(size)) == (students, clusters)


@pytest.mark.parametrize(
    ("side", "decided"),
    [(8, (4, "none")), (15, (4, "none")), (16, (1, "perturbed")), (63, (1, "perturbed")), (64, (8, "perturbed"))],
)
def test_params_follow_the_image_size_unless_given(side, decided):
    open_, named = UCParams(), UCParams(coarseness=2, augment="images")
    assert (open_.block_side((8, side)), open_.augmentation((8, side))) == decided
    assert (named.block_side((8, side)), named.augmentation((8, side))) == (2, "images")
