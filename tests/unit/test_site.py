"""The static site: of records alone, the same bytes each time, and nothing in it that a record could smuggle in."""

from __future__ import annotations

import json
import re
import shlex
from html.parser import HTMLParser
from pathlib import Path

import boards
import pytest
import site_records as made
import tiny_components as tiny
import typer

from ucbench import installed
from ucbench.cli.app import cli
from ucbench.errors import DataError, UsageError
from ucbench.export import sheet
from ucbench.leaderboard.gates import RULES
from ucbench.leaderboard.site import BoardRules, build_site, sheets
from ucbench.leaderboard.site import output as site_output
from ucbench.leaderboard.site.charts import fill, protectors
from ucbench.leaderboard.site.data import collect, method_page
from ucbench.leaderboard.site.listings import board_table
from ucbench.leaderboard.site.methods import Method, is_static_by_default
from ucbench.leaderboard.site.rerun import companions, rerun
from ucbench.matrix import requests
from ucbench.matrix.axes import AXIS
from ucbench.matrix.matrix import expand
from ucbench.plugins.specs import DefenseSpec, PoisonerSpec
from ucbench.session import Session, open_session

pytest.importorskip("jinja2", reason="the site is made with jinja2: pip install 'ucbench[site]'")

RANKED = ("none", "jpeg")


def ranked(folder: Path) -> BoardRules:
    return BoardRules("trial v1", RANKED, RULES)


class Page(HTMLParser):
    """A page's elements: tags with their attributes, and the text within each table's rows."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.rows: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag == "tr":
            self.rows.append("")

    def handle_data(self, data):
        if self.rows:
            self.rows[-1] += f" {data}"

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """The site of a small board, with a failed cell, a cell of crossed seeds, and a poisoner of a hostile name."""
    records = [
        *made.board(),
        made.failed("uc", defense="cutout"),
        made.record("uc", accuracy=41.0, craft_seed=1, train_seed=7),
        made.record(made.HOSTILE, warnings=["<b>careful</b>"]),
    ]
    folder = made.write(tmp_path_factory.mktemp("board"), records)
    build_site(folder, folder / "site", rules_of=ranked)
    return folder / "site"


@pytest.fixture(scope="module")
def board(site) -> Path:
    return site / "boards" / "board"


@pytest.fixture(scope="module")
def several(tmp_path_factory) -> tuple[Path, Path]:
    """A folder of 384 records on three boards at different depths with folders that are none, and its site."""
    root = tmp_path_factory.mktemp("boards")
    made.many(root, 2, victims=1, methods=2, defenses=6, seeds=4)
    deep = [made.record(name, seed=seed, accuracy=level) for name, level in DEEP.items() for seed in range(4)]
    made.write(root / "uc" / "v0" / "deep", [*deep, *made.board()])
    for name in ("notes", "uc/v0/empty", "a/b/c/too-deep"):
        (root / name).mkdir(parents=True)
    made.write(root / "a" / "b" / "c" / "too-deep", made.board(seeds=1), sheets=False)
    return root, tmp_path_factory.mktemp("out") / "site"


DEEP = {"mi-ue": 30.0, "ar": 35.0}


def page(path: Path) -> Page:
    return Page(path.read_text(encoding="utf-8"))


def rows_of(path: Path, *words: str) -> list[str]:
    """The rows of a page's tables that hold all of these words, blanks evened out."""
    rows = [" ".join(row.split()) for row in page(path).rows]
    return [row for row in rows if all(word in row for word in words)]


def text_of(path: Path) -> str:
    return " ".join(path.read_text(encoding="utf-8").split())


def tree(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_site_is_byte_identical_for_equal_records(site, tmp_path):
    records = [json.loads(path.read_text()) for path in (site.parent / "records").iterdir()]
    again = made.write(tmp_path / "elsewhere", records[::-1], sheets=False)
    (again / "sheets").mkdir()
    for path in (site.parent / "sheets").iterdir():
        (again / "sheets" / path.name).write_bytes(path.read_bytes())
    build_site(again, tmp_path / "site", rules_of=ranked)
    assert tree(tmp_path / "site") == tree(site)


def test_site_of_a_folder_has_every_board_and_says_what_is_none(several):
    root, out = several
    built = build_site(root, out, rules_of=ranked)
    assert built.boards == 3
    assert built.left_out == dict.fromkeys(("a", "notes", "uc/v0/empty"), "it holds no records")
    assert {path.name for path in (out / "boards").iterdir()} == {"board-0-v1", "board-1-v1", "uc-v0-deep"}
    home = page(out / "index.html")
    assert len([tag for tag in home.all("li") if "card" in (tag.get("class") or "").split()]) == 3
    assert (out / "poisoners" / "uc.html").is_file()
    assert (out / "defenses" / "jpeg.html").is_file()
    # One stylesheet and one script for all boards.
    assert len(list(out.rglob("*.css"))) == 1
    assert not [path for path in out.rglob("*.js") if path.parent != out / "assets"]
    assert not any(re.search(r"(src|href)=\"https?:", path.read_text()) for path in out.glob("*.html"))


def test_site_within_the_folder_is_not_read_as_a_board(tmp_path):
    made.write(tmp_path / "small" / "v1", made.board(seeds=1), sheets=False)
    build_site(tmp_path, tmp_path / "site", rules_of=ranked)
    assert build_site(tmp_path, tmp_path / "site", rules_of=ranked).boards == 1


def test_site_leaves_out_a_broken_board_and_says_why(tmp_path):
    made.write(tmp_path / "good" / "v1", made.board(seeds=1), sheets=False)
    (tmp_path / "bad" / "v1" / "records").mkdir(parents=True)
    (tmp_path / "bad" / "v1" / "records" / "x.json").write_text("{}")
    built = build_site(tmp_path, tmp_path / "site", rules_of=ranked)
    assert built.boards == 1
    assert "no records" in built.left_out["bad/v1"]
    assert not (tmp_path / "site" / "boards" / "bad-v1").exists()


def test_site_escapes_texts_of_records(site):
    for path in site.rglob("*.html"):
        text = path.read_text(encoding="utf-8")
        assert "<img src=x" not in text, path
        assert "<b>careful" not in text
        assert not [img for img in page(path).all("img") if img["src"] == "x"]
    hostile = next(path for path in site.rglob("cells/*.html") if "careful" in path.read_text(encoding="utf-8"))
    assert f"{made.HOSTILE} on digits" in "".join(re.findall(r"<h1>(.*?)</h1>", _unescaped(hostile)))
    assert (site / method_page("poisoner", made.HOSTILE)).is_file()


def _unescaped(path: Path) -> str:
    import html

    return html.unescape(path.read_text(encoding="utf-8"))


def test_site_links_lead_to_existing_files(site):
    for path in site.rglob("*.html"):
        found = page(path)
        links = [tag.get("href") or tag.get("src") for tag in found.all("a") + found.all("link") + found.all("script")]
        links += [tag["src"] for tag in found.all("img")]
        for link in filter(None, links):
            if link.startswith(("https://arxiv.org/abs/", "https://doi.org/")):
                assert path.parent.name in ("poisoners", "defenses")
            elif not link.startswith(("data:", "#")):
                assert "://" not in link
                assert (path.parent / link.partition("#")[0]).resolve().is_relative_to(site.resolve())
                assert (path.parent / link.partition("#")[0]).is_file(), (path, link)


def test_site_filter_links_use_existing_columns_and_values(board):
    from urllib.parse import parse_qs

    (table,) = (tag for tag in page(board / "cells.html").all("table") if "data-shared" in tag)
    shared = json.loads(table["data-shared"])
    columns = {tag["data-key"] for tag in page(board / "cells.html").all("th") if "data-key" in tag}
    shown = {tag["data-text"] for tag in page(board / "cells.html").all("td") if "data-text" in tag}
    shown |= {tag["data-text"] for tag in page(board / "cells.html").all("th") if "data-text" in tag}
    links = [
        tag["href"].partition("#")[2] for tag in page(board / "index.html").all("a") if "cells.html#" in tag["href"]
    ]
    assert len(links) > 5
    for link in links:
        for key, (text,) in parse_qs(link).items():
            assert key in columns | shared.keys()
            assert text in shown | {shared.get(key)}


def test_site_ranks_equal_the_leaderboard_and_skip_references(board):
    rows = rows_of(board / "index.html", "n = 4")
    for start in ("1 rand-class:pattern=sign 13.5", "2 lsp 76.5", "not ranked uc 61.5"):  # the only one without labels
        assert any(row.startswith(start) for row in rows), start
    (clean, *_), (oracle, *_) = (rows_of(board / "index.html", kind) for kind in ("reference clean", "oracle positive"))
    assert clean.startswith("reference clean")
    assert oracle.startswith("oracle positive")


def test_board_table_has_every_knowledge_of_a_reference(tmp_path):
    shuffled = [
        made.record("shuffled:uc", seed=seed, accuracy=accuracy, craft_labels=labels)
        for labels, accuracy in (("clusters:k=10", 71.0), ("original", 72.0))
        for seed in range(4)
    ]
    table = board_table(collect([*made.board(), *shuffled], "x", RANKED), "poisoners")
    (place,) = (place for place, column in enumerate(table.columns) if column.key == "craft_labels")
    labels = [row.cells[place].text for row in table.rows if any(cell.text == "shuffled:uc" for cell in row.cells)]
    assert labels == ["clusters:k=10", "original"]
    references = [row for row in table.rows if row.kind == "reference"]
    assert len([row for row in references if any(cell.text == "sham" for cell in row.cells)]) == 1


def test_site_numbers_state_seeds_and_mark_exploratory_ones(board, tmp_path):
    for name in ("results.html", "cells.html"):
        for row in page(board / name).rows:
            assert row.count("±") <= row.replace("\xa0", " ").count("n = ")
    assert not rows_of(board / "index.html", "lsp", "exploratory")
    few = made.write(tmp_path, made.board(seeds=3))
    build_site(few, tmp_path / "site", rules_of=ranked)
    assert rows_of(tmp_path / "site" / "boards" / "board" / "index.html", "lsp", "3 exploratory")
    assert "Exploratory: 3 crafts" in text_of(tmp_path / "site" / "index.html")


def test_site_formulas_hold_no_tex(site):
    formulas = [
        found[1]
        for path in (site / "poisoners").glob("*.html")
        if (found := re.search(r'<p class="formula">(.+?)</p>', path.read_text(encoding="utf-8"), re.DOTALL))
    ]
    assert formulas
    assert not [formula for formula in formulas if re.search(r"[\\$]", formula)]


def test_site_comparison_without_a_pair_says_so_instead_of_an_empty_table(site, tmp_path):
    folder = made.write(tmp_path, [made.record("clean"), made.record("uc")])
    build_site(folder, tmp_path / "site")
    for path, empty in ((tmp_path / "site", True), (site, False)):
        shown = text_of(path / "compare.html")
        assert ("there is nothing to compare yet" in shown, "<table" not in shown) == (empty, empty)


def test_site_without_a_suite_has_no_ranks(site, tmp_path):
    build_site(site.parent, tmp_path / "site")
    path = tmp_path / "site" / "boards" / "board"
    assert "there is no ranking" in text_of(path / "index.html")
    assert "rank" not in [tag.get("data-key") for tag in page(path / "index.html").all("th")]
    assert not (path / "leaderboard.csv").exists()


def test_site_shows_unranked_a_poisoner_missing_a_ranked_defense(tmp_path):
    kept = [r for r in made.board() if (r["request"]["poisoner"], r["request"]["defense"]) != ("lsp", "jpeg")]
    build_site(made.write(tmp_path, kept), tmp_path / "site", rules_of=ranked)
    assert rows_of(tmp_path / "site" / "boards" / "board" / "index.html", "not ranked lsp not run: jpeg")


def test_chart_of_effect_against_cost_has_no_poisoner_missing_a_craft_of_a_ranked_defense():
    lost = {made.record("lsp", defense="jpeg", seed=2)["cell"]}
    few = [record for record in made.board() if record["cell"] not in lost]
    (setting,) = collect(few, "x", RANKED).settings
    assert [one.name for one in protectors(setting)] == ["uc", "rand-class"]
    (setting,) = collect(few, "x", None).settings
    assert [one.name for one in protectors(setting)] == ["uc", "rand-class", "lsp"]


def test_site_shows_failed_cells_with_their_error(board):
    assert "1 of 51 cells failed" in text_of(board / "index.html")
    broken = [path for path in (board / "cells").iterdir() if "It failed: ValueError" in path.read_text()]
    assert len(broken) == 1
    assert "the &lt;optimiser&gt; gave up" in broken[0].read_text()
    assert "failed" in rows_of(board / "results.html", "cutout")[0]


def test_site_cell_page_shows_history_seeds_and_images(board):
    with_sheet = [path for path in (board / "cells").iterdir() if page(path).all("img")]
    assert len(with_sheet) == 1
    (image,) = page(with_sheet[0]).all("img")
    assert (image["width"], image["height"]) == ("3", "2")
    assert image["alt"]
    assert rows_of(with_sheet[0], "2", "20.0", "1.0000")
    assert rows_of(with_sheet[0], "test accuracy %", "40.0", "n = 4")
    text = with_sheet[0].read_text(encoding="utf-8")
    assert "ucbench run --dataset digits --poisoner uc" in text
    assert "series-circle" in text
    # Its references and the other seeds of its row, the crossed one included.
    assert len(re.findall(r"<li>(clean|sham|other seeds): ", text)) == 1 + 1 + 4


def test_site_pages_are_accessible(site, board):
    for path in (*site.glob("*.html"), *board.glob("*.html"), *site.glob("poisoners/*.html")):
        found = page(path)
        assert len(found.all("caption")) == len(found.all("table"))
        assert all(tag.get("scope") or tag.get("aria-label") for tag in found.all("th")), path
        assert all("aria-labelledby" in tag for tag in found.all("div") if tag.get("role") == "region")
        assert all(
            tag.get("aria-hidden") or tag.get("aria-label") for tag in found.all("svg") if tag.get("width") == "100%"
        )
        assert len({tag["id"] for _, tag in found.tags if "id" in tag}) == sum("id" in tag for _, tag in found.tags)


@pytest.mark.parametrize(
    ("value", "expected"), [(-0.2, "#ffffff"), (0.0, "#ffffff"), (1.0, "#000000"), (1.3, "#000000")]
)
def test_site_numbers_contrast_with_their_background(value, expected):
    assert fill(value)[1] == expected


def test_site_heat_map_leaves_out_defenses_that_spoil_clean_accuracy(tmp_path):
    """Clean accuracy 90, chance 10: a defense with 45 on clean images has lost more than half of the gap."""
    levels = {"clean": 45.0, "uc": 20.0, "lsp": 15.0}
    records = [made.record(n, defense="blur", seed=s, accuracy=a) for n, a in levels.items() for s in range(4)]
    data = collect([*made.board(), *records], "x", RANKED)
    (setting,) = data.settings
    assert setting.spoiled("blur")
    assert not setting.spoiled("jpeg")
    build_site(made.write(tmp_path, [*made.board(), *records]), tmp_path / "site", rules_of=ranked)
    text = (tmp_path / "site" / "boards" / "board" / "index.html").read_text(encoding="utf-8")
    heat = text[text.index('class="heat"') :]
    assert heat.count("left out: clean accuracy lost more than half of its gap") == 2


EFFECTS = {"gap_removed", "drop", "drop_sham", "effect"}


def test_site_without_a_passed_gate_states_accuracies_and_no_effect(site, tmp_path):
    open_ = [r for r in made.board() if r["request"]["poisoner"] != made.SECOND]
    build_site(made.write(tmp_path, open_), tmp_path / "site", rules_of=ranked)
    for path, passed in ((tmp_path / "site", False), (site, True)):
        folder = path / "boards" / "board"
        for name in ("results.html", "cells.html"):
            keys = {tag.get("data-key") for tag in page(folder / name).all("th")}
            assert (bool(keys & EFFECTS), "stated only where" in text_of(folder / name)) == (passed, not passed)
        board = text_of(folder / "index.html")
        assert ("Gap removed in %:" in board, "Attacker accuracy in %: digits, linf 8" in board) == (passed, not passed)
        (line,) = rows_of(path / "poisoners" / "uc.html", "uc none", "41.5 ± ")
        assert ("91.5 61 ± 2" in line) == passed
    assert rows_of(tmp_path / "site" / "boards" / "board" / "index.html", "clean reference 91.5")
    cell = next((tmp_path / "site" / "boards" / "board" / "cells").iterdir())
    assert "No effect is stated" in text_of(cell)
    assert not rows_of(cell, "gap removed")


def test_site_words_link_to_their_definition(site):
    defined = {tag["id"] for tag in page(site / "read.html").all("div") if "id" in tag}
    assert len(defined) > 15
    for path in (*site.glob("*.html"), *site.glob("boards/board/*.html"), *site.glob("poisoners/*.html")):
        links = [str(tag["href"]) for tag in page(path).all("a") if tag.get("class") == "term"]
        assert {link.partition("#")[2] for link in links} <= defined
        assert links or path.name in ("results.html", "read.html")


def test_method_page_has_results_before_images_and_folds_all_but_one_sheet(tmp_path):
    for name in ("one", "two", "three"):
        made.write(tmp_path / name, made.board(seeds=1))
    build_site(tmp_path, tmp_path / "site", rules_of=ranked)
    text = text_of(tmp_path / "site" / "poisoners" / "uc.html")
    places = [
        text.index(part) for part in ("<h2>Results", "<h2>Images", "<img", "On 2 other boards", "<h2>Publication")
    ]
    assert places == sorted(places)
    assert text[: text.index("On 2 other boards")].count("<img") == 1


def test_method_page_names_rare_axes_beside_the_numbers(tmp_path):
    records = [*made.board(), *(made.record("uc", seed=seed, trusted=100) for seed in range(4))]
    build_site(made.write(tmp_path, records), tmp_path / "site", rules_of=ranked)
    assert rows_of(tmp_path / "site" / "poisoners" / "uc.html", "trusted images 100 50.0")
    assert rows_of(tmp_path / "site" / "poisoners" / "uc.html", "uc none 41.5")


def test_site_deviations_do_not_read_as_counts(tmp_path):
    nested = [
        made.record("uc", accuracy=40.0 + seed + train % 10, craft_seed=seed, train_seed=train)
        for seed in range(4)
        for train in (10 * seed, 10 * seed + 1)
    ]
    build_site(made.write(tmp_path, [*made.board(), *nested]), tmp_path / "site", rules_of=ranked)
    assert re.search(r"\d over crafts, 0\.\d over trainings", text_of(tmp_path / "site/boards/board/index.html"))


def test_method_page_shows_formulas_with_indices_and_escapes_them():
    spec = PoisonerSpec(
        name="x",
        summary="x",
        load="x:X",
        label_access="none",
        granularity="sample",
        budget="linf",
        equation=r"$$a_{y_i} < \|\delta\|_\infty$$ where <b> and `max_a` are $b^2$",
        fidelity="`max_b` is 2; $c_1$ is not & never was",
    )
    method = Method("poisoner", "x", spec, ())
    assert method.equation == [
        ("a<sub>y<sub>i</sub></sub> &lt; ‖δ‖<sub>∞</sub>", True),
        ("where &lt;b&gt; and <code>max_a</code> are b<sup>2</sup>.", False),
    ]
    assert method.fidelity == ["<code>max_b</code> is 2.", "c<sub>1</sub> is not &amp; never was."]


@pytest.mark.parametrize(
    ("name", "when"),
    [("jpeg", "once, before training"), ("cutmix", "during training"), ("iss", "once, before training")],
)
def test_method_page_says_when_a_defense_acts_with_its_defaults(name, when):
    registry = installed()
    spec = registry.find(DefenseSpec, name)
    method = Method("defense", name, spec, (), is_static_by_default(spec, registry))
    assert dict(method.facts)["acts"] == when


def test_finding_names_the_leader_only_as_far_as_it_is_separated():
    data = collect(made.board(), "x", RANKED)
    unlabelled, labelled, clean = data.finding.sentences
    assert unlabelled.startswith(
        "Without knowing labels, uc is the only poisoner: with the strongest of 1 defenses, jpeg,"
    )
    assert labelled.startswith(f"Knowing labels, {made.SECOND} protects best of 2:")
    assert re.fullmatch(r"Without defense, .* 91.5 ± [\d.]+ % on clean images.*; chance is 10.0 %\.", clean)
    equal = [made.record("lsp", defense=d, seed=s, accuracy=13.0 + (s % 3)) for d in RANKED for s in range(4)]
    others = [record for record in made.board() if record["request"]["poisoner"] != "lsp"]
    assert ", not separated from " in collect([*others, *equal], "x", RANKED).finding.sentences[1]


def test_finding_compares_no_poisoner_that_lacks_a_craft_of_a_ranked_defense():
    lost = {made.record("lsp", defense="jpeg", seed=2)["cell"]}
    few = [record for record in made.board() if record["cell"] not in lost]
    assert (
        collect(few, "x", RANKED)
        .finding.sentences[1]
        .startswith(f"Knowing labels, {made.SECOND} is the only poisoner with every ranked defense:")
    )
    lost |= {made.record(name, defense="none", seed=1)["cell"] for name in ("uc", made.SECOND)}
    none = collect([record for record in few if record["cell"] not in lost], "x", RANKED).finding
    (text,) = none.sentences
    assert text.endswith("Every poisoner here is a reference or lacks a ranked defense.")


def test_finding_says_nothing_of_methods_without_a_passed_gate():
    records = [record for record in made.board() if record["request"]["poisoner"] != made.SECOND]
    found = collect(records, "x", RANKED).finding
    assert found.state == "not judged"
    (text,) = found.sentences
    assert "Inconclusive" in text
    assert f"{made.SECOND} not run" in text
    assert "uc" not in text


def test_site_long_table_is_complete_in_json(tmp_path, monkeypatch):
    monkeypatch.setattr("ucbench.leaderboard.site.render.FIRST_ROWS", 7)
    monkeypatch.setattr("ucbench.leaderboard.site.render.LONGEST_SHORT", 11)
    many = [made.record(f"method-{n}", seed=seed) for n in range(3) for seed in range(4)]
    build_site(made.write(tmp_path, many, sheets=False), tmp_path / "site")
    text = (tmp_path / "site" / "boards" / "board" / "cells.html").read_text(encoding="utf-8")
    assert len([row for row in Page(text).rows if "method-" in row]) == 7
    data = json.loads(re.search(r"id=\"cells-data\"[^>]*>(.*?)</script>", text)[1])
    assert len(data["rows"]) == len({cell["h"] for _, cells in data["rows"] for cell in cells if "h" in cell}) == 12


def test_site_rebuild_removes_only_its_own_stale_files(tmp_path):
    folder = made.write(tmp_path, made.board(seeds=2))
    build_site(folder, folder / "site")
    (folder / "site" / "notes.html").write_text("mine")
    outside = tmp_path / "outside.txt"
    outside.write_text("kept")
    listed = folder / "site" / site_output.MANIFEST
    listed.write_text(listed.read_text() + "../outside.txt\nboards/../../outside.txt\n" + f"{outside}\n")
    for path in sorted((folder / "records").iterdir()):
        if json.loads(path.read_text())["request"]["poisoner"] == "uc":
            path.unlink()
    before = set(tree(folder / "site"))
    build_site(folder, folder / "site")
    gone = before - set(tree(folder / "site"))
    assert len([name for name in gone if "/cells/" in name]) == 4
    assert "poisoners/uc.html" in gone
    assert (folder / "site" / "notes.html").exists()
    assert outside.exists()


def test_site_build_leaves_a_foreign_folder_alone(tmp_path):
    folder = made.write(tmp_path / "board", made.board(seeds=1))
    with pytest.raises(UsageError, match="not a site of ucbench"):
        build_site(folder, folder)
    assert not (folder / "index.html").exists()


@pytest.mark.parametrize("cell", ["../../evil", "a/b", ".hidden", "", "x" * 101])
def test_site_rejects_a_cell_key_with_path_characters(cell):
    with pytest.raises(DataError, match="cannot name a page"):
        collect([{**made.record("uc"), "cell": cell}], "", None)


def test_site_rejects_two_records_of_one_cell():
    with pytest.raises(DataError, match="Two records"):
        collect([made.record("uc"), made.record("uc")], "", None)


def test_site_has_no_page_of_a_record_that_a_later_version_made_again():
    old, new = (made.record("uc", components={"poisoner": {**boards.component("uc"), "version": v}}) for v in (1, 2))
    old["cell"] = "0" * 32
    assert list(collect([old, new], "", None).records) == [new["cell"]]


def test_site_does_not_fetch_remote_images(tmp_path):
    """The sheet's name is made of the record's text, which might be a path."""
    stray = made.record("uc")
    stray["components"]["poisoner"]["name"] = "../stray"
    folder = made.write(tmp_path / "board", [stray], sheets=False)
    (folder / "sheets").mkdir()
    (folder / f"stray-{stray['release'][:12]}.png").write_bytes(made.png(1, 1))
    build_site(folder, folder / "site")
    assert not list((folder / "site").rglob("*.png"))


def test_site_error_names_the_extra_of_a_missing_package(tmp_path, monkeypatch):
    import importlib.util

    known = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "jinja2" else known(name, *rest)
    )
    with pytest.raises(UsageError, match=r'needs jinja2, not installed here. Run: pip install "ucbench\[site\]"'):
        build_site(tmp_path, tmp_path / "site")


def test_site_raises_without_records(tmp_path):
    with pytest.raises(DataError, match="no records"):
        build_site(tmp_path, tmp_path / "site")


# The command that computes a cell again


@pytest.fixture
def here(monkeypatch) -> Session:
    registry = tiny.registry()
    monkeypatch.setattr("ucbench.session.installed", lambda: registry)
    return open_session(device="cpu", dtype="float32", threads=3)


WORLD = {"dataset": "spots", "victim": "tiny"}


@pytest.mark.parametrize(
    "axes",
    [
        {"poisoner": "stripes@wide:share=0.5"},
        {"poisoner": "stripes", "epsilon": 6.5, "mixture": 1 / 3, "trusted": 6, "defense": "best"},
        {"poisoner": "badge", "craft_labels": "clusters:k=2", "surrogate": "others"},
        {"poisoner": "badge", "craft_labels": "predicted:model=others", "labeling": "shifted"},
        {"poisoner": "leaner", "surrogate": "others", "defense": "fog+dim"},
        {"poisoner": "shuffled:\"stripes@wide\"", "labeling": "seen:model=others"},
        {"poisoner": "positive:grid=2", "craft_seed": 3, "train_seed": 5},
        {"poisoner": "blots", "seed": 4, "victim": "tiny:width=8"},
        {"poisoner": "badge", "dataset": "spots:brightness=9", "victim": "nearest", "trusted": 6},
    ],
    ids=lambda axes: axes["poisoner"],
)  # fmt: skip
def test_site_command_parses_back_to_the_cell(here, axes):
    """Of the cell and of both its references, which are no axis of their own."""
    cells = expand(requests.axes(**{**WORLD, **axes}), here.registry)
    # No metric reads the network of a victim that shows none.
    measured = [] if axes.get("victim") == "nearest" else ["sharpness:scale=0.5"]
    records = [
        {
            **made.record("uc"),
            "request": cell.describe(),
            "cell": str(place),
            "numerics": here.numerics.identity(),
            "metrics": {"test_accuracy": 1.0, **dict.fromkeys([f"{name}.share" for name in measured], 2.0)},
        }
        for place, cell in enumerate(cells)
    ]
    assert {record["request"]["poisoner"] for record in records} >= {"clean", "sham"}
    for record in records:
        line = rerun(record, companions(records))
        assert line is not None
        program, verb, *arguments = shlex.split(line)
        assert (program, verb) == ("ucbench", "run")
        command = cli.get_command(typer.Context(cli), "run")
        options = command.make_context("run", arguments).params
        found = expand(
            requests.axes(**{name: options[name] for name in AXIS if options[name] is not None}), here.registry
        )
        (same,) = [cell for cell in found if cell.describe() == record["request"]]
        assert [str(metric) for metric in same.metrics] == measured
        again = open_session(device=options["device"], dtype=options["dtype"], threads=options["threads"])
        assert again.numerics == here.numerics


def test_site_cell_without_a_command_line_has_no_command():
    hostile = made.record(made.HOSTILE)
    hidden = made.record("release", dataset="digits\u202e")
    alone = made.record("sham", norm="l2", epsilon=1.0)
    assert [rerun(record, companions([record])) for record in (hostile, hidden, alone)] == [None, None, None]


@pytest.mark.parametrize("setting", [{"compiled": True}, {"deterministic": False}])
def test_site_cell_of_numerics_that_no_option_sets_has_no_command(setting):
    record = made.record("release")
    assert rerun(record, companions([record])) is not None
    changed = {**record, "numerics": {**record["numerics"], **setting}}
    assert rerun(changed, companions([changed])) is None


def test_site_command_names_a_plugin_file():
    tried = made.record("uc")
    tried["components"]["poisoner"]["distribution"] = "my plugin.py"
    assert shlex.split(rerun(tried, {}))[-2:] == ["--plugin", "my plugin.py"]


def test_site_command_is_shell_quoted():
    line = rerun(made.record("uc", dataset='imagefolder:"a b; $(rm c)"'), {})
    assert shlex.split(line)[3] == 'imagefolder:"a b; $(rm c)"'


def test_head_of_a_sheet_is_read_once_for_all_its_cells(tmp_path, monkeypatch):
    cells = [made.record("uc", defense=defense, release="a" * 32) for defense in ("none", "jpeg", "cutout")]
    (tmp_path / f"uc-{'a' * 12}.png").write_bytes(made.png(600, 300))
    (tmp_path / f"uc-{'b' * 12}.png").write_bytes(made.png(600, 300))
    (tmp_path / f"lsp-{'c' * 12}.png").write_bytes(b"no image")
    read: list[tuple[str, int]] = []
    read_head = sheets.read_head
    monkeypatch.setattr(
        sheets, "read_head", lambda path, count: read.append((path.name, count)) or read_head(path, count)
    )
    monkeypatch.setattr(sheets, "read_regular", lambda path: pytest.fail(f"{path} is read whole"))
    lost = made.record("lsp", release="c" * 32)
    found = sheets.sheets_of([*cells, lost], tmp_path)
    assert found == {cell["cell"]: (tmp_path / f"uc-{'a' * 12}.png", 600, 300) for cell in cells}
    assert sorted(read) == [(f"lsp-{'c' * 12}.png", 24), (f"uc-{'a' * 12}.png", 24)]


def test_thumbnails_begin_where_sheets_have_their_first_image():
    assert sheets._STARTS[0] == (sheet.MARGIN, sheet.HEAD)
