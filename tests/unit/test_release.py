"""Releases: what is published is the source plus changes within the budget, whatever a component returns."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ucbench.crafting.poisoner import Perturbation
from ucbench.crafting.release import Release, make_release, materialise
from ucbench.data.budget import Budget
from ucbench.data.distortion import measure
from ucbench.data.imageset import ImageSet
from ucbench.errors import ContractError
from ucbench.store.store import Store

LINF = Budget("linf", 8)


def image_set(count: int = 6, height: int = 5, width: int = 4, seed: int = 0) -> ImageSet:
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (count, 3, height, width), dtype=np.uint8)
    return ImageSet(images, np.arange(count, dtype=np.int64) % 2, ("a", "b"), name="noise")


def noise(count: int = 6, scale: float = 8 / 255, seed: int = 1) -> np.ndarray:
    values = np.random.default_rng(seed).uniform(-scale, scale, (count, 3, 5, 4))
    return values.astype(np.float32)


def test_perturbation_in_levels_is_recognised() -> None:
    with pytest.raises(ContractError, match=r"The largest is 8, .* divide levels by 255"):
        make_release(Perturbation(np.full((6, 3, 5, 4), 8, np.float32)), image_set(), LINF)


@given(
    st.integers(1, 7),
    st.integers(1, 5),
    st.integers(0, 1000),
    st.sampled_from([LINF, Budget("l2", 0.5), Budget("l0", 3), Budget("unbounded", None)]),
)
@settings(max_examples=60)
def test_materialize_adds_the_indexed_changes_within_the_budget(
    images: int, shared: int, seed: int, budget: Budget
) -> None:
    source = image_set(images, seed=seed)
    index = np.random.default_rng(seed).integers(0, shared, images)
    perturbation = Perturbation(noise(shared, 0.3, seed), index)
    release = make_release(perturbation, source, budget, declares_projection=True)
    published = materialise(source.images, release.changes, release.index)
    for i in range(images):
        expected = np.clip(source.images[i].astype(int) + release.changes[index[i]], 0, 255)
        np.testing.assert_array_equal(published[i], expected)
    assert published.dtype == np.uint8
    assert release.meta["measured"] == measure(source.images, published)
    if budget.epsilon is not None:
        assert release.meta["measured"][f"{budget.norm}_max"] <= budget.epsilon


def test_materialize_pairs_images_and_changes_without_an_index() -> None:
    release = make_release(Perturbation(noise()), image_set(), LINF)
    assert release.index.dtype == np.int64
    assert release.index.tolist() == list(range(6))


def test_materialize_modifies_neither_source_nor_perturbation() -> None:
    source, delta = image_set(), noise(scale=1.0)
    before = source.images.copy(), delta.copy()
    make_release(Perturbation(delta), source, LINF, declares_projection=True)
    np.testing.assert_array_equal(source.images, before[0])
    np.testing.assert_array_equal(delta, before[1])


@given(st.integers(0, 9), st.integers(1, 400))
def test_materialize_is_independent_of_the_block_size(count: int, block_values: int) -> None:
    source = image_set(count).images
    changes = np.random.default_rng(0).integers(-255, 256, (3, 3, 5, 4)).astype(np.int16)
    index = np.arange(count, dtype=np.int64) % 3
    np.testing.assert_array_equal(
        materialise(source, changes, index, block_values), materialise(source, changes, index)
    )


def test_materialize_needs_little_memory_beyond_its_result() -> None:
    images = np.zeros((400, 3, 32, 32), np.uint8)
    changes = np.zeros((400, 3, 32, 32), np.int16)
    tracemalloc.start()
    materialise(images, changes, np.arange(400), block_values=8 * 3072)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < images.nbytes + 8 * 3072 * 16


def test_release_records_shares_of_moved_and_clipped_values() -> None:
    source = ImageSet(np.full((2, 3, 5, 4), 250, np.uint8), None, name="bright")
    delta = np.full((2, 3, 5, 4), 5 / 255, np.float32)
    delta[0, 0, 0, :3] = 6 / 255
    delta[1, 0, 0, 0] = 9 / 255
    release = make_release(Perturbation(delta), source, LINF)
    assert release.meta["clipped_share"] == 4 / 120
    assert release.meta["moved_share"] == 1 / 120
    assert release.meta["budget"] == {"norm": "linf", "epsilon": 8.0}


def test_release_raises_on_an_undeclared_excess_of_the_budget() -> None:
    delta = noise(scale=1 / 255)
    delta.reshape(-1)[:4] = 0.5
    with pytest.raises(ContractError, match=r"linf 8.*1\.1%"):
        make_release(Perturbation(delta), image_set(), LINF)
    declared = make_release(Perturbation(delta), image_set(), LINF, declares_projection=True)
    assert np.abs(declared.changes).max() == 8
    delta.reshape(-1)[3] = 0
    assert make_release(Perturbation(delta), image_set(), LINF).meta["moved_share"] == 3 / 360


class Tensor:
    """Something that is shaped like an array and is none."""

    shape = (6, 3, 5, 4)


INT = np.int64


@pytest.mark.parametrize(
    ("perturbation", "text"),
    [
        (noise(), r"must return a ucbench\.Perturbation, got numpy\.ndarray"),
        (None, r"must return a ucbench\.Perturbation, got builtins\.NoneType"),
        (Perturbation(Tensor()), r"delta must be a NumPy array.*\.Tensor"),
        (Perturbation(noise().astype(np.float64)), r"delta must be float32.*got float64"),
        (Perturbation(noise()[:, :, :, :3]), r"delta must be float32 \[M, 3, 5, 4\].*\[6, 3, 5, 3\]"),
        (Perturbation(noise()[:, :1]), r"got shape \[6, 1, 5, 4\]"),
        (Perturbation(noise()[0]), r"got shape \[3, 5, 4\]"),
        (Perturbation(noise()[:0], np.zeros(6, INT)), "M at least 1"),
        (Perturbation(noise()[:5]), "holds 5 perturbations for 6 images"),
        (Perturbation(noise(), np.zeros(6, np.int32)), r"index must be int64 \[6\], got int32"),
        (Perturbation(noise(), [0] * 6), r"index must be a NumPy array.*builtins\.list"),
        (Perturbation(noise(), np.zeros(5, INT)), r"int64 \[6\].*got \[5\]"),
        (Perturbation(noise(), np.zeros((6, 1), INT)), r"int64 \[6\].*got \[6, 1\]"),
        (Perturbation(noise(), np.array([0, 1, 6, 0, 0, 0])), r"index\[2\] is 6, but the 6 perturbations"),
        (Perturbation(noise(), np.array([0, 1, 0, -1, 0, 0])), r"index\[3\] is -1"),
        (Perturbation(np.full((6, 3, 5, 4), np.nan, np.float32)), r"nan at delta\[0, 0, 0, 0\]"),
        (Perturbation(noise(), None, {"centers": [1.0]}), r"state\['centers'\] must be a NumPy array"),
    ],
)
def test_release_error_names_the_broken_rule_of_a_perturbation(perturbation: Perturbation, text: str) -> None:
    with pytest.raises(ContractError, match=text):
        make_release(perturbation, image_set(), LINF)


@pytest.mark.parametrize(
    ("changes", "index", "text"),
    [
        (np.zeros((6, 3, 1, 1), np.int16), np.arange(6), "do not fit images"),
        (np.zeros((6, 3, 5, 4), np.int16), np.arange(7) % 6, r"got \[7\]"),
        (np.zeros((2, 3, 5, 4), np.int16), np.arange(6), r"index\[2\] is 2"),
    ],
)
def test_release_raises_on_changes_made_for_other_images(changes: np.ndarray, index: np.ndarray, text: str) -> None:
    """Broadcasting and long indices would otherwise pass without a word."""
    with pytest.raises(ContractError, match=text):
        materialise(image_set().images, changes, index)


def test_release_round_trips_through_the_store(tmp_path: Path) -> None:
    state = {"changes": np.eye(2), "state.index": np.zeros(3, bool)}
    release = make_release(Perturbation(noise(2), np.array([0, 1, 1, 0, 1, 0]), state), image_set(), LINF)
    stored = Store(tmp_path).put("release", "00ff", release.to_arrays(), release.meta)
    again = Release.from_arrays(stored.arrays, stored.meta)
    np.testing.assert_array_equal(again.changes, release.changes)
    np.testing.assert_array_equal(again.index, release.index)
    assert again.state.keys() == state.keys()
    for name, array in state.items():
        np.testing.assert_array_equal(again.state[name], array)
    assert again.meta == release.meta
    source = image_set().images
    np.testing.assert_array_equal(
        materialise(source, again.changes, again.index), materialise(source, release.changes, release.index)
    )


@pytest.mark.parametrize(
    "wrong",
    [
        {"changes": None},
        {"index": None},
        {"changes": np.zeros((6, 3, 5, 4), np.float32)},
        {"changes": np.zeros((6, 60), np.int16)},
        {"index": np.zeros(6, np.int32)},
    ],
)
def test_release_from_arrays_refuses_what_no_release_stores(wrong: dict[str, np.ndarray | None]) -> None:
    release = make_release(Perturbation(noise()), image_set(), LINF)
    arrays = {name: array for name, array in (release.to_arrays() | wrong).items() if array is not None}
    with pytest.raises(ContractError, match=f"A stored release needs an array '{next(iter(wrong))}'"):
        Release.from_arrays(arrays, release.meta)
