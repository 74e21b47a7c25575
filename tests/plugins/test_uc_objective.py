"""Unlearnable Clusters: distances to the target centres, and which centre is whose target."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import log_softmax

from ucbench_uc.objective import cluster_means, derangement, discrepancy

GENERATOR = torch.Generator().manual_seed(0)
CENTRES = torch.randn(4, 6, generator=GENERATOR, dtype=torch.float64)
FEATURES = torch.randn(5, 6, generator=GENERATOR, dtype=torch.float64)
TARGETS = torch.tensor([2, 0, 3, 3, 1])


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(a @ b / math.sqrt((a @ a) * (b @ b)))


def expected(name: str, temperature: float) -> list[float]:
    centres, features = CENTRES.numpy(), FEATURES.numpy()
    middle = centres.mean(0)
    pairs = list(itertools.combinations(centres, 2))
    scale = sum(float(((a - b) ** 2).sum()) for a, b in pairs) / len(pairs)
    losses = []
    for f, target in zip(features, TARGETS.tolist(), strict=True):
        if name == "kl":
            log_p, log_q = log_softmax(centres[target] / temperature), log_softmax(f / temperature)
            losses.append(float((np.exp(log_p) * (log_p - log_q)).sum()))
        elif name == "mse":
            losses.append(float(((f - centres[target]) ** 2).sum()) / scale)
        elif name == "cosine":
            losses.append(1 - cosine(f - middle, centres[target] - middle))
        else:
            scores = np.array([cosine(f - middle, centre - middle) / temperature for centre in centres])
            losses.append(-float(log_softmax(scores)[target]))
    return losses


@pytest.mark.parametrize("name", ["kl", "centres", "mse", "cosine"])
@pytest.mark.parametrize("temperature", [0.5, 1.0])
def test_discrepancy_equals_its_formula_in_value_and_gradient(name, temperature):
    distance = discrepancy(name, CENTRES, temperature)
    found = distance(FEATURES, TARGETS)
    np.testing.assert_allclose(found.numpy(), expected(name, temperature), rtol=1e-10)
    features = FEATURES.clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda f: distance(f, TARGETS), features)


@pytest.mark.parametrize("name", ["kl", "centres", "mse", "cosine"])
def test_discrepancy_is_smallest_at_the_target(name):
    distance = discrepancy(name, CENTRES, 0.5)
    here = distance(CENTRES, torch.arange(4))
    there = distance(CENTRES, torch.tensor([1, 2, 3, 0]))
    assert (here < there).all()
    assert name == "centres" or torch.allclose(here, torch.zeros(4, dtype=torch.float64), atol=1e-12)


def test_discrepancy_refuses_unknown_names():
    with pytest.raises(ValueError, match="unknown distance 'l1'"):
        discrepancy("l1", CENTRES, 1.0)


def test_cluster_means_are_means_of_each_clusters_features():
    features, assignment = torch.rand(9, 4), np.array([2, 0, 1, 1, 0, 2, 2, 2, 1])
    expected = torch.stack([features[torch.from_numpy(assignment == k)].mean(0) for k in range(3)])
    torch.testing.assert_close(cluster_means(features, assignment), expected)


@given(st.sampled_from(["shift", "farthest"]), st.integers(2, 15), st.integers(0, 99))
@settings(max_examples=50)
def test_derangement_sends_every_cluster_to_another(name: str, count: int, seed: int) -> None:
    centres = torch.randn(count, 3, generator=torch.Generator().manual_seed(seed))
    targets = derangement(name, centres)
    assert sorted(targets.tolist()) == list(range(count))
    assert (targets != torch.arange(count)).all()


@given(st.integers(2, 6), st.integers(0, 99))
@settings(max_examples=30)
def test_derangement_farthest_maximizes_the_total_distance(count: int, seed: int) -> None:
    centres = torch.randn(count, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)

    def total(targets: list[int]) -> float:
        return float((centres - centres[targets]).norm(dim=1).sum())

    derangements = (p for p in itertools.permutations(range(count)) if all(i != t for i, t in enumerate(p)))
    most = max(total(list(targets)) for targets in derangements)
    assert total(derangement("farthest", centres).tolist()) == pytest.approx(most)


def test_derangement_farthest_handles_equal_centres():
    targets = derangement("farthest", torch.zeros(4, 3))
    assert sorted(targets.tolist()) == [0, 1, 2, 3]
    assert (targets != torch.arange(4)).all()


def test_derangement_shift_equals_the_released_one():
    assert derangement("shift", torch.rand(4, 2)).tolist() == [1, 2, 3, 0]
