"""Sites of imagined records, and what their pages hold."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

import site_records as made

from ucbench.leaderboard.gates import RULES
from ucbench.leaderboard.site import BoardRules, build_site

RANKED = ("none", "jpeg")


def ranked(folder: Path) -> BoardRules:
    return BoardRules("trial v1", RANKED, RULES)


def built(folder: Path, records: list[dict]) -> Path:
    """The site of one board with these records, ranked by :data:`RANKED`."""
    build_site(made.write(folder, records), folder / "site", rules_of=ranked)
    return folder / "site"


class Page(HTMLParser):
    """A page's elements: tags with their attributes, and the text within each table's rows."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.rows: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag == "tr":
            self.rows.append("")

    def handle_data(self, data):
        if self.rows:
            self.rows[-1] += f" {data}"

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def page(path: Path) -> Page:
    return Page(path.read_text(encoding="utf-8"))


def rows_of(path: Path, *words: str) -> list[str]:
    """The rows of a page's tables that hold all of these words, blanks evened out."""
    rows = [" ".join(row.split()) for row in page(path).rows]
    return [row for row in rows if all(word in row for word in words)]


def text_of(path: Path) -> str:
    return " ".join(path.read_text(encoding="utf-8").split())


def tree(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
