"""k-means on surrogate features: repeatable, on the whole set, and never with an empty cluster."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from ucbench.crafting.clustering import cluster, clusters_of, extract_features, nearest_centre
from ucbench.errors import UsageError
from ucbench.testing import TinySurrogate, make_run, sample_images

CPU = torch.device("cpu")


def blobs(seed: int = 0) -> torch.Tensor:
    """Thirty points around three corners, ten each, in order."""
    corners = torch.tensor([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0]]).repeat_interleave(10, 0)
    return corners + torch.randn((30, 2), generator=torch.Generator().manual_seed(seed))


def test_cluster_finds_separate_groups():
    found = cluster(blobs(), 3, seed=0)
    groups = found.assignment.reshape(3, 10)
    assert (groups == groups[:, :1]).all()
    assert len(set(groups[:, 0])) == 3
    np.testing.assert_allclose(found.centres[groups[:, 0]], blobs().view(3, 10, 2).mean(1), atol=1e-4)
    assert (found.centres.dtype, found.assignment.dtype) == (np.float32, np.int64)


@pytest.mark.parametrize("seed", [0, 2**62 + 5])
def test_cluster_repeats_for_one_seed(seed):
    first, again = (cluster(blobs(), 4, seed) for _ in range(2))
    np.testing.assert_array_equal(first.centres, again.centres)
    np.testing.assert_array_equal(first.assignment, again.assignment)


def test_cluster_assigns_the_nearest_centre():
    features = torch.rand((200, 16), generator=torch.Generator().manual_seed(0))
    found = cluster(features, 7, seed=0)
    np.testing.assert_array_equal(nearest_centre(features, torch.from_numpy(found.centres)), found.assignment)


def test_cluster_raises_on_fewer_images_than_clusters():
    with pytest.raises(UsageError, match="5 clusters need at least 5 images, but there are 4"):
        cluster(blobs()[:4], 5, seed=0)


@pytest.mark.filterwarnings("ignore:Number of distinct clusters")
def test_cluster_raises_on_fewer_distinct_images_than_clusters():
    """k-means would leave clusters empty, and no perturbation can be fitted on those."""
    with pytest.raises(UsageError, match=r"4 clusters .* only 2 images apart"):
        cluster(torch.eye(2).repeat(6, 1), 4, seed=0)


@pytest.mark.parametrize("batch", [1, 5, 250])
def test_features_are_independent_of_the_batch_size(batch):
    surrogate, images = TinySurrogate(), sample_images(11)
    whole = surrogate.features(torch.from_numpy(images.images.copy()).float() / 255)
    found = extract_features(surrogate, images, CPU, batch)
    torch.testing.assert_close(found, whole, rtol=1e-4, atol=1e-6)
    assert not found.requires_grad


def test_clusters_of_depends_only_on_craft_seed_and_pixels():
    images = sample_images(40)
    found = clusters_of(images, 3, make_run(), TinySurrogate())
    relabelled = dataclasses.replace(images, labels=images.known_labels[::-1].copy())
    again = clusters_of(relabelled, 3, make_run(), TinySurrogate())
    np.testing.assert_array_equal(found.assignment, again.assignment)
    expected = cluster(extract_features(TinySurrogate(), images, CPU), 3, make_run().seed("clusters"))
    np.testing.assert_array_equal(found.assignment, expected.assignment)
