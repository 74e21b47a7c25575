"""Framing: many images of any size as one array of one size."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from image_files import encoded, noise
from PIL import ExifTags, Image

from ucbench.data.framing import Framing, assemble, choose_framing
from ucbench.data.images import LazyImage, decode
from ucbench.errors import DataError


def decoded_image(pixels: np.ndarray) -> LazyImage:
    return LazyImage(pixels, "pixels")


class TestFraming:
    def test_frame_keeps_equal_sizes(self):
        images = [decoded_image(noise(6, 9, seed)) for seed in range(3)]
        framing = choose_framing(images)
        assert framing.crop == (6, 9)
        assert "6x9" in framing.note
        assert np.array_equal(assemble(images, framing), np.stack([p.pixels() for p in images]).transpose(0, 3, 1, 2))

    @pytest.mark.parametrize(
        ("sizes", "side"),
        [([(30, 50), (40, 20)], 20), ([(50, 70), (70, 50)], 50), ([(300, 400), (400, 500)], 224)],
    )
    def test_frame_takes_the_smallest_short_side_up_to_224(self, sizes, side):
        framing = choose_framing([decoded_image(np.zeros((*size, 3), np.uint8)) for size in sizes])
        assert framing.cover == framing.crop == (side, side)
        assert f"{side}x{side}" in framing.note

    @pytest.mark.parametrize(
        ("sides", "advised"),
        [
            ([9] + [20] * 10, 20),
            ([99] * 2 + [400] * 300, 224),
            ([4] * 3 + [20] * 5, 20),
        ],
    )
    def test_frame_refuses_sizes_that_a_few_small_images_decide(self, sides, advised):
        images = [LazyImage(np.zeros((side, side + 1, 3), np.uint8), f"row {row}") for row, side in enumerate(sides)]
        with pytest.raises(DataError, match=rf"row 0 .*enlarge them with size={advised}, .* with size={min(sides)}\.$"):
            choose_framing(images)
        assert choose_framing(images, size=advised).crop == (advised, advised)

    @pytest.mark.parametrize("side", [3_000_000, 3_000_000_000, 10**20])
    def test_assemble_says_what_memory_a_size_needs_that_no_machine_has(self, side):
        images = [decoded_image(np.zeros((8, 8, 3), np.uint8))] * 4
        with pytest.raises(DataError, match=rf"4 images of {side}x{side} pixels need [0-9,.]+ GiB .* smaller size="):
            assemble(images, choose_framing(images, size=side))

    @pytest.mark.parametrize("sides", [[10] + [20] * 10, [5] * 4 + [20] * 6, [60] * 5 + [400] * 300, [3, 30]])
    def test_frame_accepts_sizes_that_many_images_share(self, sides):
        images = [decoded_image(np.zeros((side, side + 1, 3), np.uint8)) for side in sides]
        assert choose_framing(images).crop == (min(sides), min(sides))

    def test_frame_uses_sizes_after_exif_rotation(self):
        exif = Image.Exif()
        exif[ExifTags.Base.Orientation] = 6
        turned = LazyImage(encoded(Image.fromarray(noise(8, 24)), "JPEG", exif=exif), "turned")
        assert choose_framing([turned, decoded_image(noise(24, 8))]).crop == (24, 8)

    def test_frame_follows_explicit_size_and_resize(self):
        framing = choose_framing([], size=32, resize=40)
        assert (framing.cover, framing.crop) == ((40, 40), (32, 32))
        assert "40" in framing.note
        assert "32x32" in framing.note

    def test_frame_raises_without_images(self):
        with pytest.raises(DataError, match="no images"):
            choose_framing([])

    def test_images_take_the_training_size(self):
        framing = choose_framing([decoded_image(noise(12, 8))])
        others = [decoded_image(noise(*size)) for size in [(8, 12), (5, 5), (100, 30), (12, 8)]]
        assert assemble(others, framing).shape == (4, 3, 12, 8)

    @given(
        height=st.integers(1, 70),
        width=st.integers(1, 70),
        size=st.integers(4, 40),
        larger=st.integers(0, 20),
        colour=st.integers(0, 255),
    )
    def test_any_image_fills_the_frame(self, height, width, size, larger, colour):
        framed = choose_framing([], size, size + larger).apply(np.full((height, width, 3), colour, np.uint8))
        assert framed.shape == (size, size, 3)
        assert (framed == colour).all()

    def test_images_of_frame_size_are_only_cropped(self):
        pixels = noise(10, 15)
        framed = choose_framing([], size=10).apply(pixels)
        assert np.array_equal(framed, pixels[:, 2:12])

    def test_centre_is_kept_in_proportion(self):
        pixels = np.zeros((40, 120, 3), np.uint8)
        pixels[10:30, 50:70] = 255
        framed = choose_framing([], size=20).apply(pixels)[..., 0] > 127
        assert np.argwhere(framed).min(axis=0).tolist() == [5, 5]
        assert np.argwhere(framed).max(axis=0).tolist() == [14, 14]

    def test_shrinking_is_antialiased(self):
        stripes = np.zeros((64, 64, 3), np.uint8)
        stripes[:, ::2] = 255
        inside = choose_framing([], size=8).apply(stripes)[:, 1:-1]
        assert np.abs(inside.astype(int) - 128).max() <= 8

    def test_resize_crops_the_border(self):
        pixels = np.full((20, 20, 3), 255, np.uint8)
        pixels[4:16, 4:16] = 0
        assert choose_framing([], size=10, resize=20).apply(pixels).max() == 0
        assert choose_framing([], size=10).apply(pixels).max() == 255


class TestAssemble:
    def test_assemble_keeps_the_order_of_files(self, tmp_path):
        images = []
        for value in range(200):
            file = tmp_path / f"{value}.png"
            Image.new("L", (4, 4), value).save(file)
            images.append(LazyImage(file, str(file)))
        images = assemble(images, choose_framing(images))
        assert images.shape == (200, 3, 4, 4)
        assert images.dtype == np.uint8
        assert images[:, 0, 0, 0].tolist() == list(range(200))

    @pytest.mark.parametrize("side", [4, 200], ids=["one thread", "many threads"])
    def test_assemble_names_all_damaged_images_in_order(self, side):
        whole = encoded(Image.fromarray(noise(side, side)))
        damaged = {70, 150}
        images = [LazyImage(whole[:60] if row in damaged else memoryview(whole), f"row {row}") for row in range(160)]
        with pytest.raises(DataError, match=r"^2 images cannot be read.*\n  row 70: .*\n  row 150: "):
            assemble(images, Framing((4, 4), (4, 4)))

    def test_assemble_raises_without_files(self):
        assert assemble([], Framing((4, 5), (4, 5))).shape == (0, 3, 4, 5)

    def test_assemble_reads_paths_and_bytes_alike(self, tmp_path: Path):
        file = tmp_path / "a.jpg"
        file.write_bytes(encoded(Image.fromarray(noise(30, 20)), "JPEG"))
        assert np.array_equal(decode(file), decode(file.read_bytes()))


def test_damaged_images_are_named_up_to_twenty_and_counted():
    images = [LazyImage(b"no image", f"row {row}") for row in range(25)]
    with pytest.raises(DataError, match=r"^25 images cannot be read.*\n") as caught:
        assemble(images, Framing((2, 2), (2, 2)))
    assert "row 19: " in str(caught.value)
    assert "row 20: " not in str(caught.value)
    assert str(caught.value).endswith("and 5 more")
