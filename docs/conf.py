"""How the documentation is built: ``sphinx-build -W -b html docs FOLDER``. Nothing is fetched from anywhere."""

import sys
from pathlib import Path

import ucbench

sys.path.insert(0, str(Path(__file__).parent))

project = "ucbench"
author = "the authors of ucbench"
project_copyright = "the authors of ucbench. Apache-2.0"
release = version = ucbench.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "_ext.commands", "_ext.hooks", "_ext.methods"]
extensions += [
    "_ext.rules",
    "_ext.layers",
    "_ext.published",
    "_ext.reproduced",
    "_ext.columns",
    "_ext.boards",
    "_ext.crafts",
    "_ext.results",
    "_ext.notebooks",
    "_ext.gate",
    "_ext.estimators",
    "_ext.kornia_operations",
    "_ext.mathematics",
    "_ext.page_loads",
    "_ext.speed",
    "_ext.signatures",
    "_ext.robustness",
    "_ext.analyses",
    "_ext.photo_effect",
    "_ext.platforms",
]
# Example distributions, whose READMEs are no pages, and parts of the pages of methods.
exclude_patterns = ["_build", "_methods", "examples"]

# Two dashes are an option, not a dash.
smartquotes = False
myst_heading_anchors = 3
myst_enable_extensions = ["attrs_block", "dollarmath"]
suppress_warnings: list[str] = []

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
python_use_unqualified_type_names = True
maximum_signature_line_length = 88

html_theme = "furo"
html_title = f"ucbench {release}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_js_files = [("copy.js", {"defer": "defer"})]
toc_object_entries_show_parents = "hide"
html_copy_source = False
html_show_sphinx = False
