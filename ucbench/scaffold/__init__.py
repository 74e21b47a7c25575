"""New plugins: a complete small distribution with one component that does something, to be changed into another.

The files lie in ``templates/``: ``common/`` for every kind, and a folder for each. They are :class:`string.Template`
texts of ``$name`` (of the component), ``$kind``, ``$summary``, ``$module``, ``$distribution``, ``$Class``,
``$requirement`` (on ucbench) and ``$attempt`` (how it is tried, in the README).
"""

from ucbench.scaffold.naming import Names, names_for
from ucbench.scaffold.writing import KINDS, render, write_plugin

__all__ = ["KINDS", "Names", "names_for", "render", "write_plugin"]
