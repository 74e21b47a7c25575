"""Folders of photos, protected by tiny components, and what is in them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import tiny_components as tiny
from photo_folder import photograph

from ucbench.protection import protect as flow
from ucbench.protection.request import ProtectionRequest

REQUEST = ProtectionRequest(poisoner="badge", surrogate="eyes", labeler="eyes", size=16, clusters="3")
#: A poisoner that has patterns only for the photos that it was crafted on.
UNASSIGNED = replace(REQUEST, poisoner="stripes", surrogate=None, clusters=None)


def protect(photos: Path, safe: Path, request: ProtectionRequest = REQUEST, **options) -> flow.Protection:
    return flow.protect(photos, safe, request, tiny.session(safe.parent / "store", tiny.registry()), **options)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def small_folder(folder: Path, count: int = 6, suffix: str = "jpg") -> Path:
    """A new folder of equal types: p0, p1 ..."""
    folder.mkdir()
    for number in range(count):
        photograph(number, 50, 40).save(folder / f"p{number}.{suffix}", quality=95)
    return folder


def truncated(path: Path) -> bytes:
    content = path.read_bytes()
    return content[: len(content) // 2]
