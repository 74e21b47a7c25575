"""Defenses that take the perturbation out of the release: what they remove, what they leave, and exactness."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage

from ucbench import DataError, ImageSet, UsageError, parse_chain
from ucbench.plugins.registry import installed
from ucbench.testing import make_run, sample_images
from ucbench_removal.params import (
    PUBLISHED_AUGMENTATION,
    ProjectionParams,
    SubtractParams,
)
from ucbench_removal.projection import OrthogonalProjection, project, span
from ucbench_removal.subtraction import (
    MEMBERS,
    UniversalSubtract,
    cluster,
    group_means,
    principal_scores,
    residuals,
    silhouettes,
    subtracted,
)

GROUPS = 4


def smooth(count: int = 240, size: tuple[int, int] = (16, 16), seed: int = 0) -> NDArray[np.uint8]:
    """Random smooth images of middle brightness, with an edge each, as far from 0 and 255 as a pattern needs."""
    rng = np.random.default_rng(seed)
    pixels = ndimage.gaussian_filter(rng.standard_normal((count, 3, *size)), (0, 0, 3, 3))
    pixels = 128 + 30 * pixels / pixels.std((1, 2, 3), keepdims=True)
    for image, column in zip(pixels, rng.integers(1, size[1], count), strict=True):
        image[:, :, column:] += rng.uniform(-30, 30)
    return np.clip(np.rint(pixels), 20, 235).astype(np.uint8)


def patterned(level: int = 8, seed: int = 0, **options: object) -> tuple[ImageSet, NDArray[np.uint8], NDArray[np.int8]]:
    """A release whose classes carry a sign pattern each, the clean images, and the perturbation ``[N, 3, H, W]``."""
    clean = smooth(seed=seed, **options)
    rng = np.random.default_rng(seed + 100)
    labels = rng.permutation(np.arange(len(clean)) % GROUPS)
    delta = (level * rng.choice([-1, 1], (GROUPS, *clean.shape[1:])))[labels].astype(np.int8)
    images = (clean.astype(np.int64) + delta).astype(np.uint8)
    return ImageSet(images, labels, tuple("abcd")), clean, delta


def correlation(left: NDArray[np.generic], clean: NDArray[np.uint8], delta: NDArray[np.int8]) -> float:
    """Mean cosine of what is left of the perturbation with the perturbation, over its length: 1 if nothing is gone."""
    change = left.astype(np.float64) - clean
    return float((change * delta).sum() / np.square(delta.astype(np.float64)).sum())


def unlabelled(train: ImageSet) -> ImageSet:
    return train.with_labels(np.zeros(len(train), np.int64), ("all",))


def test_removal_defenses_are_tier_t3():
    for name in ("orthogonal-projection", "universal-subtract", "coin", "filter-by-loss"):
        assert installed().find("defense", name).tier == "T3"


class TestOrthogonalProjection:
    def test_project_equals_least_squares_per_image(self):
        rng = np.random.default_rng(0)
        images, weights = smooth(5, (4, 6)), rng.standard_normal((3, 72))
        found, _ = project(images, span(torch.from_numpy(weights)), np.zeros(72))
        for before, after in zip(images, found, strict=True):
            x = before.reshape(-1).astype(np.float64)
            coefficients, *_ = np.linalg.lstsq(weights.T, x, rcond=None)
            expected = np.clip(np.rint(x - weights.T @ coefficients), 0, 255)
            np.testing.assert_array_equal(after.reshape(-1), expected)

    def test_span_is_orthonormal_and_contains_the_weights(self):
        weights = torch.randn(4, 30, generator=torch.Generator().manual_seed(0))
        basis = span(weights)
        np.testing.assert_allclose(basis @ basis.T, np.eye(4), atol=1e-10)
        rows = weights.double().numpy()
        np.testing.assert_allclose(rows @ basis.T @ basis, rows, atol=1e-10)

    def test_project_leaves_nothing_with_more_classes_than_pixels(self):
        images = smooth(3, (1, 2))
        found, _ = project(images, span(torch.randn(9, 6, generator=torch.Generator().manual_seed(0))), np.zeros(6))
        assert (found == 0).all()

    def test_project_centred_keeps_the_mean_image(self):
        images = np.concatenate([smooth(40), 255 - smooth(40)])
        basis, mean = span(torch.randn(3, 768, generator=torch.Generator().manual_seed(1))), images.mean(0).reshape(-1)
        found, clipped = project(images, basis, mean)
        assert clipped < 0.01
        np.testing.assert_allclose(found.mean(0), images.mean(0), atol=1.0)

    def test_project_returns_the_share_of_clipped_values(self):
        images = np.full((1, 3, 1, 1), 200, np.uint8)
        images[0, 0] = 0
        # Along (1, 1, 0): the first value becomes -100, the others 100 and 200.
        found, clipped = project(images, np.array([[1, 1, 0]]) / np.sqrt(2), np.zeros(3))
        assert found.reshape(-1).tolist() == [0, 100, 200]
        assert clipped == pytest.approx(1 / 3)

    @pytest.mark.parametrize("centre", [False, True])
    def test_projection_removes_most_of_a_class_wise_pattern(self, centre):
        train, _, delta = patterned()
        run = make_run(stage="train")
        found = OrthogonalProjection(ProjectionParams(epochs=10, centre=centre)).prepare(train, run)
        assert run.notes["linear_train_accuracy"] > 90
        np.testing.assert_array_equal(found.known_labels, train.known_labels)
        left, before = (shared(images, train.known_labels, delta) for images in (found.images, train.images))
        assert left < 0.3 * before

    def test_projection_batches_shrink_to_the_published_number_of_steps(self):
        for count, batch in ((50_000, 1020), (100_000, 1024), (490, 10), (13, 2)):
            assert OrthogonalProjection(ProjectionParams())._recipe(count).batch == batch
        assert OrthogonalProjection(ProjectionParams.resolve("op", "paper"))._recipe(5000).batch == 1024

    def test_projection_as_published_augments_as_the_chain_that_it_names(self):
        component = installed().resolve("defense", "op@published")
        assert not component.params.static
        assert installed().resolve("defense", "op@paper").params.static
        defense, run = component.build(), make_run(stage="train")
        x, targets = torch.rand(6, 3, 16, 16, generator=torch.Generator().manual_seed(1)), torch.eye(6)
        members = [installed().resolve("defense", part).build() for part in parse_chain(PUBLISHED_AUGMENTATION)]
        generator, wanted = torch.Generator().manual_seed(2), x
        for member in members[:-1]:
            wanted = member.augment(wanted, run, generator)
        wanted, mixed = members[-1].mix(wanted, targets, run, generator)
        generator = torch.Generator().manual_seed(2)
        found = defense.mix(defense.augment(x, run, generator), targets, run, generator)
        assert torch.equal(found[0], wanted)
        assert torch.equal(found[1], mixed)
        assert [member["name"] for member in component.identity()["params"]["members"]] == [
            "kornia", "kornia", "color-jitter", "cutmix",
        ]  # fmt: skip

    def test_projection_alone_has_no_stage_in_training(self):
        defense = OrthogonalProjection(ProjectionParams())
        assert not hasattr(defense, "augment")
        assert not hasattr(defense, "mix")

    def test_projection_depends_on_the_seed_and_takes_one_image(self):
        train, _, _ = patterned()
        defense = OrthogonalProjection(ProjectionParams(epochs=1, steps=4))
        first, again, other = (defense.prepare(train, make_run(seed, stage="train")).images for seed in (0, 0, 1))
        np.testing.assert_array_equal(first, again)
        assert (first != other).any()
        assert len(defense.prepare(train.subset(np.array([3])), make_run(stage="train"))) == 1

    def test_projection_without_labels_raises(self):
        with pytest.raises(DataError, match="labels"):
            OrthogonalProjection(ProjectionParams()).prepare(sample_images().with_labels(None), make_run())


def shared(images: NDArray[np.uint8], labels: NDArray[np.int64], delta: NDArray[np.int8]) -> float:
    """How far class means lie apart along the differences of the classes' patterns, in units of these."""
    means = np.stack([images[labels == k].mean(0) for k in range(GROUPS)]).reshape(GROUPS, -1)
    patterns = np.stack([delta[labels == k][0] for k in range(GROUPS)]).reshape(GROUPS, -1).astype(np.float64)
    means, patterns = means - means.mean(0), patterns - patterns.mean(0)
    return float((means * patterns).sum() / np.square(patterns).sum())


class TestResiduals:
    def test_residuals_of_the_median_equal_a_plain_loop(self):
        images = smooth(2, (7, 9))
        padded = np.pad(images, ((0, 0), (0, 0), (1, 1), (1, 1)), mode="reflect").astype(int)
        expected = np.empty(images.shape)
        for place in np.ndindex(7, 9):
            window = padded[:, :, place[0] : place[0] + 3, place[1] : place[1] + 3]
            expected[..., place[0], place[1]] = images[..., place[0], place[1]] - np.median(window, (2, 3))
        np.testing.assert_array_equal(residuals(images, "median", 1), expected)

    @pytest.mark.parametrize("filter", ["median", "gaussian"])
    @given(st.integers(0, 255), st.integers(1, 6), st.integers(1, 6))
    @settings(max_examples=20)
    def test_residuals_of_a_constant_image_are_zero(self, filter, value, height, width):
        images = np.full((1, 3, height, width), value, np.uint8)
        assert np.abs(residuals(images, filter, 2)).max() < 0.1

    @pytest.mark.parametrize("filter", ["median", "gaussian"])
    def test_residuals_treat_channels_and_images_independently(self, filter):
        images = smooth(3)
        changed = images.copy()
        changed[1, 2] = 255 - changed[1, 2]
        same = residuals(images, filter, 1) == residuals(changed, filter, 1)
        assert not same[1, 2].all()
        same[1, 2] = True
        assert same.all()

    def test_residuals_do_not_depend_on_block_size(self, monkeypatch):
        images = smooth(7)
        together = residuals(images, "median", 1)
        monkeypatch.setattr("ucbench_removal.subtraction._VALUES", 2 * images[0].size)
        np.testing.assert_array_equal(residuals(images, "median", 1), together)


class TestUniversalSubtract:
    @pytest.mark.parametrize("params", [{"by": "label"}, {"clusters": GROUPS}, {"clusters": "silhouette"}])
    @pytest.mark.parametrize("kind", [{"filter": "median"}, {"filter": "gaussian"}])
    def test_subtract_removes_three_quarters_of_a_shared_pattern(self, params, kind):
        train, clean, delta = patterned()
        if params.get("by") != "label":  # it must do without
            train = unlabelled(train)
        found = UniversalSubtract(SubtractParams(**params, **kind)).prepare(train, make_run(stage="train")).images
        assert correlation(train.images, clean, delta) == pytest.approx(1)
        assert correlation(found, clean, delta) < 0.25
        # Not at the cost of the images themselves.
        assert np.square(found.astype(float) - clean).mean() < 0.3 * np.square(delta.astype(float)).mean()

    @pytest.mark.parametrize("by", ["label", "residual"])
    def test_subtract_changes_clean_images_little(self, by):
        clean = smooth()
        train = ImageSet(clean, np.arange(len(clean)) % GROUPS, tuple("abcd"))
        found = UniversalSubtract(SubtractParams(by=by)).prepare(train, make_run(stage="train")).images
        assert np.square(found.astype(float) - clean).mean() < 2  # squared levels; a pattern of 8 levels has 64

    def test_subtract_keeps_frequencies_below_the_filter(self):
        clean = smooth()
        train = ImageSet(clean + np.uint8(9), np.zeros(len(clean), np.int64), ("all",))
        found = UniversalSubtract(SubtractParams(by="label")).prepare(train, make_run(stage="train")).images
        assert (found.astype(float) - clean).mean() == pytest.approx(9, abs=0.5)

    def test_subtract_finds_the_number_of_clusters_without_labels(self):
        train, _, _ = patterned()
        run = make_run(stage="train")
        UniversalSubtract(SubtractParams()).prepare(unlabelled(train), run)
        assert run.notes["clusters"] == GROUPS
        assert sorted(map(int, run.notes["silhouettes"])) == [2, 3, 4, 6, 8]
        assert run.notes["cluster_sizes"] == [60] * GROUPS

    def test_clusters_match_the_patterns(self):
        train, _, delta = patterned()
        groups = cluster(principal_scores(residuals(train.images, "median", 2), 8, seed=0), GROUPS, seed=0)
        pairs = {(int(group), delta[i].tobytes()) for i, group in enumerate(groups)}
        assert len(pairs) == GROUPS

    def test_subtract_by_label_follows_the_labels(self):
        train, _, _ = patterned()
        shuffled = train.with_labels(np.random.default_rng(5).permutation(train.known_labels), train.classes)
        first, other = (
            UniversalSubtract(SubtractParams(by="label")).prepare(images, make_run(stage="train")).images
            for images in (train, shuffled)
        )
        assert (first != other).any()

    def test_subtract_takes_the_number_of_classes(self):
        train, _, _ = patterned()
        run = make_run(stage="train")
        UniversalSubtract(SubtractParams(clusters="classes")).prepare(train, run)
        assert run.notes["clusters"] == GROUPS
        assert "silhouettes" not in run.notes

    def test_subtract_of_few_images_is_one_group(self):
        run = make_run(stage="train")
        UniversalSubtract(SubtractParams()).prepare(sample_images(2 * MEMBERS - 1), run)
        assert run.notes["clusters"] == 1

    @pytest.mark.parametrize("count", [1, 60])
    @pytest.mark.parametrize("by", ["residual", "label"])
    @pytest.mark.filterwarnings("error")
    def test_subtract_handles_equal_images(self, count, by):
        images = np.repeat(smooth(1), count, 0)
        train = ImageSet(images, np.zeros(count, np.int64), ("a", "b"))
        found = UniversalSubtract(SubtractParams(by=by)).prepare(train, make_run(stage="train"))
        assert (found.images == found.images[:1]).all()

    def test_subtract_refuses_more_clusters_than_images(self):
        with pytest.raises(UsageError, match="clusters=14 of only 13 images"):
            UniversalSubtract(SubtractParams(clusters=14)).prepare(sample_images(13), make_run(stage="train"))

    def test_subtract_params_parse_from_a_command_line(self):
        assert SubtractParams.resolve("x", options={"clusters": "12"}).clusters == 12
        assert SubtractParams.resolve("x", options={"clusters": "classes"}).clusters == "classes"
        with pytest.raises(UsageError, match="whole half-width"):
            SubtractParams.resolve("x", options={"scale": "1.5"})
        assert SubtractParams.resolve("x", options={"scale": "1.5", "filter": "gaussian"}).scale == 1.5

    @given(st.integers(0, 2**32), st.integers(1, 12), st.integers(1, 5))
    @settings(max_examples=30)
    def test_group_means_and_subtracted_equal_a_plain_loop(self, seed, count, groups):
        rng = np.random.default_rng(seed)
        images = rng.integers(0, 256, (count, 3, 2, 3), dtype=np.uint8)
        values, index = rng.uniform(-40, 40, images.shape).astype(np.float16), rng.integers(0, groups, count)
        means = group_means(values, index)
        found = subtracted(images, index, means)
        for i in range(count):
            mean = values[index == index[i]].astype(np.float64).mean(0)
            np.testing.assert_allclose(means[index[i]], mean, atol=1e-5)
            np.testing.assert_allclose(found[i], np.clip(images[i] - mean, 0, 255), atol=0.501)

    def test_silhouettes_need_enough_images_per_cluster(self):
        scores = np.random.default_rng(0).standard_normal((3 * MEMBERS, 4)).astype(np.float32)
        assert list(silhouettes(scores, 0)) == [2, 3]
        assert silhouettes(scores[: 2 * MEMBERS - 1], 0) == {}
