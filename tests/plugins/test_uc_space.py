"""Unlearnable Clusters: the space in which images are clustered, for those seen while crafting and for others."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.decomposition import PCA

from ucbench.crafting.clustering import clusters_of
from ucbench.data.budget import Budget
from ucbench.testing import TinySurrogate, make_run, sample_images
from ucbench_uc.params import UCParams
from ucbench_uc.poisoner import UnlearnableClusters
from ucbench_uc.space import coordinates, whitening

FEATURES = torch.randn(60, 10, generator=torch.Generator().manual_seed(0)) * torch.arange(1, 11) + 3
SPACES = ["raw", "unit", "whitened"]


def test_whitening_equals_whitened_principal_components_of_scikit_learn():
    expected = PCA(4, whiten=True, svd_solver="full").fit_transform(F.normalize(FEATURES, dim=1).double().numpy())
    found = coordinates("whitened", FEATURES, whitening(FEATURES, 4)).numpy()
    signs = np.sign((found * expected).sum(0))  # of components, which are arbitrary
    np.testing.assert_allclose(found * signs, expected, atol=1e-4)


@pytest.mark.parametrize(("images", "dimensions", "expected"), [(60, 4, 4), (60, 99, 9), (6, 99, 5)])
def test_whitening_clips_dimensions_to_one_less_than_images_and_features(images, dimensions, expected):
    assert whitening(FEATURES[:images], dimensions)["whitening_axes"].shape == (10, expected)


def test_whitening_leaves_out_directions_without_variance():
    """Whitened, their rounding errors would count as much as the features."""
    flat = FEATURES[:, :3] @ torch.randn(3, 10, generator=torch.Generator().manual_seed(1))
    assert whitening(flat, 9)["whitening_axes"].shape == (10, 3)


def test_coordinates_unit_have_length_one():
    torch.testing.assert_close(coordinates("unit", FEATURES, {}).norm(dim=1), torch.ones(60, dtype=torch.float64))


def crafted(space: str, dimensions: int = 5):
    train = sample_images(80, (8, 8)).with_labels(None)
    component = UnlearnableClusters(
        UCParams(clusters=5, steps=1, width=4, residual_blocks=1, space=space, dimensions=dimensions)
    )
    run = make_run(budget=Budget("linf", 16), surrogate=TinySurrogate())
    return component, train, run, component.craft(train, run)


@pytest.mark.parametrize("space", SPACES)
def test_uc_assigns_unseen_images_that_equal_training_images_to_their_cluster(space):
    component, train, run, made = crafted(space)
    assert all(array.dtype == np.float32 for name, array in made.state.items() if name != "targets")
    unseen = train.subset(np.arange(len(train))[::-1])
    np.testing.assert_array_equal(component.assign(unseen, None, made.state, run), made.index[::-1])


def test_uc_clusters_in_raw_space_are_those_of_craft_labels():
    _, train, run, made = crafted("raw")
    np.testing.assert_array_equal(made.index, clusters_of(train, 5, run, TinySurrogate()).assignment)


def test_uc_spaces_give_different_clusters():
    indices = [tuple(crafted(space)[3].index) for space in SPACES]
    assert len(set(indices)) == 3


def test_uc_target_centres_are_in_feature_units_in_every_space():
    for space in SPACES:
        made = crafted(space)[3]
        assert made.state["goals"].shape == (5, 64)
        assert made.state["centres"].shape == (5, 5 if space == "whitened" else 64)
