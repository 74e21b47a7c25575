"""Releases crafted elsewhere are read from every format, block by block, as they were written."""

from __future__ import annotations

import zipfile

import numpy as np
import pytest
import torch
from imported_releases import ANY, SHAPE, added, changes, crafted, every_format, npy, pngs, published, refused
from safetensors.torch import save_file

from ucbench_imported import sources
from ucbench_imported.content import images_in

pytestmark = pytest.mark.usefixtures("small_blocks")


@pytest.fixture
def small_blocks(monkeypatch):
    """Blocks of two items, so that thirteen take several."""
    from ucbench.data.budget import blocks
    from ucbench_imported import poisoner

    monkeypatch.setattr(poisoner, "blocks", lambda shape: blocks(shape, 2 * int(np.prod(shape[1:]))))


@every_format
@pytest.mark.parametrize("dtype", ["int16", "float16", "float32", "float64"])
def test_release_adds_integer_levels_and_unit_scale_floats_unchanged(save, dtype, tmp_path):
    path = save(tmp_path, (changes() if dtype == "int16" else changes() / 255).astype(dtype))
    np.testing.assert_array_equal(published(path), added(changes()))


@every_format
def test_release_publishes_images_unchanged(save, tmp_path):
    images = np.random.default_rng(0).integers(0, 256, SHAPE, dtype=np.uint8)
    np.testing.assert_array_equal(published(save(tmp_path, images), ANY), images)


@every_format
def test_release_reads_channels_last(save, tmp_path):
    path = save(tmp_path, np.ascontiguousarray(changes().transpose(0, 2, 3, 1)))
    np.testing.assert_array_equal(published(path), added(changes()))
    np.testing.assert_array_equal(published(path, layout="nhwc"), added(changes()))


def test_release_reads_a_folder_of_images_in_natural_order(tmp_path):
    images = added(changes())
    folder = pngs(tmp_path, images)
    (folder / ".hidden.png").write_bytes(b"")
    (folder / "notes.txt").write_text("crafted elsewhere")
    (folder / "more").mkdir()
    assert [path.name for path in images_in(folder)] == [f"{i}.png" for i in range(13)]
    np.testing.assert_array_equal(published(folder), images)


def test_release_reads_bfloat16_parameters_and_views(tmp_path):
    values = torch.from_numpy(changes().astype(np.float32) / 255)
    save_file({"delta": values.to(torch.bfloat16)}, tmp_path / "bfloat16.safetensors")
    torch.save(values.to(torch.bfloat16), tmp_path / "bfloat16.pt")
    torch.save(torch.nn.Parameter(values), tmp_path / "parameter.pt")
    torch.save(values.permute(0, 2, 3, 1), tmp_path / "view.pt")
    for path in tmp_path.iterdir():
        np.testing.assert_array_equal(published(path), added(changes()), str(path))


def test_release_reads_other_byte_and_axis_orders(tmp_path):
    np.testing.assert_array_equal(published(npy(tmp_path, changes().astype(">i4"))), added(changes()))
    np.testing.assert_array_equal(published(npy(tmp_path, np.asfortranarray(changes()))), added(changes()))


def test_release_reads_an_array_that_ends_like_a_zip_archive(tmp_path):
    levels = changes().astype(np.int8)
    levels.reshape(-1)[-22:] = np.frombuffer(b"PK\x05\x06" + bytes(18), np.int8)
    path = npy(tmp_path, levels)
    assert zipfile.is_zipfile(path)
    np.testing.assert_array_equal(crafted(path, ANY)[0].changes, levels)


def test_release_selects_an_array_by_key(tmp_path):
    named = {"first": changes(seed=1), "second": changes(seed=2)}
    np.savez(tmp_path / "a.npz", **named)
    save_file({name: torch.from_numpy(array) for name, array in named.items()}, tmp_path / "a.safetensors")
    torch.save({name: torch.from_numpy(array) for name, array in named.items()}, tmp_path / "a.pt")
    for name in ("a.npz", "a.safetensors", "a.pt"):
        np.testing.assert_array_equal(published(tmp_path / name, key="second"), added(named["second"]))
        refused(tmp_path / name, r"several arrays: first, second\. Say which, with key=NAME")
        refused(tmp_path / name, "holds no 'secnd'. Did you mean 'second'", key="secnd")


def test_open_source_memory_maps_an_array_file(tmp_path):
    path = npy(tmp_path, changes())
    assert isinstance(sources.open_source(path).read(slice(0, 2)).base, np.memmap)
