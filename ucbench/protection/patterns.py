"""The file of patterns: the release that was crafted on the photos, and which files it was crafted on."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ucbench.crafting.release import Release
from ucbench.errors import ContractError, DataError
from ucbench.protection.manifest import Settings
from ucbench.store.files import atomic_write_bytes

#: Of a release's ``meta``, what another machine or run would have otherwise.
_COSTS = ("seconds", "peak_memory_mib", "environment")
_OWN = ("sources", "about")


@dataclass(frozen=True, eq=False)
class CraftedPatterns:
    """Patterns and what they were crafted on.

    Attributes:
        release: ``changes`` are the patterns.
        sources: SHA-256 of the file behind every crafted image, in order.
        settings: what decided the patterns.
    """

    release: Release
    sources: tuple[str, ...]
    settings: Settings

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the poisoner warned of while crafting."""
        return tuple(self.release.meta.get("warnings", ()))

    @property
    def number_of(self) -> dict[str, int]:
        """The pattern of each crafted file, by its SHA-256."""
        return dict(zip(self.sources, np.asarray(self.release.index).tolist(), strict=True))


def crafted(release: Release, sources: Sequence[str], settings: Settings) -> CraftedPatterns:
    """Patterns whose file depends on nothing but photos and settings."""
    meta = {name: value for name, value in release.meta.items() if name not in _COSTS}
    return CraftedPatterns(Release(release.changes, release.index, release.state, meta), tuple(sources), settings)


def write_patterns(path: Path, patterns: CraftedPatterns) -> None:
    """Write the file atomically; equal patterns give equal bytes.

    Raises:
        StoreError: if it cannot be written.
    """
    about = {"settings": patterns.settings.model_dump(mode="json"), "meta": dict(patterns.release.meta)}
    arrays: dict[str, NDArray[Any]] = {
        **patterns.release.to_arrays(),
        "sources": np.array(patterns.sources),
        "about": np.array(json.dumps(about, sort_keys=True)),
    }
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
    atomic_write_bytes(path, file.getvalue())


def read_patterns(path: Path) -> CraftedPatterns:
    """The patterns in a file.

    Raises:
        DataError: if it is missing or damaged.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored}
        about = json.loads(str(arrays["about"]))
        release = Release.from_arrays(
            {name: array for name, array in arrays.items() if name not in _OWN}, about["meta"]
        )
        return CraftedPatterns(release, tuple(arrays["sources"].tolist()), Settings(**about["settings"]))
    except (OSError, zipfile.BadZipFile, ValueError, KeyError, EOFError, TypeError, ContractError) as error:
        raise DataError(f"{path}: cannot be read as a file of patterns: {error}") from error
