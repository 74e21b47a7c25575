"""Views of an image whose scores a trained victim averages."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ucbench.exploit.train import Defended, train
from ucbench.metrics.features import capture_features
from ucbench.metrics.layers import all_layers
from ucbench.testing import make_run, sample_images
from ucbench.training.defenses import DefensePipeline
from ucbench.training.recipe import Recipe
from ucbench.training.views import averaged

IMAGES = torch.from_numpy(np.random.default_rng(0).random((3, 3, 4, 5)))


def pixels(x: Tensor) -> Tensor:
    """Scores that are the pixels themselves."""
    return x.flatten(1)


def moved(down: int, right: int) -> Tensor:
    padded = torch.from_numpy(np.pad(IMAGES.numpy(), ((0, 0), (0, 0), (1, 1), (1, 1)), mode="reflect"))
    return padded[:, :, 1 + down : 5 + down, 1 + right : 6 + right]


def test_one_view_is_the_image_itself():
    assert torch.equal(averaged(pixels, IMAGES, 1, mirror=True), pixels(IMAGES))


def test_two_views_weigh_the_image_and_its_mirror_image_alike():
    torch.testing.assert_close(averaged(pixels, IMAGES, 2, mirror=True), pixels((IMAGES + IMAGES.flip(3)) / 2))


def test_six_views_give_the_four_that_are_moved_half_the_weight():
    shifts = (moved(-1, -1) + moved(1, 1)) / 4 + IMAGES / 2
    torch.testing.assert_close(averaged(pixels, IMAGES, 6, mirror=False), pixels(shifts))
    # A moved image is mirrored after it was moved.
    torch.testing.assert_close(averaged(pixels, IMAGES, 6, mirror=True), pixels((shifts + shifts.flip(3)) / 2))


@pytest.mark.parametrize(
    ("flip", "recipe", "mirrored"),
    [(True, "auto", True), (False, "auto", False), (False, "always", True), (True, "never", False)],
)
def test_victim_averages_mirror_images_where_its_training_has_them(flip, recipe, mirrored):
    model = nn.Sequential(nn.Flatten(), nn.Linear(3 * 6 * 6, 4))
    x = torch.rand(5, 3, 6, 6)
    defended = Defended(model, DefensePipeline(()), Recipe(test_views=2, flip=recipe), flip)
    assert torch.allclose(defended(x), defended(x.flip(3))) is mirrored


class Small:
    def __init__(self, views: int, epochs: int = 1) -> None:
        self.recipe = Recipe(epochs=epochs, batch=8, test_views=views)

    def build(self, classes: int, size: tuple[int, int]) -> nn.Module:
        return nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(4 * (size[0] - 2) * (size[1] - 2), classes))


def test_views_change_predictions_and_neither_training_nor_the_networks_own_features():
    images, test = sample_images(32, (6, 6), seed=0), sample_images(400, (6, 6), seed=1)
    victims = [
        train(Small(views), images, test, None, DefensePipeline(()), make_run(stage="train")) for views in (1, 6)
    ]
    predictions, features = [], []
    for victim in victims:
        with capture_features(victim.model) as log:
            predictions.append(victim.predict(test))
        features.append(log.features)
    assert victims[0].history == victims[1].history
    assert 0 < (predictions[0] != predictions[1]).mean() < 0.5
    assert torch.equal(*features)
    layers = [all_layers(victim.model, test.images) for victim in victims]
    assert len(layers[0]) == 2
    assert all(map(torch.equal, *layers))


def test_cost_of_a_training_counts_three_passes_of_every_image_in_every_epoch():
    """A pass of an image: 3x3x3 multiplications and additions at 4x4 places of 4 channels, then 64 to 3."""
    images = sample_images(20, (6, 6))
    victim = train(Small(1, epochs=5), images, images, None, DefensePipeline(()), make_run(stage="train"))
    forward = 2 * (27 * 16 * 4 + 64 * 3)
    assert victim.gflops == pytest.approx(3 * 5 * 20 * forward / 1e9)
    assert victim.images_per_second * victim.seconds == pytest.approx(5 * 20)
