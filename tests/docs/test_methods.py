"""Pages of methods: formulas, citations, drawings and deviations, as the specs have them."""

from __future__ import annotations

import re

import doc_pages
import pytest
from _ext import mathematics, thumbnails
from _ext.method_page import index_entries
from _ext.methods import page_name, specs
from PIL import Image

from ucbench.plugins.citations import citations
from ucbench.plugins.registry import installed
from ucbench.plugins.texts import sentences

SPECS = {f"{spec.kind} {spec.name}": spec for spec in specs()}
WITH_EQUATION = {name: spec for name, spec in SPECS.items() if spec.equation}
WITH_PAPER = {name: spec for name, spec in SPECS.items() if spec.paper}


@pytest.mark.parametrize("spec", WITH_EQUATION.values(), ids=WITH_EQUATION)
def test_method_page_shows_each_formula_whole_and_as_mathml(spec):
    page = doc_pages.method_pages()[page_name(spec)]
    for displayed, inline in re.findall(r"\$\$(.+?)\$\$|\$(.+?)\$", spec.equation):
        assert (f"$$\n{displayed}\n$$" if displayed else f"${inline}$") in page
        assert mathematics.mathml(displayed or inline, bool(displayed)).startswith("<math")


@pytest.mark.parametrize("path", doc_pages.written(), ids=lambda path: path.stem)
def test_method_page_has_what_is_written_about_the_method_below_its_title(path):
    text = path.read_text(encoding="utf-8").strip()
    page = doc_pages.method_pages()[path.name]
    assert f"\n\n{text}\n\n" in page
    assert re.findall("^#+ ", text, re.MULTILINE) == ["## "] * len(re.findall("^#", text, re.MULTILINE))


def test_equation_with_semicolon_in_a_formula_stays_one_block():
    assert mathematics.markdown(r"$$f(x; \theta), y; z$$ where a; b") == "$$\nf(x; \\theta), y; z\n$$\n\nwhere a; b."


def test_mathml_refuses_tex_that_it_does_not_know():
    with pytest.raises(ValueError, match="nonsense"):
        mathematics.mathml(r"\nonsense{x}", displayed=True)


@pytest.mark.parametrize("spec", WITH_PAPER.values(), ids=WITH_PAPER)
def test_method_page_links_every_paper_and_gives_its_bibtex(spec):
    page = doc_pages.method_pages()[page_name(spec)]
    found = citations(spec.paper)
    assert found, f"{spec.paper!r} is not AUTHORS: TITLE. VENUE YEAR. IDENTIFIER (NOTE)."
    numbers = re.findall(r"arXiv ([\d.]+)|doi ([^\s;]+)", spec.paper)
    assert [(each.arxiv, each.doi) for each in found if not each.url] == numbers
    for each in found:
        assert each.title in spec.paper
        assert f"]({each.link})" in page
        assert f"```bibtex\n{each.bibtex()}\n```" in page


#: Kinds whose components publications describe.
METHODS = ("surrogate", "poisoner", "labeling", "defense", "victim", "metric")


@pytest.mark.parametrize("kind", METHODS)
def test_every_method_says_how_it_relates_to_its_publication_and_its_page_shows_it(kind):
    found = [spec for spec in SPECS.values() if spec.kind == kind and not spec.load.startswith("ucbench.")]
    assert found
    for spec in found:
        clauses = sentences(spec.fidelity)
        assert clauses, f"{kind} {spec.name} has no fidelity"
        page = doc_pages.method_pages()[page_name(spec)]
        assert "## Fidelity" in page
        assert all(f"- {clause}" in page for clause in clauses)


def test_fidelity_mentions_only_presets_that_exist():
    """A name in backticks that stands first in a clause is a preset, a parameter or a component, but for metrics."""
    registry = installed()
    for spec in (spec for spec in SPECS.values() if spec.kind != "metric"):
        params = registry.params_class(spec)
        known = {*params.preset_names(), *params.model_fields, *(other.name for other in SPECS.values())}
        for clause in spec.fidelity.split("; "):
            for first in re.findall(r"^`([\w-]+)`", clause):
                assert first in known, f"{spec.kind} {spec.name}: {first}"


def test_bibtex_keys_name_one_publication_each():
    found = {each.title: each.bibtex() for spec in WITH_PAPER.values() for each in citations(spec.paper)}
    keys = [re.search(r"{(\w+),", entry)[1] for entry in found.values()]
    assert all(key.isascii() for key in keys)
    assert len(set(keys)) == len(keys)


def test_every_poisoner_has_a_small_drawing_and_its_page_shows_it():
    registry = installed()
    for spec in thumbnails.poisoners(registry):
        path = thumbnails.FOLDER / f"{spec.name}.png"
        assert path.stat().st_size < 15_000
        with Image.open(path) as image:
            assert image.size == (3 * 32 + 4, 2 * 32 + 2)
        page = doc_pages.method_pages()[page_name(spec)]
        assert f"../_static/methods/{path.name}" in page
        assert f"`{thumbnails.reference(spec, registry)}`" in page
    drawn = {path.stem for path in thumbnails.FOLDER.iterdir()}
    assert drawn == {spec.name for spec in thumbnails.poisoners(registry)}


def test_search_index_has_names_titles_and_abbreviations():
    found = {name: index_entries(spec) for name, spec in SPECS.items()}
    assert found["poisoner adv-poison"] == ["Adversarial poisoning", "AP", "TAP", "adv-poison", "adversarial poisons"]
    assert {"Error-minimising noise", "EM"} <= set(found["poisoner eminn"])
    assert all(re.fullmatch(r"[^,;()]+", entry) for entries in found.values() for entry in entries)
