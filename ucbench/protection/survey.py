"""What happens to every entry of a folder of photos, and what the copies are called."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from PIL import Image, UnidentifiedImageError

from ucbench.data.images import opened
from ucbench.errors import DataError, UsageError
from ucbench.protection.manifest import JOURNAL, MANIFEST, PATTERNS, REPORT, Format
from ucbench.protection.photo import LARGEST_PHOTO, any_size, register_heic, suffix_of

#: Cameras' raw files. Most are TIFF inside, of which Pillow would read a small preview.
_RAW = frozenset(
    (".3fr", ".arw", ".cr2", ".cr3", ".dcr", ".dng", ".erf", ".gpr", ".iiq", ".kdc", ".mef", ".mos", ".mrw", ".nef",
     ".nrw", ".orf", ".pef", ".raf", ".raw", ".rw2", ".rwl", ".sr2", ".srf", ".srw", ".x3f")
)  # fmt: skip
#: The first bytes of HEIC files after their length (ISO/IEC 23008-12).
_HEIC = tuple(b"ftyp" + brand for brand in (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1"))
_SYSTEM_FILES, _SYSTEM_FOLDERS = ("thumbs.db", "ehthumbs.db", "desktop.ini"), ("@eadir", "__macosx", "#recycle")
#: Documents, films and measurements that Pillow opens too, some by running other programs.
_NO_PHOTOS = frozenset(("BUFR", "CUR", "EPS", "FITS", "FLI", "GRIB", "HDF5", "ICNS", "ICO", "MCIDAS", "MPEG", "WMF"))
#: Types with further images that are no animation and no pages: depth maps, previews.
_ONE_IMAGE = ("MPO", "JPEG", "HEIF", "PSD")


@dataclass(frozen=True)
class Found:
    """One entry of the folder.

    Attributes:
        path: below the folder.
        action: ``protect``, or ``leave``: no copy is made.
        reason: why it is left; else empty.
        type: Pillow's name of a photo's type, such as JPEG; empty for entries that are left.
    """

    path: PurePosixPath
    action: Literal["protect", "leave"]
    reason: str = ""
    type: str = ""


def survey(photos: Path, out: Path) -> list[Found]:
    """Every entry below ``photos``, sorted by path, but for those within folders that are left as a whole.

    Only the heads of files are read: damage further inside is found when a photo is read.

    Raises:
        UsageError: if ``photos`` is no folder, or one of the folders is within the other.
        DataError: if the folder cannot be listed.
    """
    if not os.path.isdir(photos):  # Path.is_dir raises an error within a folder that may not be entered
        raise UsageError(f"{photos} is not a folder of photos, or within one that you may not enter.")
    if is_within(out, photos) or is_within(photos, out):
        raise UsageError(f"The copies in {out} and the originals in {photos} need folders outside each other.")
    has_heic = register_heic()
    try:
        entries = list(_entries(photos))
    except OSError as error:
        reason = error.strerror or error
        raise DataError(f"{photos}: cannot be listed: {reason}. Make it readable, or move it.") from error
    found = [_examined(path, path.relative_to(photos), reason, has_heic) for path, reason in entries]
    return sorted(found, key=lambda one: str(one.path))


def is_within(inner: Path, outer: Path) -> bool:
    """Whether a folder is another one or below it, also by another case, a link or a mount."""
    inner, outer = (Path(os.path.realpath(path)) for path in (inner, outer))  # Path.resolve refuses circles of links
    above = (inner, *inner.parents)  # os.path.exists, since Path.exists raises an error for a path that is too long
    return outer in above or (outer.exists() and any(os.path.exists(path) and path.samefile(outer) for path in above))


def _entries(folder: Path) -> Iterator[tuple[Path, str]]:
    """All entries that are examined, files and folders that are not entered; of those that cannot be, also why."""
    waiting = list(os.scandir(folder))
    while waiting:
        entry = waiting.pop()
        path, reason = Path(entry), ""
        try:
            if entry.is_dir(follow_symlinks=False) and not _apart(path):
                waiting += list(os.scandir(path))
                continue
        except OSError as error:
            reason = f"cannot be listed: {error.strerror or error}"
        yield path, reason


def _apart(path: Path) -> str:
    """Why an entry is left without being opened; or an empty text."""
    name = path.name.casefold()
    if path.is_symlink():
        return "a symbolic link"
    if name in (_SYSTEM_FOLDERS if path.is_dir() else _SYSTEM_FILES):
        return "made by the system, not a photo"
    return "hidden" if name.startswith(".") else ""


def _examined(path: Path, below: Path, reason: str, has_heic: bool) -> Found:
    name, type = below.as_posix().encode(errors="backslashreplace").decode(), ""
    if name != below.as_posix():
        reason = "its name is not text"
    try:
        reason = reason or _unopened(path)
    except OSError as error:  # its folder may be listed and not entered
        reason = f"cannot be read: {error.strerror or error}"
    if not reason:
        reason, type = _opened(path, has_heic)
    return Found(PurePosixPath(name), "leave" if reason else "protect", reason, type)


def _unopened(path: Path) -> str:
    """Why an entry that is not entered is left without being opened; or an empty text."""
    if reason := _apart(path):
        return reason + (" (folder)" if path.is_dir() and not path.is_symlink() else "")
    if not path.is_file():
        return "not a regular file"
    return "a camera's raw file: export it as JPEG or TIFF first" if path.suffix.casefold() in _RAW else ""


def _opened(path: Path, has_heic: bool) -> tuple[str, str]:
    """As :func:`_head`, whatever is wrong with the file."""
    try:
        return _head(path)
    except (UnidentifiedImageError, DataError) as error:
        cause = error.__cause__ or error
        if isinstance(cause, UnidentifiedImageError):
            return _unknown(path, has_heic), ""
        if isinstance(cause, OSError) and cause.strerror:
            return f"cannot be read: {cause.strerror}", ""
        return str(error).removeprefix(f"{path}: "), ""


def _head(path: Path) -> tuple[str, str]:
    """Why an image is left, if it is; and its type."""

    def look(image: Image.Image, exif: bytes) -> tuple[str, str]:
        type, frames = image.format or "", 1 if image.format in _ONE_IMAGE else getattr(image, "n_frames", 1)
        if type in _NO_PHOTOS:
            return f"{type}, not a photo", ""
        if frames > 1:
            return ("several pages" if type == "TIFF" else "animated"), ""
        if image.width * image.height > LARGEST_PHOTO:
            return "more than one gigapixel", ""
        return "", type

    with any_size():
        try:
            with Image.open(path) as image:
                return look(image, b"")
        except UnidentifiedImageError:
            if not _may_have_damaged_metadata(path):  # a film of gigabytes is not read
                raise
        except Exception as error:
            if not _may_have_damaged_metadata(path):
                raise DataError(f"{path}: cannot be read as an image: {error}") from error
        return opened(path, "", look)


def _may_have_damaged_metadata(path: Path) -> bool:
    return _start(path).startswith((b"\xff\xd8", b"\x89PNG"))


def _unknown(path: Path, has_heic: bool) -> str:
    """Why a file that Pillow does not know is left, by its content: its suffix may be wrong."""
    start = _start(path)
    if not has_heic and start[4:].startswith(_HEIC):
        return "HEIC is read with the extra: pip install 'ucbench[heic]'"
    return "not an image, or its head is damaged" if start else "empty"


def _start(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(12)
    except OSError:
        return b""


def output_names(
    photos: Iterable[Found], format: Format, taken: Mapping[PurePosixPath, PurePosixPath]
) -> dict[PurePosixPath, PurePosixPath]:
    """The path of every photo's copy: same folders and stem, the suffix of the format.

    Photos that would get one name, also on systems that take ``A`` for ``a``, keep their suffix in the stem:
    ``a-jpg.png``.

    Args:
        taken: copies of earlier runs by photo, which keep their names.
    """
    photos = list(photos)
    names = {found.path: taken[found.path] for found in photos if found.path in taken}
    used = {_folded(name) for name in taken.values()}
    used |= {_folded(folder) for found in photos for folder in found.path.parents}
    used |= {MANIFEST, PATTERNS, JOURNAL, REPORT}
    fresh = [found for found in photos if found.path not in taken]
    plain = {found.path: found.path.with_suffix(suffix_of(format, found.path, found.type)) for found in fresh}
    counts: dict[str, int] = {}
    for name in plain.values():
        counts[_folded(name)] = counts.get(_folded(name), 0) + 1
    # Names that nobody else wants come first, so that none of them is taken by a name that gives way.
    for found in sorted(fresh, key=lambda one: (counts[_folded(plain[one.path])] > 1, str(one.path))):
        path = plain[found.path]
        if counts[_folded(path)] > 1 or _folded(path) in used:
            path = path.with_stem(f"{found.path.stem}-{found.path.suffix.removeprefix('.').lower()}".rstrip("-"))
        stem, number = path.stem, 2
        while _folded(path) in used:
            path, number = path.with_stem(f"{stem}-{number}"), number + 1
        used.add(_folded(path))
        names[found.path] = path
    return names


def _folded(path: PurePosixPath) -> str:
    """What names have in common that some file systems take for one."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", str(path)).casefold())
