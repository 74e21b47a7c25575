"""Images and a surrogate to check components with."""

from __future__ import annotations

import torch

from ucbench.testing import TinySurrogate, sample_images


def test_samples_hold_every_class_and_extreme_pixels():
    images = sample_images(7, (4, 9), classes=5, seed=3)
    assert images.images.shape == (7, 3, 4, 9)
    assert set(images.known_labels.tolist()) == set(range(5))
    assert images.images[0].max() == 0
    assert images.images[-1].min() == 255
    assert images.fingerprint == sample_images(7, (4, 9), classes=5, seed=3).fingerprint
    assert images.fingerprint != sample_images(7, (4, 9), classes=5, seed=4).fingerprint


def test_tiny_surrogate_is_drawn_from_its_seed():
    x = torch.rand(2, 3, 5, 6)
    assert torch.equal(TinySurrogate(1).features(x), TinySurrogate(1).features(x))
    assert not torch.equal(TinySurrogate(1).features(x), TinySurrogate(2).features(x))
    assert TinySurrogate().features(x).shape == (2, 64)
