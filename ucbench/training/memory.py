"""Memory allocation of training steps on a CPU."""

from __future__ import annotations

import ctypes
import functools
import sys

#: Parameters of glibc's mallopt(3).
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4


@functools.cache
def keep_freed_memory() -> bool:
    """Make glibc reuse freed blocks instead of returning them to the system; whether that worked.

    Every training step on a CPU allocates and frees the same large activations. By default glibc maps them anew and the
    kernel zeroes every page again, which takes a third of a small network's time. No number changes; the process keeps
    its peak memory until it ends. Without glibc this does nothing.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):  # another C library
        return False
    return all((mallopt(_MMAP_MAX, 0), mallopt(_TRIM_THRESHOLD, 2**31 - 1), mallopt(_TOP_PAD, 64 << 20)))
