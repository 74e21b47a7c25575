"""A folder as an owner has it: photos of many types and sizes, and what else lies among them."""

from __future__ import annotations

import functools
import os
import shutil
import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

SHEET = Path(__file__).parents[2] / "plugins" / "ucbench_datasets" / "photos.png"


@functools.cache
def _sheet() -> Image.Image:
    with Image.open(SHEET) as sheet:
        return sheet.convert("RGB")


def photograph(number: int, width: int = 64, height: int = 48) -> Image.Image:
    """A real photograph of the embedded data set, enlarged, with some grain."""
    sheet = _sheet()
    rows, columns = sheet.height // 32, sheet.width // 32
    left, top = 32 * (number // rows % columns), 32 * (number % rows)
    image = sheet.crop((left, top, left + 32, top + 32)).resize((width, height), Image.Resampling.BICUBIC)
    grain = np.random.default_rng(number).integers(-3, 4, (height, width, 1))
    return Image.fromarray(np.clip(np.asarray(image).astype(int) + grain, 0, 255).astype(np.uint8))


def exif(orientation: int = 1, gps: bool = False) -> Image.Exif:
    block = Image.Exif()
    block[0x0112], block[0x010F], block[0x8298] = orientation, "Camera & Co", "The owner"
    block.get_ifd(0x8769).update({0x9003: "2020:02:02 02:02:02", 0x927C: b"made by the maker", 0xA002: 9})
    if gps:
        block.get_ifd(0x8825).update({1: "N", 2: (50.0, 30.0, 0.0)})
    return block


def write_folder(root: Path, plain: int = 38) -> dict[str, str]:
    """Write the folder.

    Args:
        plain: ordinary JPEG photos beside the special ones.

    Returns:
        For every entry that is no photo, a part of the reason for which it has no copy.
    """
    for folder in ("", "summer/beach", "Familie Grün"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    sizes = [(64, 48), (48, 64), (90, 90), (150, 100), (33, 121), (20, 20)]
    for number in range(plain):
        folder = ("", "summer/", "summer/beach/", "Familie Grün/")[number % 4]
        photograph(number, *sizes[number % 6]).save(root / f"{folder}IMG_{number:04}.JPG", quality=92)
    for orientation in range(1, 9):
        image = photograph(100 + orientation, 60, 40)
        image.save(root / "summer" / f"turned {orientation}.jpg", exif=exif(orientation, gps=True), quality=95)
    photograph(120).convert("CMYK").save(root / "print.jpg")
    palette = photograph(121).quantize(32)
    palette.info["transparency"] = 3
    palette.save(root / "palette.png")
    deep = np.asarray(photograph(122)).astype(np.uint16) * 257
    (root / "deep.png").write_bytes(_png16(deep))
    photograph(123).convert("L").save(root / "grey.jpg")
    layers = photograph(124).convert("RGBA")
    layers.putalpha(Image.linear_gradient("L").resize(layers.size))
    layers.save(root / "layers.png")
    photograph(125).save(root / "scan.tiff")
    photograph(126).save(root / "web.webp", lossless=True)
    photograph(127).save(root / "phone.mpo.jpg", "MPO", save_all=True, append_images=[photograph(128, 16, 12)])
    photograph(129).save(root / "clash.jpg")
    photograph(130).save(root / "clash.png")
    photograph(131).save(root / "Clash.webp")
    shutil.copy(root / "clash.jpg", root / "summer" / "the same again.jpg")
    photograph(132, 300, 40).filter(ImageFilter.GaussianBlur(1)).save(root / "panorama.jpg", quality=90)

    whole = (root / "clash.jpg").read_bytes()
    (root / "truncated.jpg").write_bytes(whole[: len(whole) * 2 // 3])
    (root / "damaged.jpg").write_bytes(b"\xff\xd8\xff\xe0" + bytes(100))
    frames = [photograph(number, 24, 24) for number in (140, 141)]
    for name in ("moving.gif", "moving.webp"):
        frames[0].save(root / name, save_all=True, append_images=frames[1:])
    frames[0].save(root / "pages.tif", save_all=True, append_images=frames[1:])
    frames[0].save(root / "camera.tif")
    (root / "camera.tif").rename(root / "camera.NEF")
    (root / "notes.txt").write_text("bought in June\n")
    (root / "Thumbs.db").write_bytes(b"\xd0\xcf\x11\xe0")
    (root / "link.jpg").symlink_to("clash.jpg")
    (root / "linked").symlink_to("summer", target_is_directory=True)
    photograph(142).save(root / ".hidden.jpg")
    (root / "@eaDir").mkdir()
    photograph(143).save(root / "@eaDir" / "thumb.jpg")
    return {
        "truncated.jpg": "truncated",
        "damaged.jpg": "not an image",
        "moving.gif": "animated",
        "moving.webp": "animated",
        "pages.tif": "several pages",
        "camera.NEF": "raw file",
        "notes.txt": "not an image",
        "Thumbs.db": "made by the system",
        "link.jpg": "symbolic link",
        "linked": "symbolic link",
        ".hidden.jpg": "hidden",
        "@eaDir": "made by the system",
    }


def _png16(values: np.ndarray) -> bytes:
    """A PNG of 16 bits per value, which Pillow reads but does not write."""
    height, width, _ = values.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def forbid(monkeypatch, folder: Path, name: str) -> None:
    """Let a function of :mod:`os` fail in the folder, as for a user without permission; root has it everywhere."""
    allowed = getattr(os, name)

    def refuse(path, *args, **options):
        if folder in ((found := Path(path)), *found.parents):
            raise PermissionError(13, "Permission denied", str(path))
        return allowed(path, *args, **options)

    monkeypatch.setattr(os, name, refuse)
