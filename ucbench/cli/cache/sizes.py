"""Sizes and ages as people write and read them."""

from __future__ import annotations

import re

import click

_BYTES = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 7 * 86400.0}


def as_bytes(ctx: click.Context, param: click.Parameter, value: str | None) -> int | None:
    """Option callback: a number of bytes such as 500MB or 10GB."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(|b|[kmgt]b?)", (value or "").strip().lower())
    if value is None or match:
        return None if match is None else int(float(match[1]) * _BYTES[match[2].removesuffix("b")])
    raise click.BadParameter(f"{value!r} is no size such as 500MB or 10GB.", ctx, param)


def as_seconds(ctx: click.Context, param: click.Parameter, value: str | None) -> float | None:
    """Option callback: an age such as 12h, 30d or 2w."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smhdw])", (value or "").strip().lower())
    if value is None or match:
        return None if match is None else float(match[1]) * _SECONDS[match[2]]
    raise click.BadParameter(f"{value!r} is no age such as 12h, 30d or 2w.", ctx, param)


def size_text(count: int) -> str:
    """Bytes in the largest unit that leaves a whole number before the point."""
    for unit, size in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count} B"


def age_text(seconds: float) -> str:
    """Seconds in the largest unit of which there is at least one."""
    for unit, length in reversed(_SECONDS.items()):
        if seconds >= length and unit != "w":
            return f"{seconds / length:.0f} {unit}"
    return "0 s"
