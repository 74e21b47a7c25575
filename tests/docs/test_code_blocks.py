"""Every code block of the documentation does what it says, as far as that takes no training.

Python is run, on stand-ins for readers' own images and with trainings left out; commands that list, show and plan are
run, runs are planned, other commands are parsed; suites are loaded and expanded. A block below a comment
``<!-- not run: reason -->`` is skipped for that reason.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from pathlib import Path

import doc_pages
import pandas as pd
import pytest
from doc_pages import Block
from doc_world import World, commands, forget_plugins

from ucbench.cli.output import print_summary
from ucbench.results.records import read_records
from ucbench.results.table import rows

BLOCKS = [
    (block, place)
    for page in [*doc_pages.pages(), *doc_pages.written()]
    for place, block in enumerate(doc_pages.blocks(page))
]
#: Languages that say how to read a block; in another nothing would be checked. Output is text, or says nothing.
KNOWN = {"python", "toml", "sh", "json", "indented", "text", "bibtex", ""}


@pytest.fixture(autouse=True)
def world_as_before(tmp_path: Path) -> Iterator[None]:
    modules, path = set(sys.modules), list(sys.path)
    yield
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        if Path(getattr(sys.modules[name], "__file__", None) or "/").is_relative_to(tmp_path):
            del sys.modules[name]
    forget_plugins()
    logging.getLogger("ucbench").setLevel(logging.NOTSET)


@pytest.mark.parametrize(("block", "place"), BLOCKS, ids=[str(block) for block, _ in BLOCKS])
def test_block_runs_without_error(block: Block, place: int, tmp_path: Path, monkeypatch):
    if block.not_run:
        pytest.skip(block.not_run)
    page = list(doc_pages.blocks(block.page))
    world = World(tmp_path, page, monkeypatch)
    for earlier in page[:place]:
        if not earlier.not_run:
            world.prepare(earlier)
    world.run(block)


@pytest.fixture
def printed(capsys, monkeypatch):
    """What ``ucbench run`` prints of published rows on a screen of some width; None: in a pipe."""

    def run(table: pd.DataFrame, width: int | None = None) -> str:
        if width is None:
            monkeypatch.delenv("COLUMNS", raising=False)
        else:
            monkeypatch.setenv("COLUMNS", str(width))
        capsys.readouterr()
        print_summary(table, elsewhere="results.csv")
        return str(capsys.readouterr().out)

    return run


FIRST = doc_pages.ROOT / "leaderboards" / "first-run" / "v2"


def test_first_run_table_equals_the_summary_of_its_records(printed):
    shown = (doc_pages.DOCS / "first-run.md").read_text(encoding="utf-8")
    assert f"```text\n{printed(rows(read_records(FIRST)), 120)}```\n" in shown


def test_readme_table_equals_the_summary_of_the_first_run(printed):
    shown = (doc_pages.ROOT / "README.md").read_text(encoding="utf-8")
    table, _, _ = printed(rows(read_records(FIRST)), 80).partition("data set")
    assert f"```\n{table}```\n" in shown


def test_blocks_state_a_known_language():
    assert [str(block) for block, _ in BLOCKS if block.language not in KNOWN] == []


def test_blocks_apply_a_reason_only_to_the_next_block(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("<!-- not run: no cluster -->\n```sh\na\n```\n\nText.\n\n```sh\nb\n```\n\n    c\n")
    read = [(block.text.strip(), block.not_run) for block in doc_pages.blocks(page)]
    assert read == [("a", "no cluster"), ("b", None), ("c", None)]


def test_commands_are_found_in_shell_lines():
    text = "run='--threads 1'\nA=x ucbench run $run \\\n   --seed 0 # y\nbin/pip install .\nIt's\nucbench list   x"
    found = [["ucbench", "run", "--threads", "1", "--seed", "0"], ["pip", "install", "."], ["ucbench", "list"]]
    assert list(commands(text)) == found
    assert list(commands("--epsilon 8   the radius")) == [["ucbench", "run", "--poisoner", "lsp", "--epsilon", "8"]]


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("python", "print(images.shape, unknown)"),
        ("python", "import ucbench\nucbench.run(poisoner='uc', victim='resnet19')"),
        ("python", "import ucbench\nucbench.craft(images, None, 'lsp')"),
        ("sh", "ucbench run --poisoner uc --victims resnet18"),
        ("sh", "ucbench run --poisoner uc --defense jpeg:grade=10"),
        ("sh", "ucbench run --poisoner uc --executor processes"),
        ("sh", "ucbench run --poisoner uc --dataset cifar10:train_per_clas=1000"),
        ("sh", "for x in; do"),
        ("indented", "ucbench leaderboards build x"),
        ("toml", "name = 'a'\nversion = 1\n[[table]]\npoisoner = 'uc'\nvictim = 'resnet19'"),
        ("json", "{'a': 1}"),
    ],
)
def test_block_that_is_wrong_raises(language, text, tmp_path, monkeypatch):
    block = Block(doc_pages.DOCS / "page.md", 1, language, text, None)
    world = World(tmp_path, [block], monkeypatch)
    with pytest.raises(Exception):  # noqa: B017, PT011 - whichever comes of it
        world.run(block)
