"""The badges of the README, made from ``pyproject.toml``: files that need no service and no network.

``python docs/_ext/badges.py`` writes them to ``docs/_static/badges``; a test compares.
"""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path
from xml.sax.saxutils import escape

sys.path.insert(0, str(Path(__file__).parents[1]))

from _ext.paths import DOCS, ROOT

FOLDER = DOCS / "_static" / "badges"
#: Pixels beside a text, and of the badge's height.
_SPACE, _HEIGHT = 6, 20
#: Characters far from the usual width of 11-pixel Verdana, which are 6.9 pixels; `textLength` fits other fonts.
_WIDTHS = dict.fromkeys("ilj. ", 3.6) | dict.fromkeys("trf-", 4.6) | dict.fromkeys("mw+", 9.6)


def facts() -> dict[str, str]:
    """What each badge says, by its name.

    Raises:
        ValueError: if a fact does not follow from ``pyproject.toml``.
    """
    file = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    project, extras = file["project"], file["project"]["optional-dependencies"]
    (status,) = (line.rpartition(" ")[2] for line in project["classifiers"] if line.startswith("Development Status"))
    for extra, package in (("test", "pytest"), ("docs", "sphinx")):
        if not any(requirement.startswith(f"{package}>") for requirement in extras[extra]):
            raise ValueError(f"pyproject.toml: the extra {extra} does not require {package}.")
    if not file["tool"]["mypy"]["strict"] or not project["requires-python"].startswith(">="):
        raise ValueError("pyproject.toml: mypy is not strict, or requires-python is not a least version.")
    return {
        "version": f"{project['version']} {status.lower()}",
        "python": f"{project['requires-python'].removeprefix('>=')}+",
        "licence": project["license"],
        "tests": "pytest",
        "types": "mypy strict",
        "docs": "Sphinx",
    }


def badge(name: str, value: str) -> str:
    """A badge as SVG: the name on grey, what it says on blue."""
    widths = [round(sum(_WIDTHS.get(character, 6.9) for character in text)) for text in (name, value)]
    left, right = (width + 2 * _SPACE for width in widths)
    texts = "".join(
        f'<text x="{x}" y="14" textLength="{width}" lengthAdjust="spacingAndGlyphs">{escape(text)}</text>'
        for x, width, text in ((_SPACE, widths[0], name), (left + _SPACE, widths[1], value))
    )
    whole = f'width="{left + right}" height="{_HEIGHT}"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {whole} role="img" aria-label="{escape(name)}: {escape(value)}">'
        f'<clipPath id="r"><rect {whole} rx="3"/></clipPath><g clip-path="url(#r)">'
        f'<path fill="#444" d="M0 0h{left}v20H0"/><path fill="#056eba" d="M{left} 0h{right}v20h-{right}"/></g>'
        f'<g fill="#fff" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11">{texts}</g></svg>\n'
    )


def files() -> dict[str, str]:
    """The badges by file name."""
    return {f"{name}.svg": badge(name, value) for name, value in facts().items()}


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, text in files().items():
        (FOLDER / name).write_text(text, encoding="utf-8")
