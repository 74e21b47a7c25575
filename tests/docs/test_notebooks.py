"""Notebooks run, are kept without outputs, and show what a notebook would."""

from __future__ import annotations

import json
import os

import pytest
from doc_pages import DOCS, notebook_pages, notebooks

PATHS = sorted((DOCS / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_notebook_is_kept_without_outputs(path):
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    assert [cell["id"] for cell in cells if cell.get("outputs") or cell.get("execution_count")] == []


def test_first_notebook_shows_an_image_and_the_table_of_the_first_run():
    page = notebook_pages()["first.md"]
    assert "data:image/png;base64," in page
    assert "<td>rand-class:pattern=sign</td>" in page


def test_cell_shows_what_it_prints_and_then_its_last_value():
    variables: dict = {}
    assert list(notebooks.run("x = 2\nprint('a')\nx + 1", variables)) == ["```text\na\n```", "```text\n3\n```"]
    assert list(notebooks.run("x = 3", variables)) == []


def test_html_of_a_value_keeps_no_blank_line_that_would_end_its_block():
    class Value:
        def _repr_html_(self) -> str:
            return "<table>\n\n</table>"

    assert "\n\n" not in notebooks.shown(Value())


def test_failing_cell_ends_the_build_and_leaves_folder_and_store_as_before(tmp_path, monkeypatch):
    monkeypatch.setenv("UCBENCH_HOME", "before")
    path = tmp_path / "wrong.ipynb"
    path.write_text(json.dumps({"cells": [{"cell_type": "code", "source": ["1 / 0"]}]}))
    before = os.getcwd()
    with pytest.raises(ZeroDivisionError):
        notebooks.page(path)
    assert (os.getcwd(), os.environ["UCBENCH_HOME"]) == (before, "before")
