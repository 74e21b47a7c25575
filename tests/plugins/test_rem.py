"""Robust and stable error-minimising noise: the objective against a plain loop, the order of turns, going on."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from resuming import check_resumes
from small_crafts import check_modes, check_streams, craft_run

from ucbench.crafting.bilevel import BiLevel
from ucbench.errors import UsageError
from ucbench.testing import MemoryCheckpoint, sample_images
from ucbench.testing.samples import tensor_of
from ucbench.training.cropping import CropFlip
from ucbench.training.engine import DivergedError
from ucbench.training.optim import Stepper
from ucbench_rem.params import REMParams, SEMParams
from ucbench_rem.poisoner import RobustErrorMinimising, StableErrorMinimising

RADIUS = 8 / 255
SMALL = {"network_steps": 7, "batch": 5, "lr": 0.02, "steps": 2, "step": 0.4, "adversary_steps": 2}
POISONERS = {
    "rem": lambda **more: RobustErrorMinimising(REMParams(**{**SMALL, **more})),
    "sem": lambda **more: StableErrorMinimising(SEMParams(**{**SMALL, **more})),
}


pytestmark = pytest.mark.usefixtures("exact_arithmetic")


def crafted(poisoner, run=None, train=None):
    run = run or craft_run()
    return torch.from_numpy(poisoner.craft(train or sample_images(), run).delta), run


@pytest.mark.parametrize("name", POISONERS)
def test_noise_equals_a_plain_loop_over_views_and_their_adversaries(name):
    poisoner = POISONERS[name](samples=2, adversary=0.25, adversary_step=0.6)
    train, run = sample_images(), craft_run()
    state, rows = BiLevel(train, run, lr=0.1), torch.tensor([1, 4, 6])
    crop = CropFlip(train.size, flip=train.flip)
    found = poisoner.descended(state, rows, crop, run.generator("noise"))

    generator, network = run.generator("noise"), state.frozen()
    x, labels, rho = state.clean(rows), state.labels[rows], 0.25 * RADIUS
    delta = RADIUS * (2 * torch.rand(x.shape, generator=generator) - 1)
    delta = (x + delta).clamp(0, 1) - x
    for _ in range(2):
        slope = torch.zeros_like(x)
        for _ in range(2):
            moving = delta.clone().requires_grad_()
            shown = crop(x + moving, generator)
            near = rho * (2 * torch.rand(x.shape, generator=generator) - 1)
            near = (shown.detach() + near).clamp(0, 1)
            for _ in range(2 if name == "rem" else 0):
                attacked = near.clone().requires_grad_()
                (up,) = torch.autograd.grad(F.cross_entropy(network(attacked), labels), attacked)
                near = shown.detach() + (near + 0.6 * rho * up.sign() - shown.detach()).clamp(-rho, rho)
                near = near.clamp(0, 1)
            here = near.clone().requires_grad_()
            (inner,) = torch.autograd.grad(F.cross_entropy(network(here), labels, reduction="sum"), here)
            slope += torch.autograd.grad((shown * inner).sum(), moving)[0]  # the adversary is held fixed
        delta = (delta - 0.4 * RADIUS * slope.sign()).clamp(-RADIUS, RADIUS)
        delta = (x + delta).clamp(0, 1) - x
    # A value may step the other way where its slope is within rounding of zero.
    assert float(((found - delta).abs() < 1e-6).float().mean()) > 0.99


@pytest.mark.parametrize("name", POISONERS)
def test_surrogate_learns_from_attacked_views_of_perturbed_images(name, monkeypatch):
    seen, step = [], Stepper.step

    def remembered(self, x, targets, lr=None):
        assert all(weight.requires_grad for weight in self.network.parameters())
        seen.append((x.clone(), lr))
        return step(self, x, targets, lr)

    monkeypatch.setattr(Stepper, "step", remembered)
    delta, run = crafted(POISONERS[name](lr_drop_every=4))
    assert [lr for _, lr in seen] == pytest.approx([0.02] * 4 + [0.002] * 3)
    clean = tensor_of(sample_images())
    for x, _ in seen:  # a shift by 0 occurs, a clean image does not
        assert (x[:, None] - clean).abs().flatten(2).amax(2).min() > 0.2 * RADIUS
    assert len(run.notes["train_losses"]) == 3
    assert delta.abs().max() <= RADIUS + 1e-7


@pytest.mark.parametrize("name", POISONERS)
def test_noise_lowers_the_loss_of_a_trained_network_on_attacked_views(name):
    poisoner, train, run = POISONERS[name](steps=4, step=0.5), sample_images(30), craft_run()
    state = BiLevel(train, run, lr=0.1)
    state.learn(0, 180, 10)
    crop, everyone = CropFlip(train.size, flip=train.flip), torch.arange(30)
    delta = poisoner.descended(state, everyone, crop, run.generator("noise"))

    def loss(x):
        generator = run.generator("judged")
        views = [crop(x, generator) for _ in range(10)]
        attacked = [poisoner.disturbed(state, view, state.labels, generator, attacks=True) for view in views]
        return float(sum(state.cross_entropy(view, state.labels) for view in attacked))

    clean = state.clean(everyone)
    random = (clean + RADIUS * torch.randn(delta.shape, generator=run.generator("random")).sign()).clamp(0, 1)
    assert loss(clean + delta) < 0.7 * min(loss(clean), loss(random))


@pytest.mark.parametrize("name", POISONERS)
def test_network_is_in_train_mode_only_where_it_learns(name):
    check_modes(lambda run: crafted(POISONERS[name](), run))


@pytest.mark.parametrize("name", POISONERS)
def test_every_step_draws_from_streams_of_its_own(name):
    check_streams(lambda run: crafted(POISONERS[name](), run))


@pytest.mark.parametrize("name", POISONERS)
def test_craft_resumed_from_any_checkpoint_equals_an_uninterrupted_one(name):
    # Three passes, three batches published.
    check_resumes(lambda checkpoint: crafted(POISONERS[name](), craft_run(checkpoint)), steps=6)


@pytest.mark.parametrize("name", POISONERS)
def test_published_noise_takes_the_final_steps_and_samples_after_the_same_training(name):
    checkpoint = MemoryCheckpoint()
    delta, run = crafted(POISONERS[name](final_steps=4, final_samples=2), craft_run(checkpoint))
    plain, unchanged = crafted(POISONERS[name]())
    assert run.notes["train_losses"] == unchanged.notes["train_losses"]
    assert not torch.equal(delta, plain)
    # Half as long, twice as many, from the network after its three passes.
    trained = craft_run(MemoryCheckpoint(checkpoint.saved[2]))
    careful, _ = crafted(POISONERS[name](steps=4, step=0.2, samples=2), trained)
    assert torch.equal(delta, careful)


@pytest.mark.parametrize("params", [REMParams, SEMParams])
def test_final_options_are_part_of_the_key_only_where_given(params):
    assert not {"final_steps", "final_samples"} & params().identity().keys()
    assert params(final_steps=10).identity()["final_steps"] == 10


def test_single_image_and_diverging_surrogate_are_refused():
    with pytest.raises(UsageError, match="needs 2 images"):
        crafted(POISONERS["rem"](), train=sample_images(1))
    with pytest.raises(DivergedError, match="diverged in pass"):
        crafted(POISONERS["sem"](lr=1e30))


@pytest.mark.parametrize("params", [REMParams, SEMParams])
def test_imagenet_preset_drops_the_rate_within_its_training(params):
    imagenet = params.resolve("rem", "imagenet")
    assert (imagenet.network_steps, imagenet.lr_drop_every, imagenet.steps, imagenet.samples) == (3000, 1200, 7, 4)


@pytest.mark.parametrize("params", [REMParams, SEMParams])
def test_released_preset_equals_the_official_settings(params):
    released = params.resolve("rem", "released")
    assert (released.network_steps, released.lr_drop_every, released.steps, released.samples) == (5000, 2000, 10, 5)
    assert 8 * released.step == pytest.approx(1.6)
    assert (8 * released.adversary, released.adversary_steps) == (4, 10)
    assert 4 * released.adversary_step == pytest.approx(0.8)
