"""NTGA: the kernel against wide networks, predictions against gradient descent, and what the steps do."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from resuming import check_resumes

from ucbench.data.budget import Budget
from ucbench.errors import UsageError
from ucbench.testing import make_run, sample_images
from ucbench_ntga.kernel import REGULAR, _Learned, coefficients, tangent_kernel
from ucbench_ntga.params import NTGAParams
from ucbench_ntga.poisoner import Network, TangentAttack

WEIGHT, BIAS = 1.76, 0.18


pytestmark = pytest.mark.usefixtures("exact_arithmetic")


def crafted(run=None, train=None, **options):
    run = run or make_run(budget=Budget("linf", 32))
    poisoner = TangentAttack(NTGAParams(**{"block": 15, "steps": 4, "step": 0.3, **options}))
    return torch.from_numpy(poisoner.craft(train or sample_images(60), run).delta), run


def points(count: int, seed: int = 0) -> torch.Tensor:
    return torch.rand((count, 12), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_kernel_equals_that_of_wide_networks_of_random_weights():
    """Sums of products of the gradients of outputs in all weights, with weights as that parametrisation scales them."""
    x, width, layers = points(3), 1000, 2
    total = torch.zeros((3, 3), dtype=torch.float64)
    for seed in range(3):
        generator = torch.Generator().manual_seed(seed)
        sizes = [12, width, 40]
        weights = [
            torch.randn((out, into), generator=generator, dtype=torch.float64).requires_grad_()
            for into, out in itertools.pairwise(sizes)
        ]
        biases = [torch.randn(out, generator=generator, dtype=torch.float64).requires_grad_() for out in sizes[1:]]
        y = x
        for weight, bias in zip(weights, biases, strict=True):
            y = torch.erf((WEIGHT / y.shape[1]) ** 0.5 * y @ weight.T + BIAS**0.5 * bias)
        for output in range(40):
            rows = [
                torch.cat([g.flatten() for g in torch.autograd.grad(y[i, output], weights + biases, retain_graph=True)])
                for i in range(3)
            ]
            gradients = torch.stack(rows)
            total += gradients @ gradients.T / (3 * 40)
    torch.testing.assert_close(total, tangent_kernel(x, x, layers, WEIGHT, BIAS), rtol=0.1, atol=0.02)


def test_predictions_are_where_gradient_descent_in_function_space_arrives():
    x, z = points(5), points(4, 1)
    targets = F.one_hot(torch.tensor([0, 1, 2, 0, 1]), 3).double()
    among, between = tangent_kernel(x, x, 3, WEIGHT, BIAS), tangent_kernel(z, x, 3, WEIGHT, BIAS)
    regular = among + REGULAR * among.diagonal().mean() * torch.eye(5, dtype=torch.float64)
    learned, others, fine = torch.zeros_like(targets), torch.zeros((4, 3), dtype=torch.float64), 4000
    for _ in range(fine):
        error = (targets - learned) / targets.numel() * 64 / fine
        learned, others = learned + regular @ error, others + between @ error
    torch.testing.assert_close(between @ coefficients(among, targets, 64.0), others, rtol=1e-2, atol=1e-3)


def test_gradient_of_the_learned_matrix_is_exact_also_with_equal_eigenvalues():
    root = torch.randn((4, 4), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for matrix in (root @ root.T + torch.eye(4, dtype=torch.float64), 2 * torch.eye(4, dtype=torch.float64)):
        upper = matrix.clone().requires_grad_()
        symmetric = lambda m: _Learned.apply((m + m.T) / 2, 0.7)  # noqa: E731
        assert torch.autograd.gradcheck(symmetric, upper)


def test_gradient_in_chunks_of_attacked_images_is_that_of_their_summed_cross_entropy(monkeypatch):
    train = sample_images(6)
    levels = torch.from_numpy(train.images.copy())
    images = levels.double() / 255
    labels = torch.from_numpy(train.known_labels.copy())
    x, aims, goals = images[:3], images[[3, 4, 5, 3]], labels[[3, 4, 5, 3]]
    network = Network(x, labels[:3], levels[[3, 4, 5, 3]], goals, train, NTGAParams())
    monkeypatch.setattr("ucbench_ntga.poisoner.CHUNK", 3)
    perturbed = x.clone().requires_grad_()
    (found,) = torch.autograd.grad(network.negative_loss(perturbed), perturbed)
    flat = perturbed.flatten(1)
    among, between = (tangent_kernel(each, flat, 5, WEIGHT, BIAS) for each in (flat, aims.flatten(1)))
    outputs = between @ coefficients(among, F.one_hot(labels[:3], len(train.classes)).double(), 64.0)
    (expected,) = torch.autograd.grad(-F.cross_entropy(outputs, goals, reduction="sum"), perturbed)
    torch.testing.assert_close(found, expected)
    assert network.accuracy(x) == pytest.approx((outputs.argmax(1) == goals).double().mean().item())


def test_networks_that_learned_perturbed_images_are_wrong_on_others():
    _, run = crafted(make_run(budget=Budget("linf", 64)), attacked=40, steps=10, step=0.2)
    attacked = run.notes["attacked"]
    assert attacked["clean"] > 0.6
    assert attacked["perturbed"] < attacked["clean"] - 0.3


def test_craft_resumed_from_any_checkpoint_equals_an_uninterrupted_one():
    check_resumes(lambda checkpoint: crafted(make_run(checkpoint=checkpoint)), steps=4)


def test_every_image_is_perturbed_and_few_are_refused():
    delta, _ = crafted(train=sample_images(17), block=8)
    assert (delta.flatten(1).abs().amax(1) > 0).all()
    with pytest.raises(UsageError, match="at least 4"):
        crafted(train=sample_images(3))


def test_released_preset_is_one_step_of_the_radius():
    released, paper = (NTGAParams.resolve("ntga", preset) for preset in ("released", "paper"))
    assert (released.steps, released.step) == (1, 1.0)
    assert (paper.steps, paper.step) == (10, pytest.approx(0.11))
    assert (paper.block, paper.time, paper.layers, paper.attacked) == (512, 64, 5, 10_000)
    best = NTGAParams.resolve("ntga", "cifar10")
    assert best.model_dump() == {**released.model_dump(), "time": 4096}
    assert np.isclose([paper.weight_variance, paper.bias_variance], [WEIGHT, BIAS]).all()
