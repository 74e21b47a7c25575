"""What all squeezing defenses share: their stages, and equal pixels in every stage."""

from __future__ import annotations

from importlib.metadata import version

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ucbench import UsageError
from ucbench.plugins.registry import installed
from ucbench.testing import check_defense, make_run, sample_images
from ucbench_squeeze import squeezing

FIXED = [
    "jpeg",
    "jpeg:60:subsampling=444",
    "grayscale",
    "bit-depth",
    "bit-depth:3:rounding=nearest",
    "median",
    "median:5",
    "mean",
    "mean:5",
    "resize-down-up",
    "resize-down-up:3",
    "iss",
]
DIFFERENTIABLE = ["jpeg:codec=kornia", "jpeg:30:codec=kornia,max_quality=70"]
RANDOM = ["jpeg@random", "grayscale@random", "bit-depth@random", "bit-depth@random:rounding=nearest"]
STAGES = ("prepare", "augment", "mix", "loss", "at_test")


def build(reference: str):
    return installed().resolve("defense", reference).build()


def both(reference: str) -> str:
    """The reference, with test images squeezed too."""
    return f"{reference}{',' if '=' in reference else ':'}at_test=true"


def stages(component: object) -> set[str]:
    return {stage for stage in STAGES if hasattr(component, stage)}


def floats(images: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(images.copy()).float().div_(255.0)


class TestStages:
    @pytest.mark.parametrize("reference", FIXED)
    def test_fixed_strength_has_prepare_and_at_test_only_on_request(self, reference):
        assert stages(build(reference)) == {"prepare"}
        assert stages(build(both(reference))) == {"prepare", "at_test"}

    @pytest.mark.parametrize("reference", RANDOM)
    def test_random_strength_has_augment_only(self, reference):
        assert stages(build(reference)) == {"augment"}

    @pytest.mark.parametrize("reference", [*RANDOM, DIFFERENTIABLE[1]])
    def test_random_strength_refuses_at_test(self, reference):
        with pytest.raises(UsageError, match="test images are not squeezed at random"):
            build(both(reference))

    @pytest.mark.parametrize("reference", DIFFERENTIABLE)
    def test_kornias_codec_acts_on_batches(self, reference):
        assert stages(build(reference)) == {"augment"}
        assert stages(build("jpeg@kornia")) == {"augment", "at_test"}

    @pytest.mark.parametrize("reference", [*map(both, FIXED), *RANDOM, *DIFFERENTIABLE, "jpeg@kornia"])
    def test_squeezing_keeps_the_contract_for_all_parameters(self, reference):
        check_defense(installed().resolve("defense", reference))

    @pytest.mark.parametrize("name", ["jpeg", "grayscale", "iss", "bit-depth", "median", "mean", "resize-down-up"])
    def test_squeezing_defenses_are_tier_t1(self, name):
        assert installed().find("defense", name).tier == "T1"


class TestPrepare:
    @pytest.mark.parametrize("reference", FIXED)
    @given(st.tuples(st.integers(1, 20), st.integers(1, 20)), st.integers(1, 4), st.integers(0, 99))
    @settings(max_examples=8)
    def test_at_test_equals_prepare_pixel_by_pixel(self, reference, size, count, seed):
        train = sample_images(count, size, seed=seed)
        component = build(both(reference))
        prepared = component.prepare(train, make_run(stage="train")).images
        x = floats(train.images)
        for layout in (torch.contiguous_format, torch.channels_last):
            made = component.at_test(x.contiguous(memory_format=layout))
            assert made.dtype == torch.float32
            assert torch.equal(made, floats(prepared))

    @pytest.mark.parametrize("reference", FIXED)
    def test_prepare_does_not_depend_on_block_size(self, reference, monkeypatch):
        train = sample_images(11, (8, 8))
        whole = build(reference).prepare(train, make_run(stage="train")).images
        monkeypatch.setattr(squeezing, "_VALUES", 3 * (3 * 8 * 8))
        run, done = make_run(stage="train"), []
        run.progress = lambda text, total: done.append(-total) or done.append
        np.testing.assert_array_equal(build(reference).prepare(train, run).images, whole)
        assert done == [-11, 3, 3, 3, 2]

    @pytest.mark.parametrize("reference", FIXED)
    def test_prepare_treats_images_independently_and_changes_only_pixels(self, reference):
        train = sample_images(9, (12, 7))
        before = train.images.copy()
        made = build(reference).prepare(train, make_run(stage="train"))
        assert made.images.dtype == np.uint8
        assert (made.images != before).any()
        np.testing.assert_array_equal(train.images, before)
        np.testing.assert_array_equal(made.known_labels, train.known_labels)
        assert (made.classes, made.flip, set(made.label_sets)) == (train.classes, train.flip, {"parity"})
        alone = build(reference).prepare(train.subset(np.array([4])), make_run(stage="train"))
        np.testing.assert_array_equal(alone.images, made.images[4:5])

    @pytest.mark.parametrize("reference", FIXED)
    def test_prepare_at_fixed_strength_ignores_the_seed(self, reference):
        train = sample_images(5, (8, 8))
        first, other = (build(reference).prepare(train, make_run(seed, stage="train")).images for seed in (0, 1))
        np.testing.assert_array_equal(first, other)

    @pytest.mark.parametrize("quality", [10, 40])
    def test_iss_equals_the_chain_of_grayscale_and_jpeg(self, quality):
        train = sample_images(5, (13, 17))
        chained = train
        for reference in ("grayscale", f"jpeg:{quality}"):
            chained = build(reference).prepare(chained, make_run(stage="prepare"))
        found = build(f"iss:{quality}").prepare(train, make_run(stage="prepare"))
        np.testing.assert_array_equal(found.images, chained.images)
        assert (found.images != train.images).any()


class TestBatches:
    @pytest.mark.parametrize("reference", FIXED)
    def test_at_test_rounds_values_between_two_levels(self, reference):
        exact = floats(sample_images(6, (9, 9)).images)
        wobble = torch.rand(exact.shape, generator=torch.Generator().manual_seed(0)).sub_(0.5) * (0.9 / 255)
        at_test = build(both(reference)).at_test
        assert torch.equal(at_test(exact + wobble), at_test(exact))

    @pytest.mark.parametrize("reference", FIXED)
    def test_at_test_clips_values_outside_the_range(self, reference):
        x = floats(sample_images(6, (9, 9)).images)
        at_test = build(both(reference)).at_test
        assert torch.equal(at_test(x * 3 - 1), at_test((x * 3 - 1).clamp(0, 1)))

    @pytest.mark.parametrize("reference", RANDOM)
    def test_augment_draws_per_image_from_the_generator(self, reference):
        x = floats(sample_images(3, (16, 16)).images)[1:2].expand(32, -1, -1, -1)

        def augment(seed: int) -> torch.Tensor:
            return build(reference).augment(x, make_run(stage="train"), torch.Generator().manual_seed(seed))

        first = augment(0)
        assert torch.equal(augment(0), first)
        assert not torch.equal(augment(1), first)
        assert len(first.flatten(1).unique(dim=0)) > 1
        assert build(reference).augment(x[:1], make_run(stage="train"), torch.Generator()).shape == (1, 3, 16, 16)

    @pytest.mark.parametrize("reference", [r for r in FIXED + RANDOM if not r.startswith(("jpeg", "resize", "iss"))])
    def test_squeeze_stays_on_the_device(self, reference):
        # Tensors without data refuse to meet any of another device.
        pixels, component = torch.empty((4, 3, 8, 9), dtype=torch.uint8, device="meta"), build(reference)
        made = [component.squeeze(pixels)]
        if reference in RANDOM:
            made.append(component.squeeze_at_random(pixels, torch.Generator()))
        assert all((out.device.type, out.shape, out.dtype) == ("meta", pixels.shape, torch.uint8) for out in made)


class TestParameters:
    @pytest.mark.parametrize(
        ("reference", "text"),
        [
            ("jpeg:0", "quality"),
            ("jpeg:101", "quality"),
            ("jpeg:subsampling=411", "subsampling"),
            ("jpeg@kornia:subsampling=444", "halves the chroma in both directions"),
            ("jpeg:50:max_quality=40", "max_quality=40 must not be below quality=50"),
            ("bit-depth:0", "bits"),
            ("bit-depth:9", "bits"),
            ("bit-depth:4:max_bits=3", "max_bits=3 must not be below bits=4"),
            ("grayscale:probability=0", "probability"),
            ("median:4", "odd side to have a middle, not 4"),
            ("mean:2", "kernel"),
            ("mean:1", "kernel"),
            ("resize-down-up:1", "factor"),
        ],
    )
    def test_params_refuse_invalid_values(self, reference, text):
        with pytest.raises(UsageError, match=text):
            build(reference)

    def test_params_default_to_published_values(self):
        params = {name: build(name).params for name in ("jpeg", "grayscale", "bit-depth", "median", "mean")}
        assert (params["jpeg"].quality, params["jpeg"].subsampling) == (10, "420")
        assert params["grayscale"].probability == 1
        assert (params["bit-depth"].bits, params["bit-depth"].rounding) == (2, "floor")
        assert (params["median"].kernel, params["mean"].kernel) == (3, 3)
        assert not any(value.at_test or value.random for value in params.values())

    def test_identity_of_jpeg_names_the_codec_only_where_it_is_kornias(self):
        pillow, kornia = (installed().resolve("defense", name).params.identity() for name in ("jpeg", "jpeg@kornia"))
        assert pillow == {"at_test": False, "quality": 10, "max_quality": None, "subsampling": "420"}
        assert kornia == {**pillow, "at_test": True, "codec": "kornia", "kornia": version("kornia")}
