"""GUE: the leader's loss, the multiplier of BOME, the generator, and what a game leads to."""

from __future__ import annotations

import copy
import dataclasses

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from resuming import check_resumes
from small_crafts import craft_run
from torch import nn

from ucbench.data.budget import Budget
from ucbench.errors import UsageError
from ucbench.testing import NUMERICS, TinySurrogate, make_run, sample_images
from ucbench.testing.samples import tensor_of
from ucbench.training.determinism import seeded
from ucbench.training.engine import DivergedError, Engine
from ucbench_gue.params import GUEParams
from ucbench_gue.poisoner import Game, GameUnlearnable, multiplier, wrong_class_loss
from ucbench_gue.unet import UNet, doubled

SMALL = {"epochs": 3, "batch": 5, "width": 4, "steps": 2}


class PartlyFixed(TinySurrogate):
    """A network whose first layer is not trained, as the whitening of airbench."""

    def module(self, seed, train=None):
        network = super().module(seed, train)
        network[0].requires_grad_(False)
        return network


class Normalising(TinySurrogate):
    """A small network with batch norm, without which plain gradient descent takes long."""

    def module(self, seed, train=None):
        layers = []
        with seeded(seed):
            for into, out in ((3, 8), (8, 16)):
                layers += [nn.Conv2d(into, out, 3, stride=2, padding=1), nn.BatchNorm2d(out), nn.ReLU()]
            return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, len(train.classes)))

    def __init__(self):
        """Has no frozen network."""


pytestmark = pytest.mark.usefixtures("exact_arithmetic")


def crafted(run=None, train=None, **options):
    run = run or craft_run()
    poisoner = GameUnlearnable(GUEParams(**{**SMALL, **options}))
    return torch.from_numpy(poisoner.craft(train or sample_images(), run).delta), run


def test_leader_minimises_the_largest_cross_entropy_with_a_wrong_class():
    scores, labels = torch.randn((6, 4), generator=torch.Generator().manual_seed(0)), torch.tensor([0, 1, 2, 3, 0, 1])
    every = torch.stack([F.cross_entropy(scores, (labels + k) % 4, reduction="none") for k in range(1, 4)])
    torch.testing.assert_close(wrong_class_loss(scores, labels, torch.zeros(4).bool()), every.amax(0).mean())


def test_leader_leaves_classes_without_images_alone():
    sample = sample_images()
    game = Game(sample.subset((sample.known_labels != 1).nonzero()[0]), GUEParams(**SMALL), craft_run())
    scores = torch.randn((4, 3), generator=torch.Generator().manual_seed(0), requires_grad=True)
    labels = torch.tensor([0, 2, 2, 0])
    value = wrong_class_loss(scores, labels, game.absent)
    torch.testing.assert_close(value, F.cross_entropy(scores, 2 - labels))


@given(st.floats(0.1, 3), st.integers(0, 2**31))
@settings(max_examples=30)
def test_multiplier_makes_the_condition_fall_as_fast_as_eta_requires(eta, seed):
    leader, theta, phi = torch.randn((3, 1, 5), generator=torch.Generator().manual_seed(seed))
    factor = multiplier([leader], [theta], [phi], eta)
    squared = theta.square().sum() + phi.square().sum()
    fall = ((leader + factor * theta) * theta).sum() + (factor * phi * phi).sum()
    assert fall >= (eta * squared - 1e-3 * squared).item()
    if factor > 0:
        torch.testing.assert_close(fall, eta * squared, rtol=1e-3, atol=1e-5)


def test_doubling_equals_bilinear_interpolation_with_aligned_corners():
    x = torch.rand((2, 3, 5, 4), dtype=torch.float64, requires_grad=True)
    theirs = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)
    torch.testing.assert_close(doubled(x), theirs, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("size", [(8, 8), (10, 14), (1, 3)])
def test_generator_keeps_the_size_and_its_range(size):
    values = UNet(4, 0.1).train()(torch.rand(3, 3, *size))
    assert values.shape == (3, 3, *size)
    assert values.abs().max() <= 1
    assert values.std() > 0


def test_play_moves_both_players_along_finite_differences_of_their_objectives():
    """With lambda given by the step itself, the generator steps along lambda q, and the follower along f + lambda q."""
    train = sample_images(6)
    params = GUEParams(**{**SMALL, "steps": 1, "eta": 50.0, "lr_generator": 1.0, "lr_network": 0.5})
    game = Game(train, params, craft_run())
    for network in (game.follower, game.generator):
        network.double()
    x, labels = tensor_of(train).double(), torch.from_numpy(train.known_labels.copy())
    game.scores = lambda network, images: network(images)
    game.perturbation = lambda images: 8 / 255 * game.generator(images)
    game._answer.double()
    generator, follower = copy.deepcopy(game.generator).train(), copy.deepcopy(game.follower)
    answer = copy.deepcopy(game._answered((x + 8 / 255 * generator(x)).clamp(0, 1).detach(), labels))
    before = [
        {name: weight.detach().clone() for name, weight in player.named_parameters()}
        for player in (game.generator, game.follower)
    ]
    _, _, factor = game.play(x, labels)
    assert factor > 0

    def condition():
        poisoned = (x + 8 / 255 * generator(x)).clamp(0, 1)
        return F.cross_entropy(follower(poisoned), labels) - F.cross_entropy(answer(poisoned), labels)

    def both():
        return wrong_class_loss(follower(x), labels, game.absent) + factor * condition()

    def slope(objective, weight):
        with torch.no_grad():
            weight += 1e-5
            high = objective()
            weight -= 2e-5
            low = objective()
            weight += 1e-5
        return (high - low) / 2e-5

    def moved(player, start, name):
        return (start[name] - dict(player.named_parameters())[name].detach()).flatten()[0]

    weight = dict(generator.named_parameters())["last.1.weight"][0]
    step = moved(game.generator, before[0], "last.1.weight") / factor
    torch.testing.assert_close(step, slope(condition, weight), rtol=1e-3, atol=1e-6)
    for name, weights in follower.named_parameters():
        step = moved(game.follower, before[1], name)
        torch.testing.assert_close(step / 0.5, slope(both, weights[(0,) * weights.ndim]), rtol=1e-3, atol=1e-6)


def test_players_move_alike_in_engines_of_either_precision():
    """The generator's gradient is a difference of two similar ones, much of which bfloat16 would round away."""
    train, played = sample_images(12, (8, 8)), []
    for engine in (Engine(NUMERICS), Engine(dataclasses.replace(NUMERICS, dtype="bfloat16"))):
        run = make_run(surrogate=Normalising())
        run.engine = engine
        game = Game(train, GUEParams(**SMALL), run)
        game.play(tensor_of(train), torch.from_numpy(train.known_labels.copy()))
        played.append(game.players.state_dict())
    assert played[0].keys() == played[1].keys()
    assert all(torch.equal(values, played[1][name]) for name, values in played[0].items())


def test_follower_keeps_weights_that_are_not_trained():
    train = sample_images()
    game = Game(train, GUEParams(**SMALL), make_run(budget=Budget("linf", 8), surrogate=PartlyFixed()))
    before = [layer.weight.detach().clone() for layer in (game.follower[0], game.follower[2])]
    game.play(tensor_of(train), torch.from_numpy(train.known_labels.copy()))
    assert torch.equal(game.follower[0].weight, before[0])
    assert not torch.equal(game.follower[2].weight, before[1])


def test_follower_recognises_perturbed_images_and_is_wrong_on_clean_ones():
    run = make_run(budget=Budget("linf", 64), surrogate=Normalising())
    rates = {"lr_network": 0.1, "lr_generator": 0.3, "step_lr": 3e-3}
    crafted(run, sample_images(60, (8, 8)), epochs=45, batch=60, steps=3, **rates)
    assert run.notes["accuracies"]["perturbed"] > run.notes["accuracies"]["clean"] + 0.5
    assert run.notes["clean_losses"][-1] < run.notes["clean_losses"][0] - 0.1


def test_unseen_images_are_perturbed_by_the_trained_generator():
    train, run = sample_images(), craft_run()
    poisoner = GameUnlearnable(GUEParams(**SMALL))
    made = poisoner.craft(train, run)
    x = tensor_of(train)
    again = poisoner.transform(x, torch.zeros(len(train), dtype=torch.int64), made.state)
    torch.testing.assert_close(again, (x + torch.from_numpy(made.delta)).clamp(0, 1), rtol=0, atol=1e-6)


def test_craft_resumed_from_any_checkpoint_equals_an_uninterrupted_one():
    check_resumes(lambda checkpoint: crafted(craft_run(checkpoint)), steps=3)


def test_few_images_single_classes_and_diverging_games_are_refused():
    sample = sample_images()
    of_one = sample.subset((sample.known_labels == 1).nonzero()[0])
    for train in (sample_images(1), sample_images(5, classes=1), of_one):
        with pytest.raises(UsageError, match="at least two"):
            crafted(train=train)
    with pytest.raises(DivergedError, match="diverged in pass"):
        crafted(lr_network=1e30)


def test_released_preset_equals_the_official_settings():
    released = GUEParams.resolve("gue", "released")
    assert (released.epochs, released.batch, released.steps, released.width) == (50, 256, 10, 64)
    assert (released.step_lr, released.eta, released.lr_generator, released.lr_network) == (1e-4, 1.5, 0.1, 0.01)
