"""Pages from the notebooks in ``docs/notebooks``, run while the documentation is built.

A notebook is kept without outputs, so that none can be out of date. Each code cell becomes a block of code, followed by
what it prints and by the value of its last expression: an image, a table, or text.
"""

from __future__ import annotations

import ast
import base64
import contextlib
import io
import json
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from _ext.paths import NOTEBOOKS, write_pages

#: The classes of the theme for tables, which scroll where they are too wide.
_HTML = '<div class="table-wrapper docutils container">\n{}\n</div>'


def page(path: Path) -> str:
    """A notebook as Markdown, its code run in its folder.

    Raises:
        Exception: whatever a cell raises.
    """
    variables: dict[str, Any] = {"__name__": path.stem}
    blocks = []
    with _beside(path):
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
            source = "".join(cell["source"])
            blocks += (
                [source] if cell["cell_type"] == "markdown" else [f"```python\n{source}\n```", *run(source, variables)]
            )
    return "\n\n".join(blocks) + "\n"


def run(source: str, variables: dict[str, Any]) -> Iterator[str]:
    """Run one cell, and yield what a notebook shows below it, as Markdown."""
    body = ast.parse(source).body
    last = body.pop() if body and isinstance(body[-1], ast.Expr) else None
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(ast.Module(body, []), "<cell>", "exec"), variables)
        value = eval(compile(ast.Expression(last.value), "<cell>", "eval"), variables) if last else None
    if printed.getvalue():
        yield f"```text\n{printed.getvalue().rstrip()}\n```"
    if value is not None:
        yield shown(value)


def shown(value: Any) -> str:
    """A value as notebooks show it: its PNG, its HTML or its text."""
    if png := getattr(value, "_repr_png_", lambda: None)():
        return _HTML.format(
            f'<img alt="Output of the cell above" src="data:image/png;base64,{base64.b64encode(png).decode()}">'
        )
    if html := getattr(value, "_repr_html_", lambda: None)():
        html = re.sub(r"<style.*?</style>", "", html, flags=re.DOTALL)
        html = re.sub(r"<table[^>]*>", '<table class="docutils align-default">', html)
        # A blank line would end the block of HTML.
        return _HTML.format("\n".join(line for line in html.splitlines() if line.strip()))
    return f"```text\n{value!r}\n```"


@contextlib.contextmanager
def _beside(path: Path) -> Iterator[None]:
    """Work in the notebook's folder, with a store that is removed afterwards."""
    with tempfile.TemporaryDirectory() as store, contextlib.chdir(path.parent):
        before = os.environ.get("UCBENCH_HOME")
        os.environ["UCBENCH_HOME"] = store
        try:
            yield
        finally:
            if before is None:
                del os.environ["UCBENCH_HOME"]
            else:
                os.environ["UCBENCH_HOME"] = before


def pages(docs: Path) -> dict[str, str]:
    """All pages by file name."""
    return {f"{path.stem}.md": page(path) for path in sorted((docs / NOTEBOOKS).glob("*.ipynb"))}


def _write(app: Any) -> None:
    write_pages(Path(app.srcdir), NOTEBOOKS, pages(Path(app.srcdir)))


def setup(app: Any) -> dict[str, bool]:
    app.connect("builder-inited", _write)
    return {"parallel_read_safe": True}
