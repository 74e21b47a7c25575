"""Decoding any image to 8-bit RGB."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from image_files import encoded, noise
from PIL import ExifTags, Image

from ucbench.data.framing import Framing, assemble
from ucbench.data.images import LazyImage, decode
from ucbench.errors import DataError


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
        exif[ExifTags.Base.Orientation] = 6  # the camera's left is the image's top
        pixels = np.zeros((16, 32, 3), np.uint8)
        pixels[:, :16] = 255
        upright = decode(encoded(Image.fromarray(pixels), exif=exif))
        assert upright.shape == (32, 16, 3)
        assert upright[:16].min() == 255
        assert upright[16:].max() == 0

    @pytest.mark.parametrize(
        ("kind", "options"),
        [("JPEG", {}), ("PNG", {}), ("TIFF", {}), ("TIFF", {"compression": "tiff_deflate"})],
        ids=["JPEG", "PNG", "TIFF", "compressed TIFF"],
    )
    @pytest.mark.parametrize("orientation", range(1, 9))
    def test_oriented_image_is_upright_and_of_that_size(self, kind, options, orientation):
        pixels = np.kron(np.arange(6).reshape(2, 3, 1), np.ones((8, 8, 3))).astype(np.uint8) * 40
        turned = pixels.swapaxes(0, 1) if orientation in (5, 6, 7, 8) else pixels
        # Where the first row and column of the stored image lie in the upright one (EXIF, tag 274).
        flips = {1: (1, 1), 2: (1, -1), 3: (-1, -1), 4: (-1, 1), 5: (1, 1), 6: (-1, 1), 7: (-1, -1), 8: (1, -1)}
        rows, columns = flips[orientation]
        exif = Image.Exif()
        exif[ExifTags.Base.Orientation] = orientation
        stored = Image.fromarray(np.ascontiguousarray(turned[::rows, ::columns]))
        image = LazyImage(encoded(stored, kind, exif=exif, **options), "turned")
        assert np.abs(image.pixels().astype(int) - pixels).max() <= 8
        assert image.size() == (16, 24)

    @pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "TIFF"])
    def test_truncated_file_is_named(self, tmp_path, kind):
        file = tmp_path / f"half.{kind.lower()}"
        whole = encoded(Image.fromarray(noise(40, 40)), kind)
        file.write_bytes(whole[: len(whole) // 2])
        with pytest.raises(DataError, match=file.name):
            decode(file)

    def test_bytes_that_are_not_an_image_are_refused(self):
        with pytest.raises(DataError, match=r"^row 3: .* its format is unknown"):
            decode(b"no image", "row 3")

    def test_missing_file_is_named(self, tmp_path):
        with pytest.raises(DataError, match=r"gone\.png: there is no such file"):
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


def tiff_of_bits(bits: int, values: list[int]) -> bytes:
    """One row of grey values, stored with ``bits`` bits each (TIFF 6.0)."""
    packed = "".join(f"{value:0{bits}b}" for value in values)
    packed += "0" * (-len(packed) % 8)
    data = int(packed, 2).to_bytes(len(packed) // 8, "big")
    tags = [
        (256, len(values)),
        (257, 1),
        (258, bits),
        (259, 1),
        (262, 1),
        (273, 8),
        (277, 1),
        (278, 1),
        (279, len(data)),
    ]
    directory = b"".join(struct.pack("<HHIHH", tag, 3, 1, value, 0) for tag, value in tags)
    offset = 8 + len(data)
    return struct.pack("<2sHI", b"II", 42, offset) + data + struct.pack("<H", len(tags)) + directory + bytes(4)


def png_with_chunk(name: bytes, content: bytes, crc_is_right: bool = True) -> bytes:
    """A PNG with one more chunk after its header."""
    whole = encoded(Image.fromarray(noise(5, 9)))
    crc = zlib.crc32(name + content) ^ (not crc_is_right)
    return whole[:33] + struct.pack(">I4s", len(content), name) + content + struct.pack(">I", crc) + whole[33:]


def jpeg_with_segment(marker: int, content: bytes) -> bytes:
    """A JPEG with one more segment before all others."""
    return b"\xff\xd8\xff" + struct.pack(">BH", marker, len(content) + 2) + content + jpeg()[2:]


def jpeg() -> bytes:
    return encoded(Image.fromarray(noise(5, 9)), "JPEG", quality=100)


def exif_with(tag: int, kind: int, value: bytes, orientation: int = 6) -> bytes:
    """An EXIF block of an orientation and another entry, whose value may not fit its kind."""
    entries = struct.pack("<HHIHH", 274, 3, 1, orientation, 0) + struct.pack("<HHI4s", tag, kind, 1, value)
    return b"Exif\0\0II*\0" + struct.pack("<IH", 8, 2) + entries + bytes(4)


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
class TestMetadata:
    @pytest.mark.parametrize(
        "content",
        [
            png_with_chunk(b"tEXt", b"title\0x", crc_is_right=False),
            png_with_chunk(b"zTXt", b"title\0\0" + zlib.compress(bytes(3 * 2**20))),
            png_with_chunk(b"iCCP", b"profile\0\0damaged"),
            png_with_chunk(b"eXIf", b"damaged"),
        ],
        ids=["wrong checksum", "large text", "damaged profile", "damaged EXIF"],
    )
    def test_png_with_damaged_metadata_keeps_its_pixels(self, content):
        image = LazyImage(content, "row 1")
        assert np.array_equal(image.pixels(), noise(5, 9))
        assert image.size() == (5, 9)

    @pytest.mark.parametrize(
        ("marker", "content"),
        [
            (0xE1, b"Exif\0\0II*\0\xff\xff\xff\xff"),
            (0xE1, b"Exif\0\0"),
            (0xE2, b"ICC_PROFILE\0\1\7damaged"),
            (0xE2, b"MPF\0II*\0\x08\0\0\0\xff\xff"),
            (0xED, b"Photoshop 3.0\0" + b"8BIM\x03\xed\0\0\0\0\0\x10\0\0"),
            (0xFE, b"\xff\xd8\xff"),
        ],
        ids=["EXIF", "empty EXIF", "ICC", "MPF", "Photoshop", "comment"],
    )
    def test_jpeg_with_damaged_metadata_keeps_its_pixels(self, marker, content):
        image = LazyImage(jpeg_with_segment(marker, content), "row 1")
        assert np.array_equal(image.pixels(), decode(jpeg()))
        assert image.size() == (5, 9)

    @pytest.mark.parametrize(
        ("tag", "kind", "value"), [(282, 2, b"72\0\0"), (256, 2, b"9\0\0\0"), (34665, 4, b"\xff\xff\xff\xff")]
    )
    def test_orientation_is_applied_beside_damaged_exif_entries(self, tag, kind, value):
        image = LazyImage(jpeg_with_segment(0xE1, exif_with(tag, kind, value)), "row 1")
        assert np.array_equal(image.pixels(), np.rot90(decode(jpeg()), -1))
        assert image.size() == (9, 5)

    @given(seed=st.integers(0, 2**32), kind=st.sampled_from(["PNG", "JPEG", "TIFF"]))
    def test_size_equals_that_of_decoded_pixels_for_any_damage(self, seed, kind):
        rng = np.random.default_rng(seed)
        exif = Image.Exif()
        exif[ExifTags.Base.Orientation] = int(rng.integers(1, 9))
        content = np.frombuffer(encoded(Image.fromarray(noise(5, 9)), kind, exif=exif), np.uint8).copy()
        content[rng.integers(len(content), size=2)] = rng.integers(256, size=2)
        image = LazyImage(content.tobytes(), "row 1")
        try:
            shape = image.pixels().shape[:2]
        except DataError:
            return
        assert image.size() == shape

    def test_damaged_pixels_are_refused_beside_damaged_metadata(self):
        content = png_with_chunk(b"tEXt", b"title\0x", crc_is_right=False)
        with pytest.raises(DataError, match=r"^row 1: cannot be read as an image: "):
            decode(content[:-40], "row 1")


class TestDepth:
    def test_tiff_of_12_bits_has_its_largest_value_as_white(self):
        assert decode(tiff_of_bits(12, [0, 2048, 4095]))[0, :, 0].tolist() == [0, 128, 255]

    @pytest.mark.parametrize("mode", ["grey", "colour"])
    def test_values_of_12_bits_in_16_bit_files_are_refused_and_multiplied_ones_load(self, mode):
        values = np.array([[0, 4095], [1000, 2100]], np.uint16)

        def image(factor: int) -> LazyImage:
            scaled = values * factor
            return LazyImage(encoded(Image.fromarray(scaled)) if mode == "grey" else colour_png(scaled), "row 0")

        light = LazyImage(noise(2, 2), "pixels")
        with pytest.raises(DataError, match=r"^row 0: .* go up to 4095 .* 12 bits.* Multiply the values by 16"):
            assemble([image(1), light], Framing((2, 2), (2, 2)))
        assert assemble([image(16), light], Framing((2, 2), (2, 2)))[0].max() == 255

    def test_dark_16_bit_image_beside_a_bright_one_loads(self):
        images = [LazyImage(encoded(Image.fromarray(np.full((2, 2), v, np.uint16))), "") for v in (100, 65535)]
        assert assemble(images, Framing((2, 2), (2, 2)))[:, 0, 0, 0].tolist() == [0, 255]


def colour_png(values: np.ndarray) -> bytes:
    """A PNG of 16-bit colour, ``values`` in each channel; Pillow does not write it."""
    height, width = values.shape
    rows = b"".join(b"\0" + np.repeat(row[:, None], 3, axis=1).astype(">u2").tobytes() for row in values)
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(rows)),
        (b"IEND", b""),
    ]
    body = (struct.pack(">I4s", len(c), n) + c + struct.pack(">I", zlib.crc32(n + c)) for n, c in chunks)
    return b"\x89PNG\r\n\x1a\n" + b"".join(body)


def test_image_of_too_many_pixels_is_refused_and_a_smaller_one_loads(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 20)
    with pytest.raises(DataError, match=r"^row 1: .*\(45 pixels\) exceeds limit of 40 pixels\. Save it with fewer"):
        decode(encoded(Image.fromarray(noise(5, 9))), "row 1")
    assert decode(encoded(Image.fromarray(noise(4, 5)))).shape == (4, 5, 3)
