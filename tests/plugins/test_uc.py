"""Unlearnable Clusters: the whole craft on a small random surrogate."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch

from ucbench.crafting.poisoner import Perturbation
from ucbench.data.budget import Budget
from ucbench.data.imageset import ImageSet
from ucbench.errors import UsageError
from ucbench.testing import TinySurrogate, make_run, sample_images
from ucbench.training.context import Run
from ucbench_uc import fitting
from ucbench_uc.objective import cluster_means, discrepancy
from ucbench_uc.params import UCParams
from ucbench_uc.perturbations import Perturbations
from ucbench_uc.poisoner import UnlearnableClusters
from ucbench_uc.saved import Saved
from ucbench_uc.views import Views

OPTIMISED = [
    *({"squash": name} for name in ("tanh", "clamp", "straight-through")),
    {"perturbation": "direct"},
    {"perturbation": "direct", "coarser": 4},
]


def params(**options: object) -> UCParams:
    """Few steps of a small generator against the surrogate itself."""
    small = {"clusters": 3, "steps": 3, "batch": 8, "width": 4, "residual_blocks": 1}
    return UCParams(**{**small, "students": 0, "perturbation": "generator", **options})


def craft(
    options: UCParams, train: ImageSet, seed: int = 0, surrogate: TinySurrogate | None = None
) -> tuple[Perturbation, Run]:
    run = make_run(seed, budget=Budget("linf", 16), surrogate=surrogate or TinySurrogate())
    return UnlearnableClusters(options).craft(train.with_labels(None), run), run


def features(images: np.ndarray) -> torch.Tensor:
    with torch.no_grad():
        return TinySurrogate().features(torch.from_numpy(images).float())


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("optimised", OPTIMISED)
@pytest.mark.parametrize("augment", ["none", "images", "perturbed"])
def test_uc_crafts_one_perturbation_per_cluster_within_the_budget(together, optimised, augment):
    train = sample_images(17, (9, 14))
    made, run = craft(params(together=together, augment=augment, batch=4, **optimised), train)
    assert (made.delta.shape, made.delta.dtype) == ((3, 3, 9, 14), np.float32)
    assert np.abs(made.delta).max() <= 16 / 255 + 1e-6
    assert (np.abs(made.delta).reshape(3, -1).max(1) > 0).all()
    assert np.unique(made.index).tolist() == [0, 1, 2]
    assert run.notes["cluster_sizes"] == np.bincount(made.index).tolist()
    assert set(made.state) == {"centres", "goals", "targets"}


@pytest.mark.parametrize("fit_on", ["cluster", "all"])
@pytest.mark.parametrize("batch", [1, 5, 64])
def test_uc_crafts_with_any_batch_size(fit_on, batch):
    made, _ = craft(params(fit_on=fit_on, batch=batch), sample_images(17, (7, 8)))
    assert np.isfinite(made.delta).all()


@pytest.mark.parametrize("perturbation", ["generator", "direct"])
@pytest.mark.parametrize(("coarseness", "blocks"), [(1, (9, 14)), (4, (3, 4)), (5, (2, 3)), (20, (1, 1))])
def test_uc_perturbations_are_constant_in_blocks(coarseness, blocks, perturbation):
    made, _ = craft(params(coarseness=coarseness, perturbation=perturbation), sample_images(17, (9, 14)))
    corners = made.delta[..., ::coarseness, ::coarseness]
    assert corners.shape[2:] == blocks
    spread = corners.repeat(coarseness, 2).repeat(coarseness, 3)[..., :9, :14]
    np.testing.assert_array_equal(made.delta, spread)


def test_uc_depends_only_on_the_craft_seed():
    train = sample_images(17)
    first, _ = craft(params(), train)
    torch.manual_seed(5)
    again, _ = craft(params(), train)
    other, _ = craft(params(), train, seed=1)
    np.testing.assert_array_equal(first.delta, again.delta)
    np.testing.assert_array_equal(first.index, again.index)
    assert (first.delta != other.delta).any()


def test_uc_is_independent_of_labels():
    train = sample_images(17)
    blind, _ = craft(params(), train)
    for labels in (train.known_labels, train.known_labels[::-1].copy()):
        run = make_run(budget=Budget("linf", 16), surrogate=TinySurrogate())
        labelled = UnlearnableClusters(params()).craft(train.with_labels(labels, train.classes), run)
        np.testing.assert_array_equal(labelled.delta, blind.delta)
        np.testing.assert_array_equal(labelled.index, blind.index)


@pytest.mark.parametrize("distance", ["centres", "kl", "mse", "cosine"])
@pytest.mark.parametrize("direct", [False, True])
def test_uc_moves_images_towards_the_target_centre(distance, direct):
    train = sample_images(60, (16, 16))
    options = {"perturbation": "direct"} if direct else {"lr": 5e-3, "width": 8}
    made, run = craft(params(distance=distance, steps=60, **options), train)
    pixels = train.images.astype(np.float32) / 255
    centres, goal = torch.from_numpy(made.state["goals"]), torch.from_numpy(made.state["targets"])[made.index]
    reached = discrepancy(distance, centres, 0.1)
    before, after = (
        float(reached(features(images), goal).mean())
        for images in (pixels, np.clip(pixels + made.delta[made.index], 0, 1))
    )
    assert after < 0.8 * before
    assert run.notes["loss"]["last"] < run.notes["loss"]["first"]


def test_uc_steps_know_the_share_of_the_craft_that_is_done(monkeypatch):
    """It decides their learning rate."""
    done, step = [], Perturbations.step
    monkeypatch.setattr(Perturbations, "step", lambda self, loss, share: done.append(share) or step(self, loss, share))
    craft(params(steps=4), sample_images(17))
    assert done == [0, 0.25, 0.5, 0.75]


def test_uc_notes_first_and_last_loss_of_a_single_step():
    _, run = craft(params(steps=1), sample_images(17))
    assert run.notes["loss"]["first"] == run.notes["loss"]["last"] > 0


def test_uc_assign_returns_clusters_of_training_images():
    train = sample_images(300, (8, 8))
    made, run = craft(params(clusters=7, steps=1), train)
    component = UnlearnableClusters(params(clusters=7))
    np.testing.assert_array_equal(component.assign(train, None, made.state, run), made.index)


@pytest.mark.parametrize("fit_on", ["cluster", "all"])
def test_uc_generator_is_fitted_on_its_cluster_or_on_all_images(fit_on, monkeypatch):
    pools = []
    plain = fitting.Cycle
    monkeypatch.setattr(fitting, "Cycle", lambda pool, *rest, **kw: pools.append(pool) or plain(pool, *rest, **kw))
    made, _ = craft(params(fit_on=fit_on, holdout=0), sample_images(17))
    expected = [np.flatnonzero(made.index == k) if fit_on == "cluster" else np.arange(17) for k in range(3)]
    assert [pool.tolist() for pool in pools] == [pool.tolist() for pool in expected]


@pytest.mark.parametrize("fit_on", ["cluster", "all"])
def test_uc_epochs_are_passes_over_the_fitted_images(fit_on):
    class Counting(TinySurrogate):
        steps = 0

        def features(self, x):
            self.steps += torch.is_grad_enabled()
            return super().features(x)

    surrogate = Counting()
    made, _ = craft(
        params(epochs=2, batch=4, together=False, fit_on=fit_on, holdout=0), sample_images(17), 0, surrogate
    )
    sizes = np.bincount(made.index) if fit_on == "cluster" else [17] * 3
    assert surrogate.steps == sum(2 * math.ceil(size / 4) for size in sizes)


def test_uc_refuses_fewer_different_images_than_clusters():
    with pytest.raises(UsageError, match="3 clusters need at least 3 images"):
        craft(params(), sample_images(2))
    twins = sample_images(2).subset(np.arange(12) % 2)
    with pytest.warns(UserWarning, match="distinct clusters"), pytest.raises(UsageError, match="only 2 images"):
        craft(params(), twins)


def test_uc_stored_centres_are_mean_features_of_the_images_as_stored():
    train = sample_images(30, (16, 16))
    made, _ = craft(params(centres="stored", steps=1), train)
    expected = cluster_means(features(train.images / 255), made.index)
    torch.testing.assert_close(torch.from_numpy(made.state["goals"]), expected, rtol=1e-4, atol=1e-6)


def test_uc_augmented_centres_are_mean_features_under_the_crafts_crops_and_flips():
    """Mirrored, an image that is white on the left is white on the right."""
    train = sample_images(60, (16, 16))
    train = train.with_images(train.images // 8 + 220 * (np.arange(16) < 8).astype(np.uint8))
    made, _ = craft(params(centres="augmented", augment="images", steps=1), train)
    stored, _ = craft(params(centres="stored", augment="images", steps=1), train)
    np.testing.assert_array_equal(made.index, stored.index)
    np.testing.assert_array_equal(made.state["centres"], stored.state["centres"])
    x, generator = torch.from_numpy(train.images.copy()).float() / 255, torch.Generator().manual_seed(3)
    views = Views("images", "resize", flip=True)
    drawn = torch.stack([TinySurrogate().features(views.drawn(x, generator)) for _ in range(100)]).mean(0).detach()
    expected = cluster_means(drawn, made.index).numpy()
    error, offset = (np.linalg.norm(one.state["goals"] - expected) for one in (made, stored))
    assert error < 0.3 * offset


def test_uc_centres_are_the_same_where_nothing_is_augmented():
    crafts = [craft(params(centres=name, augment="none"), sample_images(17)) for name in ("stored", "augmented")]
    np.testing.assert_array_equal(crafts[0][0].state["goals"], crafts[1][0].state["goals"])
    np.testing.assert_array_equal(crafts[0][0].delta, crafts[1][0].delta)


@pytest.mark.parametrize("group", [[0, 1, 2], [2], [1, 0]])
def test_loss_weights_clusters_equally_and_uses_their_targets(group):
    """However many images of it are in the batch: three, then one, then two."""
    train, surrogate = sample_images(17, (8, 8)), TinySurrogate()
    run = make_run(budget=Budget("linf", 16), surrogate=surrogate)
    goals, targets = torch.randn(3, 64, generator=torch.Generator().manual_seed(0)), torch.tensor([2, 0, 1])
    distance, views = discrepancy("mse", goals, 1.0), Views("none", "resize", flip=True)
    saved = Saved(run, np.zeros(17, np.int64))
    fitter = fitting.Fitter(params(), train, [], surrogate.features, distance, targets, views, run, saved)
    delta = torch.rand((len(group), 3, 8, 8)) - 0.5
    indices = [np.array([4, 5, 6]), np.array([0]), np.array([9, 3])][: len(group)]
    expected = 0.0
    for k, shift, chosen in zip(group, delta, indices, strict=True):
        seen = surrogate.features((torch.from_numpy(train.images[chosen]) / 255 + shift).clamp(0, 1))
        goal = targets[k].expand(len(chosen))
        expected += float(distance(seen, goal).mean())
    assert float(fitter.loss(delta, indices, group, torch.Generator())) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("shuffle", [True, False])
def test_cycle_passes_hold_every_image_once(shuffle):
    pool, generator = np.arange(100, 111), torch.Generator().manual_seed(0)
    batches = list(itertools.islice(fitting.Cycle(pool, 4, generator, shuffle=shuffle), 6))
    assert [len(batch) for batch in batches] == [4, 4, 3, 4, 4, 3]
    passes = [np.concatenate(batches[:3]).tolist(), np.concatenate(batches[3:]).tolist()]
    assert [sorted(order) for order in passes] == [pool.tolist()] * 2
    assert (passes[0] == pool.tolist()) is (not shuffle)
    assert (passes[0] == passes[1]) is (not shuffle)
