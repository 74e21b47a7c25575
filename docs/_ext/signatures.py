"""The Python reference as a reader of the repository sees it: signatures and first sentences, in tables.

In ``docs/api.md`` the directives of Sphinx stand in comments, ``<!-- api ... -->``, each followed by such a table up to
``<!-- end of api -->``. ``python docs/_ext/signatures.py`` writes the tables, and a test compares; while the
documentation is built, directives with full descriptions take their place.
"""

from __future__ import annotations

import importlib
import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from _ext.markdown import code, first_sentence, replace_markers, table
from _ext.paths import DOCS

KEPT = re.compile(r"<!-- api\n(?P<directives>.*?)\n-->\n.*?<!-- end of api -->", re.DOTALL)
_DIRECTIVE = re.compile(
    r"^\.\. auto(?P<kind>\w+):: (?P<name>[\w.]+)(?P<bare>\(\))?\n(?P<options>(?: +:[\w-]+:.*\n)*)", re.MULTILINE
)
_MEMBERS = re.compile(r"^ +:members:(?P<names>.*)$", re.MULTILINE)


def overview(directives: str) -> str:
    """A table of what directives describe: a line per function, class and described method."""
    return table(
        ["name", "what it is"], [row for each in _DIRECTIVE.finditer(directives + "\n") for row in _rows(each)]
    )


def _rows(directive: re.Match[str]) -> Iterator[tuple[str, str]]:
    found = _resolve(directive["name"])
    if directive["kind"] == "module":
        names = list(found.__all__)
        yield from ((code(_signature(name, getattr(found, name))), _about(getattr(found, name))) for name in names)
        return
    name = directive["name"].rpartition(".")[2]
    bare = directive["bare"] or directive["kind"] == "data"
    yield code(name if bare else _signature(name, found)), _about(found)
    members = _MEMBERS.search(directive["options"])
    if members:
        named = [each.strip() for each in members["names"].split(",") if each.strip()] or _described(found)
        for member in named:
            call = _signature(member, getattr(found, member))
            yield code(f"{name}.{call}"), _about(inspect.getattr_static(found, member))


def _resolve(name: str) -> Any:
    """The object of a dotted name; one without a module is a public name of ``ucbench``."""
    full = name if name.startswith("ucbench.") else f"ucbench.{name}"
    try:
        return importlib.import_module(full)
    except ModuleNotFoundError:
        module, _, attribute = full.rpartition(".")
        return getattr(importlib.import_module(module), attribute)


def _described(found: type) -> list[str]:
    """Public methods and properties of a class that have a docstring, in the order of their source."""
    return [name for name, member in vars(found).items() if not name.startswith("_") and _about(member)]


def _about(found: Any) -> str:
    """The first sentence about something callable or a property; values have only their type's docstring."""
    documented = callable(found) or inspect.isroutine(found) or isinstance(found, property)
    return first_sentence(inspect.getdoc(found) or "") if documented else ""


def _signature(name: str, found: Any) -> str:
    """A call as text: names and defaults, no types; the name alone of values, protocols and errors."""
    error = inspect.isclass(found) and issubclass(found, Exception)
    if error or not callable(found) or getattr(found, "_is_protocol", False):
        return name
    parts, keyword_only = [], False
    for parameter in inspect.signature(found).parameters.values():
        if parameter.name == "self":
            continue
        if parameter.kind is parameter.KEYWORD_ONLY and not keyword_only:
            keyword_only = True
            parts.append("*")
        if parameter.kind is parameter.VAR_POSITIONAL:
            keyword_only = True
        stars = {parameter.VAR_POSITIONAL: "*", parameter.VAR_KEYWORD: "**"}.get(parameter.kind, "")
        default = "" if parameter.default is parameter.empty else f"={_default(parameter.default)}"
        parts.append(f"{stars}{parameter.name}{default}")
    return f"{name}({', '.join(parts)})"


def _default(value: Any) -> str:
    text = repr(value)
    return text if isinstance(value, (str, int, float, tuple, type(None))) and len(text) <= 24 else "..."


def written(text: str) -> str:
    """The page with its tables written anew."""
    return KEPT.sub(
        lambda kept: f"<!-- api\n{kept['directives']}\n-->\n\n{overview(kept['directives'])}\n\n<!-- end of api -->",
        text,
    )


def inserted(text: str) -> str:
    """The page as Sphinx reads it, with directives in place of the tables."""
    return KEPT.sub(lambda kept: f"```{{eval-rst}}\n{kept['directives']}\n```", text)


def setup(app: Any) -> dict[str, bool]:
    return replace_markers(app, inserted)


if __name__ == "__main__":
    path = DOCS / "api.md"
    path.write_text(written(path.read_text(encoding="utf-8")), encoding="utf-8")
