"""EntF: distances from centres, adversarial training, and what is nearest to a perturbed image."""

from __future__ import annotations

import pytest
import torch
from resuming import check_resumes
from small_crafts import check_modes, check_streams, craft_run

from ucbench.errors import UsageError
from ucbench.testing import sample_images
from ucbench.testing.samples import tensor_of
from ucbench.training.optim import Stepper
from ucbench_entf.params import EntFParams
from ucbench_entf.poisoner import EntangledFeatures, entanglement

RADIUS = 8 / 255
SMALL = {"epochs": 3, "milestones": (), "batch": 5, "lr": 0.05, "steps": 4}


pytestmark = pytest.mark.usefixtures("exact_arithmetic")


def crafted(run=None, train=None, **options):
    run = run or craft_run()
    poisoner = EntangledFeatures(EntFParams(**{**SMALL, **options}))
    return torch.from_numpy(poisoner.craft(train or sample_images(), run).delta), run


def test_push_measures_the_own_centre_and_pull_the_nearest_other():
    centres = torch.tensor([[0.0, 0.0], [3.0, 0.0], [0.0, 10.0]])
    features, own = torch.tensor([[1.0, 0.0], [1.0, 9.0]]), torch.tensor([0, 1])
    assert entanglement(features, centres, own, "push") == -(1.0 + (4 + 81))
    assert entanglement(features, centres, own, "pull") == 4.0 + 2.0


@pytest.mark.parametrize("goal", ["push", "pull"])
def test_gradient_of_the_distances_equals_finite_differences(goal):
    generator = torch.Generator().manual_seed(0)
    features, centres = (torch.randn(count, 4, generator=generator, dtype=torch.float64) for count in (6, 3))
    own = torch.tensor([0, 1, 2, 0, 1, 2])
    assert torch.autograd.gradcheck(lambda f: entanglement(f, centres, own, goal), features.requires_grad_())


@pytest.mark.parametrize("goal", ["push", "pull"])
def test_perturbed_images_are_no_longer_nearest_to_their_own_centre(goal):
    run = craft_run(epsilon=48)
    crafted(run, sample_images(30), goal=goal, epochs=60, batch=10, steps=20, adversary=0.1, adversary_steps=1)
    assert run.notes["nearest"]["clean"] > 0.8
    assert run.notes["nearest"]["perturbed"] < run.notes["nearest"]["clean"] - 0.3


def test_surrogate_learns_from_images_attacked_within_its_radius(monkeypatch):
    seen, step = [], Stepper.step

    def remembered(self, x, targets, lr=None):
        seen.append((x.clone(), [weight.requires_grad for weight in self.network.parameters()]))
        return step(self, x, targets, lr)

    monkeypatch.setattr(Stepper, "step", remembered)
    crafted(adversary=0.5, adversary_steps=2)
    clean = tensor_of(sample_images())
    closest = []
    for x, grads in seen:
        assert all(grads)
        views = torch.cat([clean, clean.flip(-1)])
        closest.append((x[:, None] - views).abs().flatten(2).amax(2).amin(1))  # unshifted views occur by chance
    distances = torch.cat(closest)
    assert distances.min() > 0.1 * RADIUS
    assert distances.min() <= 0.5 * RADIUS + 1e-6


def test_steps_start_from_clipped_normal_noise():
    delta, _ = crafted(steps=1, step=1e-6)
    share = (delta.abs() > 0.999 * RADIUS).float().mean()
    assert 0.25 < share < 0.36  # a normal value lies beyond one deviation in 32 % of the cases; some are cut further
    assert (delta > 0.1 * RADIUS).any()
    assert (delta < -0.1 * RADIUS).any()


def test_network_is_in_train_mode_only_where_it_learns():
    check_modes(lambda run: crafted(run))


def test_every_step_draws_from_streams_of_its_own():
    check_streams(lambda run: crafted(run))


def test_craft_resumed_from_any_checkpoint_equals_an_uninterrupted_one():
    check_resumes(lambda checkpoint: crafted(craft_run(checkpoint)), steps=6)


def test_images_of_a_single_class_are_refused():
    with pytest.raises(UsageError, match="at least two"):
        crafted(train=sample_images(5, classes=1))


@pytest.mark.parametrize("milestones", ["20", "9/5", "5/5"])
def test_params_refuse_milestones_that_do_not_rise_within_the_training(milestones):
    with pytest.raises(UsageError, match="must rise and lie below"):
        EntFParams.resolve("entf", options={"milestones": milestones})


def test_released_preset_equals_the_official_settings():
    released = EntFParams.resolve("entf", "released")
    assert (released.epochs, released.milestones, released.steps) == (100, (75, 90), 300)
    assert 8 * released.step == pytest.approx(0.4)
    assert 8 * released.adversary == 4
    assert 4 * released.adversary_step == pytest.approx(2)
    assert released.adversary_steps == 10
