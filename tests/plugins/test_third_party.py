"""A distribution outside this repository, built and installed by pip, can do what the included plugins can."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import textwrap
import time

import pytest
from pip_installed import environment_with, install, output

FILES = {
    "pyproject.toml": """
        [build-system]
        requires = ["hatchling"]
        build-backend = "hatchling.build"

        [project]
        name = "ucbench-stripes"
        version = "0.7"

        [project.entry-points.ucbench]
        ucbench_stripes = "ucbench_stripes"
    """,
    "ucbench_stripes/__init__.py": """
        import ucbench

        @ucbench.hookimpl
        def ucbench_poisoners():
            yield ucbench.PoisonerSpec(
                name="stripes",
                summary="The same stripes on every image",
                load="ucbench_stripes.poisoner:Stripes",
                params="ucbench_stripes.params:StripesParams",
                aliases=("bars",),
                granularity="universal",
            )

        @ucbench.hookimpl
        def ucbench_datasets():
            yield ucbench.DatasetSpec(
                name="squares",
                summary="Bright and dark squares at 8x8 px",
                load="ucbench_stripes.squares:Squares",
                epsilon=16,
            )

        @ucbench.hookimpl
        def ucbench_victims():
            yield ucbench.VictimSpec(
                name="speck",
                summary="The smallest network",
                load="ucbench_stripes.speck:Speck",
                params="ucbench_stripes.params:SpeckParams",
            )
    """,
    "ucbench_stripes/params.py": """
        from pydantic import Field

        import ucbench


        class StripesParams(ucbench.Params):
            period: int = Field(4, ge=2, description="pixels from one stripe to the next")

            presets = {"wide": {"period": 8}}


        class SpeckParams(ucbench.Recipe):
            epochs: int = Field(2, ge=1)
    """,
    "ucbench_stripes/squares.py": """
        import numpy as np

        import ucbench


        class Squares:
            def __init__(self, params):
                self.params = params

            def load(self, split):
                labels = np.arange(40, dtype=np.int64) % 2
                images = np.random.default_rng(split == "test").integers(60, 120, (40, 3, 8, 8), dtype=np.uint8)
                images[labels == 1, :, 2:6, 2:6] += 90
                return ucbench.ImageSet(images, labels, ("dark", "bright"), name="squares")
    """,
    "ucbench_stripes/speck.py": """
        import os
        import pathlib
        import time

        from torch import nn


        class Speck:
            def __init__(self, params):
                self.recipe = params

            def build(self, classes, size):
                if self.recipe.epochs == 3 and "SPECK_WAITS" in os.environ:
                    pathlib.Path(os.environ["SPECK_WAITS"]).touch()
                    time.sleep(600)
                return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, classes))
    """,
    "ucbench_stripes/poisoner.py": """
        import numpy as np

        import ucbench


        class Stripes:
            def __init__(self, params):
                self.params = params

            def craft(self, train, run):
                height, width = train.size
                bright = np.arange(width) // (self.params.period // 2) % 2 == 0
                row = np.where(bright, run.budget.radius, -run.budget.radius).astype(np.float32)
                delta = np.broadcast_to(row, (1, 3, height, width))
                return ucbench.Perturbation(delta, np.zeros(len(train), np.int64))
    """,
}


@pytest.fixture(scope="module")
def stripes(tmp_path_factory) -> dict[str, str]:
    """The environment of a process in which ``ucbench-stripes`` is installed."""
    source, site = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("site")
    for name, text in FILES.items():
        path = source / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(textwrap.dedent(text))
    install(site, [source])
    return environment_with(site)


@pytest.fixture
def at_home(stripes, tmp_path) -> dict[str, str]:
    """The same, with an empty store."""
    return {**stripes, "UCBENCH_HOME": str(tmp_path / "store")}


def ucbench(environment: dict[str, str], *arguments: str) -> str:
    """Standard output of a command line that must succeed."""
    return output(environment, "ucbench", *arguments)


def test_component_is_listed_with_its_distribution(stripes):
    records = {record["name"]: record for record in json.loads(ucbench(stripes, "list", "poisoner", "--json"))}
    assert "clean" in records
    assert records["stripes"]["distribution"] == "ucbench-stripes"
    assert records["stripes"]["distribution_version"] == "0.7"
    assert records["stripes"]["granularity"] == "universal"


def test_parameters_and_presets_are_shown(stripes):
    shown = json.loads(ucbench(stripes, "show", "poisoner", "bars@wide", "--json"))
    (period,) = shown["parameters"]
    assert (period["type"], period["default"], period["value"]) == ("int >= 2", 4, 8)
    assert shown["reference"] == "stripes@wide"


def test_component_is_absent_if_loading_is_restricted(stripes):
    records = json.loads(ucbench({**stripes, "UCBENCH_PLUGINS": "none"}, "list", "poisoner", "--json"))
    assert "stripes" not in {record["name"] for record in records}


REQUEST = ("--dataset", "squares", "--victim", "speck", "--poisoner", "stripes", "--device", "cpu", "--threads", "1")


def test_components_are_planned_and_run_by_name(at_home, tmp_path):
    planned = json.loads(ucbench(at_home, "plan", *REQUEST, "--seed", "0-1", "--epsilon", "8/255", "--json"))
    assert {cell["done"] for cell in planned} == {False}
    rows = json.loads(
        ucbench(at_home, "run", *REQUEST, "--seed", "0-1", "--epsilon", "8", "--out", str(tmp_path / "out"), "--json")
    )
    assert [(row["poisoner"], row["train_seed"]) for row in rows] == [
        ("clean", 0), ("clean", 1), ("sham", 0), ("sham", 1), ("stripes", 0), ("stripes", 1)
    ]  # fmt: skip
    assert {row["cell"] for row in rows} == {cell["cell"] for cell in planned}
    assert {row["status"] for row in rows} == {"ok"}
    assert {row["measured_linf"] for row in rows if row["poisoner"] != "clean"} == {8.0}
    with (tmp_path / "out" / "results.csv").open(newline="") as file:
        assert [row["cell"] for row in csv.DictReader(file)] == [row["cell"] for row in rows]
    record = json.loads((tmp_path / "out" / "records" / f"{rows[-1]['cell']}.json").read_text())
    for kind in ("dataset", "poisoner", "victim"):
        assert record["components"][kind]["distribution"] == "ucbench-stripes"
        assert record["components"][kind]["distribution_version"] == "0.7"
    assert [path.suffix for path in (tmp_path / "out" / "sheets").iterdir()] == [".png"] * 2
    elsewhere = {**at_home, "UCBENCH_HOME": str(tmp_path / "empty")}
    again = ucbench(elsewhere, "plan", *REQUEST, "--seed", "0-1", "--epsilon", "8", "--out", str(tmp_path / "out"))
    assert again.splitlines()[-1] == "6 cells, 6 done."


@pytest.mark.skipif(os.name != "posix", reason="signals to a process are POSIX's")
def test_same_command_resumes_after_ctrl_c(at_home, tmp_path):
    waits, out = tmp_path / "waits", tmp_path / "out"
    command = [sys.executable, "-m", "ucbench", "run", *REQUEST, "--victim", "speck:epochs=3", "--out", str(out)]
    process = subprocess.Popen(
        command,
        env={**at_home, "SPECK_WAITS": str(waits)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A process started in the background would ignore the signal.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        while process.poll() is None and not waits.exists():
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130, stderr
    assert stdout == ""
    assert "Interrupted. Finished work is kept" in stderr
    assert "Traceback" not in stderr
    assert started(stderr) == ["[1/6]", "[2/6]", "[3/6]", "[4/6]"]
    assert len(list((out / "records").iterdir())) == 3
    done = subprocess.run(command, env=at_home, capture_output=True, text=True, check=True)
    assert started(done.stderr) == ["[1/3]", "[2/3]", "[3/3]"]
    assert "3 of 6 cells from records." in done.stderr
    assert len(list((out / "records").iterdir())) == 6


def started(log: str) -> list[str]:
    """Numbers of the cells that a run began to compute."""
    return [line.split()[0] for line in log.splitlines() if line.startswith("[")]


def test_unknown_name_suggests_names_of_the_distribution(stripes):
    command = [sys.executable, "-m", "ucbench", "run", "--poisoner", "strips", "--dataset", "squares"]
    done = subprocess.run(command, env=stripes, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "Unknown poisoner 'strips'. Did you mean 'stripes'?" in done.stderr
