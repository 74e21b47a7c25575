"""TUE: the discriminant against loops, and what its two terms do to perturbations and to the contrastive network."""

from __future__ import annotations

import pytest
import torch
from resuming import check_resumes
from small_crafts import check_modes, check_streams, craft_run

from ucbench.crafting.bilevel import BiLevel
from ucbench.errors import UsageError
from ucbench.testing import sample_images
from ucbench.training.contrastive import ContrastiveViews, nt_xent
from ucbench.training.engine import DivergedError
from ucbench_tue.params import TUEParams
from ucbench_tue.poisoner import TransferableUnlearnable, _projected, discriminant

RADIUS = 8 / 255
SMALL = {"rounds": 3, "network_steps": 2, "batch": 7, "steps": 2, "lr": 0.05, "projection": 8}


pytestmark = pytest.mark.usefixtures("exact_arithmetic")


def crafted(run=None, train=None, **options):
    run = run or craft_run()
    poisoner = TransferableUnlearnable(TUEParams(**{**SMALL, **options}))
    return torch.from_numpy(poisoner.craft(train or sample_images(), run).delta), run


def test_discriminant_equals_loops_over_pairs_of_classes_and_moves_means_only():
    torch.manual_seed(0)
    delta, labels = torch.randn(9, 3, 2, 2, dtype=torch.float64), torch.tensor([0, 4, 2, 2, 0, 4, 4, 0, 2])
    rows = {k: delta[labels == k].flatten(1) for k in (0, 2, 4)}
    spread = {k: float((row - row.mean(0)).norm(dim=1).mean()) for k, row in rows.items()}
    ratios = [
        (spread[k] + spread[m] + 1e-5) / (float((rows[k].mean(0) - rows[m].mean(0)).norm()) + 1e-5)
        for k in rows
        for m in rows
        if k != m
    ]
    moving = delta.clone().requires_grad_()
    value = discriminant(moving, labels)
    assert value.item() == pytest.approx(sum(ratios) / 6)
    (gradient,) = torch.autograd.grad(value, moving)
    torch.testing.assert_close(gradient[0], gradient[4])  # the spread is held fixed: images of a class move alike
    assert gradient.abs().max() > 0


def test_discriminant_of_one_class_is_zero_with_zero_gradient():
    delta = torch.randn(3, 3, 2, 2, requires_grad=True)
    value = discriminant(delta, torch.tensor([1, 1, 1]))
    assert value == 0
    assert not torch.autograd.grad(value, delta)[0].any()


def test_discriminant_alone_trains_no_network_and_separates_classes():
    delta, run = crafted(ssl_weight=0.0, rounds=10, step=0.3)
    notes = run.notes["discriminant"]
    assert run.notes["contrastive_losses"] == []
    assert notes["end"] < notes["start"] / 3
    assert delta.abs().max() <= RADIUS + 1e-7
    labels, values = torch.from_numpy(sample_images().known_labels), delta.flatten(1)
    inner = slice(1, -1)  # black and white images can take one sign alone
    centres = torch.stack([values[inner][labels[inner] == k].mean(0) for k in range(3)])
    assert torch.equal(torch.cdist(values[inner], centres).argmin(1), labels[inner])


def test_contrastive_loss_of_a_trained_network_falls_on_perturbed_images():
    train, run = sample_images(24), craft_run()
    poisoner = TransferableUnlearnable(TUEParams(batch=24, network_steps=60, steps=20, lr=0.1, csd_weight=0.0))
    state = BiLevel(train, run, wrap=lambda network: _projected(network, train, 8, run), lr=0.1)
    views, everyone = ContrastiveViews(train.size, flip=train.flip, crop=0.08, strength=0.5), torch.arange(24)
    poisoner._learn(state, 0, views, run)
    state.frozen()
    delta = poisoner._descended(state, everyone, views, run.generator("noise"))

    def loss(x):
        generator = run.generator("judged")
        pairs = [torch.cat([views(x, generator), views(x, generator)]) for _ in range(30)]
        return float(sum(nt_xent(state.scores(pair), 0.5) for pair in pairs)) / 30

    clean = state.clean(everyone)
    random = (clean + RADIUS * torch.randn(delta.shape, generator=run.generator("random")).sign()).clamp(0, 1)
    assert loss(clean + delta) < min(loss(clean), loss(random)) - 2 * abs(loss(clean) - loss(random))


def test_network_learns_every_image_once_a_pass_in_batches_of_two():
    seen = []

    class Watched(BiLevel):
        def poisoned(self, indices):
            seen.append(indices)
            return super().poisoned(indices)

    train, run = sample_images(5), craft_run()
    state = Watched(train, run, wrap=lambda network: _projected(network, train, 8, run), lr=0.1)
    poisoner = TransferableUnlearnable(TUEParams(batch=2, network_steps=state.steps_per_pass(2)))
    poisoner._learn(state, 0, ContrastiveViews(train.size, flip=train.flip, crop=0.08), run)
    assert sorted(torch.cat(seen).tolist()) == list(range(5))


def test_network_is_in_train_mode_only_where_it_learns():
    check_modes(lambda run: crafted(run))


def test_every_step_draws_from_streams_of_its_own():
    check_streams(lambda run: crafted(run))


@pytest.mark.parametrize("ssl_weight", [0.0, 1.0])
def test_craft_resumed_from_any_checkpoint_equals_an_uninterrupted_one(ssl_weight):
    check_resumes(lambda checkpoint: crafted(craft_run(checkpoint), ssl_weight=ssl_weight), steps=3)


def test_single_image_diverging_network_and_empty_objective_are_refused():
    with pytest.raises(UsageError, match="at least 2"):
        crafted(train=sample_images(1))
    with pytest.raises(DivergedError, match="diverged in turn"):
        crafted(lr=1e30)
    with pytest.raises(UsageError, match="nothing to minimise"):
        TUEParams.resolve("tue", options={"ssl_weight": "0", "csd_weight": "0"})
