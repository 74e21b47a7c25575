"""Standard streams that are closed, full, or cannot show every character."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from ucbench.errors import UcbenchError


class OutputError(UcbenchError):
    """Standard output takes no more."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"Nothing can be printed to standard output: {reason}. Finished work is kept.")


class _Output(io.TextIOWrapper):
    """Standard output whose failures are another error than those of files."""

    def write(self, text: str) -> int:
        with _failing(self):
            return super().write(text)

    def flush(self) -> None:
        with _failing(self):
            super().flush()


@contextmanager
def _failing(output: io.TextIOWrapper) -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:  # its reader has seen enough
        raise
    except OSError as error:
        # What is left would fail again when the process ends.
        descriptor = os.open(os.devnull, os.O_WRONLY)
        os.dup2(descriptor, output.fileno())
        os.close(descriptor)
        raise OutputError(error.strerror or str(error)) from error


@contextmanager
def standard_streams() -> Iterator[None]:
    """Within the block, a failure of standard output raises OutputError, and any text can be printed.

    Characters that its encoding lacks are printed as escapes, such as ``\\u65e5``. Without a standard error, messages
    go nowhere.

    Raises:
        OutputError: if there is no standard output.
    """
    if sys.stderr is None:
        # Not closed afterwards: until the process ends, no other file may get the number of a standard stream.
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    original = sys.stdout
    if original is None:
        raise OutputError("it is closed")
    if type(original) is not io.TextIOWrapper:  # of a test or a notebook
        yield
        return
    errors = "backslashreplace" if original.errors == "strict" else original.errors
    output = _Output(original.buffer, original.encoding, errors, line_buffering=original.line_buffering)
    sys.stdout = output
    try:
        yield
        output.flush()
    finally:
        sys.stdout = original
        output.detach()


def with_home(argument: str) -> str:
    """The argument with ``~`` at the start of its value as the home folder: shells leave ``--out=~/x`` as it is."""
    name, equals, value = argument.partition("=") if argument.startswith("--") else ("", "", argument)
    return f"{name}{equals}{os.path.expanduser(value)}" if value.startswith("~") else argument
