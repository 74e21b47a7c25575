"""Tables for papers: LaTeX with the rules of the package booktabs."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ucbench.leaderboard.entries import Entry
from ucbench.leaderboard.layout import HEADERS, LEGEND, Section, sections
from ucbench.plugins.params import Params

#: Every character that LaTeX would take for a command, or set as another one.
_ESCAPES = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "`": r"\textasciigrave{}",
    '"': r"\textquotedbl{}",
    "±": r"$\pm$",
}
#: Numbers and counts are set to the right, words to the left.
_COLUMNS = "rllrrrlr"


class Latex:
    """One floating table a block; for documents that load booktabs."""

    def __init__(self, params: Params) -> None:
        self.params = params

    def export(self, entries: Sequence[Entry], title: str) -> str:
        """The tables, each of which can be taken out and set alone."""
        found = sections(entries)
        parts = [r"% Needs \usepackage{booktabs}, and \usepackage[T1]{fontenc} for quotation marks."]
        parts += [f"% {_one_line(title)}", f"% {LEGEND}"]
        parts += [_table(section, title) for section in found]
        return "\n".join(parts) + "\n"


def escape(text: str) -> str:
    """``text`` so that LaTeX sets it as it is; line ends become spaces."""
    escaped = "".join(_ESCAPES.get(character, character) for character in _one_line(text))
    return re.sub(r"-(?=-)", "-{}", escaped)  # two hyphens would be set as a dash


def _table(section: Section, title: str) -> str:
    caption = f"{escape(title)}. {escape(section.heading)}. {escape(section.setting)}"
    lines = [
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{caption}}}",
        rf"\begin{{tabular}}{{{_COLUMNS}}}",
        r"\toprule",
        _row(HEADERS),
        r"\midrule",
        *(_row(line.texts) for line in section.lines),
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
    ]
    return "\n".join(lines)


def _row(texts: Sequence[str]) -> str:
    return " & ".join(escape(text) for text in texts) + r" \\"


def _one_line(text: str) -> str:
    return " ".join(text.split())
