"""What a user sees in a terminal, of every common width: published boards, plans, lists; a run, and one interrupted."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import screen

ROOT = Path(__file__).parents[2]
WIDTHS = (60, 80, 100, 120, 160)
BOARD = "leaderboards/photos-core/v1"
COMMANDS = {
    "summary": "summary",
    "first run": "first",
    "tiers": "leaderboard tiers leaderboards/photos-defenses/v1",
    "diff": f"leaderboard diff {BOARD} {BOARD}",
    "list": "list defense",
    "show": "show victim airbench --full",
    "plan": "plan --dataset digits --poisoner uc --poisoner rand-class:pattern=sign --defense none --defense"
    " orthogonal-projection --victim resnet18:width=16 --seed 0-1 --threads 1",
}
#: Prints each command in a terminal of each width, and once in a pipe.
PRINT = """
import fcntl, os, struct, sys, termios
from pathlib import Path
from ucbench.cli.app import main
from ucbench.cli.output import print_summary
from ucbench.results.records import read_records
from ucbench.results.table import rows
boards = {"summary": "leaderboards/fast-surrogates/v1", "first": "leaderboards/first-run/v2"}
tables = {name: rows(read_records(Path(path))) for name, path in boards.items()}
for width in map(int, sys.argv[1].split(",")):
    if width:
        fcntl.ioctl(1, termios.TIOCSWINSZ, struct.pack("HHHH", 50, width, 0, 0))
    for command in sys.argv[2:]:
        print("=====", flush=True)
        if command in tables:
            print_summary(tables[command], elsewhere="results.csv")
        else:
            assert main(command.split()) == 0
        sys.stdout.flush()
"""


def parts(output: str) -> list[str]:
    return re.split("=====\r?\n", output)[1:]


@pytest.fixture(scope="module")
def outputs(tmp_path_factory) -> dict[tuple[str, int], list[str]]:
    """The lines of each command on a screen of each width; of width 0: in a pipe."""
    home = {"UCBENCH_HOME": str(tmp_path_factory.mktemp("store")), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", PRINT]
    text, code = screen.run([*command, ",".join(map(str, WIDTHS)), *COMMANDS.values()], 80, home)
    assert code == 0, text
    keys = [(name, width) for width in WIDTHS for name in COMMANDS]
    seen = {key: screen.shown(part, key[1]) for key, part in zip(keys, parts(text), strict=True)}
    # Given as a whole: readline, which pytest imports, sets COLUMNS behind Python's back.
    environment = {name: value for name, value in (os.environ | home).items() if name != "COLUMNS"}
    piped = subprocess.run(
        [*command, "0", *COMMANDS.values()], capture_output=True, text=True, check=True, env=environment
    ).stdout
    return seen | {(name, 0): part.splitlines() for name, part in zip(COMMANDS, parts(piped), strict=True)}


def tables(lines: list[str]) -> list[tuple[dict[str, list[list[str]]], list[str]]]:
    """The tables among lines: for every heading the cells, each as its lines; and what follows a table."""
    rules = [place for place, line in enumerate(lines) if line and set(line) <= set("─ ")]
    found = []
    for rule in rules:
        spans = [match.span() for match in re.finditer("─+", lines[rule])]
        cut = [(start, None if end == len(lines[rule]) else end) for start, end in spans]
        # A heading of two lines has its second above the rule; text before a table ends with a colon, or is empty.
        first = rule - 1 if rule < 2 or not lines[rule - 2] or lines[rule - 2][-1] in ":.)" else rule - 2
        end = next((i for i in range(rule + 1, len(lines)) if _is_behind(lines[i], len(lines[rule]))), len(lines))
        heads = [" ".join(" ".join(line[slice(*span)].split()) for line in lines[first:rule]).strip() for span in cut]
        rows: list[list[list[str]]] = []
        for line in lines[rule + 1 : end]:
            texts = [line[slice(*span)] for span in cut]
            if line[0] != " ":
                rows.append([[] for _ in cut])
            for cell, text in zip(rows[-1], texts, strict=True):
                cell += [text.strip()] * bool(text.strip())
        found.append(({head: [row[place] for row in rows] for place, head in enumerate(heads)}, lines[end:]))
    return found


def _is_behind(line: str, width: int) -> bool:
    return not line or re.match(r"\d+ more column|data set |In all rows|Only in", line) is not None


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", COMMANDS)
def test_tables_on_a_terminal_have_whole_numbers_headings_and_names(outputs, name, width):
    full, narrow = tables(outputs[name, 0]), tables(outputs[name, width])
    assert len(full) == len(narrow) >= 1
    for (every, _), (shown, behind) in zip(full, narrow, strict=True):
        assert list(shown) == [heading for heading in every if heading in shown]
        for heading, cells in shown.items():
            whole = [" ".join(cell) for cell in every[heading]]
            assert ["".join(cell).replace(" ", "") for cell in cells] == [text.replace(" ", "") for text in whole]
            for cell, text in zip(cells, whole, strict=True):
                assert len(cell) <= 1 or not re.fullmatch(r"[-+]?\d+(\.\d+)?( ± \d+(\.\d+)?)?", text)
                assert len(cell) <= 1 or len(cell[0]) >= min(8, len(text.split()[0]))
        left_out = len(every) - len(shown)
        count = f"{left_out} more column{'s' * (left_out > 1)}: --wide"
        assert (behind[0].startswith(count) if behind else False) == (left_out > 0)


@pytest.mark.parametrize("width", WIDTHS)
def test_summary_has_its_main_numbers_and_its_caption_at_every_width(outputs, width):
    ((shown, behind),) = tables(outputs["first run", width])
    assert next(iter(shown)) == "poisoner"
    assert {"test acc %", "drop vs sham", "gap removed %", "n"} <= set(shown)
    caption = " ".join(line.strip() for line in behind)
    assert "data set photos; preset standard; labeling original; defense none; victim airbench@small;" in caption
    assert "budget linf 8" in caption
    ((shown, _),) = tables(outputs["summary", width])
    assert {"poisoner", "surrogate", "victim", "test acc %"} <= set(shown)


#: Runs a command with the tiny components; a line typed ends each craft of ``badge``, which otherwise never ends.
TINY = f"""
import sys
sys.path.insert(0, {str(ROOT / "tests" / "support")!r})
import tiny_components as tiny
import ucbench.session
from ucbench.cli.app import main
registry = tiny.registry()
ucbench.session.installed = lambda: registry
craft = tiny.protector.Badge.craft
def slow(self, train, run):
    advance = run.progress("crafting", 100)
    advance(30)
    input()
    return craft(self, train, run)
tiny.protector.Badge.craft = slow
sys.exit(main(sys.argv[1:]))
"""
REQUEST = ["run", "--dataset", "spots", "--victim", "tiny", "--device", "cpu", "--dtype", "float32", "--threads", "1"]


def test_run_in_a_terminal_shows_its_progress_and_leaves_only_the_table(tmp_path):
    """Interrupted while it crafts, then run to its end."""
    command = [sys.executable, "-c", TINY, *REQUEST, "--poisoner", "badge"]
    environment = {"UCBENCH_HOME": str(tmp_path / "store"), "TINY_LOG": str(tmp_path / "log"), "OMP_NUM_THREADS": "1"}
    stage = re.compile(r"  crafting +\S*━+\S* +30/100")
    typed = []

    def type_once(what: bytes):
        typed.clear()

        def react(text: str) -> bytes:
            if typed or not stage.search(re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", text)):
                return b""
            typed.append(what)
            return what

        return react

    text, code = screen.run(command, 80, environment, type_once(b"\x03"))
    plain = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", text)
    assert code == 130
    assert re.search("spots | badge linf 24 | tiny | seed 0", plain)
    assert re.search(r"  2 of 3 cells +━", plain)
    lines = screen.shown(text, 80)
    assert [line for line in lines if "Interrupted" in line] == [
        "Interrupted. Finished work is kept; the same command continues."
    ]
    assert not any("cells  " in line for line in lines)

    text, code = screen.run(command, 80, environment, type_once(b"\n"))
    assert code == 0
    lines = screen.shown(text, 80)
    assert [line for line in lines if "cell" in line] == [
        "2 of 3 cells from records.",
        next(line for line in lines if re.fullmatch(r"1 cell done in \d+ seconds?\.", line)),
    ]
    (((shown, _),)) = tables(lines)
    assert shown["poisoner"] == [["clean"], ["sham"], ["badge"]]
