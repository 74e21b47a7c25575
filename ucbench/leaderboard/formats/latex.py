"""Tables for papers: LaTeX with the package booktabs."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ucbench.leaderboard.entries import Leaderboard
from ucbench.leaderboard.layout import HEADERS, Section, sections
from ucbench.leaderboard.legend import legend
from ucbench.plugins.params import Params

#: Characters that LaTeX reads as commands or prints as others.
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
#: Numbers are right-aligned, text is left-aligned.
_ALIGNED = dict(zip(HEADERS, "rllrrrrrrll", strict=True))


class Latex:
    """One floating table per block, for documents that load booktabs."""

    def __init__(self, params: Params) -> None:
        self.params = params

    def export(self, leaderboard: Leaderboard, title: str) -> str:
        parts = [r"% Needs \usepackage{booktabs}, and \usepackage[T1]{fontenc} for quotation marks."]
        parts += [f"% {line}" for line in (_one_line(title), *legend(leaderboard))]
        parts += [_table(section, title) for section in sections(leaderboard)]
        return "\n".join(parts) + "\n"


def escape(text: str) -> str:
    """``text`` so that LaTeX prints it unchanged; line ends become spaces."""
    escaped = "".join(_ESCAPES.get(character, character) for character in _one_line(text))
    return re.sub(r"-(?=-)", "-{}", escaped)  # LaTeX prints two hyphens as a dash


def _table(section: Section, title: str) -> str:
    caption = f"{escape(title)}. {escape(section.heading)}. {escape(section.note)}"
    lines = [
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{caption}}}",
        rf"\begin{{tabular}}{{{''.join(_ALIGNED[header] for header in section.headers)}}}",
        r"\toprule",
        _row(section.headers),
        r"\midrule",
        *(_row(section.row(line)) for line in section.lines),
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
    ]
    return "\n".join(lines)


def _row(texts: Sequence[str]) -> str:
    return " & ".join(escape(text) for text in texts) + r" \\"


def _one_line(text: str) -> str:
    return " ".join(text.split())
