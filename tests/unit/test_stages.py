"""What cells share: the protector's part, the labels it is crafted for, its surrogate, its release."""

from __future__ import annotations

import gc
import io
import weakref
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import tiny_components as tiny
import torch
from image_files import write_images
from tiny_exploiter import Dim
from tiny_runs import cell, in_bfloat16

from ucbench.crafting.craft import craft_release, perturb_unseen
from ucbench.crafting.poisoner import Perturbation
from ucbench.crafting.surrogate import open_pretrained, open_surrogate
from ucbench.data.budget import sizes
from ucbench.errors import UsageError
from ucbench.exploit.defend import prepare
from ucbench.matrix.cell import Cell
from ucbench.matrix.matrix import Request, expand
from ucbench.plugins.params import Params
from ucbench.plugins.registry import installed
from ucbench.plugins.specs import DatasetSpec
from ucbench.progress import Lines
from ucbench.running.sets import crafted, labelled, published_of, release_of
from ucbench.running.tasks import task_of
from ucbench.session import Session
from ucbench.store.store import Store
from ucbench.training.defenses import DefensePipeline

pytestmark = pytest.mark.usefixtures("tiny_log")


@pytest.fixture
def session(tmp_path):
    return tiny.session(tmp_path / "store")


def published(chosen: Cell, session: Session) -> tuple[np.ndarray, np.ndarray]:
    """The source's pixels and the published ones, as wide integers."""
    images = published_of(chosen, release_of(chosen, session), session)
    return session.dataset(chosen.dataset).train.images.astype(int), images.images.astype(int)


@pytest.mark.parametrize("poisoner", ["stripes", "badge", "blots", "sham", "positive"])
def test_mixture_perturbs_only_its_part_within_the_budget(session, poisoner):
    chosen = cell(poisoner, mixtures=[0.25], epsilons=[6.0])
    before, after = published(chosen, session)
    part = session.protected(chosen).indices
    assert len(part) == 9
    untouched = np.setdiff1d(np.arange(36), part)
    np.testing.assert_array_equal(after[untouched], before[untouched])
    changes = (after - before)[part].astype(np.int16)
    budget = chosen.craft.budget
    assert sizes(changes, budget.norm).max() <= budget.epsilon
    assert (np.abs(changes).max((1, 2, 3)) > 0).all()


def test_mixture_parts_are_stratified_nested_and_shared_by_poisoners(session):
    def part(fraction: float, poisoner: str = "stripes", seed: int = 0) -> set[int]:
        return set(session.protected(cell(poisoner, mixtures=[fraction], seeds=[(seed, 0)])).indices.tolist())

    labels = session.dataset(cell().dataset).train.known_labels
    assert np.bincount(labels[list(part(0.5))]).tolist() == [6, 6, 6]
    assert part(0.25) < part(0.5) < part(1.0) == set(range(36))
    assert part(0.5, "badge") == part(0.5, "sham") == part(0.5)
    assert part(0.5, seed=1) != part(0.5)


def test_mixture_part_is_drawn_and_hashed_once_for_all_its_cells(session, monkeypatch):
    cells = [cell(poisoner, mixtures=[0.5]) for poisoner in ("stripes", "badge", "sham")]
    keys = [task_of(each, session).key for each in cells]
    for name in ("protected_part", "ImageSet.subset"):
        monkeypatch.setattr(f"ucbench.session.{name}", lambda *args: pytest.fail("drawn or copied again"))
    assert [task_of(each, session).key for each in cells] == keys
    with pytest.raises(pytest.fail.Exception, match="drawn or copied again"):
        task_of(cell(mixtures=[0.5], seeds=[(1, 0)]), session)


def test_craft_perturbs_each_image_of_the_whole_set(session):
    before, after = published(cell("badge", epsilons=[8.0]), session)
    changes = release_of(cell("badge", epsilons=[8.0]), session)
    np.testing.assert_array_equal(after, np.clip(before + changes.changes[changes.index], 0, 255))


def test_poisoner_receives_labels_of_its_part_or_clusters(session):
    def notes(**changes) -> dict:
        return release_of(cell("badge", **changes), session).meta["notes"]

    part = cell("badge", mixtures=[0.5])
    noted = notes(mixtures=[0.5])
    assert noted["labels"] == session.protected(part).images.known_labels.tolist()
    assert noted["classes"] == list(tiny.CLASSES)
    clusters = notes(craft_labels=["clusters:k=3"], surrogates=["eyes"])
    assert clusters["classes"] == ["cluster 0", "cluster 1", "cluster 2"]
    # Spots differ in one channel's mean, so that the clusters are the classes under other numbers.
    assert len(set(zip(clusters["labels"], np.arange(36) % 3, strict=True))) == 3
    assert clusters["homogeneity"] == pytest.approx(1.0)


def test_craft_labels_follow_the_named_model(session):
    def notes(text: str) -> dict:
        return release_of(cell("badge", craft_labels=[text], seeds=[(7, 7)]), session).meta["notes"]

    release = release_of(cell("badge", craft_labels=["clusters:k=3"], surrogates=["eyes"], seeds=[(7, 7)]), session)
    assert notes("clusters:k=3,model=eyes")["labels"] == release.meta["notes"]["labels"]
    predicted = notes("predicted:model=eyes")
    images = session.protected(cell("badge")).images.images
    # The eyes' scores are the channels' means; classes that nothing is taken for get no number.
    brightest = images.mean((2, 3)).argmax(1)
    numbers = {int(old): new for new, old in enumerate(np.unique(brightest))}
    assert predicted["labels"] == [numbers[int(old)] for old in brightest]
    assert predicted["classes"] == [f"predicted {old}" for old in numbers]


def test_shuffled_assigns_the_same_perturbations_to_other_images(session):
    base = release_of(cell("badge"), session)
    key, shuffled = crafted(cell("shuffled:badge"), session)
    np.testing.assert_array_equal(shuffled.changes, base.changes)
    assert sorted(shuffled.index) == sorted(base.index)
    assert (shuffled.index != base.index).any()
    assert tiny.work_done()["craft badge"] == 1
    assert crafted(cell("shuffled:badge", seeds=[(1, 0)]), session)[0] != key
    per_image = release_of(cell("shuffled:sham"), session)
    assert sorted(per_image.index) == list(range(36))


def test_transformed_unseen_images_are_rounded_to_the_nearest_level_and_clipped(session, monkeypatch):
    chosen, given = cell("badge"), []
    release, unseen = release_of(chosen, session), session.dataset(chosen.dataset).test

    def transform(self, x, index, state):
        given.extend(index.tolist())
        return x + torch.tensor([0.6, -0.6, 300])[:, None, None] / 255

    monkeypatch.setattr(tiny.protector.Badge, "transform", transform, raising=False)
    protected = session.protected(chosen).images
    made = perturb_unseen(chosen.craft, protected, release, unseen, unseen.known_labels, session)
    expected = unseen.images + np.array([1, -1, 300])[:, None, None]
    np.testing.assert_array_equal(made.images, expected.clip(0, 255))
    assert given == unseen.known_labels.tolist()


def test_notes_on_weights_of_all_models_reach_the_record(session, monkeypatch):
    monkeypatch.setattr(tiny.protector.OtherEyes, "note", "drawn at random", raising=False)
    attacked = release_of(cell("leaner", surrogates=["others"]), session).meta["notes"]
    assert attacked["surrogate_weights"] == "drawn at random"
    clustered = release_of(cell("badge", craft_labels=["clusters:k=3,model=others"]), session).meta["notes"]
    assert clustered["craft_labels_weights"] == "drawn at random"
    data = session.dataset(cell().dataset)
    chosen = cell(labelings=["seen:model=others"])
    _, _, run = labelled(chosen, data.train, data.train, data.test, session)
    assert run.notes["labeling_weights"] == "drawn at random"
    assert "surrogate_weights" not in release_of(cell("leaner", surrogates=["eyes"]), session).meta["notes"]


def test_surrogate_is_fitted_on_the_craft_labels(tmp_path, monkeypatch):
    seen = []

    def fit(self, train, run):
        seen.append(train.classes)
        return {"weights": np.ones(3, np.float32)}

    monkeypatch.setattr(tiny.protector.FittedEyes, "fit", fit)
    spec = replace(tiny.registry().find("poisoner", "badge"), surrogate="fitted")
    fresh = tiny.session(tmp_path / "store")
    for text in ("original", "clusters:k=3,model=eyes"):
        one = cell("badge", craft_labels=[text])
        named = tiny.registry().resolve("surrogate", "fitted")
        poisoner = replace(one.craft.poisoner, spec=spec)
        release_of(replace(one, craft=replace(one.craft, surrogate=named, poisoner=poisoner)), fresh)
    assert seen == [tiny.CLASSES, ("cluster 0", "cluster 1", "cluster 2")]


def test_oracle_receives_the_exploiter_labels(session):
    original, shifted = (release_of(cell("positive", labelings=[name]), session) for name in ("original", "shifted"))
    np.testing.assert_array_equal(shifted.index, (original.index + 1) % 3)


def test_surrogate_is_fitted_once_per_images_and_seed(tmp_path, session):
    for chosen in (session, tiny.session(tmp_path / "store")):
        release_of(cell("leaner", surrogates=["fitted"]), chosen)
        release_of(cell("leaner", surrogates=["fitted"], epsilons=[4.0]), chosen)
        release_of(cell("badge", surrogates=["fitted"], craft_labels=["clusters:k=3"]), chosen)
    assert tiny.work_done()["fit eyes"] == 1
    release_of(cell("leaner", surrogates=["fitted"], mixtures=[0.5]), session)
    release_of(cell("leaner", surrogates=["fitted"], seeds=[(1, 0)]), session)
    assert tiny.work_done()["fit eyes"] == 3


def test_surrogate_is_fitted_again_for_other_numerics(session):
    component, train = tiny.registry().resolve("surrogate", "fitted"), session.data(cell("clean")).train
    for chosen in (session, session, in_bfloat16(session)):
        open_surrogate(component, 0, train, chosen)
    assert tiny.work_done()["fit eyes"] == 2


def test_only_a_fitted_surrogate_is_opened_anew_for_other_images(session):
    """Photos come in blocks: a network for each would fill the memory."""
    train = session.data(cell("clean")).train
    images = [train.subset(np.arange(start, start + 12)) for start in (0, 12)]
    for name, count in (("eyes", 1), ("fitted", 2)):
        component = tiny.registry().resolve("surrogate", name)
        opened = [open_surrogate(component, 0, block, session) for block in images]
        assert len({id(surrogate) for surrogate in opened}) == count


def test_session_holds_one_pretrained_surrogate_for_all_seeds_and_the_last_fitted_one(session):
    train = session.data(cell("clean")).train
    pretrained, fitted = (tiny.registry().resolve("surrogate", name) for name in ("eyes", "fitted"))
    opened = {id(open_surrogate(pretrained, seed, train, session)) for seed in (0, 1)}
    assert opened == {id(open_pretrained(pretrained, "A test", session))}
    references = [weakref.ref(open_surrogate(fitted, seed, train, session)) for seed in (0, 1)]
    gc.collect()
    assert [reference() is None for reference in references] == [True, False]
    with pytest.raises(UsageError, match="A test uses fitted, which has to be trained first"):
        open_pretrained(fitted, "A test", session)


def test_surrogate_without_label_access_receives_no_labels(tmp_path, monkeypatch):
    seen = []
    fit = tiny.protector.FittedEyes.fit
    monkeypatch.setattr(
        tiny.protector.FittedEyes, "fit", lambda self, train, run: seen.append(train.labels) or fit(self, train, run)
    )
    plugin = tiny.Plugin()
    plugin.specs = [replace(r, label_access="none") if r.name == "fitted" else r for r in plugin.specs]
    chosen = expand(
        Request(["spots"], ["leaner"], ["tiny"], ["original"], surrogates=["fitted"]), tiny.registry(plugin=plugin)
    )[-1]
    release_of(chosen, tiny.session(tmp_path))
    assert seen == [None]


def test_stored_surrogate_gives_the_release_of_a_fresh_one(tmp_path):
    weak, strong = (cell("leaner", surrogates=["fitted"], epsilons=[epsilon]) for epsilon in (4.0, 8.0))
    fresh = release_of(strong, tiny.session(tmp_path / "one"))
    release_of(weak, tiny.session(tmp_path / "two"))
    restored = release_of(strong, tiny.session(tmp_path / "two"))
    assert tiny.work_done()["fit eyes"] == 2
    np.testing.assert_array_equal(restored.changes, fresh.changes)


def test_loading_notes_are_reported_once(tmp_path):
    stream = io.StringIO()
    session = Session(Store(tmp_path), tiny.CPU, Lines(stream))
    for _ in range(2):
        session.dataset(cell(datasets=["spots:train_per_class=5"]).dataset)
    line, *inventory = stream.getvalue().splitlines()
    assert len(inventory) == 2
    assert "15 training and 36 test images of 8x8 pixels, 3 classes" in line
    assert "5 training images a class" in line


def test_line_breaks_in_the_name_of_a_folder_begin_no_line(tmp_path):
    write_images(tmp_path / "train", **{"a\n  test: 9 images": [1, 2], "b": [3]})
    write_images(tmp_path / "test", b=[4])
    stream = io.StringIO()
    dataset = installed().resolve(DatasetSpec, f"imagefolder:'{tmp_path}'")
    Session(Store(tmp_path / "store"), tiny.CPU, Lines(stream)).dataset(dataset)
    assert r"  train: 3 images from train/ (a\n  test: 9 images: 2, b: 1)" in stream.getvalue().splitlines()


def test_mixture_too_small_for_one_image_raises(session):
    with pytest.raises(UsageError, match="protects no image"):
        session.protected(cell(mixtures=[0.001]))


def test_release_is_prepared_once_for_all_trainings(tmp_path, session):
    released = session.dataset(cell().dataset).train
    chain = DefensePipeline([("dim", Dim(Params()))])
    clean = released.with_images(~released.images)
    defense = cell(defenses=["dim"]).defense
    first, run = prepare(defense, chain, released, clean, 0, session)
    elsewhere = tiny.session(tmp_path / "store")
    # A component without access to clean images does not depend on them.
    again, noted = prepare(defense, chain, released, released, 0, elsewhere)
    assert tiny.work_done()["prepare dim"] == 1
    np.testing.assert_array_equal(first.images, released.images // 2 + 64)
    assert (again.fingerprint, noted.notes) == (first.fingerprint, run.notes)
    prepare(defense, chain, released.with_images(released.images ^ np.uint8(1)), clean, 0, session)
    prepare(defense, chain, released, clean, 1, session)
    assert tiny.work_done()["prepare dim"] == 3


def test_release_is_prepared_again_for_another_defense_other_numerics_and_an_oracles_clean_images(session):
    released = session.dataset(cell().dataset).train
    (dim,), (dusk,) = (cell(defenses=[name]).defense for name in ("dim", "dusk"))
    oracle = replace(dim, spec=replace(dim.spec, oracle=True))
    darker = released.with_images(released.images // 2)

    def prepared(part, clean=released, chosen=session) -> int:
        prepare((part,), DefensePipeline([("dim", Dim(Params()))]), released, clean, 0, chosen)
        return tiny.work_done()["prepare dim"]

    assert [prepared(dim), prepared(dim), prepared(dusk)] == [1, 1, 2]
    assert prepared(dim, chosen=in_bfloat16(session)) == 3
    assert [prepared(oracle), prepared(oracle, darker), prepared(oracle, darker)] == [4, 5, 5]


def test_defense_without_preparation_stores_nothing(tmp_path, session):
    released = session.dataset(cell().dataset).train
    assert prepare((), DefensePipeline(), released, released, 0, session)[0] is released
    assert not (tmp_path / "store" / "objects" / "prepared").exists()


def test_seconds_of_a_resumed_craft_are_those_of_all_its_parts(session, monkeypatch):
    chosen = cell("stripes")
    images = session.protected(chosen).images
    moments = [0.0]

    def craft(self, train, run):
        """Three steps of ten seconds; interrupted in the second one at first."""
        done, _ = run.checkpoint.load() or (0, {})
        for step in range(done + 1, 4):
            moments.append(moments[-1] + 10)
            if len(moments) == 3:
                raise KeyboardInterrupt
            run.checkpoint.save(step, {"delta": np.zeros(1)})
        return Perturbation(np.zeros(train.images.shape, np.float32))

    monkeypatch.setattr(tiny.protector.Stripes, "craft", craft)
    monkeypatch.setattr("ucbench.crafting.craft.time", SimpleNamespace(perf_counter=lambda: moments[-1]))

    def seconds() -> float:
        checkpoint = session.store.checkpoint("release", "0" * 64, every=0)
        return craft_release(chosen.craft, images, images, session, checkpoint).meta["seconds"]

    with pytest.raises(KeyboardInterrupt):
        seconds()
    assert seconds() == 30  # the first attempt at the second step is lost
