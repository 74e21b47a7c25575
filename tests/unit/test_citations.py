"""Citations of specs as BibTeX; other forms are kept as notes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ucbench.plugins.citations import bibtex, citations


def test_citation_reads_every_field_of_its_form():
    (each,) = citations("A. B. Müller et al.: Is it 5 % in 1999? No. ICCV 2023 workshops. arXiv 2303.15127 (its blur)")
    assert each.title == "Is it 5 % in 1999? No"
    assert (each.venue, each.year, each.arxiv, each.note) == ("ICCV workshops", "2023", "2303.15127", "its blur")
    assert each.bibtex().startswith("@inproceedings{muller2023paper,\n  author        = {A. B. Müller and others},\n")
    assert r"{{Is it 5 \% in 1999? No}}" in each.bibtex()


def test_citation_of_a_data_set_with_a_doi_is_no_conference_paper():
    (each,) = citations("A. Author: Some Images. The Archive 2022. doi 10.1234/a.b")
    assert each.bibtex() == (
        "@misc{author2022some,\n"
        "  author        = {A. Author},\n"
        "  title         = {{Some Images}},\n"
        "  howpublished  = {The Archive},\n"
        "  year          = {2022},\n"
        "  doi           = {10.1234/a.b},\n}"
    )


@pytest.mark.parametrize(("venue", "howpublished"), [("CVPR ", "  howpublished  = {CVPR},\n"), ("", "")])
def test_citation_without_identifier_has_authors_title_and_year(venue, howpublished):
    (each,) = citations(f"A. Author, B. Other: Some Images. {venue}2022. (its baseline)")
    assert (each.link, each.label, each.note) == ("", "", "its baseline")
    assert each.bibtex() == (
        "@misc{author2022some,\n"
        "  author        = {A. Author and B. Other},\n"
        "  title         = {{Some Images}},\n"
        f"{howpublished}"
        "  year          = {2022},\n}"
    )


def test_citation_joins_authors_and_keeps_a_title_with_a_colon():
    (each,) = citations("J. Zhang, X.-Y. Ma: Clusters: A Study. CVPR 2023. arXiv 2301.01217 (its baseline)")
    assert each[:4] == (["J. Zhang", "X.-Y. Ma"], "Clusters: A Study", "CVPR", "2023")
    assert "author        = {J. Zhang and X.-Y. Ma}" in each.bibtex()


@pytest.mark.parametrize(
    "paper",
    [
        "Somebody & others, 100 %",
        "A. B: Title. CVPR. arXiv 2001.00001",
        "A. B: Title. 2020",
        "A. B: Title. 2020. arXiv 2001.00001; C. D, unpublished",
    ],
)
def test_bibtex_of_another_form_is_a_note_with_special_characters_escaped(paper):
    assert citations(paper) == []
    note = paper.replace("&", r"\&").replace("%", r"\%")
    assert bibtex("x", paper) == [f"@misc{{x,\n  note = {{{note}}}\n}}"]


@given(st.text(max_size=60))
def test_bibtex_reads_any_text_without_error(paper):
    assert len(bibtex("x", paper)) >= bool(paper)


def test_bibtex_entries_of_two_methods_of_one_paper_are_equal():
    paper = "J. Zhang: Clusters. CVPR 2023. arXiv 2301.01217"
    assert bibtex("one", paper) == bibtex("other", f"{paper} (its baseline)")
