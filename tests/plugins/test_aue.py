"""AUE and AAP: strengths of views, directions of steps, what they do to their network, going on."""

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
from ucbench.training.engine import DivergedError
from ucbench_aue.params import AAPParams, AUEParams
from ucbench_aue.poisoner import AugmentedAdversarial, AugmentedUnlearnable, views

RADIUS = 8 / 255
POISONERS = {
    "aue": lambda **more: AugmentedUnlearnable(AUEParams(**{"epochs": 3, "batch": 5, "lr": 0.05, **more})),
    "aap": lambda **more: AugmentedAdversarial(AAPParams(**{"epochs": 3, "batch": 5, "lr": 0.05, "steps": 6, **more})),
}


pytestmark = pytest.mark.usefixtures("exact_arithmetic")


def crafted(poisoner, run=None, train=None):
    run = run or craft_run()
    return torch.from_numpy(poisoner.craft(train or sample_images(), run).delta), run


def losses_after(poisoner, train, labels=None):
    """Cross-entropies of clean, perturbed and randomly perturbed images in the poisoner's network, over many views."""
    checkpoint = MemoryCheckpoint()
    delta, _ = crafted(poisoner, craft_run(checkpoint), train)
    state = BiLevel(train, craft_run(MemoryCheckpoint(checkpoint.saved[-1])), lr=0.1)
    state.resume()
    state.frozen()
    clean, generator = state.clean(torch.arange(len(train))), torch.Generator().manual_seed(0)
    random = (clean + RADIUS * torch.randn(delta.shape, generator=generator).sign()).clamp(0, 1)
    aims, view = state.labels if labels is None else labels, views(train, 0.6)
    return [
        sum(float(state.cross_entropy(view(x, torch.Generator().manual_seed(seed)), aims)) for seed in range(20))
        / (20 * len(train))
        for x in (clean, clean + delta, random)
    ]


def test_aue_lowers_the_loss_of_its_network_under_views():
    clean, perturbed, random = losses_after(POISONERS["aue"](epochs=10, step=0.3), sample_images())
    assert perturbed < min(clean, random) - 0.01


def test_aue_steps_equal_a_plain_loop_over_views():
    train, run = sample_images(), craft_run()
    state, rows, view = BiLevel(train, run, lr=0.1), torch.tensor([1, 4, 6]), views(train, 0.6)
    network = state.frozen()
    found = POISONERS["aue"](steps=3, step=0.4)._descended(state, rows, view, run.generator("views"))
    generator, x, labels = run.generator("views"), state.clean(rows), state.labels[rows]
    delta = torch.zeros_like(x)
    for _ in range(3):
        moving = delta.clone().requires_grad_()
        (slope,) = torch.autograd.grad(F.cross_entropy(network(view(x + moving, generator)), labels), moving)
        delta = (delta - 0.4 * RADIUS * slope.sign()).clamp(-RADIUS, RADIUS)
        delta = (x + delta).clamp(0, 1) - x
    # A value may step the other way where its slope is within rounding of zero.
    assert float(((found - delta).abs() < 1e-6).float().mean()) > 0.99


@pytest.mark.parametrize("goal", ["targeted", "untargeted"])
def test_aap_moves_images_to_the_next_class_or_from_their_own(goal):
    train = sample_images()
    labels = torch.from_numpy(train.known_labels)
    aims = (labels + 1) % 3 if goal == "targeted" else labels
    clean, perturbed, random = losses_after(POISONERS["aap"](goal=goal, epochs=10, steps=20), train, aims)
    if goal == "targeted":
        assert perturbed < min(clean, random) - 0.02
    else:
        assert perturbed > max(clean, random) + 0.02


def test_aap_travels_as_far_as_its_steps_together():
    delta, _ = crafted(POISONERS["aap"](steps=5, travel=0.4))
    inside = sample_images().images / 255
    inside = torch.from_numpy((inside > RADIUS) & (inside < 1 - RADIUS))
    multiples = delta[inside].abs() / (0.08 * RADIUS)
    torch.testing.assert_close(multiples, multiples.round(), rtol=0, atol=1e-3)
    assert multiples.max().round() == 5


def test_views_scale_crop_jitter_and_probabilities_by_their_strength():
    full, part = (views(sample_images(), strength) for strength in (1.0, 0.6))
    assert (full.crop, full.strength, full.often) == (pytest.approx(0.1), 0.5, 1.0)
    assert (part.crop, part.strength, part.often) == (pytest.approx(0.46), pytest.approx(0.3), 0.6)


def test_views_of_strength_zero_are_the_images_themselves():
    x = tensor_of(sample_images())
    assert torch.equal(views(sample_images(), 0.0)(x, torch.Generator().manual_seed(0)), x)


def test_aap_aims_at_the_next_class_that_has_images(monkeypatch):
    aimed, sample = set(), sample_images()
    train = sample.subset((sample.known_labels != 1).nonzero()[0])
    cross_entropy = BiLevel.cross_entropy

    def remembered(self, x, labels):
        aimed.update(labels.tolist())
        return cross_entropy(self, x, labels)

    monkeypatch.setattr(BiLevel, "cross_entropy", remembered)
    crafted(POISONERS["aap"](steps=1), train=train)
    assert aimed == {0, 2}
    with pytest.raises(UsageError, match="at least two"):
        crafted(POISONERS["aap"](), train=sample.subset((sample.known_labels == 1).nonzero()[0]))


@pytest.mark.parametrize("name", POISONERS)
def test_network_is_in_train_mode_only_where_it_learns(name):
    check_modes(lambda run: crafted(POISONERS[name](), run))


@pytest.mark.parametrize("name", POISONERS)
def test_every_step_draws_from_streams_of_its_own(name):
    check_streams(lambda run: crafted(POISONERS[name](), run))


@pytest.mark.parametrize(("name", "steps"), [("aue", 3), ("aap", 6)])
def test_craft_resumed_from_any_checkpoint_equals_an_uninterrupted_one(name, steps):
    check_resumes(lambda checkpoint: crafted(POISONERS[name](), craft_run(checkpoint)), steps)


@pytest.mark.parametrize("name", POISONERS)
def test_few_images_and_diverging_surrogates_are_refused(name):
    with pytest.raises(UsageError):
        crafted(POISONERS[name](), train=sample_images(1))
    with pytest.raises(DivergedError, match="diverged in"):
        crafted(POISONERS[name](lr=1e30))


def test_released_presets_equal_the_official_settings():
    aue = AUEParams.resolve("aue", "released")
    assert (aue.strength, aue.epochs, aue.steps, aue.step, aue.lr, aue.weight_decay) == (0.6, 60, 5, 0.1, 0.1, 1e-4)
    aap = AAPParams.resolve("aap", "released")
    assert (aap.epochs, aap.lr, aap.warmup * aap.epochs, aap.steps) == (40, 0.5, 10, 250)
    assert aap.travel / aap.steps == pytest.approx(0.01)
