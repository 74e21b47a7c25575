"""Which photos stand for all of them where measuring or showing every one would take too long."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import chain, zip_longest

from ucbench.protection.manifest import ProtectedPhoto

#: Photos of more pixels than this are not measured or shown beyond their own entry: memory stays below 2 GB.
LARGEST_SAMPLED = 50_000_000


def sample(photos: Sequence[ProtectedPhoto], count: int) -> list[ProtectedPhoto]:
    """At most ``count`` changed photos of at most :data:`LARGEST_SAMPLED` pixels, from as many patterns as possible.

    The first of every pattern, then the second of every pattern; patterns by index, photos in the order given.
    """
    changed = (photo for photo in photos if not photo.is_unchanged)
    groups = by_pattern(photo for photo in changed if photo.width * photo.height <= LARGEST_SAMPLED)
    turns = chain.from_iterable(zip_longest(*groups.values()))
    return [photo for photo in turns if photo is not None][:count]


def by_pattern(photos: Iterable[ProtectedPhoto]) -> dict[int, list[ProtectedPhoto]]:
    """The photos of every pattern, by its index, in ascending order."""
    groups: dict[int, list[ProtectedPhoto]] = defaultdict(list)
    for photo in photos:
        groups[photo.pattern].append(photo)
    return dict(sorted(groups.items()))
