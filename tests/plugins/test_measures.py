"""What the measures find in releases whose answer is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from ucbench.data.imageset import ImageSet
from ucbench.metrics.metric import MetricContext
from ucbench.testing import TinySurrogate, make_run, sample_images
from ucbench_measures.geometry import Covariance, Uniformity, discrepancy, mmd, uniformity
from ucbench_measures.information import Dependence, InformationByLayer, MutualInformation
from ucbench_measures.params import ByLayerParams, FeatureParams, InformationParams, PairParams
from ucbench_measures.perturbations import BANDS, Separability, Spectrum, groups

COUNT = 300


def grey(count: int = COUNT, side: int = 12, seed: int = 0) -> ImageSet:
    """Images of noise in which no change of up to 40 levels is clipped; 3 classes."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count, dtype=np.int64) % 3
    return ImageSet(rng.integers(60, 196, (count, 3, side, side), dtype=np.uint8), labels, ("a", "b", "c"))


def changed(images: ImageSet, delta: np.ndarray) -> ImageSet:
    return images.with_images((images.images + delta).astype(np.uint8))


def patterns(count: int, side: int = 12, size: int = 10) -> np.ndarray:
    return np.random.default_rng(1).choice([-size, size], (count, 3, side, side))


def measured(metric, source: ImageSet, published: ImageSet, test: ImageSet | None = None, unseen=None) -> dict:
    network = TinySurrogate().module(0, source).eval()
    context = MetricContext(
        make_run(stage="metric"), source=source, published=published, test=test or source, perturbed_test=unseen,
        model=network,
    )  # fmt: skip
    return metric.compute(context)


def test_mutual_information_falls_as_a_perturbation_hides_the_image():
    images = sample_images(COUNT, (12, 12))
    noise = np.random.default_rng(0).integers(0, 256, images.images.shape, dtype=np.uint8)
    metric = MutualInformation(InformationParams(projections=40))
    same = measured(metric, images, images)
    weak = measured(metric, images, images.with_images(images.images ^ np.uint8(15)))
    hidden = measured(metric, images, images.with_images(noise))
    for name in ("ksg", "histogram", "kernel", "gaussian", "mine"):
        assert same[name] > hidden[name] + 0.1
        assert weak[name] > hidden[name] + 0.1
        assert same[f"{name}_se"] > 0
    assert hidden["ksg"] == pytest.approx(0, abs=0.02)


def test_mutual_information_of_test_images_needs_their_perturbation():
    images, test = sample_images(40, (12, 12)), sample_images(30, (12, 12), seed=1)
    metric = MutualInformation(InformationParams(projections=4, split="test", estimators=("gaussian",)))
    published = images.with_images(images.images ^ np.uint8(7))
    assert measured(metric, images, published, test) == {"gaussian": None, "gaussian_se": None}
    assert measured(metric, images, published, test, test)["gaussian"] is not None
    assert measured(metric, images, images, test)["gaussian"] is not None  # nothing was perturbed


@pytest.mark.parametrize("layer", ["penultimat", "0", "1.5", ""])
def test_measures_refuse_what_is_no_layer_of_any_network(layer):
    with pytest.raises(ValueError, match="it is penultimate, input, logits, or a number such as 1 or -1, not"):
        FeatureParams(layer=layer)
    assert [FeatureParams(layer=known).layer for known in ("logits", "12", "-1")] == ["logits", "12", "-1"]


def test_information_by_layer_has_the_input_and_each_layer_in_order():
    images = sample_images(COUNT, (12, 12))
    values = measured(InformationByLayer(ByLayerParams(projections=16)), images, images)
    assert [name for name in values if not name.endswith("_se")] == ["layer_00", "layer_01", "layer_02", "layer_03"]
    logits = MutualInformation(InformationParams(layer="logits", projections=16, estimators=("ksg",)))
    assert values["layer_03"] == pytest.approx(measured(logits, images, images)["ksg"], abs=1e-6)


def test_dependence_is_one_for_a_clean_release_and_none_for_constant_features():
    images = sample_images(60, (12, 12))
    assert measured(Dependence(FeatureParams()), images, images)["cka"] == pytest.approx(1)
    flat = images.with_images(np.full_like(images.images, 9))
    assert measured(Dependence(FeatureParams()), images, flat)["cka"] is None


def test_covariance_of_a_release_that_shows_the_class_alone_is_the_smallest():
    images = sample_images(120, (12, 12))
    levels = (40 * images.known_labels).astype(np.uint8)[:, None, None, None]
    shown = images.with_images(np.broadcast_to(levels, images.images.shape).copy())
    found = measured(Covariance(FeatureParams(layer="input")), images, shown)
    assert found["log_det_perturbed"] == pytest.approx(math.log(1e-3))
    assert found["log_det_clean"] > found["log_det_perturbed"] + 1
    assert found["trace_perturbed"] == pytest.approx(0, abs=1e-9)
    assert 0 < found["trace_clean"] < 1.1
    assert found["dimensions"] == 128


def test_uniformity_is_zero_at_one_point_and_below_on_the_circle():
    angles = torch.linspace(0, 2 * math.pi, 1001, dtype=torch.float64)[:-1]
    circle = torch.stack([angles.cos(), angles.sin()], 1)
    # |u - v|^2 = 2 - 2 cos, whose mean exponential is a Bessel function.
    expected = -4 + math.log(float(torch.special.i0(torch.tensor(4.0, dtype=torch.float64))))
    assert uniformity(circle) == pytest.approx(expected, abs=0.02)
    assert uniformity(torch.ones(5, 2, dtype=torch.float64)) == pytest.approx(0)


def test_alignment_is_the_mean_squared_distance_of_a_pair():
    images = sample_images(40, (12, 12))
    assert measured(Uniformity(FeatureParams()), images, images)["alignment"] == 0
    other = measured(Uniformity(FeatureParams(layer="input")), images, images.with_images(255 - images.images))
    pixels = images.images.reshape(40, -1).astype(float)
    units = [side / np.maximum(np.linalg.norm(side, axis=1, keepdims=True), 1e-9) for side in (pixels, 255 - pixels)]
    assert other["alignment"] == pytest.approx(np.square(units[0] - units[1]).sum(1).mean(), rel=1e-5)


def test_discrepancy_is_the_distance_of_centres_in_units_of_spread():
    features = torch.tensor([[0.0, 1], [0, -1], [10, 1], [10, -1]])
    assert discrepancy(features, torch.tensor([0, 0, 5, 5])) == pytest.approx(10)
    assert discrepancy(features, torch.zeros(4, dtype=torch.int64)) is None


def test_mmd_is_zero_for_sets_drawn_alike_and_positive_for_others():
    draws = torch.nn.functional.normalize(
        torch.randn(3, 400, 5, generator=torch.Generator().manual_seed(0)).double(), dim=2
    )
    assert abs(mmd(draws[0], draws[1])) < 0.01
    assert mmd(draws[0], torch.nn.functional.normalize(draws[2] + 1, dim=1)) > 0.1


def test_separability_finds_classes_in_their_patterns_and_none_in_noise():
    images = grey()
    shared = measured(Separability(PairParams()), images, changed(images, patterns(3)[images.known_labels]))
    assert shared["class_fitted"] == shared["class_lowest"] == shared["cluster_held_out"] == 100
    alone = measured(Separability(PairParams()), images, changed(images, patterns(COUNT)))
    assert alone["class_fitted"] > 90  # more pixels than images: anything can be fitted
    assert alone["class_held_out"] < 60
    assert alone["cluster_held_out"] is None


def test_separability_leaves_out_images_that_were_not_changed():
    images = grey()
    some = np.arange(COUNT) % 2 == 0
    made = patterns(3)[images.known_labels] * some[:, None, None, None]
    found = measured(Separability(PairParams()), images, changed(images, made))
    assert found == measured(
        Separability(PairParams()),
        images.subset(np.flatnonzero(some)),
        changed(images, made).subset(np.flatnonzero(some)),
    )
    assert found["class_held_out"] == 100


def test_separability_of_clusters_is_apart_from_that_of_classes():
    images = grey()
    clusters = np.random.default_rng(2).integers(0, 5, COUNT)
    found = measured(Separability(PairParams()), images, changed(images, patterns(5)[clusters]))
    assert found["cluster_held_out"] == 100
    assert found["class_held_out"] < 60


def test_groups_ignore_values_that_are_clipped():
    images = np.full((4, 3, 4, 4), 100, np.uint8)
    images[1, :, :2] = 252
    published = np.clip(images + patterns(1, 4) * np.array([1, 1, -1, -1])[:, None, None, None], 0, 255)
    changes = published.astype(np.int16) - images
    assert np.abs(changes[1]).min() < 10
    assert groups(changes, images).tolist() == [0, 0, 1, 1]


@pytest.mark.parametrize(("cycles", "band"), [(0, "low"), (1, "low"), (2, "middle"), (4, "high"), (8, "highest")])
def test_spectrum_puts_a_wave_into_its_band(cycles, band):
    images = grey(4, 16)
    wave = np.rint(20 * np.cos(2 * np.pi * cycles * np.arange(16) / 16)).astype(int)
    found = measured(Spectrum(PairParams()), images, changed(images, np.broadcast_to(wave, images.images.shape)))
    assert found[band] == pytest.approx(100, abs=1)
    assert sum(found.values()) == pytest.approx(100)


def test_spectrum_of_white_noise_is_the_area_of_each_band():
    images = grey(40, 64)
    noise = np.random.default_rng(3).integers(-9, 10, images.images.shape)
    found = measured(Spectrum(PairParams()), images, changed(images, noise))
    assert [found[band] for band in BANDS] == pytest.approx([1.2, 3.7, 14.7, 80.4], abs=0.5)
    assert set(measured(Spectrum(PairParams()), images, images).values()) == {None}
