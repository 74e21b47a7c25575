"""What was crafted elsewhere is published as it is, or refused in one sentence that names it."""

from __future__ import annotations

import csv
import hashlib
import json
import pickle
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tiny_components as tiny
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from safetensors.torch import save_file

from ucbench.crafting.release import Release, make_release, materialise
from ucbench.data.budget import Budget, sizes
from ucbench.data.imageset import ImageSet
from ucbench.errors import DataError, UcbenchError, UsageError
from ucbench.export.croissant import About
from ucbench.export.release import export_release
from ucbench.matrix.matrix import Axes, expand
from ucbench.plugins.registry import installed
from ucbench.running.sets import published_of, release_of
from ucbench.store.keys import canonical
from ucbench.testing import make_run, sample_images
from ucbench.training.context import Run
from ucbench_imported import sources
from ucbench_imported.content import images_in
from ucbench_imported.params import ReleaseParams
from ucbench_imported.poisoner import ImportedRelease

TRAIN = sample_images()
SHAPE = TRAIN.images.shape
LINF = Budget("linf", 8)
ANY = Budget("unbounded", None)

Save = Callable[[Path, np.ndarray], Path]


def crafted(path: Path, budget: Budget = LINF, train: ImageSet = TRAIN, **options: object) -> tuple[Release, Run]:
    run = make_run(budget=budget)
    delta = ImportedRelease(ReleaseParams(path=path, **options)).craft(train, run)
    release = make_release(delta, train, budget)
    assert release.meta["moved_share"] == 0
    return release, run


def published(path: Path, budget: Budget = LINF, train: ImageSet = TRAIN, **options: object) -> np.ndarray:
    release, _ = crafted(path, budget, train, **options)
    return materialise(train.images, release.changes, release.index)


def refused(path: Path, match: str, error: type[UcbenchError] = UsageError, **options: object) -> None:
    """The import fails with one sentence or two that name the file."""
    with pytest.raises(error, match=match) as caught:
        crafted(path, **options)
    assert type(caught.value) is error
    assert path.name in str(caught.value)
    assert "\n" not in str(caught.value)


def changes(largest: int = 8, seed: int = 0, shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    """int16 levels, of which every item reaches ``-largest`` and ``largest``."""
    levels = np.random.default_rng(seed).integers(-largest, largest + 1, shape).astype(np.int16)
    levels[:, 0, 0, :2] = -largest, largest
    return levels


def added(levels: np.ndarray, train: ImageSet = TRAIN) -> np.ndarray:
    return np.clip(train.images + levels, 0, 255).astype(np.uint8)


def npy(folder: Path, array: np.ndarray) -> Path:
    np.save(folder / "release.npy", array)
    return folder / "release.npy"


def npz(folder: Path, array: np.ndarray) -> Path:
    np.savez_compressed(folder / "release.npz", delta=array)
    return folder / "release.npz"


def safetensors(folder: Path, array: np.ndarray) -> Path:
    save_file({"delta": torch.from_numpy(array)}, folder / "release.safetensors")
    return folder / "release.safetensors"


def pt(folder: Path, array: np.ndarray) -> Path:
    torch.save(torch.from_numpy(array), folder / "release.pt")
    return folder / "release.pt"


def pth_of_a_dict(folder: Path, array: np.ndarray) -> Path:
    torch.save({"delta": torch.from_numpy(array), "epsilon": 8}, folder / "release.pth")
    return folder / "release.pth"


def old_pt(folder: Path, array: np.ndarray) -> Path:
    torch.save(torch.from_numpy(array), folder / "release.pt", _use_new_zipfile_serialization=False)
    return folder / "release.pt"


def pngs(folder: Path, images: np.ndarray, name: str = "{}.png") -> Path:
    (folder / "images").mkdir(exist_ok=True)
    for number, pixels in enumerate(images):
        Image.fromarray(pixels.transpose(1, 2, 0)).save(folder / "images" / name.format(number))
    return folder / "images"


every_format = pytest.mark.parametrize("save", [npy, npz, safetensors, pt, pth_of_a_dict, old_pt])


@pytest.fixture
def small_blocks(monkeypatch):
    """Blocks of two items, so that thirteen take several."""
    from ucbench.data.budget import blocks
    from ucbench_imported import poisoner

    monkeypatch.setattr(poisoner, "blocks", lambda shape: blocks(shape, 2 * int(np.prod(shape[1:]))))


@pytest.mark.usefixtures("small_blocks")
class TestFormats:
    @every_format
    def test_release_adds_integer_levels_unchanged(self, save, tmp_path):
        np.testing.assert_array_equal(published(save(tmp_path, changes())), added(changes()))

    @every_format
    @pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
    def test_release_converts_unit_scale_floats_to_their_levels(self, save, dtype, tmp_path):
        path = save(tmp_path, (changes() / 255).astype(dtype))
        np.testing.assert_array_equal(published(path), added(changes()))

    @every_format
    def test_release_publishes_images_unchanged(self, save, tmp_path):
        images = np.random.default_rng(0).integers(0, 256, SHAPE, dtype=np.uint8)
        np.testing.assert_array_equal(published(save(tmp_path, images), ANY), images)

    @every_format
    def test_release_reads_channels_last(self, save, tmp_path):
        path = save(tmp_path, np.ascontiguousarray(changes().transpose(0, 2, 3, 1)))
        np.testing.assert_array_equal(published(path), added(changes()))
        np.testing.assert_array_equal(published(path, layout="nhwc"), added(changes()))

    def test_release_reads_a_folder_of_images_in_natural_order(self, tmp_path):
        images = added(changes())
        folder = pngs(tmp_path, images)
        (folder / ".hidden.png").write_bytes(b"")
        (folder / "notes.txt").write_text("crafted elsewhere")
        (folder / "more").mkdir()
        assert [path.name for path in images_in(folder)] == [f"{i}.png" for i in range(13)]
        np.testing.assert_array_equal(published(folder), images)

    def test_release_reads_bfloat16(self, tmp_path):
        save_file({"delta": torch.from_numpy(changes() / 255).to(torch.bfloat16)}, tmp_path / "a.safetensors")
        torch.save(torch.from_numpy(changes() / 255).to(torch.bfloat16), tmp_path / "a.pt")
        for name in ("a.safetensors", "a.pt"):
            np.testing.assert_array_equal(published(tmp_path / name), added(changes()))

    def test_release_reads_parameters_and_views(self, tmp_path):
        values = torch.from_numpy(changes().astype(np.float32) / 255)
        torch.save(torch.nn.Parameter(values), tmp_path / "parameter.pt")
        torch.save(values.permute(0, 2, 3, 1), tmp_path / "view.pt")
        for name in ("parameter.pt", "view.pt"):
            np.testing.assert_array_equal(published(tmp_path / name), added(changes()))

    def test_release_reads_other_byte_and_axis_orders(self, tmp_path):
        np.testing.assert_array_equal(published(npy(tmp_path, changes().astype(">i4"))), added(changes()))
        np.testing.assert_array_equal(published(npy(tmp_path, np.asfortranarray(changes()))), added(changes()))

    def test_release_reads_an_array_that_ends_like_a_zip_archive(self, tmp_path):
        levels = changes().astype(np.int8)
        levels.reshape(-1)[-22:] = np.frombuffer(b"PK\x05\x06" + bytes(18), np.int8)
        path = npy(tmp_path, levels)
        assert zipfile.is_zipfile(path)
        np.testing.assert_array_equal(crafted(path, ANY)[0].changes, levels)

    def test_release_selects_an_array_by_key(self, tmp_path):
        named = {"first": changes(seed=1), "second": changes(seed=2)}
        np.savez(tmp_path / "a.npz", **named)
        save_file({name: torch.from_numpy(array) for name, array in named.items()}, tmp_path / "a.safetensors")
        torch.save({name: torch.from_numpy(array) for name, array in named.items()}, tmp_path / "a.pt")
        for name in ("a.npz", "a.safetensors", "a.pt"):
            np.testing.assert_array_equal(published(tmp_path / name, key="second"), added(named["second"]))
            refused(tmp_path / name, r"several arrays: first, second\. Say which, with key=NAME")
            refused(tmp_path / name, "holds no 'secnd'. Did you mean 'second'", key="secnd")

    def test_open_source_memory_maps_an_array_file(self, tmp_path, monkeypatch):
        path = npy(tmp_path, changes())
        assert isinstance(sources.open_source(path).read(slice(0, 2)).base, np.memmap)


class TestReading:
    @given(st.integers(0, 2**32), st.integers(1, 255), st.sampled_from(["levels", "unit", "images", "fractions"]))
    @settings(max_examples=40, deadline=None)
    def test_release_publishes_what_was_crafted_in_any_form(self, tmp_path_factory, seed, largest, form):
        folder, budget = tmp_path_factory.mktemp("release"), Budget("linf", largest)
        levels = changes(largest, seed)
        if form == "levels":
            array = levels
        elif form == "unit":
            array = (levels / np.float32(255)).astype(np.float32)
        elif form == "images":
            array = added(levels)
        else:
            noise = np.random.default_rng(seed).uniform(-0.49, 0.49, SHAPE)
            array = ((levels + noise) / 255).clip(-1, 1)
        np.testing.assert_array_equal(published(npy(folder, array), budget), added(levels))

    def test_release_reads_floats_beyond_one_as_levels(self, tmp_path):
        path = npy(tmp_path, changes().astype(np.float32) + 0.3)
        release, run = crafted(path)
        np.testing.assert_array_equal(release.changes, changes())
        assert run.notes["scale"] == "levels"

    def test_release_scale_option_overrides_detection(self, tmp_path):
        path = npy(tmp_path, changes(1).astype(np.float32))
        np.testing.assert_array_equal(crafted(path, scale="levels")[0].changes, changes(1))
        np.testing.assert_array_equal(crafted(path, ANY)[0].changes, 255 * changes(1))

    def test_release_reads_images_as_floats_or_any_integers(self, tmp_path):
        images = np.random.default_rng(0).integers(0, 256, SHAPE)
        for array in (images, images / 255, images.astype(np.float32), images.astype(np.uint16)):
            np.testing.assert_array_equal(published(npy(tmp_path, array), ANY, kind="pictures"), images)

    def test_release_reads_perturbations_without_negative_values_on_request(self, tmp_path):
        levels = np.abs(changes())
        for array in (levels, levels.astype(np.uint8), levels / 255):
            np.testing.assert_array_equal(crafted(npy(tmp_path, array), kind="perturbations")[0].changes, levels)

    @pytest.mark.parametrize("dtype", [np.float32, np.int64, np.uint16])
    def test_release_requires_kind_without_negative_values(self, dtype, tmp_path):
        path = npy(tmp_path, (TRAIN.images // 255).astype(dtype))
        refused(path, r"from 0 to 1, which may be images or perturbations\. Say kind=pictures or kind=perturbations")

    @pytest.mark.parametrize(
        ("values", "options"),
        [
            (changes(256), {}),
            (changes(300).astype(np.float32), {}),
            (changes(2).astype(np.float32), {"scale": "unit"}),
            (changes(2), {"kind": "pictures"}),
            (np.full(SHAPE, 256), {"kind": "pictures"}),
            (np.full(SHAPE, 255, np.float32), {"kind": "pictures", "scale": "unit"}),
        ],
    )
    def test_release_refuses_values_beyond_the_pixel_range(self, values, options, tmp_path):
        refused(npy(tmp_path, values), "it must lie within .*: correct kind= or scale=, or the file", **options)

    def test_release_requires_layout_for_an_ambiguous_shape(self, tmp_path):
        train = sample_images(size=(3, 3))
        levels = changes(shape=train.images.shape)
        path = npy(tmp_path, levels)
        refused(path, r"\[13, 3, 3, 3\], read both ways\. Say layout=nchw or nhwc", train=train)
        np.testing.assert_array_equal(crafted(path, train=train, layout="nchw")[0].changes, levels)
        np.testing.assert_array_equal(
            crafted(path, train=train, layout="nhwc")[0].changes, levels.transpose(0, 3, 1, 2)
        )

    def test_release_refuses_options_that_do_not_apply_to_the_source(self, tmp_path):
        array, folder = npy(tmp_path, changes()), pngs(tmp_path, TRAIN.images)
        refused(array, "holds whole numbers, which are levels", scale="unit")
        refused(array, "Leave out key=delta", key="delta")
        refused(array, "which is not nhwc", layout="nhwc")
        for option in ({"key": "delta"}, {"scale": "unit"}, {"layout": "nchw"}, {"kind": "perturbations"}):
            refused(folder, f"Leave out {next(iter(option))}=", **option)


class TestExported:
    """What ``ucbench export`` wrote comes back as it was: classes sort otherwise than the training set."""

    @pytest.fixture
    def exported(self, tmp_path) -> tuple[Path, ImageSet, np.ndarray]:
        """The folder, the clean images, and the published ones."""
        session = tiny.session(tmp_path / "store")
        axes = Axes(["spots"], ["badge"], ["tiny"], ["original"], epsilons=[8.0])
        cell = expand(axes, tiny.registry())[-1]
        export_release(cell, session, tmp_path / "out", About())
        train = session.data(cell).train
        return tmp_path / "out", train, published_of(cell, release_of(cell, session)[1], session).images

    @staticmethod
    def relist(folder: Path, change: Callable[[list[dict[str, str]]], None]) -> None:
        with (folder / "labels.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        change(rows)
        with (folder / "labels.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            writer.writerows(rows)

    def test_release_reads_an_exported_release_as_published(self, exported):
        folder, train, images = exported
        assert (images != train.images).any()
        np.testing.assert_array_equal(published(folder, train=train), images)
        self.relist(folder, lambda rows: rows.reverse())
        np.testing.assert_array_equal(published(folder, train=train), images)

    def test_release_names_the_exported_folder_instead_of_its_part(self, exported):
        folder, train, _ = exported
        refused(folder / "images", rf"is part of an exported release. Name {folder} instead", DataError, train=train)

    def test_release_refuses_an_exported_image_that_was_altered(self, exported):
        folder, train, _ = exported
        image = sorted(folder.rglob("*.png"))[3]
        image.write_bytes(sorted(folder.rglob("*.png"))[4].read_bytes())
        with pytest.raises(DataError, match=rf"{image.name} is missing or not what .*labels.csv says"):
            crafted(folder, train=train)

    @pytest.mark.parametrize("way", ["absolute", "relative", "link"])
    def test_release_refuses_an_exported_list_that_leads_outside(self, exported, tmp_path, way):
        folder, train, _ = exported
        outside = tmp_path / "outside.png"
        shutil.copy(sorted(folder.rglob("*.png"))[0], outside)
        name = {"absolute": str(outside), "relative": "../outside.png", "link": "images/link.png"}[way]
        (folder / "images" / "link.png").symlink_to(outside)
        digest = hashlib.sha256(outside.read_bytes()).hexdigest()
        self.relist(folder, lambda rows: rows[0].update(file=name, sha256=digest))
        with pytest.raises(DataError, match=f"lists '{name}', which is outside"):
            crafted(folder, train=train)

    @pytest.mark.parametrize(
        ("change", "text"),
        [
            (lambda rows: rows[0].update(index=1), "do not count the images from 0"),
            (lambda rows: rows.pop(), r"\[35, 3, 8, 8\], and spots has 36 images"),
            (lambda rows: rows.pop(0), "do not count the images from 0"),
            (lambda rows: rows[0].update(index="x"), "cannot be read .ValueError"),
            (lambda rows: [row.pop("sha256") for row in rows], "cannot be read .KeyError"),
            (lambda rows: rows[0].update(file="images"), "is missing or not what"),
        ],
    )
    def test_release_refuses_a_wrong_list_of_an_exported_release(self, exported, change, text):
        folder, train, _ = exported
        self.relist(folder, change)
        with pytest.raises(UcbenchError, match=text):
            crafted(folder, train=train)

    def test_identity_of_an_exported_release_follows_its_order(self, exported):
        folder, _, _ = exported
        before = ReleaseParams(path=folder).identity()

        def exchange(rows):
            rows[0]["index"], rows[1]["index"] = rows[1]["index"], rows[0]["index"]

        self.relist(folder, exchange)
        assert ReleaseParams(path=folder).identity() != before


class TestShapes:
    def test_release_of_one_perturbation_per_class_covers_unseen_images(self, tmp_path):
        levels = changes(shape=(3, *SHAPE[1:]))
        release, run = crafted(npy(tmp_path, levels))
        np.testing.assert_array_equal(release.changes, levels)
        np.testing.assert_array_equal(release.index, TRAIN.known_labels)
        unseen = sample_images(5, seed=1)
        component = ImportedRelease(ReleaseParams(path="x"))
        np.testing.assert_array_equal(
            component.assign(unseen.with_labels(None), unseen.known_labels, release.state, run), unseen.known_labels
        )
        assert component.assign(unseen, None, release.state, run) is None

    def test_release_of_one_perturbation_per_image_assigns_none_to_unseen_images(self, tmp_path):
        release, run = crafted(npy(tmp_path, changes()))
        np.testing.assert_array_equal(release.index, np.arange(13))
        component = ImportedRelease(ReleaseParams(path="x"))
        assert component.assign(TRAIN, TRAIN.known_labels, release.state, run) is None

    def test_release_of_equal_class_and_image_counts_is_one_per_image(self, tmp_path):
        train = sample_images(3)
        levels = changes(shape=train.images.shape)
        np.testing.assert_array_equal(published(npy(tmp_path, levels), train=train), added(levels, train))

    def test_release_refuses_one_image_per_class(self, tmp_path):
        refused(npy(tmp_path, TRAIN.images[:3]), "3 images for 13 training images.* one for each training image")

    @pytest.mark.parametrize("count", [1, 2, 4, 12, 14])
    def test_release_refuses_any_other_count(self, count, tmp_path):
        path = npy(tmp_path, changes(shape=(count, *SHAPE[1:])))
        refused(path, rf"\[{count}, 3, 10, 14\], and sample has 13 images in 3 classes")
        refused(pngs(tmp_path, np.zeros((count, *SHAPE[1:]), np.uint8)), rf"\[{count}, 3, 10, 14\]")

    @pytest.mark.parametrize(
        "shape", [(), (13,), (13, 3, 10), (13, 1, 10, 14), (13, 10, 14, 4), (13, 3, 0, 14), (0, 3, 10, 14)]
    )
    @pytest.mark.parametrize("save", [npy, safetensors, pt])
    def test_release_refuses_other_shapes(self, shape, save, tmp_path):
        refused(save(tmp_path, np.zeros(shape, np.float32)), r"It must be \[N, 3, H, W\] or \[N, H, W, 3\]")

    def test_release_of_another_image_size_names_both_sizes(self, tmp_path):
        refused(npy(tmp_path, changes(shape=(13, 3, 14, 10))), "is 14x10 pixels .* of sample are 10x14")
        refused(pngs(tmp_path, np.zeros((13, 3, 8, 8), np.uint8)), "is 8x8 pixels .* of sample are 10x14")


class TestBudget:
    def test_release_beyond_the_budget_is_refused_with_the_epsilon_it_needs(self, tmp_path):
        path = npy(tmp_path, changes(12))
        refused(path, r"perturbations, is 12 levels \(linf\), beyond the budget of linf 8\..*--epsilon 12 or norm=unb")
        np.testing.assert_array_equal(published(path, Budget("linf", 12)), added(changes(12)))
        np.testing.assert_array_equal(published(path, ANY), added(changes(12)))

    def test_release_with_one_value_beyond_the_budget_is_refused(self, tmp_path):
        levels = changes()
        levels[7, 1, 4, 4] = -9
        refused(npy(tmp_path, levels), "is 9 levels")

    def test_release_of_images_beyond_the_budget_is_refused(self, tmp_path):
        images = TRAIN.images.copy()
        images[0] = 9  # was black
        refused(npy(tmp_path, images), "read as pictures, is 9 levels.*--epsilon 9")

    def test_release_rounds_towards_zero_to_keep_a_fractional_radius(self, tmp_path):
        values = np.full(SHAPE, 9.5)
        values[0, 0, 0, 0] = -9.5
        release, _ = crafted(npy(tmp_path, values), Budget("linf", 9.5), scale="levels")
        assert np.unique(np.abs(release.changes)).tolist() == [9]

    @pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
    def test_release_l2_of_full_length_is_rounded_within_the_budget(self, dtype, tmp_path):
        budget, train = Budget("l2", 1), sample_images(13, (32, 32))
        delta = np.random.default_rng(0).normal(size=train.images.shape)
        delta /= np.sqrt(np.square(delta).sum(axis=(1, 2, 3), keepdims=True))
        release, run = crafted(npy(tmp_path, delta.astype(dtype)), budget, train, norm="l2")
        assert sizes(np.rint(delta * 255).astype(np.int16), "l2").max() > 1
        assert 0.99 < run.notes["measured"]["l2_max"] <= 1
        assert np.abs(release.changes - delta * 255).max() < 1

    def test_release_l2_beyond_the_budget_is_refused(self, tmp_path):
        delta = np.random.default_rng(0).normal(size=SHAPE)
        delta *= 1.001 / np.sqrt(np.square(delta).sum(axis=(1, 2, 3), keepdims=True))
        path = npy(tmp_path, delta)
        refused(
            path, r"is 1\.00\d* on the \[0, 1\] scale \(l2\), beyond .* l2 1\..*norm=unbounded", budget=Budget("l2", 1)
        )

    def test_release_never_rounds_whole_levels_to_fit(self, tmp_path):
        levels = np.zeros(SHAPE, np.float64)
        levels[:, 0, 0, :2] = -255, 1  # a length of 1 + 8e-6
        for array in (levels, levels / 255, levels.astype(np.int16)):
            refused(npy(tmp_path, array), r"is 1\.0001 on the", budget=Budget("l2", 1))

    def test_release_l0_counts_pixels(self, tmp_path):
        levels = np.zeros(SHAPE, np.int16)
        levels[:, :, 3, 5] = -200, 100, 0
        np.testing.assert_array_equal(published(npy(tmp_path, levels), Budget("l0", 1)), added(levels))
        levels[4, 0, 0, 0] = 1
        refused(npy(tmp_path, levels), r"is 2 pixels \(l0\), beyond", budget=Budget("l0", 1))

    def test_release_notes_describe_the_source(self, tmp_path):
        levels = np.zeros(SHAPE, np.int16)
        levels[3, :, 0, :2] = -4
        path = npy(tmp_path, levels)
        _, run = crafted(path)
        assert run.notes == {
            "imported": True,
            "source_kind": "perturbations",
            "scale": "levels",
            "file": "release.npy",
            "sha256": ReleaseParams(path=path).identity()["sha256"],
            "measured": {"linf_max": 4.0, "l2_max": pytest.approx(4 * 6**0.5 / 255), "l0_max": 2.0},
        }
        _, run = crafted(pngs(tmp_path, TRAIN.images))
        assert (run.notes["source_kind"], run.notes["file"]) == ("pictures", "images")
        assert run.notes["measured"] == {"linf_max": 0, "l2_max": 0, "l0_max": 0}


class Code:
    """What a pickle may hold, and no release."""


class TestDamage:
    @pytest.mark.parametrize("name", ["absent", "absent.npy", "absent.pt"])
    def test_missing_source_raises_data_error(self, name, tmp_path):
        refused(tmp_path / name, "does not exist. Give a file .* or a folder", DataError)
        with pytest.raises(DataError, match=f"{name} does not exist"):
            ReleaseParams(path=tmp_path / name).identity()

    def test_other_suffix_is_refused(self, tmp_path):
        path = tmp_path / "release.mat"
        path.write_bytes(b"MATLAB")
        refused(path, r"none of the suffixes that are read \(\.npy, ")
        with pytest.raises(UsageError, match="none of the suffixes"):
            ReleaseParams(path=path).identity()

    @every_format
    @pytest.mark.parametrize("share", [0, 0.01, 0.5])
    def test_truncated_file_raises_data_error(self, save, share, tmp_path):
        path = save(tmp_path, changes())
        content = path.read_bytes()
        path.write_bytes(content[: int(len(content) * share)])
        refused(path, "cannot be read .* damaged, or holds something other than plain numbers", DataError)

    @every_format
    def test_file_of_other_content_raises_data_error(self, save, tmp_path):
        path = save(tmp_path, changes())
        path.write_bytes(b"not what the suffix says" * 1000)
        refused(path, "cannot be read", DataError)

    @pytest.mark.filterwarnings("ignore:Detected pickle protocol")
    def test_objects_and_pickles_are_never_unpickled(self, tmp_path):
        objects = np.array([Code()] * 13, dtype=object)
        np.save(tmp_path / "objects.npy", objects, allow_pickle=True)
        np.savez(tmp_path / "objects.npz", delta=objects)
        (tmp_path / "pickle.npy").write_bytes(pickle.dumps(changes()))
        (tmp_path / "pickle.pt").write_bytes(pickle.dumps(Code()))
        torch.save({"delta": Code()}, tmp_path / "code.pt")
        torch.save({"delta": changes()}, tmp_path / "numpy.pt")
        for path in sorted(tmp_path.iterdir()):
            refused(path, "cannot be read .* save the array by itself again", DataError)

    @pytest.mark.filterwarnings("ignore:Validating sparse tensor")
    @pytest.mark.parametrize("content", [[torch.zeros(SHAPE)], "text", 3, torch.zeros(SHAPE).to_sparse()])
    def test_checkpoint_without_one_tensor_raises_data_error(self, content, tmp_path):
        torch.save(content, tmp_path / "release.pt")
        refused(tmp_path / "release.pt", "Save one dense tensor, or a dict of tensors", DataError)

    def test_file_without_arrays_raises_data_error(self, tmp_path):
        torch.save({"epsilon": 8}, tmp_path / "release.pt")
        with zipfile.ZipFile(tmp_path / "release.npz", "w"):
            pass
        for name in ("release.pt", "release.npz"):
            refused(tmp_path / name, "holds no array", DataError)

    @pytest.mark.parametrize("dtype", [bool, np.complex64, "S4", "datetime64[s]"])
    def test_non_numeric_array_raises_data_error(self, dtype, tmp_path):
        refused(npy(tmp_path, np.zeros(SHAPE, dtype)), "Save whole or real numbers", DataError)

    def test_non_numeric_tensor_raises_data_error(self, tmp_path):
        refused(pt(tmp_path, np.zeros(SHAPE, bool)), "of type bool", DataError)
        refused(safetensors(tmp_path, np.zeros(SHAPE, bool)), "of type bool", DataError)

    @every_format
    @pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
    def test_non_finite_value_raises_with_its_item(self, save, value, tmp_path):
        values = changes().astype(np.float32)
        values[11, 2, 3, 4] = value
        for kind in ("auto", "perturbations", "pictures"):
            refused(save(tmp_path, values), rf"holds {value} in item 11\.", DataError, kind=kind)

    def test_images_of_several_sizes_raise_data_error(self, tmp_path):
        folder = pngs(tmp_path, TRAIN.images)
        Image.new("RGB", (9, 9)).save(folder / "4.png")
        refused(folder, "must be of one size: 0.png is 10x14 and 4.png is 9x9", DataError)

    def test_damaged_image_is_named(self, tmp_path):
        folder = pngs(tmp_path, TRAIN.images)
        (folder / "7.png").write_bytes((folder / "7.png").read_bytes()[:100])
        with pytest.raises(DataError, match=r"7\.png: cannot be read as an image"):
            crafted(folder)

    def test_folder_without_images_raises_data_error(self, tmp_path):
        (tmp_path / "empty").mkdir()
        refused(tmp_path / "empty", "holds no images. Put them directly into this folder", DataError)
        with pytest.raises(DataError, match="holds no images"):
            ReleaseParams(path=tmp_path / "empty").identity()


class TestIdentity:
    @pytest.mark.parametrize("save", [npy, pngs])
    def test_identity_follows_content_not_path(self, save, tmp_path):
        first = save(tmp_path, TRAIN.images)
        second = tmp_path / "elsewhere" / f"renamed{first.suffix}"
        second.parent.mkdir()
        (shutil.copytree if first.is_dir() else shutil.copy)(first, second)
        one, other = ReleaseParams(path=first).identity(), ReleaseParams(path=second).identity()
        assert one == other
        assert "path" not in one
        assert str(tmp_path) not in canonical(one)
        assert crafted(first)[1].notes["sha256"] == one["sha256"]

    def test_identity_changes_with_any_byte_of_a_file(self, tmp_path):
        levels = changes()
        before = ReleaseParams(path=npy(tmp_path, levels)).identity()
        levels[-1, -1, -1, -1] += 1
        assert ReleaseParams(path=npy(tmp_path, levels)).identity() != before

    def test_identity_of_a_folder_depends_on_names_and_order_of_images(self, tmp_path):
        def identity(*images: tuple[str, int]) -> str:
            shutil.rmtree(tmp_path / "set", ignore_errors=True)
            (tmp_path / "set").mkdir()
            for name, level in images:
                Image.new("RGB", (4, 4), (level,) * 3).save(tmp_path / "set" / name)
            (tmp_path / "set" / "notes.txt").write_text(str(images))
            return ReleaseParams(path=tmp_path / "set").identity()["sha256"]

        whole = identity(("2.png", 0), ("10.png", 9))
        assert whole == identity(("10.png", 9), ("2.png", 0))
        different = {
            whole,
            identity(("2.png", 9), ("10.png", 0)),
            identity(("2.png", 0)),
            identity(("2.png", 0), ("10.png", 8)),
            identity(("2.png", 0), ("11.png", 9)),
        }
        assert len(different) == 5

    def test_identity_changes_with_every_option(self, tmp_path):
        path = npy(tmp_path, changes())
        options = [{}, {"kind": "pictures"}, {"scale": "unit"}, {"layout": "nhwc"}, {"key": "a"}, {"norm": "l2"}]
        found = [canonical(ReleaseParams(path=path, **option).identity()) for option in options]
        assert len(set(found)) == len(options)

    @given(st.lists(st.tuples(st.sampled_from(["", "img", "a-"]), st.integers(0, 999)), min_size=1, unique=True))
    @settings(max_examples=30, deadline=None)
    def test_images_in_sorts_numbers_by_value(self, tmp_path_factory, names):
        folder = tmp_path_factory.mktemp("names")
        for prefix, number in names:
            (folder / f"{prefix}{number}.PNG").touch()
        assert [path.name for path in images_in(folder)] == [f"{p}{n}.PNG" for p, n in sorted(names)]

    def test_params_expand_the_home_folder(self, monkeypatch, tmp_path):
        monkeypatch.setenv("HOME", str(tmp_path))
        assert ReleaseParams(path="~/release.npy").path == tmp_path / "release.npy"


class TestRegistration:
    def test_release_resolves_with_path_and_options(self, tmp_path):
        path = npy(tmp_path, changes())
        resolved = installed().resolve("poisoner", f"release:'{path}':norm=unbounded,kind=perturbations")
        assert resolved.spec is installed().find("poisoner", "imported")
        assert resolved.params == ReleaseParams(path=path, norm="unbounded", kind="perturbations")
        assert str(tmp_path) not in json.dumps(resolved.identity())
        with pytest.raises(UsageError, match="path is required"):
            installed().resolve("poisoner", "release")

    def test_release_native_epsilons_cover_every_norm_with_a_radius(self):
        assert dict(ReleaseParams.native_epsilons) == {"linf": 8, "l2": 1, "l0": 1}

    def test_listing_and_keys_import_neither_torch_nor_numpy(self, tmp_path):
        path = npy(tmp_path, changes())
        code = (
            "import sys, ucbench_imported; list(ucbench_imported.ucbench_poisoners());"
            "assert not {'torch', 'numpy', 'pydantic'} & set(sys.modules), 'listing';"
            "from ucbench_imported.params import ReleaseParams;"
            "ReleaseParams(path=sys.argv[1]).identity(); ReleaseParams(path=sys.argv[2]).identity();"
            "assert not {'torch', 'numpy', 'PIL', 'safetensors'} & set(sys.modules), 'keys'"
        )
        folder = pngs(tmp_path, TRAIN.images)
        subprocess.run([sys.executable, "-c", code, str(path), str(folder)], check=True)
