"""The hooks and examples of plugins, from the hooks' specifications and from files.

Replaces ``<!-- hooks -->`` in a page by a section for every hook with its arguments, and ``<!-- example: NAME -->`` by
the complete example in a hook's specification or by a file of ``docs/examples``.
"""

from __future__ import annotations

import inspect
import re
from typing import Any

from _ext.markdown import replace_markers
from _ext.paths import ROOT
from ucbench.plugins import hookspecs

MARKER = "<!-- hooks -->"
EXAMPLE = re.compile(r"<!-- example: ([\w.]+) -->")
_CODE = re.compile(r"```python\n.*?```", re.DOTALL)
#: Sections of the page on plugins that are not called after their hook.
_SECTIONS = {
    "ucbench_datasets": "data-sets",
    "ucbench_suites": "suites-and-observers",
    "ucbench_epoch_finished": "suites-and-observers",
    "ucbench_cell_finished": "suites-and-observers",
    "ucbench_cell_failed": "suites-and-observers",
}


def example(name: str) -> str:
    """The complete example of a hook, or the file, as a block of code."""
    if name.endswith(".py"):
        return f"```python\n{(ROOT / 'docs' / 'examples' / name).read_text(encoding='utf-8')}```"
    (code,) = _CODE.findall(inspect.getdoc(getattr(hookspecs, name)) or "")
    return str(code)


def reference() -> str:
    """All hooks as Markdown, in the order of their module; examples are on the page on plugins."""
    found = [
        (name, function)
        for name, function in vars(hookspecs).items()
        if inspect.isfunction(function) and hasattr(function, f"{hookspecs.PROJECT}_spec")
    ]
    return "\n\n".join(
        f"### `{name}({', '.join(inspect.signature(function).parameters)})`\n\n"
        f"{_CODE.sub('', inspect.getdoc(function) or '').strip()}"
        f" [Example](plugins.md#{_SECTIONS.get(name, name.removeprefix('ucbench_'))})."
        for name, function in found
    )


def inserted(text: str) -> str:
    text = text.replace(MARKER, reference()) if MARKER in text else text
    return EXAMPLE.sub(lambda found: example(found[1]), text)


def setup(app: Any) -> dict[str, bool]:
    replace_markers(app, inserted)
    replace_markers(app, inserted)
    return replace_markers(app, inserted)
