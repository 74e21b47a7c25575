"""The static site: of records alone, the same bytes each time, and nothing in it that a record could smuggle in."""

from __future__ import annotations

import itertools
import json
import re
import shlex
from html.parser import HTMLParser
from pathlib import Path

import pytest
import site_records as made
import tiny_components as tiny
import typer

from ucbench import api
from ucbench.cli.app import cli
from ucbench.errors import DataError, UsageError
from ucbench.leaderboard.site import build_site
from ucbench.leaderboard.site import output as site_output
from ucbench.leaderboard.site.charts import ink, short
from ucbench.leaderboard.site.data import collect
from ucbench.leaderboard.site.rerun import companions, rerun
from ucbench.matrix.axes import AXIS
from ucbench.session import Session

pytest.importorskip("plotly", reason="the site is made with plotly: pip install 'ucbench[site]'")

RANKED = ("none", "jpeg")


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
    build_site(folder, folder / "site", title="trial v1", ranked=RANKED)
    return folder / "site"


def page(path: Path) -> Page:
    return Page(path.read_text(encoding="utf-8"))


def rows_of(path: Path, *words: str) -> list[str]:
    """The rows of a page's tables that hold all of these words, blanks evened out."""
    rows = [" ".join(row.split()) for row in page(path).rows]
    return [row for row in rows if all(word in row for word in words)]


def tree(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_site_is_byte_identical_for_equal_records(site, tmp_path):
    records = [json.loads(path.read_text()) for path in (site.parent / "records").iterdir()]
    again = made.write(tmp_path / "elsewhere", records[::-1], sheets=False)
    made.write(again, [one for one in records if one["request"]["poisoner"] == "uc"], sheets=False)
    (again / "sheets").mkdir()
    for path in (site.parent / "sheets").iterdir():
        (again / "sheets" / path.name).write_bytes(path.read_bytes())
    build_site(again, tmp_path / "site", title="trial v1", ranked=RANKED)
    assert tree(tmp_path / "site") == tree(site)


def test_site_escapes_texts_of_records(site):
    for path in site.rglob("*.html"):
        text = path.read_text(encoding="utf-8")
        assert "<img src=x" not in text, path
        assert "<b>careful" not in text
        assert not [img for img in page(path).all("img") if img["src"] == "x"]
    hostile = next(path for path in (site / "cells").iterdir() if "careful" in path.read_text(encoding="utf-8"))
    assert f"{made.HOSTILE} on digits" in "".join(re.findall(r"<h1>(.*?)</h1>", _unescaped(hostile)))
    # JSON within a page cannot end the element it stands in, nor can a chart's texts hold markup.
    (setting,) = (site / "settings").iterdir()
    figures = re.findall(r"<script type=\"application/json\"[^>]*>(.*?)</script>", setting.read_text(), re.DOTALL)
    assert len(figures) == 4
    assert any("img src=x" in text for text in figures)
    assert not any("<img" in text for figure in figures for text in _texts(json.loads(figure)))


def _unescaped(path: Path) -> str:
    import html

    return html.unescape(path.read_text(encoding="utf-8"))


def _texts(value: object) -> list[str]:
    if isinstance(value, dict):
        return [text for one in value.values() for text in _texts(one)]
    if isinstance(value, list):
        return [text for one in value for text in _texts(one)]
    return [value] if isinstance(value, str) else []


def test_site_links_lead_to_existing_files(site):
    for path in site.rglob("*.html"):
        found = page(path)
        links = [tag.get("href") or tag.get("src") for tag in found.all("a") + found.all("link") + found.all("script")]
        links += [tag["src"] for tag in found.all("img")]
        for link in filter(None, links):
            assert "://" not in link
            if not link.startswith(("data:", "#")):
                assert (path.parent / link.partition("#")[0]).resolve().is_relative_to(site.resolve())
                assert (path.parent / link.partition("#")[0]).is_file(), (path, link)


def test_site_filter_links_use_existing_columns_and_values(site):
    from urllib.parse import parse_qs

    (table,) = (tag for tag in page(site / "cells.html").all("table") if "data-shared" in tag)
    shared = json.loads(table["data-shared"])
    columns = {tag["data-key"] for tag in page(site / "cells.html").all("th") if "data-key" in tag}
    shown = {tag["data-text"] for tag in page(site / "cells.html").all("td") if "data-text" in tag}
    shown |= {tag["data-text"] for tag in page(site / "cells.html").all("th") if "data-text" in tag}
    links = [
        tag["href"].partition("#")[2] for tag in page(site / "index.html").all("a") if "cells.html#" in tag["href"]
    ]
    assert len(links) > 5
    for link in links:
        for key, (text,) in parse_qs(link).items():
            assert key in columns | shared.keys()
            assert text in shown | {shared.get(key)}


def test_site_ranks_equal_the_leaderboard_and_skip_references(site):
    (uc,) = rows_of(site / "index.html", "uc", "61.5")
    assert uc.startswith("1 uc")
    (clean, *_), (oracle,) = rows_of(site / "index.html", "clean", "91.5"), rows_of(site / "index.html", "positive")
    assert clean.startswith("reference clean")
    assert oracle.startswith("oracle positive")
    assert "reference sham" in " ".join(rows_of(site / "index.html", "sham"))


def test_site_numbers_state_seeds_and_mark_exploratory_ones(site, tmp_path):
    for name in ("index.html", "results.html", "cells.html"):
        for row in page(site / name).rows:
            assert row.count("±") <= row.replace("\xa0", " ").count("n = ")
    assert "exploratory" not in rows_of(site / "index.html", "lsp")[0]
    few = made.write(tmp_path, made.board(seeds=3))
    build_site(few, tmp_path / "site", ranked=RANKED)
    assert "3 exploratory" in rows_of(tmp_path / "site" / "index.html", "lsp")[0]


def test_site_without_a_suite_has_no_ranks(site, tmp_path):
    build_site(site.parent, tmp_path / "site")
    text = (tmp_path / "site" / "index.html").read_text(encoding="utf-8")
    assert "there is no ranking" in " ".join(text.split())
    assert "rank" not in [tag.get("data-key") for tag in Page(text).all("th")]
    assert not (tmp_path / "site" / "leaderboard.csv").exists()
    (uc, *_) = [row for row in Page(text).rows if row.split()[:1] == ["uc"]]
    assert "41.5" in uc


def test_site_shows_unranked_a_poisoner_missing_a_ranked_defense(tmp_path):
    kept = [r for r in made.board() if (r["request"]["poisoner"], r["request"]["defense"]) != ("lsp", "jpeg")]
    folder = made.write(tmp_path, kept)
    build_site(folder, tmp_path / "site", ranked=RANKED)
    assert "not ranked lsp not run: jpeg" in rows_of(tmp_path / "site" / "index.html", "lsp")[0]


def test_site_shows_failed_cells_with_their_error(site):
    assert "1 of 51 cells failed" in " ".join((site / "index.html").read_text().split())
    broken = [path for path in (site / "cells").iterdir() if "It failed: ValueError" in path.read_text()]
    assert len(broken) == 1
    assert "the &lt;optimiser&gt; gave up" in broken[0].read_text()
    assert "failed" in rows_of(site / "results.html", "cutout")[0]


def test_site_cell_page_shows_history_seeds_and_images(site):
    with_sheet = [path for path in (site / "cells").iterdir() if page(path).all("img")]
    assert len(with_sheet) == 1
    (image,) = page(with_sheet[0]).all("img")
    assert (image["width"], image["height"]) == ("3", "2")
    assert image["alt"]
    assert rows_of(with_sheet[0], "2", "20.0", "1.0000")
    assert rows_of(with_sheet[0], "test accuracy %", "40.0", "n = 4")
    text = with_sheet[0].read_text(encoding="utf-8")
    assert "ucbench run --dataset digits --poisoner uc" in text
    # Its references and the other seeds of its row, the crossed one included.
    assert len(re.findall(r"<li>(clean|sham|other seeds): ", text)) == 1 + 1 + 4


def test_site_tables_are_accessible(site):
    for path in (site / "index.html", site / "cells.html", next((site / "settings").iterdir())):
        found = page(path)
        assert len(found.all("caption")) == len(found.all("table")) > 0
        assert all(tag.get("scope") in ("col", "row") for tag in found.all("th"))
        assert all("aria-labelledby" in tag for tag in found.all("div") if tag.get("role") in ("img", "region"))
        assert len({tag["id"] for _, tag in found.tags if "id" in tag}) == sum("id" in tag for _, tag in found.tags)


def test_site_figures_are_valid_plotly(site):
    import plotly.graph_objects as go

    for path in [*(site / "settings").iterdir(), *itertools.islice(sorted((site / "cells").iterdir()), 3)]:
        texts = re.findall(r"-figure\">(.*?)</script>", path.read_text(encoding="utf-8"), re.DOTALL)
        assert texts or "It failed" in path.read_text()
        for text in texts:
            go.Figure(json.loads(text))  # Raises ValueError for a property that plotly.js has not.


@pytest.mark.parametrize(
    ("value", "expected"), [(-0.2, "#ffffff"), (0.0, "#ffffff"), (1.0, "#000000"), (1.3, "#000000")]
)
def test_site_numbers_contrast_with_their_background(value, expected):
    assert ink(value) == expected


def test_site_shortened_labels_stay_distinct():
    labels = [f"uc:augment=none,coarseness=4,steps={n}" for n in (50, 500)]
    assert len(set(short([*labels, *labels, "uc"]).values())) == 3


def test_site_long_table_is_complete_in_json(tmp_path, monkeypatch):
    monkeypatch.setattr("ucbench.leaderboard.site.pages.FIRST_ROWS", 7)
    monkeypatch.setattr("ucbench.leaderboard.site.pages.LONGEST_SHORT", 11)
    many = [made.record(f"method-{n}", seed=seed) for n in range(3) for seed in range(4)]
    build_site(made.write(tmp_path, many, sheets=False), tmp_path / "site")
    text = (tmp_path / "site" / "cells.html").read_text(encoding="utf-8")
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
    listed.write_text(listed.read_text() + "../outside.txt\n" + f"{outside}\n")
    for path in sorted((folder / "records").iterdir()):
        if json.loads(path.read_text())["request"]["poisoner"] == "uc":
            path.unlink()
    before = set(tree(folder / "site"))
    build_site(folder, folder / "site")
    gone = before - set(tree(folder / "site"))
    assert len([name for name in gone if name.startswith("cells/")]) == 4
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
        importlib.util, "find_spec", lambda name, *rest: None if name == "plotly" else known(name, *rest)
    )
    with pytest.raises(UsageError, match=r'needs plotly, not installed here. Run: pip install "ucbench\[site\]"'):
        build_site(tmp_path, tmp_path / "site")


def test_site_raises_without_records(tmp_path):
    with pytest.raises(DataError, match="no records"):
        build_site(tmp_path, tmp_path / "site")


# The command that computes a cell again


@pytest.fixture
def here(monkeypatch) -> Session:
    registry = tiny.registry()
    monkeypatch.setattr(api, "installed", lambda: registry)
    return api.open_session(device="cpu", dtype="float32", threads=3)


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
    cells = api.cells_of(api.axes(**{**WORLD, **axes}), here)
    records = [
        {
            **made.record("uc"),
            "request": cell.describe(),
            "cell": str(place),
            "numerics": here.numerics.identity(),
            "metrics": {"test_accuracy": 1.0, "sharpness:scale=0.5.share": 2.0},
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
        found = api.cells_of(api.axes(**{name: options[name] for name in AXIS if options[name] is not None}), here)
        (same,) = [cell for cell in found if cell.describe() == record["request"]]
        assert [str(metric) for metric in same.metrics] == ["sharpness:scale=0.5"]
        again = api.open_session(device=options["device"], dtype=options["dtype"], threads=options["threads"])
        assert again.numerics == here.numerics


def test_site_cell_without_a_command_line_has_no_command():
    hostile = made.record(made.HOSTILE)
    hidden = made.record("release", dataset="digits\u202e")
    alone = made.record("sham", norm="l2", epsilon=1.0)
    assert [rerun(record, companions([record])) for record in (hostile, hidden, alone)] == [None, None, None]


def test_site_command_names_a_plugin_file():
    tried = made.record("uc")
    tried["components"]["poisoner"]["distribution"] = "my plugin.py"
    assert shlex.split(rerun(tried, {}))[-2:] == ["--plugin", "my plugin.py"]


def test_site_command_is_shell_quoted():
    line = rerun(made.record("uc", dataset='imagefolder:"a b; $(rm c)"'), {})
    assert shlex.split(line)[3] == 'imagefolder:"a b; $(rm c)"'
