"""Paths of the checkout, its documentation and the generated pages."""

from __future__ import annotations

from pathlib import Path

DOCS = Path(__file__).resolve().parents[1]
ROOT = DOCS.parent
LEADERBOARDS = ROOT / "leaderboards"
#: Generated folders, which git ignores; see ``docs/.gitignore``.
METHODS, NOTEBOOKS, PUBLISHED, RESULTS = "methods", "notebooks", "published", "results"
#: What people write about single methods, by the name of the method's page; :mod:`_ext.method_page` inserts it.
WRITTEN = DOCS / "_methods"


def write_pages(docs: Path, folder: str, pages: dict[str, str]) -> None:
    """Make ``docs/folder`` hold these pages (text by file name) and no other Markdown.

    A page whose text is unchanged is left alone, so that Sphinx does not read it again.
    """
    target = docs / folder
    target.mkdir(exist_ok=True)
    for stale in set(target.glob("*.md")) - {target / name for name in pages}:
        stale.unlink()
    for name, text in pages.items():
        path = target / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
