"""The badges of the README say what pyproject.toml says, and show it without a network."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from xml.etree import ElementTree

import doc_pages
import pytest
from _ext import badges

README = (doc_pages.ROOT / "README.md").read_text(encoding="utf-8")
PROJECT = tomllib.loads((doc_pages.ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def said(path: Path) -> str:
    return ElementTree.parse(path).getroot().attrib["aria-label"]


def test_badge_files_follow_from_pyproject():
    assert {path.name: path.read_text(encoding="utf-8") for path in badges.FOLDER.iterdir()} == badges.files(), (
        "run: python docs/_ext/badges.py"
    )


def test_badges_state_version_python_and_licence():
    assert said(badges.FOLDER / "version.svg").startswith(f"version: {PROJECT['version']} ")
    assert said(badges.FOLDER / "python.svg") == f"python: {PROJECT['requires-python'].removeprefix('>=')}+"
    assert said(badges.FOLDER / "licence.svg") == f"licence: {PROJECT['license']}"


def test_readme_badges_are_files_of_the_repository_and_their_texts_hold():
    shown = re.findall(r"^\[!\[(.+?)\]\((.+?)\)\]\((.+?)\)$", README, re.MULTILINE)
    assert sorted(doc_pages.ROOT / file for _, file, _ in shown) == sorted(badges.FOLDER.iterdir())
    for text, file, target in shown:
        assert (doc_pages.ROOT / target).is_file()
        assert said(doc_pages.ROOT / file).partition(": ")[2].split()[0].rstrip("+").lower() in text.lower()


@pytest.mark.parametrize(("before", "after"), [("strict = true", "strict = false"), ('"pytest>=', '"nose>=')])
def test_badges_refuse_a_fact_that_pyproject_does_not_state(tmp_path, monkeypatch, before, after):
    text = (doc_pages.ROOT / "pyproject.toml").read_text(encoding="utf-8")
    (tmp_path / "pyproject.toml").write_text(text.replace(before, after))
    monkeypatch.setattr(badges, "ROOT", tmp_path)
    with pytest.raises(ValueError, match=r"pyproject\.toml: "):
        badges.facts()
