"""Decoded images are kept by their content: read once, never taken for others, and never needed."""

from __future__ import annotations

import io
import logging
import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from ucbench.data import images as reading
from ucbench.data.cache import DecodedImages
from ucbench.data.framed import FramedDataset, Split
from ucbench.data.framing import assemble, choose_framing
from ucbench.data.images import LazyImage
from ucbench.data.loading import load_dataset
from ucbench.data.params import DatasetParams
from ucbench.errors import DataError, StoreError
from ucbench.store.store import Store


def png(height: int, width: int, seed: int, kind: str = "PNG") -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind)
    return file.getvalue()


def mixed(count: int = 4) -> list[LazyImage]:
    return [LazyImage(png(8 + row, 20 - row, row), f"row {row}") for row in range(count)]


def read(images, store, size=None):
    decoded = DecodedImages(images, store)
    framing = decoded.framing(size, None, "bicubic")
    return decoded.images(framing), framing


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "home")


@pytest.fixture
def opened(monkeypatch):
    """Counts the images that are opened."""
    count = []
    real = reading.opened
    monkeypatch.setattr(reading, "opened", lambda *args: count.append(args) or real(*args))
    return count


class Leaving(FramedDataset):
    """Six images that are read without the damaged ones."""

    name, flip = "leaving", False

    def __init__(self, images):
        super().__init__(DatasetParams(damaged="leave-out"))
        self.images = images

    def find(self, split):
        return Split(self.images, np.arange(len(self.images)) % 2, ("a", "b"))


def test_damaged_images_are_found_once_for_all_runs_of_a_store(store, opened):
    images = [*mixed(), LazyImage(b"no image", "row 4"), LazyImage(png(9, 9, 9)[:60], "row 5")]
    first = Leaving(images).load("train", store)
    assert len(first) == 4
    opened.clear()
    again = Leaving(images)
    assert again.load("train", Store(store.root)).fingerprint == first.fingerprint
    assert again.sources["train"].damaged == ("row 4", "row 5")
    assert not opened
    assert Leaving(images).load("train").fingerprint == first.fingerprint


@pytest.mark.parametrize("stored", [True, False])
def test_file_that_cannot_be_opened_is_not_left_out_as_damaged(store, tmp_path, stored):
    images = [*mixed(), LazyImage(b"no image", "row 4"), LazyImage(tmp_path / "gone.png", "gone.png")]
    with pytest.raises(DataError, match=r"^gone\.png: there is no such file\. Repair or remove it\.$"):
        Leaving(images).load("train", store if stored else None)


def objects(store, kind):
    return list((store.root / "objects" / kind).glob("*/*"))


def test_decoded_images_are_opened_once(store, opened):
    first, framing = read(mixed(), store)
    assert opened
    opened.clear()
    again, kept = read(mixed(), Store(store.root))
    assert not opened
    assert kept == framing == choose_framing(mixed())
    assert again.dtype == np.uint8
    np.testing.assert_array_equal(again, first)
    np.testing.assert_array_equal(again, assemble(mixed(), framing))


@pytest.mark.parametrize(
    "change",
    [
        lambda images: [*images[:-1], LazyImage(png(11, 17, 99), "row 3")],
        lambda images: images[::-1],
        lambda images: images[:-1],
    ],
    ids=["another image", "another order", "one less"],
)
def test_decoded_cache_misses_for_other_images(store, change):
    read(mixed(), store)
    other, framing = read(change(mixed()), store)
    np.testing.assert_array_equal(other, assemble(change(mixed()), framing))


def test_decoded_cache_misses_for_another_size(store):
    assert [read(mixed(), store, size)[0].shape[2] for size in (None, 6, 5, 6)] == [8, 6, 5, 6]
    assert len(objects(store, "pictures")) == 3


def test_decoded_cache_misses_for_another_interpolation(store):
    read(mixed(), store)
    decoded = DecodedImages(mixed(), store)
    framing = decoded.framing(None, None, "bilinear")
    np.testing.assert_array_equal(decoded.images(framing), assemble(mixed(), framing))
    assert framing.resample == "bilinear"


def test_decoded_cache_misses_for_another_decoder_version(store, opened, monkeypatch):
    read(mixed(), store)
    opened.clear()
    monkeypatch.setattr("PIL.__version__", "0.0")
    read(mixed(), store)
    assert opened


def test_decoded_cache_key_is_file_content_not_name_or_time(store, opened, tmp_path):
    file, moved = tmp_path / "a.png", tmp_path / "b.png"
    file.write_bytes(png(9, 9, 0))
    first, _ = read([LazyImage(file, "a")], store)
    time = file.stat().st_mtime_ns
    file.rename(moved)
    opened.clear()
    np.testing.assert_array_equal(read([LazyImage(moved, "b")], store)[0], first)
    assert not opened
    altered = bytearray(Image.open(moved).tobytes())
    altered[0] ^= 1
    Image.frombytes("RGB", (9, 9), bytes(altered)).save(moved)
    os.utime(moved, ns=(time, time))
    assert (read([LazyImage(moved, "b")], store)[0] != first).sum() == 1


def test_decoded_cache_rebuilds_a_damaged_object(store, caplog):
    first, _ = read(mixed(), store)
    (path,) = objects(store, "pictures")
    kept = bytearray((path / "images.npy").read_bytes())
    kept[-1] ^= 255
    (path / "images.npy").write_bytes(kept)
    with caplog.at_level(logging.WARNING):
        np.testing.assert_array_equal(read(mixed(), store)[0], first)
    assert "damaged" in caplog.text


@pytest.mark.parametrize("after", [False, True], ids=["before decoding", "after decoding"])
def test_decoded_cache_warns_when_the_store_is_read_only(store, monkeypatch, caplog, opened, after):
    def refuse(self, kind, key, make):
        if after:
            make()
        raise StoreError("the disk is full")

    monkeypatch.setattr(Store, "get_or_make", refuse)
    with caplog.at_level(logging.WARNING):
        found, framing = read(mixed(), store)
    assert "the disk is full" in caplog.text
    assert len(opened) == 2 * len(mixed()), "each image's size once, its pixels once"
    np.testing.assert_array_equal(found, assemble(mixed(), framing))


def test_writing_to_decoded_images_leaves_the_store_unchanged(store):
    first = read(mixed(), store)[0].copy()
    decoded = read(mixed(), store)[0]
    decoded[:] = 0
    np.testing.assert_array_equal(read(mixed(), store)[0], first)


def test_decoding_names_damaged_and_missing_images(store, tmp_path):
    with pytest.raises(DataError, match="row 7"):
        read([*mixed(), LazyImage(b"no image", "row 7")], store)
    with pytest.raises(DataError, match="gone"):
        read([LazyImage(tmp_path / "gone.png", str(tmp_path / "gone.png"))], store)
    assert not objects(store, "pictures")


def test_decoded_cache_skips_images_that_need_no_scaling(store):
    pixels = np.random.default_rng(0).integers(0, 256, (3, 6, 6, 3), np.uint8)
    found, _ = read([LazyImage(one, "") for one in pixels], store)
    np.testing.assert_array_equal(found, pixels.transpose(0, 3, 1, 2))
    assert not objects(store, "pictures")
    scaled, framing = read([LazyImage(one, "") for one in pixels], store, size=4)
    np.testing.assert_array_equal(scaled, assemble([LazyImage(one, "") for one in pixels], framing))
    assert objects(store, "pictures")


class Folder(FramedDataset):
    name, flip = "folder", True

    def find(self, split):
        rows = range(6) if split == "train" else range(6, 9)
        images = [LazyImage(png(8 + row, 8, row), f"{split} {row}") for row in rows]
        return Split(images, np.arange(len(images)) % 3, ("a", "b", "c"))


def test_dataset_is_identical_when_loaded_from_the_cache(store, opened):
    first = load_dataset(Folder(DatasetParams()), DatasetParams(), store)
    opened.clear()
    again = load_dataset(Folder(DatasetParams()), DatasetParams(), Store(store.root))
    plain = load_dataset(Folder(DatasetParams()), DatasetParams())
    assert opened, "without a store they are read"
    for split in ("train", "test"):
        prints = {getattr(loaded, split).fingerprint for loaded in (first, again, plain)}
        assert len(prints) == 1
    assert first.note == again.note == plain.note != ""


@given(height=st.integers(1, 40), width=st.integers(1, 40), kind=st.sampled_from(["PNG", "BMP", "JPEG"]))
def test_header_size_equals_the_decoded_size(height, width, kind):
    source = png(height, width, 0, kind)
    assert LazyImage(memoryview(source), "").size() == (height, width) == LazyImage(source, "").pixels().shape[:2]


@given(st.binary(max_size=40))
def test_assemble_names_bytes_that_only_start_like_an_image(tail):
    with pytest.raises(DataError, match="row 5"):
        assemble([LazyImage(b"\x89PNG\r\n\x1a\n" + tail, "row 5")], choose_framing([], size=4))
