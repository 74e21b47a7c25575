"""Citations of specs, with links and as BibTeX.

A spec's ``paper`` is ``AUTHORS: TITLE. VENUE YEAR. IDENTIFIER (NOTE)``, several separated by ``; ``. The identifier is
``arXiv NUMBER``, ``doi DOI`` or an address; venue, identifier and note may be missing. A text of another form is shown
as it is.
"""

from __future__ import annotations

import re
import unicodedata
from typing import NamedTuple

_CITATION = re.compile(
    r"(?P<authors>[^:]+): (?P<title>.+?)(?P<stop>[.?!]) "
    r"(?P<venue>(?:[^.?!]*\S )?(?P<year>(?:19|20)\d\d)(?: [^.?!]+)?)\."
    r"(?: (?:arXiv (?P<arxiv>\d{4}\.\d{4,5})|doi (?P<doi>10\.\S+)|(?P<url>https://\S+)))?"
    r"(?: \((?P<note>.+)\))?"
)
_SPECIAL = str.maketrans(
    {**{character: f"\\{character}" for character in "&%$#_{}"}, "\\": r"\textbackslash{}", "~": r"\~{}"}
)


class Citation(NamedTuple):
    """One publication. ``authors`` in order; ``venue`` without the year, empty for a preprint; other unknowns empty."""

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

    @property
    def label(self) -> str:
        """The identifier, which a link shows; of an address the last part. Empty without an identifier, as the link."""
        return f"arXiv {self.arxiv}" if self.arxiv else f"doi {self.doi}" if self.doi else self.url.split("/")[-1]

    @property
    def published(self) -> str:
        """The stop that ends the title, venue and year: ``. ICLR 2018.``"""
        stop = "" if self.title.endswith(("?", "!")) else "."
        return " ".join(filter(None, (stop, self.venue, self.year))) + "."

    def bibtex(self) -> str:
        """An entry, whose key is the first author's surname, the year and the title's first long word."""
        first = self.authors[0].removesuffix(" et al.")
        word = next((w for w in re.findall(r"[A-Za-z]+", self.title) if len(w) > 3), "paper")
        in_proceedings = self.venue and self.arxiv
        fields = {
            "author": escaped(" and ".join(author.replace(" et al.", " and others") for author in self.authors)),
            "title": f"{{{escaped(self.title)}}}",
            "booktitle" if in_proceedings else "howpublished": escaped(self.venue),
            "year": self.year,
            "eprint": self.arxiv,
            "archiveprefix": "arXiv" if self.arxiv else "",
            "doi": self.doi,
            "url": "" if self.doi else self.link,
        }
        lines = "".join(f"  {name:<13} = {{{value}}},\n" for name, value in fields.items() if value)
        key = _ascii(f"{first.split()[-1]}{self.year}{word}").lower()
        return f"@{'inproceedings' if in_proceedings else 'misc'}{{{key},\n{lines}}}"


def escaped(text: str) -> str:
    """The text for BibTeX and LaTeX."""
    return text.translate(_SPECIAL)


def _ascii(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9]", "", unicodedata.normalize("NFKD", text))


def citations(paper: str) -> list[Citation]:
    """The publications of a spec's ``paper``; none if a part of it has another form."""
    publications = []
    for part in filter(None, re.split(r"; (?=[A-Z]\.)", paper)):
        match = _CITATION.fullmatch(part)
        if match is None:
            return []
        parts = match.groupdict(default="")
        year, stop = parts["year"], parts.pop("stop")
        parts["title"] += stop.strip(".")
        parts["venue"] = " ".join(parts["venue"].replace(year, "").split())
        publications.append(Citation(authors=parts.pop("authors").split(", "), **parts))
    return publications


def bibtex(name: str, paper: str) -> list[str]:
    """An entry per publication of a spec's ``paper``; one of another form is a note under the component's name."""
    entries = [each.bibtex() for each in citations(paper)]
    return entries or ([f"@misc{{{name},\n  note = {{{escaped(paper)}}}\n}}"] if paper else [])
