"""What a terminal shows: a program in a pseudo-terminal, and the few codes that move a cursor or erase."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import termios
from collections.abc import Callable, Mapping, Sequence

_CODE = re.compile(r"\x1b\[([?0-9;]*)([A-Za-z])|\x1b[=>]|(.)", re.DOTALL)


def shown(text: str, width: int) -> list[str]:
    """The lines on a screen of endless height after this output, without those at the end that are empty.

    Raises:
        AssertionError: if a line did not fit, so that a terminal breaks it anywhere.
    """
    lines: list[list[str]] = [[]]
    row = column = 0
    for code in _CODE.finditer(text):
        number, letter, char = int(re.sub(r"\D", "", code[1] or "") or 1), code[2], code[3]
        if letter == "A":
            row = max(row - number, 0)
        elif letter == "K":
            lines[row] = lines[row][:column] if code[1] != "2" else []
        elif char == "\r":
            column = 0
        elif char == "\n":
            row, column = row + 1, 0
            lines += [[]] * (row == len(lines))
        elif char:
            assert column < width, f"{''.join(lines[row])!r} is wider than {width}"
            lines[row] = [*lines[row], *" " * (column - len(lines[row]))]
            lines[row][column : column + 1] = [char]
            column += 1
    texts = ["".join(line).rstrip() for line in lines]
    while texts and not texts[-1]:
        texts.pop()
    return texts


def resize(descriptor: int, width: int) -> None:
    """Give a terminal 50 lines of this width."""
    fcntl.ioctl(descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", 50, width, 0, 0))


def run(
    command: Sequence[str], width: int, environment: Mapping[str, str], react: Callable[[str], bytes] = lambda text: b""
) -> tuple[str, int]:
    """All that a command writes to its terminal, and its exit code.

    Args:
        react: what is typed, given the output so far.
    """
    ours, theirs = pty.openpty()
    resize(theirs, width)
    environment = {**os.environ, "TERM": "xterm", **environment}
    environment.pop("COLUMNS", None)
    process = subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment, start_new_session=True,
        preexec_fn=_take_over,
    )  # fmt: skip
    os.close(theirs)
    output = b""
    try:
        while chunk := _read(ours):
            output += chunk
            if typed := react(output.decode(errors="replace")):
                os.write(ours, typed)
    finally:
        os.close(ours)
    return output.decode(), process.wait()


def _take_over() -> None:
    """Make standard input the controlling terminal, and heed Ctrl-C even if the tests run where it is ignored."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65536)
    except OSError:  # the other end is closed
        return b""
