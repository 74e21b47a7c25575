"""Keep the process from giving memory back between training steps."""

from __future__ import annotations

import ctypes
import functools
import sys

#: Parameters of glibc's mallopt(3).
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4


@functools.cache
def keep_freed_memory() -> bool:
    """Tell glibc to reuse freed blocks instead of returning them to the system; whether that could be said.

    A training step on a CPU allocates and frees the same large activations again and again. glibc maps each afresh,
    and the kernel clears every page once more before it is touched, which costs a small network a third of its time.
    Numbers do not change, only where they lie. The price is that the process keeps its largest size until it ends.
    Elsewhere than on Linux with glibc, nothing is done.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):  # another C library
        return False
    return all((mallopt(_MMAP_MAX, 0), mallopt(_TRIM_THRESHOLD, 2**31 - 1), mallopt(_TOP_PAD, 64 << 20)))
