"""D-VAE: what its loss asks for, and what two autoencoders leave of a class-wise pattern."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ucbench import DataError
from ucbench.testing import make_run, sample_images
from ucbench_dvae.defense import DisentanglingVAE, _without, objective
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
    network = Disentangler(3, (6, 9), 4, 8)
    for parameter in network.moments.parameters():
        torch.nn.init.zeros_(parameter)
    with torch.no_grad():
        out = network(torch.rand(2, 3, 6, 9), torch.tensor([0, 2]), torch.randn(network.latents(2)))
    assert float(out.rate) == 0
    assert out.image.shape == out.perturbation.shape == (2, 3, 6, 9)


def test_rate_of_layers_in_bfloat16_is_computed_in_float32():
    network = Disentangler(3, (8, 8), 64, 8).eval()
    with torch.no_grad():
        for parameter in network.moments.parameters():
            parameter *= 0.02
        x, labels, noise = torch.rand(4, 3, 8, 8), torch.zeros(4, dtype=torch.int64), torch.randn(network.latents(4))
        exact = network(x, labels, noise).rate
        with torch.autocast("cpu", dtype=torch.bfloat16):
            rate = network(x, labels, noise).rate
    assert rate.dtype == torch.float32
    torch.testing.assert_close(rate, exact, rtol=0.03, atol=0)


def test_every_2_x_2_pixels_have_a_latent_vector():
    assert Disentangler(3, (32, 32), 5, 8).latents(7) == (7, 5, 16, 16)


def test_only_the_perturbation_depends_on_the_label():
    network, x = Disentangler(3, (8, 8), 4, 8).eval(), torch.rand(1, 3, 8, 8)
    noise = torch.randn(network.latents(1))
    one, other = (network(x, torch.tensor([label]), noise) for label in (0, 1))
    torch.testing.assert_close(one.image, other.image)
    assert not torch.allclose(one.perturbation, other.perturbation)


def test_learning_rate_is_constant_within_an_epoch_and_falls_between_them(monkeypatch):
    rates, step = [], torch.optim.Adam.step

    def noted(optimizer, *args, **options):
        rates.append(optimizer.param_groups[0]["lr"])
        return step(optimizer, *args, **options)

    monkeypatch.setattr(torch.optim.Adam, "step", noted)
    params = DVAEParams(epochs=2, batch=4, latent=2, width=4, lr=0.01)
    DisentanglingVAE(params).prepare(sample_images(8, (4, 4)), make_run(stage="prepare"))
    assert rates == pytest.approx([0.01, 0.01, 0.005, 0.005] * 2)


def test_second_stage_learns_from_the_images_less_what_the_first_one_found(monkeypatch):
    seen, fitted = [], DisentanglingVAE._fitted

    def noted(defense, images, target, stage, run):
        network, rate = fitted(defense, images, target, stage, run)
        seen.append((images, target, network))
        return network, rate

    monkeypatch.setattr(DisentanglingVAE, "_fitted", noted)
    train, run = sample_images(12, (6, 6)), make_run(stage="prepare")
    DisentanglingVAE(DVAEParams(epochs=1, batch=4, latent=2, width=4, rate=3)).prepare(train, run)
    (first, one, network), (second, three, _) = seen
    expected, size = _without(train, network, run.generator("latents 1"), rebuild=False, run=run)
    assert (first, one, three) == (train, 1, 3)
    np.testing.assert_array_equal(second.images, expected.images)
    assert run.notes["perturbations"][0] == size > 0
    assert len(run.notes["rates"]) == 2


def test_first_stage_finds_the_pattern_of_the_class_and_subtracts_it():
    rng = np.random.default_rng(0)
    clean = sample_images(240, (12, 12), 3)
    # Content that no mean over pixels keeps, and a low rate does: columns that alternate, one sign for each quarter.
    quarters = np.kron(rng.choice([-1, 1], (240, 3, 2, 2)), np.ones((6, 6)))
    clean = clean.with_images((128 + 60 * quarters * np.where(np.arange(12) % 2, 1, -1)).astype(np.uint8))
    patterns = rng.choice(np.array([-12, 12]), (3, 3, 12, 12))[clean.known_labels]
    released = clean.with_images((clean.images + patterns).astype(np.uint8))

    run, draws = make_run(stage="prepare"), torch.Generator().manual_seed(0)
    defense = DisentanglingVAE(DVAEParams(epochs=12, batch=16, latent=8, width=12))
    network, _ = defense._fitted(released, 1.0, "stage 1", run)
    without, _ = _without(released, network, draws, rebuild=False, run=run)
    rebuilt, _ = _without(released, network, draws, rebuild=True, run=run)
    found, rest = (one.images.astype(float) - other.images for one, other in ((released, without), (without, clean)))
    assert np.corrcoef(found.ravel(), patterns.ravel())[0, 1] > 0.4
    assert float((rest * patterns).mean()) < 0.7 * 144
    assert np.corrcoef(rebuilt.images.ravel(), clean.images.ravel())[0, 1] > 0.8


def test_d_vae_refuses_images_without_labels():
    with pytest.raises(DataError):
        DisentanglingVAE(DVAEParams()).prepare(sample_images().with_labels(None), make_run(stage="prepare"))
