"""Colours and marks of methods on the site."""

from __future__ import annotations

import zlib

from ucbench.leaderboard.plots import PALETTE
from ucbench.results.table import base_name

_MARKS = "oDs^P*vX"


def style_of(poisoner: str) -> tuple[str, str]:
    digest = zlib.crc32(base_name(poisoner).encode())
    return PALETTE[digest % len(PALETTE)], _MARKS[digest // 8 % len(_MARKS)]
