"""The site's pages: the same bytes each time, what they state and mark, and nothing that a record could smuggle in."""

from __future__ import annotations

import html
import json
import re
from pathlib import Path
from urllib.parse import parse_qs

import pytest
import site_records as made
from site_pages import RANKED, Page, built, page, ranked, rows_of, text_of, tree

from ucbench.leaderboard.gates import RULES
from ucbench.leaderboard.site import BoardRules, build_site
from ucbench.leaderboard.site.addresses import method_page
from ucbench.leaderboard.site.charts import fill
from ucbench.leaderboard.site.collecting import collect


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """The site of a small board, with a failed cell, a cell of crossed seeds, and a poisoner of a hostile name."""
    records = [
        *made.board(),
        made.failed("uc", defense="cutout"),
        made.record("uc", accuracy=41.0, craft_seed=1, train_seed=7),
        made.record(made.HOSTILE, warnings=["<b>careful</b>"]),
    ]
    return built(tmp_path_factory.mktemp("board"), records)


@pytest.fixture(scope="module")
def board(site) -> Path:
    return site / "boards" / "board"


def test_site_is_byte_identical_for_equal_records(site, tmp_path):
    records = [json.loads(path.read_text()) for path in (site.parent / "records").iterdir()]
    again = made.write(tmp_path / "elsewhere", records[::-1], sheets=False)
    (again / "sheets").mkdir()
    for path in (site.parent / "sheets").iterdir():
        (again / "sheets" / path.name).write_bytes(path.read_bytes())
    build_site(again, tmp_path / "site", rules_of=ranked)
    assert tree(tmp_path / "site") == tree(site)


def test_site_escapes_texts_of_records(site):
    for path in site.rglob("*.html"):
        text = path.read_text(encoding="utf-8")
        assert "<img src=x" not in text, path
        assert "<b>careful" not in text
        assert not [img for img in page(path).all("img") if img["src"] == "x"]
    hostile = next(path for path in site.rglob("cells/*.html") if "careful" in path.read_text(encoding="utf-8"))
    titles = re.findall(r"<h1>(.*?)</h1>", html.unescape(hostile.read_text(encoding="utf-8")))
    assert f"{made.HOSTILE} on digits" in "".join(titles)
    assert (site / method_page("poisoner", made.HOSTILE)).is_file()


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


def test_site_pages_link_home_and_to_the_installation(site):
    for path in site.rglob("*.html"):
        links = {tag["href"] for tag in page(path).all("a") if "href" in tag}
        root = "../" * len(path.relative_to(site).parts[1:])
        assert {f"{root}index.html", f"{root}submit.html#install"} <= links, path
    assert any(tag.get("id") == "install" for tag in page(site / "submit.html").all("li"))


def test_site_filter_links_use_existing_columns_and_values(board):
    cells = page(board / "cells.html")
    (table,) = (tag for tag in cells.all("table") if "data-shared" in tag)
    shared = json.loads(table["data-shared"])
    columns = {tag["data-key"] for tag in cells.all("th") if "data-key" in tag}
    shown = {tag["data-text"] for tag in cells.all("td") + cells.all("th") if "data-text" in tag}
    links = [
        tag["href"].partition("#")[2] for tag in page(board / "index.html").all("a") if "cells.html#" in tag["href"]
    ]
    assert len(links) > 5
    for link in links:
        for key, (text,) in parse_qs(link).items():
            assert key in columns | shared.keys()
            assert text in shown | {shared.get(key)}


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


def test_site_words_link_to_their_definition(site):
    defined = {tag["id"] for tag in page(site / "read.html").all("div") if "id" in tag}
    assert len(defined) > 15
    for path in (*site.glob("*.html"), *site.glob("boards/board/*.html"), *site.glob("poisoners/*.html")):
        links = [str(tag["href"]) for tag in page(path).all("a") if tag.get("class") == "term"]
        assert {link.partition("#")[2] for link in links} <= defined
        assert links or path.name in ("results.html", "read.html")


def test_site_formulas_hold_no_tex(site):
    formulas = [
        found[1]
        for path in (site / "poisoners").glob("*.html")
        if (found := re.search(r'<p class="formula">(.+?)</p>', path.read_text(encoding="utf-8"), re.DOTALL))
    ]
    assert formulas
    assert not [formula for formula in formulas if re.search(r"[\\$]", formula)]


@pytest.mark.parametrize(
    ("value", "expected"), [(-0.2, "#ffffff"), (0.0, "#ffffff"), (1.0, "#000000"), (1.3, "#000000")]
)
def test_site_numbers_contrast_with_their_background(value, expected):
    assert fill(value)[1] == expected


def test_site_long_table_is_complete_in_json(tmp_path, monkeypatch):
    monkeypatch.setattr("ucbench.leaderboard.site.render.FIRST_ROWS", 7)
    monkeypatch.setattr("ucbench.leaderboard.site.render.LONGEST_SHORT", 11)
    many = [made.record(f"method-{n}", seed=seed) for n in range(3) for seed in range(4)]
    build_site(made.write(tmp_path, many, sheets=False), tmp_path / "site")
    text = (tmp_path / "site" / "boards" / "board" / "cells.html").read_text(encoding="utf-8")
    assert len([row for row in Page(text).rows if "method-" in row]) == 7
    data = json.loads(re.search(r"id=\"cells-data\"[^>]*>(.*?)</script>", text)[1])
    assert len(data["rows"]) == len({cell["h"] for _, cells in data["rows"] for cell in cells if "h" in cell}) == 12


def test_site_ranks_equal_the_leaderboard_and_skip_references(board):
    rows = rows_of(board / "index.html", "n = 4")
    for start in ("1 rand-class:pattern=sign 13.5", "2 lsp 76.5", "not ranked uc 61.5"):  # the only one without labels
        assert any(row.startswith(start) for row in rows), start
    (clean, *_), (oracle, *_) = (rows_of(board / "index.html", kind) for kind in ("reference clean", "oracle positive"))
    assert clean.startswith("reference clean")
    assert oracle.startswith("oracle positive")


def test_site_without_a_suite_has_no_ranks(site, tmp_path):
    build_site(site.parent, tmp_path / "site")
    path = tmp_path / "site" / "boards" / "board"
    assert "there is no ranking" in text_of(path / "index.html")
    assert "rank" not in [tag.get("data-key") for tag in page(path / "index.html").all("th")]
    assert not (path / "leaderboard.csv").exists()


def test_site_shows_unranked_a_poisoner_missing_a_ranked_defense(tmp_path):
    kept = [r for r in made.board() if (r["request"]["poisoner"], r["request"]["defense"]) != ("lsp", "jpeg")]
    assert rows_of(built(tmp_path, kept) / "boards" / "board" / "index.html", "not ranked lsp not run: jpeg")


def test_site_numbers_state_seeds_and_mark_exploratory_ones(board, tmp_path):
    for name in ("results.html", "cells.html"):
        for row in page(board / name).rows:
            assert row.count("±") <= row.replace("\xa0", " ").count("n = ")
    assert not rows_of(board / "index.html", "lsp", "exploratory")
    few = built(tmp_path, made.board(seeds=3))
    assert rows_of(few / "boards" / "board" / "index.html", "lsp", "3 exploratory")
    assert "Exploratory: 3 crafts" in text_of(few / "index.html")


def test_site_deviations_do_not_read_as_counts(tmp_path):
    nested = [
        made.record("uc", accuracy=40.0 + seed + train % 10, craft_seed=seed, train_seed=train)
        for seed in range(4)
        for train in (10 * seed, 10 * seed + 1)
    ]
    text = text_of(built(tmp_path, [*made.board(), *nested]) / "boards" / "board" / "index.html")
    assert re.search(r"\d over crafts, 0\.\d over trainings", text)


EFFECTS = {"gap_removed", "drop", "drop_sham", "effect"}


def test_site_without_a_passed_gate_states_accuracies_and_no_effect(site, tmp_path):
    open_ = [r for r in made.board() if r["request"]["poisoner"] != made.SECOND]
    ungated = built(tmp_path, open_)
    for path, passed in ((ungated, False), (site, True)):
        folder = path / "boards" / "board"
        for name in ("results.html", "cells.html"):
            keys = {tag.get("data-key") for tag in page(folder / name).all("th")}
            assert (bool(keys & EFFECTS), "stated only where" in text_of(folder / name)) == (passed, not passed)
        board = text_of(folder / "index.html")
        assert ("Gap removed in %:" in board, "Attacker accuracy in %: digits, linf 8" in board) == (passed, not passed)
        (line,) = rows_of(path / "poisoners" / "uc.html", "uc none", "41.5 ± ")
        assert ("91.5 61 ± 2" in line) == passed
    assert rows_of(ungated / "boards" / "board" / "index.html", "clean reference 91.5")
    cell = next((ungated / "boards" / "board" / "cells").iterdir())
    assert "No effect is stated" in text_of(cell)
    assert not rows_of(cell, "gap removed")


def test_site_comparison_without_a_pair_says_so_instead_of_an_empty_table(site, tmp_path):
    folder = made.write(tmp_path, [made.record("clean"), made.record("uc")])
    build_site(folder, tmp_path / "site")
    for path, empty in ((tmp_path / "site", True), (site, False)):
        shown = text_of(path / "compare.html")
        assert ("there is nothing to compare yet" in shown, "<table" not in shown) == (empty, empty)


def test_site_comparison_of_too_few_crafts_says_so_instead_of_a_table(tmp_path):
    few = text_of(built(tmp_path, made.board(seeds=3)) / "compare.html")
    assert "No two poisoners have 4 common crafts yet, so none can be separated." in few
    assert "<table" not in few


def test_site_heat_map_leaves_out_defenses_that_spoil_clean_accuracy(tmp_path):
    """Clean accuracy 90, chance 10: a defense with 45 on clean images has lost more than half of the gap."""
    levels = {"clean": 45.0, "uc": 20.0, "lsp": 15.0}
    records = [made.record(n, defense="blur", seed=s, accuracy=a) for n, a in levels.items() for s in range(4)]
    data = collect([*made.board(), *records], "x", RANKED)
    (setting,) = data.settings
    assert setting.spoiled("blur")
    assert not setting.spoiled("jpeg")
    text = text_of(built(tmp_path, [*made.board(), *records]) / "boards" / "board" / "index.html")
    heat = text[text.index('class="heat"') :]
    assert heat.count("left out: clean accuracy lost more than half of its gap") == 2


def test_site_board_without_defenses_has_no_heat_map_and_says_by_what_it_ranks(board, tmp_path):
    assert 'class="heat"' in text_of(board / "index.html")
    plain = [record for record in made.board(seeds=3) if record["request"]["defense"] == "none"]
    build_site(
        made.write(tmp_path, plain), tmp_path / "site", rules_of=lambda _: BoardRules("trial v1", ("none",), RULES)
    )
    text = text_of(tmp_path / "site" / "boards" / "board" / "index.html")
    assert 'class="heat"' not in text
    assert "<h2>Effect against cost</h2>" in text
    assert "Poisoners rank by the accuracy without defense." in text
    assert "Exploratory: 3 crafts, too few to test for differences." in text


def test_site_setting_without_defenses_and_gate_says_so_instead_of_a_heat_map(tmp_path):
    other = [made.record("uc", victim="other", seed=seed, accuracy=30.0 + seed) for seed in range(2)]
    text = text_of(built(tmp_path, [*made.board(), *other]) / "boards" / "board" / "index.html")
    assert text.count('class="heat"') == 1
    assert text.count("No defense was run here, and without a passed") == 1


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
    assert rows_of(with_sheet[0], "clean %, of the same train seeds", "n = 4")
    text = with_sheet[0].read_text(encoding="utf-8")
    assert "ucbench run --dataset digits --poisoner uc" in text
    assert "series-circle" in text
    # Its references and the other seeds of its row, the crossed one included.
    assert len(re.findall(r"<li>(clean|sham|another seed): ", text)) == 1 + 1 + 4
