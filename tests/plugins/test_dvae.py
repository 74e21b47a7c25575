"""D-VAE: what its loss asks for, and what two autoencoders leave of a class-wise pattern."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ucbench import DataError
from ucbench.testing import make_run, sample_images
from ucbench_dvae.defense import DisentanglingVAE, objective
from ucbench_dvae.network import Decoded, Disentangler
from ucbench_dvae.params import DVAEParams

X = torch.full((2, 3, 4, 4), 0.5)


def decoded(image: float = 0.5, perturbation: float = 0.0, rate: float = 2.0) -> Decoded:
    return Decoded(torch.full_like(X, image), torch.full_like(X, perturbation), torch.tensor(rate))


def test_objective_sums_both_errors_and_the_rate():
    value = objective(X, decoded(0.6, 0.1), 1.0, 0.01, bound=False)
    assert float(value) == pytest.approx(0.1**2 + 0.2**2 + 0.02)


def test_objective_clips_the_sum_of_image_and_perturbation():
    assert float(objective(X, decoded(0.5, 9.0, 1.0), 1.0, 0.01, bound=False)) == pytest.approx(0.25 + 0.01)


@pytest.mark.parametrize(("rate", "gradient"), [(0.5, 0.0), (1.5, 0.01)])
def test_objective_has_a_gradient_in_the_rate_only_above_its_target(rate, gradient):
    value = torch.tensor(rate, requires_grad=True)
    objective(X, decoded()._replace(rate=value), 1.0, 0.01, bound=True).backward()
    assert float(value.grad) == pytest.approx(gradient)


@pytest.mark.parametrize(("size", "extra"), [(0.02, 0.002), (0.2, 0.04)])
def test_objective_bounds_the_perturbation_from_a_mean_square_of_0_002(size, extra):
    free, bound = (float(objective(X, decoded(0.5, size), 1.0, 0.01, bound=bound)) for bound in (False, True))
    assert bound - free == pytest.approx(extra)


def test_rate_is_zero_where_latents_are_the_prior():
    network = Disentangler(3, (6, 9), 4, 8, 4)
    for parameter in network.moments.parameters():
        torch.nn.init.zeros_(parameter)
    with torch.no_grad():
        out = network(torch.rand(2, 3, 6, 9), torch.tensor([0, 2]))
    assert float(out.rate) == 0
    assert out.image.shape == out.perturbation.shape == (2, 3, 6, 9)


def test_only_the_perturbation_depends_on_the_label():
    network, x = Disentangler(3, (8, 8), 4, 8, 4).eval(), torch.rand(1, 3, 8, 8)
    one, other = (network(x, torch.tensor([label])) for label in (0, 1))
    torch.testing.assert_close(one.image, other.image)
    assert not torch.allclose(one.perturbation, other.perturbation)


def test_d_vae_removes_most_of_a_class_wise_pattern():
    rng = np.random.default_rng(0)
    clean = sample_images(192, (12, 12), 3)
    # Flat patches, which have nothing to do with the class: what a low rate can keep.
    flat = np.kron(rng.uniform(60, 190, (192, 3, 3, 3)), np.ones((4, 4)))
    clean = clean.with_images(flat.astype(np.uint8))
    patterns = rng.choice(np.array([-12, 12]), (3, 3, 12, 12))
    released = clean.with_images((clean.images + patterns[clean.known_labels]).astype(np.uint8))
    run = make_run(stage="prepare")
    purified = DisentanglingVAE(DVAEParams(epochs=10, batch=16, latent=8, width=16, rate=8)).prepare(released, run)
    rest = purified.images.astype(float) - clean.images
    assert float((rest * patterns[clean.known_labels]).mean()) < 0.5 * 144
    assert np.corrcoef(purified.images.ravel(), clean.images.ravel())[0, 1] > 0.25
    assert len(run.notes["rates"]) == len(run.notes["perturbations"]) == 2


def test_d_vae_refuses_images_without_labels():
    with pytest.raises(DataError):
        DisentanglingVAE(DVAEParams()).prepare(sample_images().with_labels(None), make_run(stage="prepare"))
