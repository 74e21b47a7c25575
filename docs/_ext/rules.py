"""The rules of ``ucbench check-plugin``, from the checks.

Replaces ``<!-- rules -->`` in a page by a table for the specs and one for every kind of component.
"""

from __future__ import annotations

from typing import Any

from _ext.markdown import code, replace_markers, table
from ucbench.testing import RULES
from ucbench.testing.registration import RULES as OF_SPECS

MARKER = "<!-- rules -->"


def overview() -> str:
    """All rules by their full name, those of specs first."""
    return "\n\n".join(
        f"### Rules of {'data sets' if kind == 'dataset' else f'{kind}s'}\n\n"
        + table(["rule", "what must hold"], [[code(f"{kind}/{rule.name}"), rule.states] for rule in rules])
        for kind, rules in {"spec": OF_SPECS, **RULES}.items()
    )


def inserted(text: str) -> str:
    return text.replace(MARKER, overview()) if MARKER in text else text


def setup(app: Any) -> dict[str, bool]:
    return replace_markers(app, inserted)
