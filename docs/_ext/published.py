"""Pages of the site from texts outside ``docs``, and links to them.

The change log and the contributor guide become pages in ``docs/published``. In all pages, a link to one of them or to
the README of a board leads to its page; a link to another file of the repository becomes the file's name.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from _ext.paths import DOCS, LEADERBOARDS, PUBLISHED, RESULTS, ROOT, write_pages

_LINK = re.compile(r"(?<!!)\[([^\]\n]*(?:\n[^\]\n]+)?)\]\((?!https?:|mailto:|#)([^)\s#]+)(#[^)\s]*)?\)")

_IMAGE = re.compile(r"(!\[[^\]\n]*\])\(((?!https?:)[^)\s]+)\)")


def sources() -> dict[str, Path]:
    """The texts that become pages, by the page's file name."""
    guides = {f"{name.lower()}.md": ROOT / f"{name}.md" for name in ("CHANGELOG", "CONTRIBUTING")}
    return {name: path for name, path in guides.items() if path.exists()}


def page_about(results: Path) -> str:
    """The page, from ``docs``, about the board that a file is of, or an empty text. ``results``: from the root."""
    parts = (ROOT / results).resolve().relative_to(ROOT).parts
    is_board = len(parts) > 3 and parts[0] == LEADERBOARDS.name and re.fullmatch(r"v\d+", parts[2])
    return f"{RESULTS}/{parts[1]}-{parts[2]}.md" if is_board else ""


def relinked(text: str, source: Path, page: Path) -> str:
    """``text`` of the file ``source`` with its relative links and images adapted to ``page`` (a path in ``docs``)."""
    page_of = {path.resolve(): DOCS / PUBLISHED / name for name, path in sources().items()}
    page_of |= {path: DOCS / page_about(path.relative_to(ROOT)) for path in LEADERBOARDS.glob("*/v*/README.md")}

    def link(found: re.Match[str]) -> str:
        words, written, anchor = found[1], found[2], found[3] or ""
        target = (source.parent / written).resolve()
        target = page_of.get(target, target)
        if target.is_relative_to(DOCS) and (target.exists() or target in page_of.values()):
            return f"[{words}]({os.path.relpath(target, page.parent)}{anchor})"
        if not target.exists() or not target.is_relative_to(ROOT):
            return found[0]  # for the builder to complain about
        name = target.relative_to(ROOT).as_posix() + ("/" if target.is_dir() else "")
        return words if words.strip("`") == name else f"{words} (`{name}`)"

    def image(found: re.Match[str]) -> str:
        return f"{found[1]}({os.path.relpath((source.parent / found[2]).resolve(), page.parent)})"

    return _IMAGE.sub(image, _LINK.sub(link, text))


def pages() -> dict[str, str]:
    """All pages by file name."""
    return {
        name: relinked(path.read_text(encoding="utf-8"), path, DOCS / PUBLISHED / name)
        for name, path in sources().items()
    }


def _write(app: Any) -> None:
    write_pages(Path(app.srcdir), PUBLISHED, pages())


def _relink(app: Any, docname: str, source: list[str]) -> None:
    page = DOCS / f"{docname}.md"
    if page.exists() and docname.partition("/")[0] != PUBLISHED:
        source[0] = relinked(source[0], page, page)


def setup(app: Any) -> dict[str, bool]:
    app.connect("builder-inited", _write)
    app.connect("source-read", _relink)
    return {"parallel_read_safe": True}
