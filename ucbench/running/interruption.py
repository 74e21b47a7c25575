"""Interruptions: SIGTERM and SIGHUP end a run as Ctrl-C does, so that workers stop and no draft stays."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))


@contextmanager
def interruptible() -> Iterator[list[int]]:
    """Within the block, the first SIGTERM or SIGHUP raises KeyboardInterrupt in the main thread.

    Others that follow do nothing: schedulers and terminals often send both, and the clean-up of the first must end. A
    signal that is ignored (``nohup``) or has a handler keeps it. Outside the main thread the block changes nothing.

    Yields:
        The signals that arrived.
    """
    received: list[int] = []

    def interrupt(number: int, frame: FrameType | None) -> None:
        received.append(number)
        if len(received) == 1:
            raise KeyboardInterrupt

    before = []
    if threading.current_thread() is threading.main_thread():
        before = [number for number in _SIGNALS if signal.getsignal(number) is signal.SIG_DFL]
    for number in before:
        signal.signal(number, interrupt)
    try:
        yield received
    finally:
        for number in before:
            signal.signal(number, signal.SIG_DFL)
