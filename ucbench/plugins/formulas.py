"""Formulas of specs as terminals and plain HTML can show them: TeX between dollar signs becomes Unicode on one line."""

from __future__ import annotations

import re

_SYMBOLS = {
    "alpha": "α", "beta": "β", "gamma": "γ", "delta": "δ", "epsilon": "ε", "varepsilon": "ε", "zeta": "ζ", "eta": "η",
    "theta": "θ", "lambda": "λ", "mu": "μ", "nu": "ν", "xi": "ξ", "pi": "π", "rho": "ρ", "sigma": "σ", "tau": "τ",
    "phi": "φ", "chi": "χ", "psi": "ψ", "omega": "ω",
    "sum": "Σ", "infty": "∞", "le": "≤", "ge": "≥", "ne": "≠", "in": "∈", "sim": "~", "mapsto": "↦", "top": "⊤",
    "cdot": "·", "times": "×", "ldots": "…", "|": "‖", ",": " ", ";": " ", "!": "", "quad": " ", "qquad": " ",
    "bigl": "", "bigr": "", "Bigl": "", "Bigr": "", "left": "", "right": "",
    "mathrm": "", "mathcal": "", "mathbb": "", "operatorname": "", "text": "",
}  # fmt: skip
_FORMULA = re.compile(r"\$\$(.+?)\$\$|\$(.+?)\$", re.DOTALL)
#: A group in braces that holds at most two levels of further groups.
_GROUP = r"\{((?:[^{}]|\{(?:[^{}]|\{[^{}]*\})*\})*)\}"
_FRACTION = re.compile(rf"\\frac\s*{_GROUP}\s*{_GROUP}")
_COMMAND = re.compile(r"\\([A-Za-z]+|.)( *)")


def plain(text: str) -> str:
    """``text`` with each formula, ``$...$`` or ``$$...$$``, in Unicode: ``$\\delta_{i}$`` becomes ``δ_i``.

    Unknown commands keep their name (``\\min`` becomes ``min``). Text without formulas is returned as it is.
    """
    return _FORMULA.sub(lambda found: _unicode(found[1] or found[2]), text)


def _unicode(tex: str) -> str:
    while found := _FRACTION.search(tex):
        tex = f"{tex[: found.start()]}{_operand(found[1])}/{_operand(found[2])}{tex[found.end() :]}"
    # The space that ends a command's name is kept only between words: `\le \varepsilon`, but `\min_\theta`.
    tex = _COMMAND.sub(lambda found: _SYMBOLS.get(found[1], found[1]) + found[2], tex)
    tex = re.sub(r"([_^])\{(\w|[^\w\s])\}", r"\1\2", tex)
    tex = re.sub(r"(?<![_^])\{([^{}]*)\}", r"\1", tex)
    return " ".join(re.sub(r"([([]) +| +([)\],;])", r"\1\2", tex).split())


def _operand(tex: str) -> str:
    """A numerator or denominator, in parentheses unless it is one symbol."""
    return tex if re.fullmatch(r"\\?\w+|\|\w\|", tex) else f"({tex})"
