"""The manifest of a folder of protected photos: what was done to every file, with which settings and patterns."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ucbench.errors import DataError
from ucbench.store.files import atomic_write_text, digest_of, reporting
from ucbench.store.untrusted import read_json

#: Raised when a manifest changes so that an earlier version cannot read it.
SCHEMA = 1
#: Names the rule by which patterns of the working size fit photos of any size: :mod:`ucbench.protection.stretch`.
RULE: Literal["central-square-periodic-1"] = "central-square-periodic-1"
#: Names in the folder of protected photos. All but the photos are the owner's secret.
MANIFEST, PATTERNS, JOURNAL, REPORT = "ucbench.json", "ucbench.npz", "ucbench.jsonl", "report.html"

#: Smallest and largest side of the squares that are crafted on, in pixels: they are all in memory at once.
SIDES = (8, 512)
#: Most bytes of a manifest that is read; a photo takes some 400.
LARGEST_MANIFEST = 2**30

#: Before what the craft of patterns warned of, in the words of its method.
WEAK = "The patterns may be too weak to do anything, even to the network that they were made with. Their method says:"

#: Note on a photo that its pattern does not change.
UNCHANGED = "not protected: the pattern changes nothing in the photo, which may be too small for it"

Format = Literal["png", "webp", "same", "jpeg"]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Settings(_Part):
    """What decides the patterns.

    Attributes:
        poisoner: its reference, as ``uc@photos:clusters=5``.
        params: all parameters of the poisoner, defaults included.
        surrogate: reference of the model that is optimised against and whose features are clustered, if any.
        epsilon: largest change of a value, in 8-bit levels.
        size: side of the squares that are crafted on, in pixels.
        clusters: number of groups of similar photos, each with one pattern; ``auto``: from the number of photos.
        seed: of all random choices.
        rule: how patterns fit photos of another size.
    """

    poisoner: str
    params: dict[str, Any]
    surrogate: str | None
    epsilon: float = Field(gt=0, le=255)
    size: int = Field(ge=SIDES[0], le=SIDES[1])
    clusters: int | Literal["auto"] = "auto"
    seed: int = 0
    rule: Literal["central-square-periodic-1"] = RULE


class Output(_Part):
    """How the copies are written.

    Attributes:
        format: ``png`` and ``webp`` are lossless; ``same`` keeps every file's type.
        quality: of JPEG and AVIF files, 1 to 100.
        keep_gps: whether the position in the metadata is kept.
    """

    format: Format = "png"
    quality: int = Field(95, ge=1, le=100)
    keep_gps: bool = False


class Patterns(_Part):
    """The file of patterns: name in the folder, SHA-256, how many patterns it has, and what their craft warned of."""

    file: str
    sha256: str
    count: int
    warnings: tuple[str, ...] = ()


class ProtectedPhoto(_Part):
    """One photo and its copy.

    Attributes:
        source: path below the folder of photos, with ``/``.
        source_sha256: of the original file; ``source_bytes``: its size.
        output: path of the copy below the folder of copies.
        output_sha256: of the copy.
        width: in pixels, upright; so is ``height``.
        pattern: number of its pattern, from 0.
        linf: largest difference between the values of the re-opened copy and of the upright original, in 8-bit levels.
        psnr: of the copy, in dB, at most 100.
        ssim: of the copy, 0 to 1; of more than a megapixel the mean over 16 evenly spaced tiles.
        changed: share of values that differ.
        notes: what else happened to the photo.
    """

    source: str
    source_sha256: str
    source_bytes: int
    output: str
    output_sha256: str
    width: int
    height: int
    pattern: int
    linf: int
    psnr: float
    ssim: float
    changed: float
    notes: tuple[str, ...] = ()

    @property
    def is_unchanged(self) -> bool:
        """Whether its pattern changes nothing; a lossy copy differs from its original even so."""
        return not self.linf or UNCHANGED in self.notes


class LeftOut(_Part):
    """One entry of the folder without a copy, and why; ``sha256`` of a file that cannot be protected as it is."""

    path: str
    reason: str
    sha256: str | None = None


class Manifest(_Part):
    """``ucbench.json``. Paths are relative; photos and entries left out are sorted by path."""

    schema_number: Literal[1] = Field(1, alias="schema")
    ucbench: str
    settings: Settings
    output: Output
    patterns: Patterns
    photos: tuple[ProtectedPhoto, ...]
    left: tuple[LeftOut, ...]

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


def write_manifest(path: Path, manifest: Manifest) -> None:
    """Write the manifest atomically.

    Raises:
        StoreError: if the file cannot be written.
    """
    atomic_write_text(path, manifest.model_dump_json(by_alias=True, indent=1) + "\n")


def read_manifest(path: Path) -> Manifest:
    """The manifest in a file.

    Raises:
        DataError: if it is missing, not a manifest, or of a newer schema.
    """
    try:
        return Manifest.model_validate(read_json(path, LARGEST_MANIFEST))
    except (OSError, ValueError) as error:  # pydantic's error is a ValueError
        reason = error.errors()[0]["msg"] if isinstance(error, ValidationError) else error
        raise DataError(f"{path}: cannot be read as a manifest of protected photos: {reason}") from error


def check_unaltered(path: Path, manifest: Path, sha256: str, option: str = "--out") -> None:
    """Check that a file of patterns is the one that a manifest states.

    Raises:
        DataError: if it is not.
        StoreError: if it cannot be read.
    """
    with reporting(path, option):
        if digest_of(path) != sha256:
            raise DataError(f"{path} was altered since {manifest} was written. Restore it from a backup.")
