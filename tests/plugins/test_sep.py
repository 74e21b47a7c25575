"""SEP: which checkpoints, which aims, and steps against a plain loop."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F
from resuming import check_resumes
from small_crafts import check_modes, check_streams, craft_run

from ucbench.data.budget import Budget
from ucbench.errors import UsageError
from ucbench.testing import MemoryCheckpoint, TinySurrogate, make_run, sample_images
from ucbench.testing.samples import tensor_of
from ucbench_sep.params import SEPParams
from ucbench_sep.poisoner import SelfEnsemble

RADIUS = 8 / 255
SMALL = {"checkpoints": 2, "epochs": 4, "milestones": (), "batch": 13, "lr": 0.05, "steps": 3, "inner": 2}
VARIANTS = ["sep", "sep-fa", "sep-fa-vr"]


pytestmark = pytest.mark.usefixtures("exact_arithmetic")


def crafted(run=None, train=None, **options):
    run = run or craft_run()
    poisoner = SelfEnsemble(SEPParams(**{**SMALL, **options}))
    return torch.from_numpy(poisoner.craft(train or sample_images(), run).delta), run


def checkpoints(checkpoint, epochs):
    """The networks that a craft saved after ``epochs``."""
    networks = []
    for epoch in epochs:
        network = copy.deepcopy(TinySurrogate().module(0, sample_images())).eval()
        arrays = checkpoint.saved[epoch - 1][1]
        network.load_state_dict({name: torch.from_numpy(arrays[f"weights.{name}"]) for name in network.state_dict()})
        networks.append(network)
    return networks


@pytest.mark.parametrize("variant", VARIANTS)
def test_steps_equal_a_plain_loop_over_checkpoints(variant):
    checkpoint, train = MemoryCheckpoint(), sample_images()
    found, run = crafted(craft_run(checkpoint), variant=variant)
    networks = checkpoints(checkpoint, (2, 4))
    x, labels = tensor_of(train), torch.from_numpy(train.known_labels)
    aims = (labels + 1) % 3  # 3 // 2

    def slope(network, perturbed):
        perturbed = perturbed.clone().requires_grad_()
        if variant == "sep":
            loss = F.cross_entropy(network(perturbed), aims)
        else:
            features = network.features(x).detach()
            means = torch.stack([features[labels == k].mean(0) for k in range(3)])
            loss = ((network.features(perturbed) - means[aims]) ** 2).mean()
        return torch.autograd.grad(loss, perturbed)[0]

    def moved(delta, direction):
        delta = (delta - 0.25 * RADIUS * direction.sign()).clamp(-RADIUS, RADIUS)
        return (x + delta).clamp(0, 1) - x

    delta, generator = torch.zeros_like(x), run.generator("drawn-0")
    for _ in range(3):
        slopes = [slope(network, x + delta) for network in networks]
        total = mean = sum(slopes) / 2
        if variant == "sep-fa-vr":
            trial, total = delta, torch.zeros_like(x)
            for which in torch.randint(2, (2,), generator=generator).tolist():
                total = total + slope(networks[which], x + trial) - slopes[which] + mean
                trial = moved(trial, total)
        delta = moved(delta, total)
    assert float(((found - delta).abs() < 1e-6).float().mean()) > 0.99


@pytest.mark.parametrize("variant", VARIANTS)
def test_no_checkpoint_recognises_what_it_knew(variant):
    train = sample_images(30)
    options = {"variant": variant, "epochs": 60, "batch": 10, "steps": 10}
    run = make_run(budget=Budget("linf", 64), surrogate=TinySurrogate())
    crafted(run, train, **options)
    assert run.notes["clean_error"] < 0.1
    assert run.notes["recognised"] < 0.4


def test_checkpoints_are_evenly_spaced_and_end_with_the_training():
    assert SEPParams(checkpoints=3, epochs=10, milestones=()).keep == (3, 6, 10)
    released = SEPParams.resolve("sep", "released")
    assert released.keep == tuple(range(8, 121, 8))
    assert 8 * released.step == 1
    assert released.recipe.milestones == (75, 90)


@pytest.mark.parametrize(
    "wrong", [{"checkpoints": "50"}, {"milestones": "30"}, {"milestones": "9/5"}, {"milestones": "5/5"}]
)
def test_params_refuse_checkpoints_and_milestones_that_do_not_fit_the_training(wrong):
    with pytest.raises(UsageError, match=next(iter(wrong))):
        SEPParams.resolve("sep", options=wrong)


def test_classes_without_images_are_no_aim():
    train = sample_images()
    delta, _ = crafted(train=train.subset((train.known_labels != 1).nonzero()[0]))
    assert torch.isfinite(delta).all()
    with pytest.raises(UsageError, match="at least two"):
        crafted(train=train.subset((train.known_labels == 1).nonzero()[0]))


def test_network_is_in_train_mode_only_where_it_learns():
    check_modes(lambda run: crafted(run, batch=5))


def test_every_step_draws_from_streams_of_its_own():
    check_streams(lambda run: crafted(run, batch=5))


def test_craft_resumed_from_any_checkpoint_equals_an_uninterrupted_one():
    check_resumes(lambda checkpoint: crafted(craft_run(checkpoint), batch=5), steps=7)
