"""The spread of classes in features, against values by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from ucbench.metrics.covariance import (
    DIMENSIONS,
    RIDGE,
    SHRINKAGE,
    mean_variance,
    random_basis,
    within_class,
    within_class_log_det,
)


def test_within_class_log_det_equals_a_hand_computed_value():
    # Two classes on crosses around far centres: variances 2 and 8 about them, N - K = 6 degrees of freedom.
    cross = torch.tensor([[1.0, 0], [-1, 0], [0, 2], [0, -2]])
    features = torch.cat([cross + 50, cross - 70])
    variances = np.array([4 / 6, 16 / 6]) / 5
    regularised = (1 - SHRINKAGE) * variances + SHRINKAGE * variances.mean() + RIDGE
    found = within_class_log_det(features, torch.arange(2).repeat_interleave(4), 5.0)
    assert found == pytest.approx(np.log(regularised).mean(), rel=1e-6)


def test_within_class_log_det_of_collapsed_classes_equals_the_ridge():
    labels = torch.arange(3).repeat_interleave(4)
    found = within_class_log_det(torch.eye(3)[labels], labels, 1.0)
    assert found == pytest.approx(math.log(RIDGE))
    assert within_class_log_det(torch.rand(3, 4), torch.arange(3), 1.0) == pytest.approx(math.log(RIDGE))


def test_within_class_log_det_is_independent_of_feature_scale():
    features, labels = torch.rand(30, 4), torch.arange(30) % 3
    one, other = (within_class_log_det(f, labels, mean_variance(f)) for f in (features, 1000 * features))
    assert one == pytest.approx(other, rel=1e-5)


def test_within_class_subtracts_the_mean_of_labels_that_skip_numbers():
    centred, freedom = within_class(torch.tensor([[1.0], [3], [10], [20]]), torch.tensor([2, 2, 7, 7]))
    assert centred.flatten().tolist() == [-1, 1, -5, 5]
    assert freedom == 2


def test_random_basis_is_orthonormal_for_many_features():
    assert random_basis(DIMENSIONS, torch.Generator()) is None
    basis = random_basis(200, torch.Generator().manual_seed(0))
    torch.testing.assert_close(basis.T @ basis, torch.eye(DIMENSIONS, dtype=torch.float64))


def test_mean_variance_of_constant_features_is_one():
    assert mean_variance(torch.ones(5, 3)) == 1
