"""Building the site: which folders and records it takes, what it refuses, and which files it leaves or removes."""

from __future__ import annotations

import json
import re

import boards
import pytest
import site_records as made
from site_pages import page, ranked, text_of, tree

from ucbench.errors import UsageError
from ucbench.leaderboard.site import build_site
from ucbench.leaderboard.site import output as site_output
from ucbench.leaderboard.site.collecting import collect


def test_site_of_a_folder_has_every_board_and_says_what_is_none(tmp_path):
    """384 records on three boards at different depths, with folders that are none."""
    root, out = tmp_path / "boards", tmp_path / "site"
    made.many(root, 2, victims=1, methods=2, defenses=6, seeds=4)
    levels = {"mi-ue": 30.0, "ar": 35.0}
    deep = [made.record(name, seed=seed, accuracy=level) for name, level in levels.items() for seed in range(4)]
    made.write(root / "uc" / "v0" / "deep", [*deep, *made.board()])
    for name in ("notes", "uc/v0/empty", "a/b/c/too-deep"):
        (root / name).mkdir(parents=True)
    made.write(root / "a" / "b" / "c" / "too-deep", made.board(seeds=1), sheets=False)
    found = build_site(root, out, rules_of=ranked)
    assert found.boards == 3
    assert found.left_out == dict.fromkeys(("a", "notes", "uc/v0/empty"), "it holds no records")
    assert {path.name for path in (out / "boards").iterdir()} == {"board-0-v1", "board-1-v1", "uc-v0-deep"}
    home = page(out / "index.html")
    assert len([tag for tag in home.all("li") if "card" in (tag.get("class") or "").split()]) == 3
    assert (out / "poisoners" / "uc.html").is_file()
    assert (out / "defenses" / "jpeg.html").is_file()
    # One stylesheet and one script for all boards.
    assert len(list(out.rglob("*.css"))) == 1
    assert not [path for path in out.rglob("*.js") if path.parent != out / "assets"]
    assert not any(re.search(r"(src|href)=\"https?:", path.read_text()) for path in out.glob("*.html"))


def test_home_lists_conclusive_boards_first_then_those_of_most_crafts_and_poisoners(tmp_path):
    more = [made.record("mi-ue", seed=seed, accuracy=30.0 + seed) for seed in range(4)]
    ungated = [one for one in made.board() if one["request"]["poisoner"] != "positive"]
    of = {"a": ungated, "b": made.board(seeds=3), "c": made.board(), "d": [*made.board(), *more]}
    for name, records in of.items():
        made.write(tmp_path / name / "v1", records, sheets=False)
    build_site(tmp_path, tmp_path / "site", rules_of=ranked)
    home = tmp_path / "site" / "index.html"
    assert re.search(r'4 boards, 3 with a passed <a [^>]*href="read.html#gate"[^>]*>gate</a>:', text_of(home))
    links = [tag.get("href") or "" for tag in page(home).all("a")]
    assert list(dict.fromkeys(link.split("/")[1] for link in links if link.startswith("boards/"))) == [
        "d-v1", "c-v1", "b-v1", "a-v1"
    ]  # fmt: skip


def test_site_within_the_folder_is_not_read_as_a_board(tmp_path):
    made.write(tmp_path / "small" / "v1", made.board(seeds=1), sheets=False)
    build_site(tmp_path, tmp_path / "site", rules_of=ranked)
    assert build_site(tmp_path, tmp_path / "site", rules_of=ranked).boards == 1


def test_site_leaves_out_a_broken_board_and_says_why(tmp_path):
    made.write(tmp_path / "good" / "v1", made.board(seeds=1), sheets=False)
    (tmp_path / "bad" / "v1" / "records").mkdir(parents=True)
    (tmp_path / "bad" / "v1" / "records" / "x.json").write_text("{}")
    found = build_site(tmp_path, tmp_path / "site", rules_of=ranked)
    assert found.boards == 1
    assert "no records" in found.left_out["bad/v1"]
    assert not (tmp_path / "site" / "boards" / "bad-v1").exists()


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


def test_site_has_no_page_of_a_record_that_a_later_version_made_again():
    old, new = (made.record("uc", components={"poisoner": {**boards.component("uc"), "version": v}}) for v in (1, 2))
    old["cell"] = "0" * 32
    assert list(collect([old, new], "", None).records) == [new["cell"]]
