"""Decoded pictures, kept in the store: a set of pictures is decoded and brought to its size once.

What is kept goes by the pictures' own content, not by the names or times of the files that they lie in: files may move,
and one that changes is another picture.
"""

from __future__ import annotations

import dataclasses
import hashlib
import logging
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import PIL
from numpy.typing import NDArray
from PIL import features

from ucbench.data.images import Framing, Picture, Resample, assemble, choose_framing, for_each
from ucbench.data.imageset import UInt8Images
from ucbench.errors import DataError, StoreError
from ucbench.store.keys import key

if TYPE_CHECKING:
    from ucbench.store.store import Store, StoredObject

logger = logging.getLogger(__name__)

#: Raised when the same files and framing come to give other pixels.
_VERSION = 1
#: Libraries that may decode the same file to other pixels when they are of another version.
_DECODERS = ("libjpeg_turbo", "jpg", "webp", "jpg_2000", "avif")

T = TypeVar("T")


class DecodedImages:
    """N pictures, read at most once for all runs that have the same store.

    A store that cannot be read or written costs the time of decoding, and a warning; nothing else.

    Args:
        pictures: what is to be read.
        store: where the outcome is kept; None: nowhere.
    """

    def __init__(self, pictures: Sequence[Picture], store: Store | None) -> None:
        self._pictures, self._store = pictures, store

    def framing(self, size: int | None, resize: int | None, resample: Resample) -> Framing:
        """As :func:`ucbench.data.choose_framing` of these pictures.

        Raises:
            DataError: as there.
        """
        decoded = all(isinstance(picture.source, np.ndarray) for picture in self._pictures)
        if self._store is None or size is not None or decoded:  # there is nothing to look up in files
            return choose_framing(self._pictures, size, resize, resample)
        return self._kept(
            self._store,
            "framing",
            {"resample": resample},
            make=lambda: choose_framing(self._pictures, size, resize, resample),
            pack=lambda framing: ({}, dataclasses.asdict(framing)),
            unpack=_unpacked_framing,
        )

    def images(self, framing: Framing) -> UInt8Images:
        """As :func:`ucbench.data.assemble` of these pictures: uint8 ``[N, 3, *framing.crop]``.

        Raises:
            DataError: as there.
        """
        if self._store is None or all(_needs_nothing(picture, framing) for picture in self._pictures):
            return assemble(self._pictures, framing)
        return self._kept(
            self._store,
            "pictures",
            {"cover": framing.cover, "crop": framing.crop, "resample": framing.resample},
            make=lambda: assemble(self._pictures, framing),
            pack=lambda images: ({"images": images}, {}),
            unpack=_unpacked_images,
        )

    def _kept(
        self,
        store: Store,
        kind: str,
        settings: Mapping[str, Any],
        *,
        make: Callable[[], T],
        pack: Callable[[T], tuple[Mapping[str, NDArray[Any]], Mapping[str, Any]]],
        unpack: Callable[[StoredObject], T],
    ) -> T:
        made: list[T] = []

        def once() -> tuple[Mapping[str, NDArray[Any]], Mapping[str, Any]]:
            made.append(make())
            return pack(made[0])

        identity = {**settings, "content": self._content, "decoders": _decoders(), "version": _VERSION}
        try:
            stored, _ = store.get_or_make(kind, key(kind, identity), once)
            if not made:
                return unpack(stored)
        except StoreError as problem:
            logger.warning("Decoded pictures are not kept: %s", problem)
        return made[0] if made else make()

    @cached_property
    def _content(self) -> str:
        """SHA-256 over the SHA-256 of every picture's own bytes, in their order."""
        digests = np.empty((len(self._pictures), hashlib.sha256().digest_size), np.uint8)

        def read(row: int) -> None:
            digests[row] = np.frombuffer(_digest(self._pictures[row]), np.uint8)

        for_each(read, self._pictures, decoded_bytes=0)
        return hashlib.sha256(digests.data).hexdigest()


def _unpacked_framing(stored: StoredObject) -> Framing:
    kept = dict(stored.meta)
    return Framing(tuple(kept["cover"]), tuple(kept["crop"]), kept["resample"], kept["note"])


def _unpacked_images(stored: StoredObject) -> UInt8Images:
    # Copy on write: processes share the pages, and whoever writes to them in spite of all harms itself alone.
    images: UInt8Images = np.load(stored.path / "images.npy", mmap_mode="c", allow_pickle=False)
    return images


def _needs_nothing(picture: Picture, framing: Framing) -> bool:
    return isinstance(picture.source, np.ndarray) and picture.source.shape[:2] == framing.crop == framing.cover


def _digest(picture: Picture) -> bytes:
    source = picture.source
    if isinstance(source, np.ndarray):
        return hashlib.sha256(repr(source.shape).encode() + source.tobytes()).digest()
    if not isinstance(source, Path):
        return hashlib.sha256(source).digest()
    try:
        with source.open("rb") as file:
            return hashlib.file_digest(file, "sha256").digest()
    except OSError as error:
        raise DataError(f"{picture.where}: cannot be read as a picture: {error}") from error


def _decoders() -> dict[str, str | None]:
    return {"pillow": PIL.__version__, **{name: features.version(name) for name in _DECODERS}}
