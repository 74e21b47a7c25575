"""Errors that a user can cause. Their text says what is wrong, where, and how to fix it.

The command line prints the text without a traceback and exits with :attr:`UcbenchError.exit_code`.
"""

from __future__ import annotations

import difflib
import re
import traceback
from collections.abc import Callable, Iterable
from pathlib import Path


class UcbenchError(Exception):
    """Base of all errors that are reported without a traceback."""

    exit_code = 1

    def _render_traceback_(self) -> list[str]:
        """What IPython and notebooks show in place of a traceback: one line, as the command line does."""
        return [f"{type(self).__name__}: {visible_lines(str(self))}"]


class UsageError(UcbenchError):
    """The request is wrong: an unknown name, a parameter out of range, a malformed reference."""

    exit_code = 2


class DataError(UcbenchError):
    """A data set cannot be read; the text names the file or the column."""


class UnmetRequestError(DataError):
    """What the request asks for is not there: a file or folder that it names, a split, a column, as many images."""

    exit_code = 2


class PluginError(UcbenchError):
    """A plugin cannot be loaded or registers something invalid; the text names distribution and version."""


class ContractError(UcbenchError):
    """A component returned something its contract forbids: wrong shape, NaN, over budget, changed order."""


class StoreError(UcbenchError):
    """The store cannot be read or written; the text names the path."""


def did_you_mean(wrong: str, known: Iterable[str]) -> str:
    """``" Did you mean 'a' or 'b'?"`` with the nearest three of ``known`` whatever their case, or an empty string.

    If some differ from ``wrong`` only in case, only those.
    """
    names: dict[str, list[str]] = {}
    for name in sorted(set(known)):
        names.setdefault(name.lower(), []).append(name)
    equal = names.get(wrong.lower())
    near = difflib.get_close_matches(wrong.lower(), names, n=3, cutoff=0.5)
    close = equal or [name for lowered in near for name in names[lowered]]
    return f" Did you mean {' or '.join(repr(c) for c in close)}?" if close else ""


def place_of(error: BaseException, counts: Callable[[str], bool]) -> str:
    """``stripes.py, line 12``: the last line that led to the error in a module that counts; empty if none did.

    A file of a package has the folder before its name: ``waves/poisoner.py``.
    """
    place = ""
    for frame, line in traceback.walk_tb(error.__traceback__):
        module = str(frame.f_globals.get("__name__", ""))
        if counts(module):
            file = Path(frame.f_code.co_filename)
            place = f"{file.parent.name}/{file.name}" if "." in module or file.stem == "__init__" else file.name
            place += f", line {line}"
    return place


#: Characters that a terminal obeys or that hide text: controls, marks of direction and of width zero, half surrogates.
_HIDDEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\U000e0000-\U000e007f]"
)


def visible(text: str) -> str:
    """One line of ``text``, with the characters that a terminal obeys or does not show as escapes: ``\\x1b``."""
    if text.isprintable():
        return text
    return _HIDDEN.sub(lambda match: match[0].encode("unicode_escape").decode("ascii"), text)


def visible_lines(text: str) -> str:
    """``text`` as of :func:`visible`, line by line."""
    return "\n".join(map(visible, text.split("\n")))


def type_and_text(error: BaseException) -> tuple[str, str]:
    """Type and text of the error being handled, for a record; an error no user can cause has its traceback as text."""
    text = str(error) if isinstance(error, UcbenchError) else traceback.format_exc()
    # Names of files that are not Unicode have half surrogates, which a record cannot hold.
    return type(error).__name__, text.encode(errors="backslashreplace").decode()
