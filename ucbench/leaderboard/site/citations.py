"""Citations of specs as references: links to arXiv, and BibTeX."""

from __future__ import annotations

import re
from typing import NamedTuple

#: ``Authors: Title. Venue Year. arXiv Number (remark)``, of which authors and venue may be missing.
_PAPER = re.compile(
    r"(?:(?P<what>[a-z]+): )?(?:(?P<authors>[^:]*\b[A-Z]\.[^:]*): )?(?P<title>.+?)(?P<end>[.?!]) "
    r"(?:(?P<venue>[^.;]+?) )?(?P<year>(?:19|20)\d\d)(?P<more>[^.;]*)\. arXiv (?P<arxiv>\d{4}\.\d{4,5})"
)
_SPECIAL = {character: f"\\{character}" for character in "&%$#_{}"} | {"\\": r"\textbackslash{}", "~": r"\~{}"}


class Paper(NamedTuple):
    """One publication; unknown parts are empty."""

    authors: str
    title: str
    venue: str
    year: str
    arxiv: str

    @property
    def link(self) -> str:
        return f"https://arxiv.org/abs/{self.arxiv}"


def papers(citation: str) -> list[Paper]:
    """The publications in a spec's citation; empty where none is written as ``Authors: Title. Venue Year. arXiv N``."""
    found = []
    # A citation may name several publications, and remark on each.
    for match in filter(None, map(_PAPER.match, re.split(r"(?<=[\d)]); ", citation))):
        title = match["title"] + match["end"].strip(".")
        venue = " ".join(filter(None, (match["venue"], match["more"].strip())))
        found.append(Paper(match["authors"] or "", title, venue, match["year"], match["arxiv"]))
    return found


def bibtex(name: str, citation: str) -> str:
    """The BibTeX entries of a component's publications; empty without a citation.

    Args:
        name: the component, which the keys begin with.
    """
    entries = [_entry(f"{name}-{paper.arxiv}", paper) for paper in papers(citation)]
    if not entries and citation:
        return f"@misc{{{name},\n  note = {{{escaped(citation)}}}\n}}\n"
    return "\n".join(entries)


def _entry(key: str, paper: Paper) -> str:
    fields = {
        "title": f"{{{escaped(paper.title)}}}",
        "author": escaped(" and ".join(re.split(r", (?=[A-Z][.-])", paper.authors))),
        "booktitle": escaped(paper.venue),
        "year": paper.year,
        "eprint": paper.arxiv,
        "archiveprefix": "arXiv",
    }
    kind = "inproceedings" if paper.venue else "misc"
    lines = ",\n".join(f"  {name} = {{{text}}}" for name, text in fields.items() if text)
    return f"@{kind}{{{key},\n{lines}\n}}\n"


def escaped(text: str) -> str:
    """The text for BibTeX and LaTeX."""
    return "".join(_SPECIAL.get(character, character) for character in text)
