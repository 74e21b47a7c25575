"""Texts of specs: formulas, which stand as TeX between dollar signs, and clauses, which semicolons separate."""

from __future__ import annotations

import re
from collections.abc import Callable

_SYMBOLS = {
    "alpha": "α", "beta": "β", "gamma": "γ", "delta": "δ", "epsilon": "ε", "varepsilon": "ε", "zeta": "ζ", "eta": "η",
    "theta": "θ", "lambda": "λ", "mu": "μ", "nu": "ν", "xi": "ξ", "pi": "π", "rho": "ρ", "sigma": "σ", "tau": "τ",
    "phi": "φ", "chi": "χ", "psi": "ψ", "omega": "ω",
    "sum": "Σ", "infty": "∞", "le": "≤", "ge": "≥", "ne": "≠", "in": "∈", "sim": "~", "mapsto": "↦", "top": "⊤",
    "cdot": "·", "times": "×", "ldots": "…", "|": "‖", ",": " ", ";": " ", "!": "", "quad": " ", "qquad": " ",
    "bigl": "", "bigr": "", "Bigl": "", "Bigr": "", "left": "", "right": "",
    "mathrm": "", "mathcal": "", "mathbb": "", "operatorname": "", "text": "",
}  # fmt: skip
_DISPLAYED = re.compile(r"\s*\$\$(.+?)\$\$\s*", re.DOTALL)
_FORMULA = re.compile(r"\$\$(.+?)\$\$|\$(.+?)\$", re.DOTALL)
#: A group in braces that holds at most two levels of further groups.
_GROUP = r"\{((?:[^{}]|\{(?:[^{}]|\{[^{}]*\})*\})*)\}"
_FRACTION = re.compile(rf"\\frac\s*{_GROUP}\s*{_GROUP}")
_COMMAND = re.compile(r"\\([A-Za-z]+|.)( *)")


def blocks(equation: str) -> list[tuple[str, bool]]:
    """The parts of a spec's equation: TeX that stands on a line of its own (True), and sentences around it (False)."""
    parts = _DISPLAYED.split(equation)
    return [(part if place % 2 else f"{part}.", bool(place % 2)) for place, part in enumerate(parts) if part]


def sentences(text: str) -> list[str]:
    """The clauses of a text as sentences. Semicolons in code or in parentheses do not end one."""
    parts, depth, quoted = [""], 0, False
    for place, letter in enumerate(text):
        quoted ^= letter == "`"
        if not quoted:
            depth += {"(": 1, ")": -1}.get(letter, 0)
        if letter == ";" and not quoted and depth <= 0 and text[place + 1 : place + 2] == " ":
            parts.append("")
        else:
            parts[-1] += letter
    return [f"{part[:1].upper()}{part[1:].rstrip('.')}." for part in map(str.strip, parts) if part]


def plain(text: str, form: Callable[[str], str] = str) -> str:
    """``text`` with each formula, ``$...$`` or ``$$...$$``, in Unicode: ``$\\delta_{i}$`` becomes ``δ_i``.

    Unknown commands keep their name (``\\min`` becomes ``min``). Text without formulas is returned as it is.

    Args:
        form: what is done to each formula in Unicode.
    """
    return _FORMULA.sub(lambda match: form(unicode(match[1] or match[2])), text)


def unicode(tex: str) -> str:
    """A formula in TeX on one line of Unicode; groups in braces stay where an index needs them: ``x_{y_i}``."""
    while match := _FRACTION.search(tex):
        tex = f"{tex[: match.start()]}{_operand(match[1])}/{_operand(match[2])}{tex[match.end() :]}"
    # The space that ends a command's name is kept only between words: `\le \varepsilon`, but `\min_\theta`.
    tex = _COMMAND.sub(lambda match: _SYMBOLS.get(match[1], match[1]) + match[2], tex)
    tex = re.sub(r"([_^])\{(\w|[^\w\s])\}", r"\1\2", tex)
    tex = re.sub(r"(?<![_^])\{([^{}]*)\}", r"\1", tex)
    return " ".join(re.sub(r"([([]) +| +([)\],;])", r"\1\2", tex).split())


def _operand(tex: str) -> str:
    """A numerator or denominator, in parentheses unless it is one symbol."""
    return tex if re.fullmatch(r"\\?\w+|\|\w\|", tex) else f"({tex})"
