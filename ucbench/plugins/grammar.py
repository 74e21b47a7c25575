"""The grammar of component references, chains and seeds, used by command line, suites and records.

    reference = name[@preset][:ARGUMENT][:key=value,...]
    chain     = reference+reference+...

A part that holds ``: , + @ =``, a quote or a space is quoted with ``"`` or ``'``. Within quotes, the quote is doubled
and a backslash is a backslash. A part with an unquoted ``=`` holds the options.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple, NoReturn

from ucbench.errors import UsageError

MOST_SEEDS = 1000

_NAME = re.compile(r"[A-Za-z0-9._/-]+")
_BARE = re.compile(r"""[^:,+@=\s"']+""")
_QUOTED = re.compile(r""""(?:[^"]|"")*"|'(?:[^']|'')*\'""")
_MARKS = frozenset(":,+@=")
_NEXT_VALUE = re.compile(rf",(?!\s*{_NAME.pattern}\s*=)\s*[^\s,]")


@dataclass(frozen=True)
class ComponentRef:
    """A parsed component reference; :meth:`ucbench.plugins.registry.Registry.resolve` looks it up.

    Attributes:
        name: the component's name or alias.
        preset: its preset, or None.
        argument: its positional argument (a folder, a model's name), or None.
        options: names and values of parameters, in the order written.
    """

    name: str
    preset: str | None = None
    argument: str | None = None
    options: tuple[tuple[str, str], ...] = ()

    @property
    def bare(self) -> bool:
        """Whether it is a name alone."""
        return self.preset is None and self.argument is None and not self.options

    def __str__(self) -> str:
        """The text that :func:`parse` reads as this reference."""
        text = self.name
        if self.preset is not None:
            text += f"@{self.preset}"
        if self.argument is not None:
            text += f":{_quoted(self.argument)}"
        if self.options:
            text += ":" + ",".join(f"{key}={_quoted(value)}" for key, value in self.options)
        return text


def parse(text: str) -> ComponentRef:
    """Read one component reference.

    Raises:
        UsageError: if the text is malformed or a chain; the error's last line points at the place.
    """
    reader = _Reader(text)
    reference = _reference(reader)
    if reader.next.kind == "+":
        reader.fail("this must be one component, not a chain. Quote a part that holds '+'")
    reader.expect_end()
    return reference


def base_name(reference: str) -> str:
    """The name in a component reference that is known to be well-formed: ``uc`` of ``uc:clusters=20``."""
    return reference.partition(":")[0].partition("@")[0]


def parse_chain(text: str) -> tuple[ComponentRef, ...]:
    """Read component references joined by ``+``, in order.

    Raises:
        UsageError: as :func:`parse`.
    """
    reader = _Reader(text)
    references = [_reference(reader)]
    while reader.accept("+"):
        references.append(_reference(reader))
    reader.expect_end()
    return tuple(references)


def format_chain(parts: Iterable[object]) -> str:
    """The text that :func:`parse_chain` reads as these references, or as those of components."""
    return "+".join(map(str, parts))


def is_list(text: str) -> bool:
    """Whether a comma outside quotes is followed by what cannot be ``key=value``: a list, as ``uc,lsp``."""
    return _NEXT_VALUE.search(_QUOTED.sub("''", text)) is not None


def parse_seeds(text: str) -> tuple[int, ...]:
    """Read seeds: ``0-2`` is (0, 1, 2), and ``0,3,5-7`` is (0, 3, 5, 6, 7).

    Raises:
        UsageError: for anything but non-negative integers and ascending ranges, for a duplicate seed, and for more
            than :data:`MOST_SEEDS` seeds.
    """
    seeds: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"\s*([0-9]{1,18})(?:-([0-9]{1,18}))?\s*", part)
        if not match:
            raise UsageError(f"Seeds {text!r}: {part!r} is neither a seed nor a range. Write 0, 0-2 or 0,3,5-7.")
        first, last = int(match[1]), int(match[2] or match[1])
        if last < first:
            raise UsageError(f"Seeds {text!r}: the range {part.strip()} descends. Write {last}-{first}.")
        if last - first + 1 + len(seeds) > MOST_SEEDS:
            raise UsageError(f"Seeds {text!r}: more than {MOST_SEEDS} seeds.")
        seeds.extend(range(first, last + 1))
    duplicates = sorted({seed for seed in seeds if seeds.count(seed) > 1})
    if duplicates:
        raise UsageError(f"Seeds {text!r}: {', '.join(map(str, duplicates))} given more than once.")
    return tuple(seeds)


class _Token(NamedTuple):
    """``kind`` is a mark, ``text`` (``value`` then has no quotes) or ``end``."""

    kind: str
    value: str
    start: int


class _Reader:
    """Reads the tokens of a text in order."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = self._tokenise()
        self._at = 0

    @property
    def next(self) -> _Token:
        return self._tokens[self._at]

    def accept(self, mark: str) -> bool:
        """Skip the next token if it is this mark; whether it was."""
        accepted = self.next.kind == mark
        self._at += accepted
        return accepted

    def take(self, expected: str) -> str:
        """Read a text; ``expected`` says in errors what it is."""
        token = self.next
        if token.kind != "text":
            place = "at the end" if token.kind == "end" else f"before {token.kind!r}"
            self.fail(f"{expected} is missing {place}")
        self._at += 1
        return token.value

    def take_name(self, expected: str) -> str:
        """Read a text that consists of a name's characters."""
        token, name = self.next, self.take(expected)
        if not _NAME.fullmatch(name):
            self.fail(f"{expected} consists of letters, digits, '.', '_', '/' and '-'", token.start)
        return name

    def options_follow(self) -> bool:
        """Whether a ``=`` comes before the next part, the next component or the end."""
        kinds = (token.kind for token in self._tokens[self._at :])
        return next(kind for kind in kinds if kind in ("=", ":", "+", "end")) == "="

    def expect_end(self) -> None:
        if self.next.kind != "end":
            place = ": a preset comes right after the name" if self.next.kind == "@" else ""
            self.fail(f"{self.next.kind!r} is not expected here{place}. Quote a part that holds it")

    def fail(self, problem: str, position: int | None = None) -> NoReturn:
        """Raise UsageError with a line that points at ``position`` (default: the next token)."""
        position = self.next.start if position is None else position
        shown = re.sub(r"\s", " ", self._text)
        raise UsageError(
            f"Malformed component: {problem}. The form is name[@preset][:ARGUMENT][:key=value,...].\n"
            f"  {shown}\n  {' ' * position}^"
        )

    def _tokenise(self) -> list[_Token]:
        text, tokens, at = self._text, list[_Token](), 0
        while at < len(text):
            if text[at] in _MARKS:
                tokens.append(_Token(text[at], text[at], at))
                at += 1
                continue
            match = _BARE.match(text, at) or _QUOTED.match(text, at)
            if match is None:
                space = text[at].isspace()
                self.fail("quote a part that holds a space" if space else "this quote is not closed", at)
            if tokens and tokens[-1].kind == "text":
                self.fail("quote the whole part or none of it", at)
            tokens.append(_Token("text", _unquoted(match[0]), at))
            at = match.end()
        return [*tokens, _Token("end", "", len(text))]


def _reference(reader: _Reader) -> ComponentRef:
    name = reader.take_name("the name of a component")
    preset = reader.take_name("the name of a preset") if reader.accept("@") else None
    argument = None
    options: dict[str, str] = {}
    part = reader.accept(":")
    if part and not reader.options_follow():
        argument = reader.take("an argument or key=value")
        part = reader.accept(":")
    while part:
        start = reader.next.start
        key = reader.take_name("the name of an option")
        if not reader.accept("="):
            reader.fail(f"option {key!r} has no value: write {key}=VALUE", start)
        if key in options:
            reader.fail(f"option {key!r} is given twice", start)
        options[key] = reader.take(f"the value of {key!r}")
        part = reader.accept(",")
    return ComponentRef(name, preset, argument, tuple(options.items()))


def _quoted(text: str) -> str:
    return text if _BARE.fullmatch(text) else '"' + text.replace('"', '""') + '"'


def _unquoted(text: str) -> str:
    quote = text[0]
    return text[1:-1].replace(quote * 2, quote) if quote in "\"'" else text
