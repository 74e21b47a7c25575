"""The documentation as tests read it: its pages, with what is generated into them, and their code blocks."""

from __future__ import annotations

import functools
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
if str(DOCS) not in sys.path:
    sys.path.insert(0, str(DOCS))

from _ext import (  # noqa: E402
    analyses,
    boards,
    columns,
    commands,
    crafts,
    estimators,
    gate,
    hooks,
    kornia_operations,
    layers,
    methods,
    notebooks,
    page_loads,
    photo_effect,
    published,
    reproduced,
    results,
    robustness,
    rules,
    signatures,
    speed,
)

NOT_RUN = re.compile(r"<!--\s*not run:\s*(.+?)\s*-->", re.DOTALL)


def pages() -> list[Path]:
    """What people write and read: the README and the pages of the documentation."""
    return [ROOT / "README.md", *sorted(DOCS.glob("*.md"))]


def written() -> list[Path]:
    """What people write into pages of methods."""
    return sorted((DOCS / "_methods").glob("*.md"))


def generated() -> dict[Path, str]:
    """Pages that exist in the built site only, with their text."""
    folders = {
        "methods": method_pages(),
        "notebooks": notebook_pages(),
        "published": published.pages(),
        "results": result_pages(),
    }
    return {DOCS / folder / name: text for folder, made in folders.items() for name, text in made.items()}


@functools.cache
def method_pages() -> dict[str, str]:
    return methods.pages()


@functools.cache
def notebook_pages() -> dict[str, str]:
    return notebooks.pages(DOCS)


@functools.cache
def result_pages() -> dict[str, str]:
    return results.pages()


@functools.cache
def rendered(page: Path) -> str:
    """A page's Markdown with every generated part in its place."""
    text = page.read_text(encoding="utf-8")
    for generator in (
        analyses,
        boards,
        commands,
        crafts,
        estimators,
        hooks,
        rules,
        gate,
        layers,
        columns,
        kornia_operations,
        page_loads,
        reproduced,
        results,
        robustness,
        methods,
        signatures,
        photo_effect,
        speed,
    ):
        text = generator.inserted(text)
    return text


def section(text: str, heading: str) -> str:
    """The text below a heading, up to the next one of its level or above."""
    level = len(heading) - len(heading.lstrip("#"))
    lines = iter(text.splitlines())
    for line in lines:
        if line.strip() == heading:
            break
    else:
        raise AssertionError(f"There is no heading {heading!r}.")
    found = []
    for line in lines:
        if re.match(rf"#{{1,{level}}} ", line):
            break
        found.append(line)
    return "\n".join(found)


@dataclass(frozen=True)
class Block:
    """A code block: where it begins (line from 1), its language (``indented`` if it is) and why it is not run."""

    page: Path
    line: int
    language: str
    text: str
    not_run: str | None

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks(page: Path) -> Iterator[Block]:
    """All code blocks of a page, generated ones included; directives of the builder are not among them."""
    reason = None
    for token in MarkdownIt().parse(rendered(page)):
        if token.type in ("fence", "code_block"):
            language = token.info.strip() if token.type == "fence" else "indented"
            if not language.startswith("{"):
                assert token.map is not None
                yield Block(page, token.map[0] + 1, language, token.content, reason)
        if token.nesting == 0 and token.type != "inline":
            found = NOT_RUN.search(token.content) if token.type == "html_block" else None
            reason = found[1] if found else None
        elif token.nesting == 1:
            reason = None
