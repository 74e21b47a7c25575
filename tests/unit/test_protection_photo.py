"""Reading photos upright with what is kept, and writing them."""

from __future__ import annotations

import io
import resource

import numpy as np
import pytest
from photo_folder import exif, photograph, write_folder
from PIL import Image, ImageCms, PngImagePlugin, TiffImagePlugin

from ucbench.data.images import decode
from ucbench.errors import DataError, StoreError
from ucbench.protection.photo import Photo, opaque, read_photo, suffix_of, write_photo, written_type

EXIF, GPS = 0x8769, 0x8825


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    write_folder(folder, plain=0)
    return folder


def kept(photo: Photo) -> Image.Exif:
    block = Image.Exif()
    block.load(photo.exif)
    return block


@pytest.mark.parametrize("orientation", range(1, 9))
def test_photo_is_upright_and_its_copy_needs_no_turning(folder, tmp_path, orientation):
    photo = read_photo(folder / "summer" / f"turned {orientation}.jpg")
    assert np.array_equal(photo.pixels, decode(folder / "summer" / f"turned {orientation}.jpg"))
    assert photo.pixels.shape == ((60, 40, 3) if orientation >= 5 else (40, 60, 3))
    assert kept(photo)[0x0112] == 1
    write_photo(photo, tmp_path / "copy.png", "PNG", 95)
    assert np.array_equal(decode(tmp_path / "copy.png"), photo.pixels)


def test_exif_keeps_what_describes_the_photo_and_loses_the_position(folder):
    photo = read_photo(folder / "summer" / "turned 6.jpg")
    block = kept(photo)
    assert (block[0x010F], block[0x8298]) == ("Camera & Co", "The owner")
    assert dict(block.get_ifd(EXIF)) == {0x9003: "2020:02:02 02:02:02"}
    assert not block.get_ifd(GPS)
    assert photo.notes == ("position removed",)
    assert b"made by the maker" not in photo.exif


def test_position_that_is_all_metadata_is_removed_with_a_note(tmp_path):
    block = Image.Exif()
    block.get_ifd(GPS)[1] = "N"
    photograph(1).save(tmp_path / "a.jpg", exif=block)
    photo = read_photo(tmp_path / "a.jpg")
    assert (photo.exif, photo.notes) == (b"", ("position removed",))


def test_position_stays_where_it_is_asked_for(folder):
    photo = read_photo(folder / "summer" / "turned 6.jpg", keep_gps=True)
    assert kept(photo).get_ifd(GPS)[2] == (50.0, 30.0, 0.0)
    assert photo.notes == ()


def test_thumbnail_of_the_camera_is_lost(tmp_path):
    block = exif(gps=True).tobytes()
    thumbnail = io.BytesIO()
    photograph(1, 16, 12).save(thumbnail, "JPEG")
    # A second directory with the thumbnail's place and length, as cameras write it.
    offset = len(block) - 6
    first = 14 + 12 * int.from_bytes(block[14:16], "little" if block[6:8] == b"II" else "big")
    order = "little" if block[6:8] == b"II" else "big"
    link = 16 + 12 * int.from_bytes(block[14:16], order)
    assert first
    entries = [(0x0201, 4, 1, offset + 30), (0x0202, 4, 1, len(thumbnail.getvalue()))]
    directory = len(entries).to_bytes(2, order) + b"".join(
        tag.to_bytes(2, order) + kind.to_bytes(2, order) + count.to_bytes(4, order) + value.to_bytes(4, order)
        for tag, kind, count, value in entries
    )
    directory += bytes(4)
    block = block[:link] + offset.to_bytes(4, order) + block[link + 4 :] + directory + thumbnail.getvalue()
    photograph(1).save(tmp_path / "a.jpg", exif=block)
    assert thumbnail.getvalue() in (tmp_path / "a.jpg").read_bytes()
    photo = read_photo(tmp_path / "a.jpg")
    assert kept(photo)[0x010F] == "Camera & Co"
    assert b"\xff\xd8" not in photo.exif


@pytest.mark.parametrize(
    ("name", "note"),
    [
        ("print.jpg", "CMYK converted to RGB"),
        ("deep.png", "16 bits per value reduced to 8"),
        ("grey.jpg", "grey stored as RGB"),
        ("phone.mpo.jpg", "further images in the file removed"),
        ("scan.tiff", None),
    ],
)
def test_notes_say_what_reading_changed(folder, name, note):
    photo = read_photo(folder / name)
    assert photo.notes == (() if note is None else (note,))
    assert np.array_equal(photo.pixels, decode(folder / name))


@pytest.mark.parametrize("name", ["layers.png", "palette.png"])
@pytest.mark.parametrize("type", ["PNG", "WEBP", "TIFF"])
def test_lossless_types_keep_every_value_and_transparency(folder, tmp_path, name, type):
    photo = read_photo(folder / name)
    assert photo.alpha is not None
    write_photo(photo, tmp_path / "copy", type, 95)
    copy = read_photo(tmp_path / "copy")
    assert np.array_equal(copy.pixels, photo.pixels)
    assert np.array_equal(copy.alpha, photo.alpha)


def test_opaque_photo_looks_as_the_data_sets_read_it(folder):
    photo = opaque(read_photo(folder / "layers.png"))
    assert photo.alpha is None
    assert np.array_equal(photo.pixels, decode(folder / "layers.png"))
    assert photo.notes == ("transparency blended onto white",)


@pytest.mark.parametrize("type", ["PNG", "WEBP", "TIFF", "JPEG", "AVIF"])
def test_copy_keeps_profile_and_description(tmp_path, type):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    photograph(3).save(tmp_path / "a.jpg", exif=exif(), icc_profile=profile)
    photo = read_photo(tmp_path / "a.jpg")
    write_photo(photo, tmp_path / "copy", type, 95)
    copy = read_photo(tmp_path / "copy")
    assert copy.profile == profile
    assert kept(copy)[0x010F] == "Camera & Co"


def test_profile_of_another_colour_space_is_lost(tmp_path):
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    profile[16:20] = b"CMYK"
    photograph(3).convert("CMYK").save(tmp_path / "a.jpg", icc_profile=bytes(profile))
    photo = read_photo(tmp_path / "a.jpg")
    assert photo.profile == b""
    assert photo.notes == ("CMYK converted to RGB without its colour profile, so it may look different",)


def test_grey_without_its_profile_is_noted(tmp_path):
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    profile[16:20] = b"GRAY"
    photograph(3).convert("L").save(tmp_path / "a.jpg", icc_profile=bytes(profile))
    photo = read_photo(tmp_path / "a.jpg")
    assert photo.profile == b""
    assert photo.notes == ("grey stored as RGB without its colour profile, so it may look different",)


XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"/>'


@pytest.mark.parametrize("type", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_xmp_is_removed_with_a_note(tmp_path, type):
    texts, tags = PngImagePlugin.PngInfo(), TiffImagePlugin.ImageFileDirectory_v2()
    texts.add_itxt("XML:com.adobe.xmp", XMP.decode())
    tags[700] = XMP
    options = {"PNG": {"pnginfo": texts}, "TIFF": {"tiffinfo": tags}}.get(type, {"xmp": XMP})
    photograph(3).save(tmp_path / "a", type, **options)
    assert XMP in (tmp_path / "a").read_bytes()
    photo = read_photo(tmp_path / "a")
    assert photo.notes == ("XMP removed",)
    write_photo(photo, tmp_path / "copy", type, 95)
    assert XMP not in (tmp_path / "copy").read_bytes()


def test_iptc_and_comments_are_removed_with_a_note(tmp_path):
    photograph(3).save(tmp_path / "a.jpg", comment="a comment")
    record = b"\x1c\x02\x74\x00\x08The owner"
    block = b"Photoshop 3.0\0" + b"8BIM\x04\x04\0\0" + len(record).to_bytes(4, "big") + record
    block += bytes(len(record) % 2)
    content = (tmp_path / "a.jpg").read_bytes()
    segment = b"\xff\xed" + (len(block) + 2).to_bytes(2, "big") + block
    (tmp_path / "a.jpg").write_bytes(content[:2] + segment + content[2:])
    assert read_photo(tmp_path / "a.jpg").notes == ("IPTC, comments removed",)
    texts = PngImagePlugin.PngInfo()
    texts.add_text("Copyright", "The owner")
    photograph(3).save(tmp_path / "a.png", pnginfo=texts)
    assert read_photo(tmp_path / "a.png").notes == ("comments removed",)


def test_damaged_metadata_costs_no_photo(tmp_path):
    photograph(3).save(tmp_path / "a.jpg", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff")
    photo = read_photo(tmp_path / "a.jpg")
    assert np.array_equal(photo.pixels, decode(tmp_path / "a.jpg"))


@pytest.mark.parametrize("name", ["truncated.jpg", "damaged.jpg"])
def test_damaged_photo_is_an_error(folder, name):
    with pytest.raises(DataError, match=rf"{name}: cannot be read as an image"):
        read_photo(folder / name)


def test_photo_beyond_pillows_limit_is_read(tmp_path, monkeypatch):
    photograph(1).save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    assert read_photo(tmp_path / "a.png").pixels.shape == (48, 64, 3)
    assert Image.MAX_IMAGE_PIXELS == 100
    monkeypatch.setattr("ucbench.protection.photo.LARGEST_PHOTO", 3000)
    with pytest.raises(DataError, match="more than one gigapixel"):
        read_photo(tmp_path / "a.png")


def test_photo_that_a_type_cannot_hold_is_an_error_and_leaves_nothing(tmp_path):
    wide = Photo(np.zeros((1, 17000, 3), np.uint8))
    with pytest.raises(DataError, match="cannot be written as WEBP"):
        write_photo(wide, tmp_path / "copy.webp", "WEBP", 95)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("type", ["PNG", "WEBP", "JPEG", "TIFF", "AVIF"])
def test_disk_that_takes_no_more_is_no_fault_of_the_photo(tmp_path, type):
    photo = Photo(np.random.default_rng(0).integers(0, 256, (200, 200, 3), np.uint8))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
    try:
        with pytest.raises(StoreError, match="File too large"):
            write_photo(photo, tmp_path / "copy", type, 100)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(tmp_path.iterdir()) == []


def test_same_format_writes_other_types_as_png(tmp_path):
    assert [written_type("same", type) for type in ("MPO", "GIF", "TIFF")] == ["JPEG", "PNG", "TIFF"]
    assert [suffix_of("same", tmp_path / "a.GIF", type) for type in ("GIF", "PNG")] == [".png", ".GIF"]


def test_heic_is_read_with_its_extra():
    pytest.importorskip("pi_heif")
    from ucbench.protection.photo import register_heic

    assert register_heic()


def test_transparent_value_of_16_bit_grey_is_transparent(tmp_path):
    grey = np.array([[0, 300], [301, 65535]], np.uint16)
    Image.fromarray(grey).save(tmp_path / "a.png", transparency=300)
    photo = read_photo(tmp_path / "a.png")
    assert photo.alpha.tolist() == [[255, 0], [255, 255]]
    assert np.array_equal(opaque(photo).pixels, decode(tmp_path / "a.png"))
    assert decode(tmp_path / "a.png")[0, 1].tolist() == [255, 255, 255]
