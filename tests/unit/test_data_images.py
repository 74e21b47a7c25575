"""Decoding any picture to 8-bit RGB, and framing: many pictures of any size as one array of one size."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import ExifTags, Image

from ucbench.data.framing import Framing, assemble, choose_framing
from ucbench.data.images import Picture, decode
from ucbench.errors import DataError


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def decoded_picture(pixels: np.ndarray) -> Picture:
    return Picture(pixels, "pixels")


class TestDecode:
    def test_rgb_png_keeps_every_value(self):
        pixels = noise(5, 7)
        assert np.array_equal(decode(encoded(Image.fromarray(pixels))), pixels)

    @pytest.mark.parametrize("mode", ["L", "1"])
    def test_grey_is_repeated_over_channels(self, mode):
        grey = Image.fromarray(np.array([[0, 255], [255, 0]], np.uint8)).convert(mode)
        assert decode(encoded(grey)).tolist() == [[[0] * 3, [255] * 3], [[255] * 3, [0] * 3]]

    @pytest.mark.parametrize("kind", ["PNG", "TIFF"])
    @given(levels=st.lists(st.integers(0, 65535), min_size=1, max_size=20))
    def test_16_bit_grey_is_scaled_and_rounded(self, kind, levels):
        values = np.array([levels], np.uint16)
        grey = decode(encoded(Image.fromarray(values), kind))[0]
        assert np.abs(grey - values[0, :, None] / 257).max() <= 0.5

    def test_float_grey_is_refused_for_lack_of_a_white_level(self):
        with pytest.raises(DataError, match=r"deep\.tif: .*white is undefined"):
            decode(encoded(Image.fromarray(np.zeros((2, 2), np.float32)), "TIFF"), "deep.tif")

    def test_palette_is_looked_up(self):
        image = Image.new("P", (2, 1))
        image.putpalette([10, 20, 30, 40, 50, 60])
        image.putdata([1, 0])
        assert decode(encoded(image)).tolist() == [[[40, 50, 60], [10, 20, 30]]]

    @pytest.mark.parametrize("transparency", [1, b"\xff\x00"])
    def test_transparent_palette_entry_becomes_white(self, transparency):
        image = Image.new("P", (2, 1))
        image.putpalette([10, 20, 30, 40, 50, 60])
        image.putdata([0, 1])
        assert decode(encoded(image, transparency=transparency)).tolist() == [[[10, 20, 30], [255] * 3]]

    @pytest.mark.parametrize(("alpha", "expected"), [(0, 255), (255, 0), (51, 204)])
    @pytest.mark.parametrize("mode", ["RGBA", "LA"])
    def test_alpha_is_composed_over_white(self, mode, alpha, expected):
        image = Image.new("RGBA", (1, 1), (0, 0, 0, alpha)).convert(mode)
        assert decode(encoded(image)).tolist() == [[[expected] * 3]]

    def test_cmyk_is_converted(self):
        image = Image.new("CMYK", (2, 1))
        image.putdata([(0, 0, 0, 0), (0, 0, 0, 255)])
        assert decode(encoded(image, "TIFF")).tolist() == [[[255] * 3, [0] * 3]]

    def test_exif_orientation_rotates_the_image(self):
        exif = Image.Exif()
        exif[ExifTags.Base.Orientation] = 6  # the camera's left is the picture's top
        pixels = np.zeros((16, 32, 3), np.uint8)
        pixels[:, :16] = 255
        upright = decode(encoded(Image.fromarray(pixels), exif=exif))
        assert upright.shape == (32, 16, 3)
        assert upright[:16].min() == 255
        assert upright[16:].max() == 0

    @pytest.mark.parametrize("kind", ["JPEG", "PNG"])
    @pytest.mark.parametrize("orientation", range(1, 9))
    def test_size_equals_that_of_the_decoded_image(self, kind, orientation):
        exif = Image.Exif()
        exif[ExifTags.Base.Orientation] = orientation
        picture = Picture(encoded(Image.fromarray(noise(8, 24)), kind, exif=exif), "turned")
        assert picture.size() == picture.pixels().shape[:2]

    @pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "TIFF"])
    def test_truncated_file_is_named(self, tmp_path, kind):
        file = tmp_path / f"half.{kind.lower()}"
        whole = encoded(Image.fromarray(noise(40, 40)), kind)
        file.write_bytes(whole[: len(whole) // 2])
        with pytest.raises(DataError, match=file.name):
            decode(file)

    def test_bytes_that_are_not_an_image_are_refused(self):
        with pytest.raises(DataError, match=r"^row 3: .* its format is unknown"):
            decode(b"no picture", "row 3")

    def test_missing_file_is_named(self, tmp_path):
        with pytest.raises(DataError, match=r"gone\.png.*No such file"):
            decode(tmp_path / "gone.png")

    @pytest.mark.filterwarnings("ignore::UserWarning:PIL")
    @given(
        kind=st.sampled_from(["JPEG", "PNG", "GIF", "BMP", "TIFF"]),
        place=st.integers(0, 400),
        value=st.integers(0, 255),
        keep=st.floats(0, 1),
    )
    def test_damaged_bytes_raise_data_error_or_decode(self, kind, place, value, keep):
        damaged = bytearray(encoded(Image.fromarray(noise(9, 6)), kind))
        damaged[place % len(damaged)] = value
        problem, pixels = "", None
        try:
            pixels = decode(bytes(damaged[: 1 + int(keep * len(damaged))]), "row 3")
        except DataError as error:
            problem = str(error)
        assert problem.startswith("row 3: ") if pixels is None else pixels.shape[2] == 3


class TestFraming:
    def test_frame_keeps_equal_sizes(self):
        pictures = [decoded_picture(noise(6, 9, seed)) for seed in range(3)]
        framing = choose_framing(pictures)
        assert framing.crop == (6, 9)
        assert "6x9" in framing.note
        assert np.array_equal(
            assemble(pictures, framing), np.stack([p.pixels() for p in pictures]).transpose(0, 3, 1, 2)
        )

    @pytest.mark.parametrize(
        ("sizes", "side"),
        [([(30, 50), (40, 20)], 20), ([(50, 70), (70, 50)], 50), ([(300, 400), (400, 500)], 224)],
    )
    def test_frame_takes_the_smallest_short_side_up_to_224(self, sizes, side):
        framing = choose_framing([decoded_picture(np.zeros((*size, 3), np.uint8)) for size in sizes])
        assert framing.cover == framing.crop == (side, side)
        assert f"{side}x{side}" in framing.note

    def test_frame_uses_sizes_after_exif_rotation(self):
        exif = Image.Exif()
        exif[ExifTags.Base.Orientation] = 6
        turned = Picture(encoded(Image.fromarray(noise(8, 24)), "JPEG", exif=exif), "turned")
        assert choose_framing([turned, decoded_picture(noise(24, 8))]).crop == (24, 8)

    def test_frame_follows_explicit_size_and_resize(self):
        framing = choose_framing([], size=32, resize=40)
        assert (framing.cover, framing.crop) == ((40, 40), (32, 32))
        assert "40" in framing.note
        assert "32x32" in framing.note

    def test_frame_raises_without_images(self):
        with pytest.raises(DataError, match="no images"):
            choose_framing([])

    def test_images_take_the_training_size(self):
        framing = choose_framing([decoded_picture(noise(12, 8))])
        others = [decoded_picture(noise(*size)) for size in [(8, 12), (5, 5), (100, 30), (12, 8)]]
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
        pictures = []
        for value in range(200):
            file = tmp_path / f"{value}.png"
            Image.new("L", (4, 4), value).save(file)
            pictures.append(Picture(file, str(file)))
        images = assemble(pictures, choose_framing(pictures))
        assert images.shape == (200, 3, 4, 4)
        assert images.dtype == np.uint8
        assert images[:, 0, 0, 0].tolist() == list(range(200))

    @pytest.mark.parametrize("side", [4, 200], ids=["one thread", "many threads"])
    def test_assemble_names_all_damaged_images_in_order(self, side):
        whole = encoded(Image.fromarray(noise(side, side)))
        damaged = {70, 150}
        pictures = [Picture(whole[:60] if row in damaged else memoryview(whole), f"row {row}") for row in range(160)]
        with pytest.raises(DataError, match=r"^2 images cannot be read.*\n  row 70: .*\n  row 150: "):
            assemble(pictures, Framing((4, 4), (4, 4)))

    def test_assemble_raises_without_files(self):
        assert assemble([], Framing((4, 5), (4, 5))).shape == (0, 3, 4, 5)

    def test_assemble_reads_paths_and_bytes_alike(self, tmp_path: Path):
        file = tmp_path / "a.jpg"
        file.write_bytes(encoded(Image.fromarray(noise(30, 20)), "JPEG"))
        assert np.array_equal(decode(file), decode(file.read_bytes()))
