"""Decoded images in the store: a set of images is decoded and resized once.

The key is the content of the images, not the names or times of their files: files may move, and a changed file is
decoded again.
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

from ucbench.data.framing import Framing, Resample, assemble, choose_framing, damage, for_each
from ucbench.data.images import NO_FILE, LazyImage
from ucbench.data.imageset import UInt8Images
from ucbench.errors import DataError, StoreError
from ucbench.store.files import digest_of
from ucbench.store.keys import key

if TYPE_CHECKING:
    from ucbench.store.objects import StoredObject
    from ucbench.store.store import Store

logger = logging.getLogger(__name__)

#: Raised when the same files and framing give different pixels, or a refusal.
_VERSION = 2
#: Libraries whose versions may differ in the pixels they decode.
_DECODERS = ("libjpeg_turbo", "jpg", "webp", "jpg_2000", "avif")

T = TypeVar("T")


class DecodedImages:
    """N images, decoded at most once for all runs that share a store.

    If the store cannot be read or written, images are decoded again, with a warning.

    Args:
        images: the images.
        store: where decoded images are stored, or None.
    """

    def __init__(self, images: Sequence[LazyImage], store: Store | None) -> None:
        self._unread, self._store = images, store

    def damaged(self) -> list[int]:
        """Ascending rows of the images whose content cannot be decoded.

        Raises:
            DamagedImagesError: for files that cannot be read, such as for want of permission: that is no damage, and
                another run may read them.
        """
        self._content  # noqa: B018  # reads every file
        if self._store is None:
            return list(damage(self._unread))
        return self._stored(
            self._store,
            "damage",
            {},
            make=lambda: list(damage(self._unread)),
            pack=lambda rows: ({}, {"rows": rows}),
            unpack=lambda stored: list(stored.meta["rows"]),
        )

    def framing(self, size: int | None, resize: int | None, resample: Resample) -> Framing:
        """:func:`ucbench.data.framing.choose_framing` of these images.

        Raises:
            DataError: as there.
        """
        decoded = all(isinstance(image.source, np.ndarray) for image in self._unread)
        if self._store is None or size is not None or decoded:  # no file to read
            return choose_framing(self._unread, size, resize, resample)
        return self._stored(
            self._store,
            "framing",
            {"resample": resample},
            make=lambda: choose_framing(self._unread, size, resize, resample),
            pack=lambda framing: ({}, dataclasses.asdict(framing)),
            unpack=_unpack_framing,
        )

    def images(self, framing: Framing) -> UInt8Images:
        """:func:`ucbench.data.framing.assemble` of these images: uint8 ``[N, 3, *framing.crop]``.

        Raises:
            DataError: as there.
        """
        if self._store is None or all(_is_ready(image, framing) for image in self._unread):
            return assemble(self._unread, framing)
        return self._stored(
            self._store,
            "pictures",
            {"cover": framing.cover, "crop": framing.crop, "resample": framing.resample},
            make=lambda: assemble(self._unread, framing),
            pack=lambda images: ({"images": images}, {}),
            unpack=_unpack_images,
        )

    def _stored(
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

        def make_once() -> tuple[Mapping[str, NDArray[Any]], Mapping[str, Any]]:
            made.append(make())
            return pack(made[0])

        identity = {**settings, "content": self._content, "decoders": _decoders(), "version": _VERSION}
        try:
            stored, _ = store.get_or_make(kind, key(kind, identity), make_once)
            if not made:
                return unpack(stored)
        except StoreError as problem:
            logger.warning("Decoded images are not stored: %s", problem)
        return made[0] if made else make()

    @cached_property
    def _content(self) -> str:
        """SHA-256 over the SHA-256 of every image's bytes, in order."""
        digests = np.empty((len(self._unread), hashlib.sha256().digest_size), np.uint8)

        def read(row: int) -> None:
            digests[row] = np.frombuffer(_digest(self._unread[row]), np.uint8)

        for_each(read, self._unread, decoded_bytes=0)
        return hashlib.sha256(digests.data).hexdigest()


def _unpack_framing(stored: StoredObject) -> Framing:
    meta = stored.meta
    return Framing(tuple(meta["cover"]), tuple(meta["crop"]), meta["resample"], meta["note"])


def _unpack_images(stored: StoredObject) -> UInt8Images:
    # Copy on write: processes share the pages, and a process that writes changes only its copy.
    images: UInt8Images = np.load(stored.path / "images.npy", mmap_mode="c", allow_pickle=False)
    return images


def _is_ready(image: LazyImage, framing: Framing) -> bool:
    """Whether the image is decoded and has its size."""
    return isinstance(image.source, np.ndarray) and image.source.shape[:2] == framing.crop == framing.cover


def _digest(image: LazyImage) -> bytes:
    source = image.source
    if isinstance(source, np.ndarray):
        return hashlib.sha256(repr(source.shape).encode() + source.tobytes()).digest()
    if not isinstance(source, Path):
        return hashlib.sha256(source).digest()
    try:
        return bytes.fromhex(digest_of(source))
    except FileNotFoundError as error:
        raise DataError(f"{image.where}: {NO_FILE}") from error
    except OSError as error:
        raise DataError(f"{image.where}: cannot be read as an image: {error}") from error


def _decoders() -> dict[str, str | None]:
    return {"pillow": PIL.__version__, **{name: features.version(name) for name in _DECODERS}}
