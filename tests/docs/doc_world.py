"""The world in which the documentation's code blocks are run: a folder with small stand-ins for what readers have."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import tomllib
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import typer
from doc_pages import ROOT, Block
from PIL import Image
from typer.core import TyperCommand, TyperGroup

import ucbench
from ucbench import api, steps
from ucbench.cli.app import cli, main
from ucbench.matrix import requests
from ucbench.matrix.cell import Cell
from ucbench.matrix.matrix import expand
from ucbench.matrix.suite import load_suite
from ucbench.plugins import manager as plugins
from ucbench.plugins import registry
from ucbench.plugins.builtin import CLEAN
from ucbench.results.columns import COLUMNS
from ucbench.session import Session, open_session
from ucbench.steps import PlannedCell, plan_session

#: Run as they stand, with trainings left out; any other command is parsed.
EXECUTED = {
    ("run",), ("plan",), ("list",), ("show",), ("plugins",), ("new-plugin",), ("leaderboard", "build"),
    ("leaderboard", "check"),
}  # fmt: skip
#: Whose exit code 1 is a finding: on the records that happen to be here, there may be one, or none may be of the suite.
JUDGES = {("leaderboard", "build"), ("leaderboard", "check")}
#: What a shell has set where the documentation reads it.
ENVIRONMENT = {"SLURM_ARRAY_TASK_ID": "1", "SLURM_ARRAY_TASK_COUNT": "16", "SCRATCH": "scratch"}
#: Poisoners quick enough to be run for real; another is replaced by the one of them that knows as much.
QUICK = {"none": "rand-sample", "full": "rand-class"}
RECORDS = ROOT / "leaderboards" / "first-run" / "v2" / "records"
#: Of UC beside random signs on its clusters.
COMPARED = ROOT / "leaderboards" / "photos-core" / "v1" / "records"
#: A record that the help of ``ucbench export`` names.
RECORD_OF_THE_HELP = "0b0ad6c41570afed71b4ba981a1d888f.json"
FILE_NAME = re.compile(r"# ([\w./-]+\.(?:py|toml))\b")
_STRIPES = """
import ucbench

@ucbench.hookimpl
def ucbench_poisoners():
    yield ucbench.PoisonerSpec(name="stripes", summary="Stripes", load=f"{__name__}:Stripes")

class Stripes:
    def __init__(self, params):
        self.params = params
"""


def file_of(block: Block) -> str | None:
    """The name under which a reader would save the block, if its first line is one, or if it is a suite."""
    if block.language not in ("python", "toml"):
        return None
    named = FILE_NAME.match(block.text)
    if named:
        return named[1]
    content = tomllib.loads(block.text) if block.language == "toml" else {}
    return f"{content['name']}.toml" if "table" in content else None


class World:
    """One page's folder and variables; blocks of a page see what earlier ones made.

    Args:
        blocks: of the page; those that are files are there from the beginning.
    """

    def __init__(self, folder: Path, blocks: Sequence[Block], patch: pytest.MonkeyPatch) -> None:
        self.folder, self.patch = folder, patch
        rng = np.random.default_rng(0)
        self.variables: dict[str, Any] = {
            "__name__": "documentation",
            "images": rng.integers(0, 256, (24, 3, 8, 8), dtype=np.uint8),
            "labels": np.arange(24, dtype=np.int64) % 3,
        }
        for name, value in {**ENVIRONMENT, "UCBENCH_HOME": str(folder / "store"), "UCBENCH_DATA": ""}.items():
            patch.setenv(name, value)
        patch.chdir(folder)
        # The package keeps a public name from its first use on, so its own is patched.
        patch.setattr(ucbench, "run", _pretended_run)
        patch.setattr(ucbench, "craft", _quick_craft(ucbench.craft))
        plan = plan_session
        for module in (api, steps):
            patch.setattr(module, "run_session", partial(_planned_run, plan))
            patch.setattr(module, "plan_session", partial(_plan_at_hand, plan))
        self._furnish()
        for block in blocks:
            if name := file_of(block):
                path = folder / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(block.text, encoding="utf-8")
        if (folder / "pyproject.toml").exists():
            self._install(folder)

    def _furnish(self) -> None:
        """Files that readers are assumed to have: a release made elsewhere, a plugin begun, results of a run."""
        for name in ("stripes.py", "quilt.py"):
            (self.folder / name).write_text(_STRIPES, encoding="utf-8")
        np.save(self.folder / "deltas.npy", np.zeros((1297, 3, 8, 8), np.float32))
        for name in ("perturbed/0.png", "exported/0.png", "photos/0.jpg", "photos/1.jpg"):
            path = self.folder / name
            path.parent.mkdir(exist_ok=True)
            Image.new("RGB", (8, 8)).save(path)
        for folder in ("results", "out", "first", "leaderboards/photos-core/v1"):
            target = self.folder / folder / "records"
            target.mkdir(parents=True)
            for path in sorted(RECORDS.glob("*.json")):
                shutil.copy(path, target)
        shutil.copy(path, self.folder / "results" / "records" / RECORD_OF_THE_HELP)
        shutil.copytree(COMPARED, self.folder / "compare" / "records")

    def _install(self, project: Path) -> None:
        """Make a plugin, described by the page or begun by ``ucbench new-plugin``, as good as installed."""
        described = tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        named = described["entry-points"]["ucbench"]
        dist_info = (
            self.folder / "installed" / f"{described['name'].replace('-', '_')}-{described['version']}.dist-info"
        )
        dist_info.mkdir(parents=True)
        (dist_info / "METADATA").write_text(f"Name: {described['name']}\nVersion: {described['version']}\n")
        lines = [f"{name} = {module}" for name, module in named.items()]
        (dist_info / "entry_points.txt").write_text("\n".join(["[ucbench]", *lines, ""]))
        for source in (dist_info.parent, project, project / "src"):
            self.patch.syspath_prepend(str(source))
        forget_plugins()
        loaded = [plugin for plugin in registry.installed().plugins if plugin.name in named]
        assert [plugin.name for plugin in loaded] == list(named)
        check_records(loaded)

    def run(self, block: Block) -> None:
        """Run, plan or parse one block, by its language."""
        if block.language == "python":
            self._python(block)
        elif block.language == "toml":
            self._toml(block)
        elif block.language == "json":
            json.loads(block.text)
        elif block.language in ("sh", "indented"):
            if block.language == "sh":
                subprocess.run(["bash", "-n"], input=block.text, text=True, check=True)
            for words in commands(block.text):
                self.command(words)

    def prepare(self, block: Block) -> None:
        """What later blocks of a page take for granted of this one: variables, and plugins begun and installed."""
        if block.language == "python" and file_of(block) is None:
            self.run(block)
        if block.language in ("sh", "indented"):
            for words in commands(block.text):
                if words[0] == "pip" or words[1:2] == ["new-plugin"]:
                    self.command(words)

    def _python(self, block: Block) -> None:
        name = file_of(block)
        code = compile(block.text, str(block), "exec")
        if name is None:
            exec(code, self.variables)
        elif "hookimpl" in block.text and "/" not in name:
            with registry.trying([self.folder / name]):
                check_records(registry.installed().plugins[-1:])

    def _toml(self, block: Block) -> None:
        content = tomllib.loads(block.text)
        if "table" in content:
            suite = load_suite(self.folder / f"{content['name']}.toml")
            assert requests.suite_cells(suite, open_session(threads=1).registry)

    def command(self, words: list[str]) -> None:
        """Run or parse one command of ``ucbench``; install what ``pip`` finds in the folder."""
        if words[0] == "pip":
            for project in (self.folder / word for word in words[2:] if not word.startswith("-")):
                if project != self.folder and (project / "pyproject.toml").exists():
                    self._install(project)
            return
        path, given, command, parent = named_command(words[1:])
        if path in EXECUTED:
            assert main([*path, *given]) in ((0, 1) if path in JUDGES else (0,)), words
        else:
            command.make_context(" ".join(path), list(given), parent=parent)


def check_records(loaded: Sequence[plugins.LoadedPlugin]) -> None:
    """Whether plugins loaded, and their records lead to parameters and classes."""
    here = registry.installed()
    for plugin in loaded:
        assert plugin.problem is None
        for record in plugin.specs:
            here.params_class(record)
            here.component_class(record)


def forget_plugins() -> None:
    """Have installed plugins looked for again."""
    for module in (plugins, registry):
        for value in vars(module).values():
            if hasattr(value, "cache_clear"):
                value.cache_clear()


def named_command(words: Sequence[str]) -> tuple[tuple[str, ...], list[str], TyperCommand | TyperGroup, typer.Context]:
    """The command that words name, through groups: its path, what is left of the words, and its parent's context."""
    path: tuple[str, ...] = ()
    command: TyperCommand | TyperGroup = cli
    parent = context = typer.Context(cli, info_name="ucbench")
    rest = list(words)
    while isinstance(command, TyperGroup) and rest and not rest[0].startswith("-"):
        name = rest.pop(0)
        found = command.get_command(context, name)
        assert found is not None, f"There is no command {' '.join((*path, name))!r}."
        path, command, parent = (*path, name), found, context
        context = typer.Context(found, parent=parent, info_name=name)
    return path, rest, command, parent


def commands(text: str) -> Iterator[list[str]]:
    """The lines of a shell that call ``ucbench`` or ``pip``, variables replaced; a line of axes alone is a run's.

    In indented examples, words that explain a line stand three spaces or more behind it.
    """
    values = dict(ENVIRONMENT)
    for whole in re.sub(r"\s*\\\n\s*", " ", text).splitlines():
        line = re.split(r"(?<=\S)\s{3,}", whole.strip())[0]
        line = re.sub(r"\$\{?(\w+)\}?", lambda found: values.get(found[1], found[0]), line)
        if not re.match(r"(\w+=\S* *)*(\S*/)?(\w+=|ucbench |pip |python3? -m |--)", line):
            continue
        words = shlex.split(line, comments=True)
        while words and (assigned := re.fullmatch(r"(\w+)=(.*)", words[0])):
            values[assigned[1]] = assigned[2]
            words = words[1:]
        if words[1:3] in (["-m", "ucbench"], ["-m", "pip"]):
            words = words[2:]
        if words and words[0].startswith("--"):
            words = ["ucbench", "run", "--poisoner", "lsp", *words]
        if words and (program := Path(words[0]).name) in ("ucbench", "pip"):
            yield [program, *words[1:]]


def _plan_at_hand(plan: Any, cells: Sequence[Cell], here: Session, **options: Any) -> list[PlannedCell]:
    """A plan, if the data come along; other data would be downloaded. Their cells have been looked up all the same."""
    assert cells
    names = {cell.dataset.spec.name for cell in cells if cell.dataset.origin.distribution == "ucbench"}
    return plan(cells, here, **options) if names <= {"digits"} else []


def _planned_run(plan: Any, cells: Sequence[Cell], here: Session, *, executor: str, out: Any, **options: Any) -> Any:
    here.registry.resolve("executor", executor)
    _plan_at_hand(plan, cells, here, out=out)
    return []


def _pretended_run(*, out: Any = None, executor: str = "serial", progress: Any = None, **axes: Any) -> pd.DataFrame:
    """The rows that a run would return, with invented accuracies: the cells are real, nothing is trained."""
    where = {name: axes.pop(name) for name in ("device", "dtype", "threads") if name in axes}
    here = open_session(**where)
    here.registry.resolve("executor", executor)
    rng = np.random.default_rng(0)
    rows = []
    for cell in expand(requests.axes(**axes), here.registry):
        accuracy = 95.0 if cell.craft.poisoner.spec.name == CLEAN else float(rng.uniform(20, 80))
        numbers = {name: float(rng.uniform(0, 1)) for name in COLUMNS[COLUMNS.index("test_accuracy") :]}
        rows.append({**numbers, "status": "ok", "cell": "", **cell.describe(), "test_accuracy": accuracy})
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _quick_craft(craft: Any) -> Any:
    def quick(images: Any, labels: Any, poisoner: str, **options: Any) -> Any:
        named = registry.installed().resolve("poisoner", poisoner).spec
        if labels is None and named.label_access != "none":
            raise ucbench.UsageError(f"{poisoner} needs labels")
        return craft(images, labels, QUICK[named.label_access], **options)

    return quick
