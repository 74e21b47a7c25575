"""Formats of leaderboards: nothing a component is called may break a table, and plugins may add more."""

from __future__ import annotations

import csv
import dataclasses
import io
import pickle
import re
import types
import xml.etree.ElementTree as ElementTree

import boards
import pytest

import ucbench
from ucbench.errors import ContractError, DataError
from ucbench.leaderboard.board import judged_in
from ucbench.leaderboard.entries import Leaderboard
from ucbench.leaderboard.formats.html import Html
from ucbench.leaderboard.formats.latex import Latex, escape
from ucbench.leaderboard.formats.plain import Csv, Markdown
from ucbench.leaderboard.layout import HEADERS, sections
from ucbench.leaderboard.tables import files, to_leaderboard_csv
from ucbench.plugins.manager import load_module
from ucbench.plugins.params import Params
from ucbench.plugins.registry import Registry
from ucbench.testing import check_exporter
from ucbench.testing.exporters import NASTY, TITLE, sample_leaderboard


def test_sample_leaderboard_can_be_copied_and_made_into_plain_data():
    sample = sample_leaderboard()
    assert repr(pickle.loads(pickle.dumps(sample))) == repr(sample)
    names = [block["entries"][0]["values"]["poisoner"] for block in dataclasses.asdict(sample)["blocks"]]
    assert names == ["alder", "cedar"]


def unescaped(text: str) -> str:
    """What LaTeX would set, for the commands that :func:`escape` writes."""
    words = {
        "textbackslash": "\\", "textasciitilde": "~", "textasciicircum": "^", "textless": "<", "textgreater": ">",
        "textbar": "|", "textasciigrave": "`", "textquotedbl": '"',
    }  # fmt: skip
    text = re.sub(r"\\([a-z]+)\{\}", lambda match: f"\0{ord(words[match[1]])}\0", text)
    text = text.replace(r"$\pm$", "±").replace("-{}", "-")
    text = re.sub(r"\\([&%$#_{}])", r"\1", text)
    return re.sub("\0(\\d+)\0", lambda match: chr(int(match[1])), text)


@pytest.mark.parametrize("text", [NASTY, "a--b---c", "100 % ± 3", "$x_1$ {y} \\z", 'say "no"|`yes`', "a\n b"])
def test_latex_escapes_every_text(text):
    escaped = escape(text)
    assert unescaped(escaped) == " ".join(text.split())
    # Nothing is left that LaTeX would take for a command of its own, or that would end the line unseen.
    assert not re.search(r"(?<!\\)[&%#_]|--|[<>|\"`~^]", escaped)


def test_latex_has_one_rectangular_booktabs_table_per_block():
    text = Latex(Params()).export(sample_leaderboard(), TITLE)
    tables = text.split(r"\begin{table}")[1:]
    assert len(tables) == 2
    for table, section in zip(tables, sections(sample_leaderboard()), strict=True):
        rules = [table.index(rule) for rule in (r"\toprule", r"\midrule", r"\bottomrule", r"\end{tabular}")]
        assert rules == sorted(rules)
        rows = [line for line in table.splitlines() if line.endswith(r"\\")]
        assert len(rows) == len(section.lines) + 1
        assert {len(re.split(r"(?<!\\)&", row)) for row in rows} == {len(section.headers)}
        (columns,) = re.findall(r"\\begin\{tabular\}\{(\w+)\}", table)
        assert len(columns) == len(section.headers)
    assert r"61.5 $\pm$ 2.2" in tables[0]
    assert r"$\pm$" not in tables[1]


def test_html_is_well_formed_and_holds_every_text():
    root = ElementTree.fromstring(Html(Params()).export(sample_leaderboard(), TITLE))
    assert root.tag == "section"
    assert root.findtext("h2") == TITLE
    tables = root.findall("table")
    assert [NASTY in table.findtext("caption") for table in tables] == [True, True]
    assert [cell.text for cell in tables[0].findall("thead/tr/th[@scope='col']")] == list(HEADERS)
    rows = tables[0].findall("tbody/tr")
    assert [len(row) for row in rows] == [len(HEADERS)] * 2
    assert [row.findtext("th[@scope='row']") for row in rows] == ["alder", f"birch @quick ({NASTY})"]
    assert not {"script", "style", "html", "body"} & {element.tag for element in root.iter()}


def test_empty_leaderboard_renders_a_document():
    assert ElementTree.fromstring(Html(Params()).export(Leaderboard(()), "t")).findtext("h2") == "t"
    assert r"\begin" not in Latex(Params()).export(Leaderboard(()), "t")
    assert Markdown(Params()).export(Leaderboard(()), "t").startswith("# t\n")


def test_rows_mark_unknown_missing_and_exploratory_values():
    first, second = sections(sample_leaderboard())
    ranked, reference = first.lines
    assert ranked.texts == (
        "1-2", "alder", "none", "61.5 ± 2.2", "0.6", "32.5 ± 5.0", "61.5 ± 2.2", "61.5", "61.5", "jpeg",
        "4 x 3; SD 1.5 crafts, 0.8 trainings",
    )  # fmt: skip
    assert (reference.texts[0], reference.texts[3], reference.texts[-1]) == ("", "not run: jpeg", "1 x 1*")
    assert first.note == "Gate: passed. Worst cases are too high by selection, by up to 0.6 points (bias)."
    assert second.note.startswith("Mixture 0.5, 20 trusted images. No ranks and no effects. Gate: not judged")
    assert "unbounded" in second.heading
    assert second.heading.endswith(", label access full")
    assert (first.setting, second.setting) == ("", "Mixture 0.5, 20 trusted images.")


def test_columns_that_say_nothing_about_a_section_are_left_out():
    first, second = sections(sample_leaderboard())
    assert first.headers == HEADERS
    # One poisoner without a gate, and no defense: its worst case is its accuracy without defense.
    assert second.headers == ("poisoner", "label knowledge", "no defense %", "n")
    (line,) = second.lines
    assert second.row(line) == ("cedar", "none", "72.5", "1 x 1*")


def test_worst_case_is_a_column_only_where_a_defense_was_ranked():
    first, _ = sections(sample_leaderboard())
    undefended = dataclasses.replace(first, defended=False)
    assert set(first.headers) - set(undefended.headers) == {"worst case %", "bias", "best defense"}


@pytest.fixture
def records() -> list[dict]:
    return [
        *boards.rows_of({"clean": [90, 91, 90, 91], "uc": [40, 42, 41, 42], "lsp": [20, 21, 20, 22]}),
        *boards.rows_of({"clean": [80, 81, 80, 81], "uc": [60, 61, 60, 62], "lsp": [70, 71, 72, 71]}, "jpeg"),
        *boards.rows_of({"secret": [1, 2]}, oracle=True),
        *boards.judging(),
    ]


def test_markdown_and_csv_equal_the_files_of_the_folder(tmp_path, records):
    found = judged_in(boards.folder(tmp_path, records)).leaderboard(["none", "jpeg"])
    built = files(records, ["none", "jpeg"], "t v1")
    # A table alone has no figure beside it.
    left_out = r"!\[[^]]+\]\(accuracy\.svg\)\n\nThe figure shows .+? Low is good protection\. "
    assert (Markdown(Params()).export(found, "t v1"), 1) == re.subn(left_out, "", built["README.md"])
    assert Csv(Params()).export(found, "t v1") == built["leaderboard.csv"] == to_leaderboard_csv(found.blocks)
    ranks = {line["poisoner"]: line["rank"] for line in csv.DictReader(io.StringIO(built["leaderboard.csv"]))}
    assert ranks.items() >= {"uc": "1", "lsp": "2", "secret": "", "sham": ""}.items()


def test_versions_of_components_stand_in_every_format_but_csv(tmp_path, records):
    records[0]["components"]["victim"]["version"] = 7
    found = judged_in(boards.folder(tmp_path, records)).leaderboard(["none", "jpeg"])
    (victim,) = {record["components"]["victim"]["name"] for record in records}
    assert f"- Versions: victim `{victim}` 1 and 7." in Markdown(Params()).export(found, "t v1")
    assert f"% Versions: victim `{victim}` 1 and 7." in Latex(Params()).export(found, "t v1")
    assert f"<li>Versions: victim <code>{victim}</code> 1 and 7." in Html(Params()).export(found, "t v1")


def test_export_raises_on_a_folder_without_records(tmp_path):
    with pytest.raises(DataError, match="There are no records in"):
        judged_in(tmp_path)


class Names:
    """A format of a plugin's own: a poisoner and its accuracy a line."""

    def __init__(self, params: Params) -> None:
        self.params = params

    def export(self, leaderboard, title: str) -> str:
        lines = (line for section in sections(leaderboard) for line in section.lines)
        return "\n".join([title, *(f"{line.poisoner} {line.texts[HEADERS.index('no defense %')]}" for line in lines)])


def test_plugin_format_is_resolved_like_a_core_format():
    record = ucbench.ExporterSpec(name="names", summary="", load=f"{__name__}:Names")
    module = types.SimpleNamespace(ucbench_exporters=ucbench.hookimpl(lambda: [record]))
    chosen = Registry([load_module("mine", module)]).resolve("exporters", "names")
    assert chosen.build().export(sample_leaderboard(), "t").splitlines()[:2] == ["t", "alder 61.5 ± 2.2"]
    check_exporter(chosen)


class Ranked(Names):
    def export(self, leaderboard, title: str) -> str:
        blocks = [
            dataclasses.replace(block, entries=[entry for entry in block.entries if entry.rank])
            for block in leaderboard.blocks
        ]
        return super().export(Leaderboard(blocks), title)


class OfOneBlock(Names):
    def export(self, leaderboard, title: str) -> str:
        blocks = [block for block in leaderboard.blocks if block.values["norm"] != "unbounded"]
        return super().export(Leaderboard(blocks), title)


class Wordy(Names):
    """Leaves an accuracy out."""

    def export(self, leaderboard, title: str) -> str:
        return super().export(leaderboard, title).replace("43.5", "low")


class Counting(Names):
    calls = 0

    def export(self, leaderboard, title: str) -> str:
        type(self).calls += 1
        return super().export(leaderboard, title) + str(self.calls)


class Bytes(Names):
    def export(self, leaderboard, title: str):
        return super().export(leaderboard, title).encode()


class Brittle(Names):
    def export(self, leaderboard, title: str) -> str:
        return f"{title} {leaderboard.blocks[0].entries[0].rank} {super().export(leaderboard, title)}"


@pytest.mark.parametrize(
    ("wrong", "rule"),
    [
        (Ranked, r"every entry must be in the text.* lacks the poisoner 'birch'"),
        (OfOneBlock, r"every entry must be in the text.* lacks the poisoner 'cedar'"),
        (Wordy, r"every entry must be in the text.* no accuracy of 'birch'"),
        (Counting, "leaderboards of the same content must give equal texts"),
        (Bytes, "must return text"),
        (Brittle, "export"),
    ],
)
def test_check_finds_an_exporter_that(wrong, rule):
    with pytest.raises(ContractError, match=rule):
        check_exporter(wrong(Params()))
