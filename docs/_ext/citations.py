"""Citations of specs, as links and as BibTeX.

A spec's ``paper`` is ``AUTHORS: TITLE. VENUE YEAR. IDENTIFIER (NOTE)``, several separated by ``; ``. The identifier is
``arXiv NUMBER``, ``doi DOI`` or an address; venue and note may be missing.
"""

from __future__ import annotations

import re
import unicodedata
from typing import NamedTuple

_CITATION = re.compile(
    r"(?P<authors>[^:]+): (?P<title>.+?)(?P<stop>[.?!]) "
    r"(?P<venue>(?:[^.?!]*\S )?(?P<year>(?:19|20)\d\d)(?: [^.?!]+)?)\. "
    r"(?:arXiv (?P<arxiv>\d{4}\.\d{4,5})|doi (?P<doi>10\.\S+)|(?P<url>https://\S+))"
    r"(?: \((?P<note>.+)\))?"
)


class Citation(NamedTuple):
    """One publication. ``authors`` in order; ``venue`` without the year, empty for a preprint."""

    authors: list[str]
    title: str
    venue: str
    year: str
    arxiv: str
    doi: str
    url: str
    note: str

    @property
    def link(self) -> str:
        if self.arxiv:
            return f"https://arxiv.org/abs/{self.arxiv}"
        return f"https://doi.org/{self.doi}" if self.doi else self.url

    def markdown(self) -> str:
        """One line with a link."""
        venue = f"{self.venue} {self.year}".strip()
        label = f"arXiv {self.arxiv}" if self.arxiv else f"doi {self.doi}" if self.doi else self.url.split("/")[-1]
        note = f" ({self.note})" if self.note else ""
        stop = "" if self.title.endswith(("?", "!")) else "."
        return f"{', '.join(self.authors)}: *{self.title}*{stop} {venue}. [{label}]({self.link}){note}"

    def bibtex(self) -> str:
        """An entry, whose key is the first author's surname, the year and the title's first long word."""
        first = self.authors[0].removesuffix(" et al.")
        word = next((w for w in re.findall(r"[A-Za-z]+", self.title) if len(w) > 3), "paper")
        published = self.venue and self.arxiv
        fields = {
            "author": " and ".join(author.replace(" et al.", " and others") for author in self.authors),
            "title": f"{{{self.title}}}",
            "booktitle" if published else "howpublished": self.venue,
            "year": self.year,
            "eprint": self.arxiv,
            "archiveprefix": "arXiv" if self.arxiv else "",
            "doi": self.doi,
            "url": "" if self.doi else self.link,
        }
        lines = "".join(f"  {name:<13} = {{{_escaped(value)}}},\n" for name, value in fields.items() if value)
        key = _ascii(f"{first.split()[-1]}{self.year}{word}").lower()
        return f"@{'inproceedings' if published else 'misc'}{{{key},\n{lines}}}"


def _escaped(text: str) -> str:
    return text if text.startswith("https:") else re.sub(r"([%&#])", r"\\\1", text)


def _ascii(text: str) -> str:
    letters = unicodedata.normalize("NFKD", text)
    return re.sub(r"[^A-Za-z0-9]", "", letters)


def citations(paper: str) -> list[Citation]:
    """The publications of a spec's ``paper``; empty for an empty text.

    Raises:
        ValueError: if a part has another form.
    """
    found = []
    for part in filter(None, re.split(r"; (?=[A-Z]\.)", paper)):
        match = _CITATION.fullmatch(part)
        if match is None:
            raise ValueError(f"{part!r} is not AUTHORS: TITLE. VENUE YEAR. IDENTIFIER (NOTE).")
        parts = match.groupdict(default="")
        year, stop = parts["year"], parts.pop("stop")
        parts["title"] += stop.strip(".")
        parts["venue"] = " ".join(parts["venue"].replace(year, "").split())
        found.append(Citation(authors=parts.pop("authors").split(", "), **parts))
    return found
