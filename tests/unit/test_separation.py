"""How far classes stand apart in features, against a plain loop over pairs."""

from __future__ import annotations

import pytest
import torch

from ucbench.metrics.features import cosine_gap


def by_pairs(features: torch.Tensor, labels: torch.Tensor) -> float:
    within, between = [], []
    for i in range(len(labels)):
        for j in range(len(labels)):
            if i != j:
                a, b = features[i], features[j]
                length = a.norm() * b.norm()
                cosine = float(a @ b / length) if length > 0 else 0.0
                (within if labels[i] == labels[j] else between).append(cosine)
    return sum(within) / len(within) - sum(between) / len(between)


def test_cosine_gap_is_the_mean_over_pairs():
    features = torch.randn(23, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    features[3] = 0
    labels = torch.tensor([7, 2, 9] * 7 + [2, 2])
    assert cosine_gap(features, labels) == pytest.approx(by_pairs(features, labels), abs=1e-12)


def test_cosine_gap_is_one_for_orthogonal_classes():
    features = torch.eye(3)[torch.tensor([0, 0, 1, 1, 2, 2])] * torch.tensor([[1.0], [5], [2], [2], [1], [9]])
    assert cosine_gap(features, torch.tensor([4, 4, 1, 1, 0, 0])) == pytest.approx(1)


@pytest.mark.parametrize("labels", [[0, 0, 0], [0, 1, 2]], ids=["one class", "no pair within"])
def test_cosine_gap_is_missing_without_both_kinds_of_pairs(labels):
    assert cosine_gap(torch.randn(3, 4), torch.tensor(labels)) is None
