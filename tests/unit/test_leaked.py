"""What defenses see beyond the release: the trusted images, and what the same craft makes of them."""

from __future__ import annotations

import numpy as np
import pytest
import tiny_components as tiny

from ucbench import UsageError
from ucbench.data.selection import set_aside
from ucbench.exploit.defend import pipeline_of, prepare
from ucbench.matrix.compatibility import is_unrankable
from ucbench.matrix.matrix import Request, expand
from ucbench.running.runner import run_cells
from ucbench.running.sets import exploiter_sets, leaked_pairs, release_of
from ucbench.testing import make_run, sample_images

pytestmark = pytest.mark.usefixtures("tiny_log")


def cells(registry, *poisoners: str, **changes):
    defaults = {"datasets": ["spots"], "victims": ["tiny"], "labelings": ["original"], "trusted": [9]}
    return expand(Request(**{**defaults, **changes, "poisoners": list(poisoners)}), registry)


@pytest.fixture
def pairs_of(tmp_path):
    def pairs(poisoner: str, **changes):
        registry = tiny.registry()
        session = tiny.session(tmp_path, registry)
        cell = next(c for c in cells(registry, poisoner, **changes) if str(c.craft.poisoner) == poisoner)
        release = release_of(cell, session)
        return leaked_pairs(cell, release, exploiter_sets(cell, release, session), session), release

    return pairs


def test_leaked_pairs_differ_by_the_perturbation_of_their_class(pairs_of):
    (before, after), release = pairs_of("badge")
    assert len(before) == 9
    changes = after.images.astype(int) - before.images
    expected = np.clip(before.images + release.changes[before.known_labels], 0, 255) - before.images
    assert changes.any()
    np.testing.assert_array_equal(changes, expected)


def test_leaked_pairs_of_sham_have_noise_within_its_budget(pairs_of):
    (before, after), _ = pairs_of("sham", epsilons=[8.0])
    changes = np.abs(after.images.astype(int) - before.images)
    assert 0 < changes.max() <= 8
    assert (changes.max((1, 2, 3)) > 0).all()


def test_leaked_pairs_of_the_clean_reference_are_equal(pairs_of):
    (before, after), _ = pairs_of("clean")
    np.testing.assert_array_equal(before.images, after.images)


def test_leaked_pairs_of_sham_have_noise_that_the_release_lacks(pairs_of):
    (before, after), release = pairs_of("sham", epsilons=[8.0])
    # Values that are clipped differ between images, so noise is compared where images are not bright or dark.
    middle = (before.images[:, None] >= 8) & (before.images[:, None] <= 247)
    changes = after.images.astype(int) - before.images
    same = ((changes[:, None] == release.changes) | ~middle).all((2, 3, 4))
    assert not same.any()


def test_leaked_pairs_of_shuffled_have_changes_of_the_release_drawn_by_the_craft_seed(tmp_path):
    registry = tiny.registry()
    session = tiny.session(tmp_path, registry)
    one, other = (
        cell
        for cell in cells(registry, "shuffled:badge", seeds=[(0, 0), (1, 0)])
        if str(cell.craft.poisoner) == "shuffled:badge"
    )
    release = release_of(one, session)

    def assigned(cell) -> list[int]:
        before, after = leaked_pairs(cell, release, exploiter_sets(cell, release, session), session)
        assert before.images.min() >= cell.craft.budget.epsilon  # so that nothing is clipped
        assert before.images.max() <= 255 - cell.craft.budget.epsilon
        changes = after.images.astype(int) - before.images
        image, change = (changes[:, None] == release.changes).all((2, 3, 4)).nonzero()
        assert image.tolist() == list(range(9))
        return change.tolist()

    drawn = assigned(one)
    assert len(set(drawn)) > 1
    assert drawn != session.data(one).trusted.known_labels.tolist()
    assert assigned(one) == drawn
    assert assigned(other) != drawn


def test_leaked_pairs_are_refused_for_a_poisoner_that_has_none(pairs_of):
    with pytest.raises(UsageError, match="but poisoner blots has none for these"):
        pairs_of("blots")


@pytest.mark.parametrize(
    ("poisoner", "changes", "cause"),
    [
        ("stripes", {}, "poisoner stripes perturbs only those that it was crafted on"),
        ("shuffled:stripes", {}, "poisoner stripes perturbs only those that it was crafted on"),
        ("badge", {"craft_labels": ["clusters:k=3"], "surrogates": ["eyes"]}, "craft labels clusters:k=3.* lack them"),
    ],
)
def test_run_without_leaked_pairs_is_refused_before_the_craft(tmp_path, poisoner, changes, cause):
    registry = tiny.registry()
    with pytest.raises(UsageError, match=cause):
        run_cells(cells(registry, poisoner, defenses=["fog+undo"], **changes), tiny.session(tmp_path, registry))
    assert not any(work.startswith("craft") for work in tiny.work_done())


@pytest.mark.parametrize("chain", ["outsider+trustee+undo", "undo+trustee+outsider"])
def test_every_part_of_a_chain_reads_only_what_its_own_spec_declares(tmp_path, chain):
    registry = tiny.registry()
    records = run_cells(cells(registry, "badge", defenses=[chain]), tiny.session(tmp_path, registry))
    assert {record["status"] for record in records} == {"ok"}, records[0].get("error")
    notes = records[-1]["notes"]
    assert notes["Outsider"] == {}
    assert set(notes["Trustee"]) == {"trusted"}
    assert notes["pairs"] == 9


def test_trusted_images_of_a_defense_are_those_set_aside(tmp_path):
    registry = tiny.registry()
    session = tiny.session(tmp_path, registry)
    (*_, cell) = requested = cells(registry, "badge", defenses=["trustee"])
    read = run_cells(requested, session)[-1]["notes"]["Trustee"]["trusted"]
    rest, aside = set_aside(session.dataset(cell.dataset).train, 9)
    assert read == aside.fingerprint
    released = {image.tobytes() for image in rest.images}
    assert not any(image.tobytes() in released for image in aside.images)


def test_release_is_prepared_again_for_other_trusted_images_or_other_pairs(tmp_path):
    registry = tiny.registry()
    session = tiny.session(tmp_path, registry)
    chain = [registry.resolve("defense", name) for name in ("undo", "trustee")]
    published, one, other = (sample_images(6, (8, 8), seed=seed) for seed in range(3))

    def computed(trusted, after) -> int:
        prepare(chain, pipeline_of(chain), published, published, 0, session, trusted, (one, after))
        return tiny.work_done()["prepare undo"]

    assert [computed(one, one), computed(one, one), computed(other, one), computed(one, other)] == [1, 1, 2, 3]


def test_prepared_set_of_a_leak_is_made_again_for_other_pairs(tmp_path):
    registry = tiny.registry()
    session = tiny.session(tmp_path, registry)
    records = run_cells(cells(registry, "badge", defenses=["undo"], trusted=[6, 9]), session)
    notes = [record["notes"]["pairs"] for record in records if record["request"]["poisoner"] == "badge"]
    assert notes == [6, 9]


def test_defense_with_leak_needs_trusted_images_and_is_never_ranked():
    registry = tiny.registry()
    assert is_unrankable("fog+undo", registry)
    assert not is_unrankable("fog", registry)
    with pytest.raises(UsageError, match="add --trusted N"):
        cells(registry, "badge", defenses=["undo"], trusted=[0])


@pytest.mark.parametrize("member", ["clean", "trusted", "leaked"])
def test_run_without_access_refuses_to_give_it(member):
    with pytest.raises(UsageError, match=f"may read run.{member}"):
        getattr(make_run(stage="prepare"), member)
