"""Accuracy under attack: exact where the worst case is known, and never above what it bounds."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from ucbench import MetricContext, Recipe
from ucbench.exploit.defend import pipeline_of
from ucbench.exploit.train import Defended
from ucbench.plugins.registry import installed
from ucbench.testing import TinySurrogate, make_run, sample_images
from ucbench.training.determinism import seeded
from ucbench_adversarial.robustness import robust_accuracy

pytestmark = pytest.mark.usefixtures("exact_arithmetic")


class Brightness(nn.Module):
    """Class 1 for images whose mean is above a half."""

    def forward(self, x):
        excess = 20 * (x.mean((1, 2, 3)) - 0.5)
        return torch.stack([-excess, excess], 1)


def measured(model, images, labels, seed=0, **options):
    return robust_accuracy(model, images, labels, generator=torch.Generator().manual_seed(seed), **options)


def greys(*levels):
    return np.broadcast_to(np.array(levels, np.uint8)[:, None, None, None], (len(levels), 3, 5, 7)).copy()


class TestKnownMargins:
    """A worst case within linf shifts all values alike, one within l2 likewise, by epsilon / sqrt(d)."""

    LEVELS = (100, 119, 121, 126, 129, 134, 136, 200)  # 127.5 is the boundary
    LABELS = np.array([0, 0, 0, 0, 1, 1, 1, 1])

    @pytest.mark.parametrize(("epsilon", "kept"), [(1, 8), (4, 6), (7, 4), (10, 2), (90, 0)])
    def test_robust_accuracy_linf_counts_images_beyond_the_radius(self, epsilon, kept):
        found = measured(Brightness(), greys(*self.LEVELS), self.LABELS, epsilon=epsilon, batch=3)
        assert found == pytest.approx(100 * kept / 8)

    @pytest.mark.parametrize(("shift", "kept"), [(1, 8), (4, 6), (7, 4), (10, 2)])
    def test_robust_accuracy_l2_counts_images_beyond_the_radius(self, shift, kept):
        epsilon = shift / 255 * np.sqrt(3 * 5 * 7)
        found = measured(Brightness(), greys(*self.LEVELS), self.LABELS, epsilon=epsilon, norm="l2", batch=3)
        assert found == pytest.approx(100 * kept / 8)

    def test_robust_accuracy_counts_a_wrong_label_as_wrong_after_the_attack(self):
        labels = 1 - self.LABELS
        assert measured(Brightness(), greys(*self.LEVELS), labels, epsilon=2) == 0


def trained():
    """A network that knows its images, with batch norm and dropout."""
    images = sample_images(30)
    with seeded(0):
        model = nn.Sequential(nn.BatchNorm2d(3), TinySurrogate().module(0), nn.Dropout(0.5), nn.Linear(10, 3))
        optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
        x = torch.from_numpy(images.images.copy()).float() / 255
        for _ in range(30):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(x), torch.from_numpy(images.known_labels.copy())).backward()
            optimizer.step()
    return model, images.images, images.known_labels


def test_robust_accuracy_is_bounded_by_clean_accuracy_and_restarts():
    """Not above clean accuracy; lower for a wider ball, and for more restarts of a weak attack."""
    model, images, labels = trained()
    x = torch.from_numpy(images.copy()).float() / 255
    clean = 100 * float((model.eval()(x).argmax(1).numpy() == labels).mean())
    by_radius = [measured(model, images, labels, epsilon=epsilon) for epsilon in (1, 8, 32, 96)]
    assert clean >= by_radius[0]
    assert by_radius == sorted(by_radius, reverse=True)
    assert by_radius[-1] < clean - 30
    weak = {"epsilon": 24, "steps": 1, "step": 0.1, "batch": 50}
    by_restarts = [measured(model, images, labels, restarts=restarts, **weak) for restarts in (1, 2, 8)]
    assert by_restarts == sorted(by_restarts, reverse=True)


def test_robust_accuracy_leaves_the_model_unchanged():
    model, images, labels = trained()
    model.train()
    model[3].eval()
    model[3].bias.requires_grad_(False)
    gradients = [weight.grad.clone() for weight in model.parameters()]
    before = {name: value.clone() for name, value in model.state_dict().items()}
    kept = images.copy()
    state = torch.get_rng_state()
    measured(model, images, labels, steps=2)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(torch.equal(a, weight.grad) for a, weight in zip(gradients, model.parameters(), strict=True))
    assert [name for name, weight in model.named_parameters() if not weight.requires_grad] == ["3.bias"]
    assert [name for name, module in model.named_modules() if not module.training] == ["3"]
    assert np.array_equal(images, kept)
    assert torch.equal(state, torch.get_rng_state())


def test_robust_accuracy_repeats_in_any_mode_of_the_model():
    model, images, labels = trained()
    found = {measured(model.train(mode), images, labels, epsilon=16, steps=3, batch=7) for mode in (True, False)}
    assert len(found) == 1


@pytest.mark.parametrize("squeezing", ["jpeg", "grayscale", "bit-depth", "median", "mean", "resize-down-up", "iss"])
def test_robust_accuracy_behind_8_bits_at_test_is_that_of_the_starts(squeezing):
    model, images, labels = trained()
    pipeline = pipeline_of([installed().resolve("defense", f"{squeezing}:at_test=true")])
    defended = Defended(model, pipeline, Recipe(), flip=False)
    assert measured(defended, images, labels, steps=0) == measured(defended, images, labels, steps=4)


def test_robust_accuracy_metric_equals_the_function_on_drawn_images():
    test = sample_images(40, (6, 6), classes=3, seed=3)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(108, 3)).eval()
    run = make_run(stage="metric")

    def asked(reference: str) -> float:
        metric = installed().resolve("metric", reference).build()
        return metric.compute(MetricContext(run=run, model=model, test=test))["accuracy"]

    def of(rows) -> float:
        images, labels = test.images[rows], test.known_labels[rows]
        return robust_accuracy(model, images, labels, generator=run.generator("starts"), epsilon=1.0)

    drawn = np.sort(np.random.RandomState(run.seed("images", bits=32)).permutation(40)[:10])
    assert asked("robust-accuracy:1") == of(np.arange(40))
    assert asked("robust-accuracy:1:images=10") == of(drawn)
    assert of(drawn) not in (of(np.arange(40)), of(np.arange(10)))
    assert asked("robust-accuracy:255") <= asked("robust-accuracy:8") <= asked("robust-accuracy:1")
