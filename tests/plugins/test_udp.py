"""Detection and adversarial noise: what is detected, how far noise goes, and what it acts against."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ucbench import ImageSet, UsageError
from ucbench.testing import make_run, sample_images
from ucbench.testing.samples import tensor_of
from ucbench.training.optim import Stepper
from ucbench_udp.defense import AdversarialNoise
from ucbench_udp.params import NoiseParams

PARAMS = NoiseParams(hidden=32, epochs=20, batch=32, steps=9, lr=0.05)


def released(count: int = 200) -> tuple[ImageSet, np.ndarray]:
    """Images of noise with a class-wise pattern at 8 levels, and the patterns."""
    rng = np.random.default_rng(0)
    images = sample_images(count, (8, 8), 3)
    pixels = rng.integers(60, 190, images.images.shape)
    patterns = 8 * rng.choice(np.array([-1, 1]), (3, 3, 8, 8))
    return images.with_images((pixels + patterns[images.known_labels]).astype(np.uint8)), patterns


def test_noise_stays_within_its_radius_and_acts_against_the_pattern():
    train, patterns = released()
    run = make_run(stage="prepare")
    noisy = AdversarialNoise(PARAMS.model_copy(update={"threshold": 0})).prepare(train, run)
    change = noisy.images.astype(int) - train.images
    assert np.abs(change).max() == 8
    against = (change * patterns[train.known_labels]).mean((1, 2, 3))
    assert (against < 0).mean() > 0.8
    assert run.notes["noisy"] is True


def test_network_of_the_noise_learns_from_attacked_images(monkeypatch):
    seen, step = [], Stepper.step

    def remembered(self, x, *rest):
        seen.append(x.clone())
        return step(self, x, *rest)

    monkeypatch.setattr(Stepper, "step", remembered)
    train, _ = released(60)
    params = PARAMS.model_copy(update={"threshold": 0, "epochs": 1})
    AdversarialNoise(params).prepare(train, make_run(stage="prepare"))
    assert sum(map(len, seen)) == 60
    for x in seen:
        moved = (x[:, None] - tensor_of(train)).abs().flatten(2).amax(2).min(1).values
        assert moved.min() > 0.9 * 8 / 255
        assert moved.max() < 8 / 255 + 1e-6


def test_detector_finds_a_pattern_and_no_noise_is_added_without_one():
    train, _ = released(400)
    rng = np.random.default_rng(1)
    plain = train.with_images(rng.integers(60, 190, train.images.shape, np.uint8))
    run, other = make_run(stage="prepare"), make_run(stage="prepare")
    assert AdversarialNoise(PARAMS.model_copy(update={"threshold": 60})).prepare(plain, other) is plain
    assert other.notes["detector_accuracy"] < 60
    assert other.notes["noisy"] is False
    AdversarialNoise(PARAMS).prepare(train, run)
    assert run.notes["detector_accuracy"] > other.notes["detector_accuracy"] + 15


def test_unit_per_input_is_refused_for_large_images():
    defense = AdversarialNoise(NoiseParams(hidden=None))
    with pytest.raises(UsageError, match="hidden=512"):
        defense.prepare(sample_images(4, (64, 65)), make_run(stage="prepare"))


def test_strength_zero_leaves_batches_alone():
    x = torch.rand(4, 3, 8, 8)
    out = AdversarialNoise(NoiseParams(strength=0)).augment(x, make_run(stage="train"), torch.Generator())
    assert out is x


@pytest.mark.parametrize(("strength", "grey"), [(1.0, 0.2), (0.5, 0.1)])
def test_share_of_grey_images_follows_the_strength(strength, grey):
    x = torch.rand(2000, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    generator = torch.Generator().manual_seed(1)
    out = AdversarialNoise(NoiseParams(strength=strength)).augment(x, make_run(stage="train"), generator)
    share = (out.max(1).values - out.min(1).values < 1e-5).flatten(1).all(1).float().mean()
    assert float(share) == pytest.approx(grey, abs=0.03)
