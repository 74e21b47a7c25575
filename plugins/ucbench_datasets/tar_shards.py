"""Samples in a tar archive, as WebDataset lays them out: files of one name and several extensions, one after another.

Nothing is unpacked: members are views of the archive, which is mapped, and names never become paths. The format is
described at https://huggingface.co/docs/hub/datasets-webdataset.
"""

from __future__ import annotations

import mmap
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ucbench import DataError


@dataclass
class Sample:
    """The members of one sample by extension, which is lower-case and may have several dots."""

    where: str
    members: dict[str, memoryview] = field(default_factory=dict)


@dataclass(frozen=True)
class Shard:
    """An archive: its samples in order, and the names of members that were passed over, by reason."""

    samples: list[Sample]
    passed_over: dict[str, list[str]]


def read_shard(file: Path) -> Shard:
    """Find the samples of an uncompressed archive.

    Links, devices, sparse files, hidden files and members without an extension are passed over.

    Raises:
        DataError: if it is damaged, cut off or compressed, or a sample is there twice; the text names it.
    """
    samples: dict[str, Sample] = {}
    passed_over: dict[str, list[str]] = {}
    last = None
    for name, content, reason in _members(file):
        folder, _, base = name.rpartition("/")
        stem, _, extension = base.partition(".")
        if not reason and not (stem and extension):
            reason = "members without an extension" if stem else "hidden"
        if reason:
            passed_over.setdefault(reason, []).append(f"{file.name}/{name}")
            continue
        key = f"{folder}/{stem}" if folder else stem
        if key in samples and key != last:
            raise DataError(f"{file}: the members of sample {key!r} do not follow each other. Write the archive again.")
        last = key
        members = samples.setdefault(key, Sample(f"{file}/{key}")).members
        if extension.lower() in members:
            raise DataError(f"{file}: the sample {key!r} has .{extension} twice. Write the archive again.")
        members[extension.lower()] = content
    return Shard(list(samples.values()), passed_over)


def _members(file: Path) -> Iterator[tuple[str, memoryview, str]]:
    """Name and content of every member but folders, and why it is passed over, if it is."""
    # Damage shows as one of many exceptions; a cut-off archive as seeking beyond the end of the mapping.
    try:
        with file.open("rb") as opened:
            mapped: Any = mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ)
        whole = memoryview(mapped)
        with tarfile.open(fileobj=mapped, mode="r:") as archive:
            for member in archive:
                end = member.offset_data + member.size
                if member.isdir():
                    continue
                if member.sparse is not None or not member.isreg():
                    yield member.name, whole[:0], "links, devices and sparse files"
                elif 0 <= member.offset_data <= end <= len(whole):
                    yield member.name, whole[member.offset_data : end], ""
                else:
                    raise tarfile.ReadError(f"{member.name!r} is cut off")
            # The library takes any header that it cannot read, but for the first one, for the end.
            if bytes(whole[archive.offset : archive.offset + tarfile.BLOCKSIZE]) != bytes(tarfile.BLOCKSIZE):
                raise tarfile.ReadError(f"there is neither a member nor an end at byte {archive.offset}")
    except (tarfile.TarError, OSError, ValueError, EOFError, OverflowError, MemoryError, RecursionError) as error:
        reason = str(error) or type(error).__name__
        raise DataError(f"{file}: cannot be read as an uncompressed tar archive: {reason}.") from error
