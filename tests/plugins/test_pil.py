"""PIL: the closed gradient, the classifier, and what it reads in perturbations and images."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from ucbench.data.budget import Budget
from ucbench.errors import UcbenchError, UsageError
from ucbench.testing import make_run, sample_images
from ucbench_pil.params import PILParams
from ucbench_pil.poisoner import PIL, gradient

RADIUS = 8 / 255


def crafted(train, epsilon=8, **options):
    run = make_run(budget=Budget("linf", epsilon))
    return torch.from_numpy(PIL(PILParams(**options)).craft(train, run).delta), run


@pytest.mark.parametrize("weight", [0.0, 0.4, 1.0])
def test_closed_gradient_equals_that_of_the_objective(weight):
    torch.manual_seed(0)
    weights, x = torch.randn(4, 12, dtype=torch.float64), torch.rand(5, 12, dtype=torch.float64)
    delta, labels = torch.randn_like(x).requires_grad_(), torch.tensor([0, 3, 1, 1, 2])
    uniform = torch.full((5, 4), 0.25, dtype=torch.float64)
    hidden = F.kl_div(((x - delta) @ weights.T).log_softmax(1), uniform, reduction="sum")
    loss = weight * F.cross_entropy(delta @ weights.T, labels, reduction="sum") + (1 - weight) * hidden
    (expected,) = torch.autograd.grad(loss, delta)
    torch.testing.assert_close(gradient(x, delta.detach(), labels, weights, weight), expected)


@pytest.mark.parametrize("layers", [1, 2])
def test_classifier_reads_the_label_in_the_perturbation_and_less_in_the_perturbed_image(layers):
    delta, run = crafted(sample_images(60, (12, 12), classes=4), epsilon=32, layers=layers, lr=0.05, batch=16)
    read = run.notes["read"]
    assert read["perturbation"] > 0.95
    assert read["perturbed"] < read["clean"] - 0.1
    assert run.notes["losses"]["last"] < run.notes["losses"]["first"] / 2
    assert delta.abs().max() <= 4 * RADIUS + 1e-7


def test_perturbations_start_uniform_and_move_by_steps_of_epsilon():
    train = sample_images()
    start = -RADIUS * (2 * torch.rand(train.images.shape, generator=make_run().generator("start")) - 1)
    delta, _ = crafted(train, epochs=1, steps=1, step=0.05)
    moved = delta - start
    inside = start.abs() < 0.9 * RADIUS
    torch.testing.assert_close(moved[inside].abs(), torch.full_like(moved[inside], 0.05 * RADIUS), rtol=1e-3, atol=1e-7)


def test_a_single_class_is_refused():
    with pytest.raises(UsageError, match="only one class"):
        crafted(sample_images(5, classes=1))


def test_diverging_classifier_raises():
    with pytest.raises(UcbenchError, match="diverged in pass"):
        crafted(sample_images(), lr=1e30)
