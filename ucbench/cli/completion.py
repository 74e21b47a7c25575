"""What shells complete: components with presets and arguments, suites, folders of records. Imports no torch."""

from __future__ import annotations

import glob
import os
import re
import shlex
import textwrap
from collections.abc import Callable, Iterable, Iterator

import typer

from ucbench.errors import UcbenchError
from ucbench.plugins.specs import SPEC_KINDS

#: A value and its help.
Candidate = tuple[str, str]
#: The environment variable with the part of a word that bash does not replace.
_BEFORE = "_UCBENCH_BEFORE"
#: Characters of help that shells show beside a value.
_LONGEST_HELP = 60
_KINDS = [(kind, "") for kind in (*SPEC_KINDS, "suite")]
#: A component without options: name, preset, argument.
_REFERENCE = re.compile(r"([^@:=]*)(@[^:=]*)?(:[^:=]*)?")


def completing(values: Callable[[typer.Context, str], Iterable[Candidate]]) -> Callable[..., list[Candidate]]:
    """``values`` of a context and the text typed so far, as ``autocompletion`` of typer, with ``--plugin`` files."""

    def complete(ctx: typer.Context, incomplete: str) -> list[Candidate]:
        from ucbench.plugins.registry import trying

        before = os.environ.get(_BEFORE, "")
        text = before + incomplete
        try:
            with trying(ctx.params.get("plugin") or ()):
                candidates = [candidate for candidate in values(ctx, text) if candidate[0].startswith(text)]
        except UcbenchError:
            return []
        return [
            (value.removeprefix(before), textwrap.shorten(help, _LONGEST_HELP, placeholder=" ..."))
            for value, help in candidates
        ]

    return complete


def of(*values: str) -> Callable[..., list[Candidate]]:
    """Completes one of these values."""
    return completing(lambda ctx, text: [(value, "") for value in values])


def components(kind: str) -> Callable[..., list[Candidate]]:
    """Completes references to components of one kind."""
    return completing(lambda ctx, text: references(kind, text))


def references(kind: str, text: str) -> Iterator[Candidate]:
    """The references that ``text`` may begin: names; presets behind ``@``; known arguments behind ``:``.

    Of a chain of defenses, the last link. Suites are a kind too.
    """
    from ucbench.matrix.suite import shipped_suites
    from ucbench.plugins.manager import suite_paths
    from ucbench.plugins.registry import installed

    registry = installed()
    if kind in ("suite", "suites"):
        yield from ((name, "") for name in sorted({*suite_paths(registry.plugins)[0], *shipped_suites()}))
        return
    link = text[text.rfind("+") + 1 :] if kind == "defense" else text
    head = text.removesuffix(link)
    parts = _REFERENCE.fullmatch(link)
    if parts is None:  # options
        return
    name, preset, argument = parts.groups()
    if preset is None and argument is None:
        yield from ((f"{head}{spec.name}", spec.summary) for spec in registry.specs(kind))
        return
    params = registry.params_class(registry.find(kind, name))
    if argument is None:
        yield from ((f"{head}{name}@{known}", "") for known in params.preset_names())
    else:
        yield from ((f"{head}{name}{preset or ''}:{known}", "") for known in params.argument_values())


def _of_any_kind(text: str) -> Iterator[Candidate]:
    from ucbench.plugins.registry import installed

    name = re.split("[@:]", text)[0]
    for kind in SPEC_KINDS if name == text else installed().kinds(name):
        yield from references(kind, text)


def _plugins() -> list[Candidate]:
    from ucbench.plugins.registry import installed

    return [(name, "plugin") for name in sorted({plugin.distribution for plugin in installed().plugins})]


def _record_folders(text: str) -> list[Candidate]:
    paths = (path for depth in ("", "*/") for path in glob.glob(f"{glob.escape(text)}*/{depth}records"))
    return sorted((os.path.dirname(path), "") for path in paths)


suites = components("suite")
kinds = completing(lambda ctx, text: _KINDS)
#: A component or suite of the kind that an earlier argument names, or of any.
of_kind = completing(lambda ctx, text: references(ctx.params["kind"], text))
kind_or_name = completing(lambda ctx, text: [*_KINDS, *_of_any_kind(text)])
plugin_or_name = completing(lambda ctx, text: [*_plugins(), *_of_any_kind(text)])
#: Folders with records, at most one level below; without any, the shell completes paths.
record_folders = completing(lambda ctx, text: _record_folders(text))


def prepare() -> None:
    """Before typer completes: keep long help on one line, and undo that bash splits words at ``: = @``.

    Bash replaces only what follows the last ``:`` or ``=``, or what begins at the last ``@``. So the word to complete
    is that, and what stands before it goes to :func:`completing`.
    """
    instruction = os.environ.get("_UCBENCH_COMPLETE", "")
    if instruction.startswith("complete_"):
        os.environ["COLUMNS"] = "10000"
    if instruction != "complete_bash":
        return
    try:
        pieces = shlex.split(os.environ["COMP_WORDS"])[: int(os.environ["COMP_CWORD"]) + 1]
    except (KeyError, ValueError):  # a quote is still open
        return
    pieces += [""] * (int(os.environ["COMP_CWORD"]) + 1 - len(pieces))
    words: list[str] = []
    joins = True
    for piece in pieces:
        mark = re.fullmatch("[:=@]+", piece) is not None
        if words and (joins or mark):
            words[-1] += piece
        else:
            words.append(piece)
        joins = mark
    *before, last = words
    if last.startswith("--") and "=" in last:
        option, _, last = last.partition("=")
        before.append(option)
    start = max(last.rfind(":") + 1, last.rfind("=") + 1, last.rfind("@"), 0)
    os.environ[_BEFORE] = last[:start]
    os.environ["COMP_WORDS"] = shlex.join([*before, last[start:]])
    os.environ["COMP_CWORD"] = str(len(before))
