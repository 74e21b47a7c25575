"""Surrogates that are trained on the protector's images, or built untrained for whoever trains them."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from ucbench.data.imageset import ImageSet
from ucbench.errors import UsageError
from ucbench.numerics import Numerics
from ucbench.testing import sample_images
from ucbench.training.determinism import seeded
from ucbench.training.engine import Engine
from ucbench.training.surrogate import FittedSurrogate
from ucbench_timm.params import TrainedParams, UntrainedParams
from ucbench_timm.surrogates import TrainedSurrogate, UntrainedResNet18
from ucbench_timm.victims import ResNet18


@pytest.fixture
def train() -> ImageSet:
    """Sixty noisy 8-pixel images, dark and bright: learnable in a few steps."""
    draw = np.random.default_rng(0)
    labels = np.arange(60) % 2
    pixels = draw.integers(0, 100, (60, 3, 8, 8)) + 120 * labels[:, None, None, None]
    return ImageSet(pixels.astype(np.uint8), labels.astype(np.int64), ("dark", "bright"), name="shades")


@pytest.fixture
def run() -> SimpleNamespace:
    steps: list[int] = []
    return SimpleNamespace(
        device=torch.device("cpu"),
        engine=Engine(Numerics("cpu", "float32", 1)),
        seed=lambda stream: {"surrogate": 5}[stream],
        progress=lambda text, total: steps.append(-total) or steps.append,
        steps=steps,
    )


PARAMS = TrainedParams(width=16, epochs=1, batch=20)


def unit(train: ImageSet) -> torch.Tensor:
    return torch.from_numpy(train.images.copy()).float() / 255


def test_trained_surrogate_learns_the_clean_labels(train, run):
    surrogate = TrainedSurrogate(TrainedParams(width=16, epochs=8, batch=12, lr=0.02, crop=0))
    assert isinstance(surrogate, FittedSurrogate)
    surrogate.fit(train, run)
    x = unit(train)
    assert surrogate.features(x).shape == (60, 128)
    assert (surrogate.logits(x).argmax(1).numpy() == train.labels).mean() > 0.9


@pytest.mark.parametrize("batch", [1, 20])
def test_trained_surrogate_takes_as_many_steps_as_it_announces(train, run, batch):
    TrainedSurrogate(TrainedParams(width=16, epochs=1, batch=batch)).fit(train, run)
    assert sum(run.steps) == 0


def test_trained_surrogate_equals_a_model_of_the_engine(train, run):
    surrogate = TrainedSurrogate(PARAMS)
    surrogate.fit(train, run)
    with seeded(5):
        network = ResNet18(PARAMS).build(2, (8, 8))
    model = run.engine.fit(network, train, PARAMS, seed=5).model
    with torch.no_grad():
        torch.testing.assert_close(surrogate.logits(unit(train)), model(unit(train)))


def test_trained_surrogate_restored_equals_the_fitted_one(train, run):
    fitted, restored = TrainedSurrogate(PARAMS), TrainedSurrogate(PARAMS)
    state = fitted.fit(train, run)
    assert all(isinstance(array, np.ndarray) and array.flags.c_contiguous for array in state.values())
    restored.restore({name: np.array(array) for name, array in state.items()}, train, run)
    x = unit(train)[:5].requires_grad_()
    assert torch.equal(fitted.features(x), restored.features(x))
    restored.logits(x).sum().backward()
    assert x.grad.abs().sum() > 0
    assert all(weight.grad is None and not weight.requires_grad for weight in restored.module(0).parameters())


def test_trained_surrogate_raises_before_fitting(train):
    with pytest.raises(UsageError, match=r"fit\(\) or restore\(\)"):
        TrainedSurrogate(PARAMS).features(unit(train))


def test_trained_surrogate_keeps_a_precision_set_before_fitting(train, run):
    surrogate = TrainedSurrogate(PARAMS)
    surrogate.to(torch.device("cpu"), torch.bfloat16)
    surrogate.fit(train, run)
    coarse = surrogate.features(unit(train))
    surrogate.to(torch.device("cpu"), torch.float32)
    assert not torch.equal(surrogate.features(unit(train)), coarse)


def test_trained_preset_adv_poison_equals_the_published_recipe():
    params = TrainedParams.resolve("surrogate 'trained'", preset="adv-poison")
    assert (params.epochs, params.batch, params.lr, params.nesterov) == (40, 128, 0.1, True)
    assert (params.schedule, params.milestones, params.gamma) == ("step", (14, 24, 35), 0.1)


def untrained(**options):
    return UntrainedResNet18(UntrainedParams(width=16, **options))


def test_untrained_normalizes_inside_with_statistics_of_the_data_on_request():
    train = sample_images(size=(20, 28))
    network = untrained(normalize="data").module(0, train)
    pixels = train.images.astype(np.float64) / 255
    np.testing.assert_allclose(network.mean.flatten(), pixels.mean((0, 2, 3)), atol=1e-5)
    plain = untrained().module(0, train)
    assert not plain.mean.any()
    assert (plain.std == 1).all()


def test_untrained_scores_equal_the_classifier_of_its_features():
    train = sample_images(size=(20, 28))
    network = untrained(normalize="imagenet").module(0, train).eval()
    x = torch.rand(4, 3, 20, 28)
    torch.testing.assert_close(network.model.fc(network.features(x)), network(x))


def test_untrained_depends_on_the_seed_and_requires_a_training_set():
    train = sample_images(size=(20, 28))
    first, second = (untrained().module(seed, train).model.conv1.weight for seed in (0, 1))
    assert not torch.equal(first, second)
    with pytest.raises(UsageError, match="built for a training set"):
        untrained().module(0)
