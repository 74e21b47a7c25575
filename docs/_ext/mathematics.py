"""Formulas as MathML, made while the documentation is built, so that pages need no script for them."""

from __future__ import annotations

from typing import Any

from docutils import nodes
from docutils.utils.math import MathError
from docutils.utils.math.latex2mathml import tex2mathml

from ucbench.plugins.texts import blocks


def mathml(tex: str, displayed: bool) -> str:
    """A formula as a ``<math>`` element.

    Raises:
        ValueError: if the TeX has an error, or a command that the converter does not know.
    """
    try:
        return tex2mathml(tex, as_block=displayed)
    except MathError as error:
        raise ValueError(f"{tex!r}: {error}") from error


def markdown(equation: str) -> str:
    """The equation of a spec as Markdown: formulas between ``$$`` become blocks, the text around them paragraphs."""
    return "\n\n".join(f"$$\n{text}\n$$" if displayed else text for text, displayed in blocks(equation))


def _visit_inline(translator: Any, node: nodes.math) -> None:
    translator.body.append(mathml(node.astext(), displayed=False))
    raise nodes.SkipNode


def _visit_block(translator: Any, node: nodes.math_block) -> None:
    translator.body.append(translator.starttag(node, "div", CLASS="math"))
    translator.body.append(mathml(node.astext(), displayed=True))
    translator.body.append("</div>\n")
    raise nodes.SkipNode


def setup(app: Any) -> dict[str, bool]:
    app.add_html_math_renderer("mathml", (_visit_inline, None), (_visit_block, None))
    app.config.html_math_renderer = "mathml"
    return {"parallel_read_safe": True, "parallel_write_safe": True}
