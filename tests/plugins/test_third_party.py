"""A stranger's distribution, built and installed the ordinary way, is as good as the ones that come along."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap

import pytest

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
            yield ucbench.PoisonerRecord(
                name="stripes",
                summary="The same stripes on every image",
                load="ucbench_stripes.poisoner:Stripes",
                params="ucbench_stripes.params:StripesParams",
                aliases=("bars",),
                granularity="universal",
            )
    """,
    "ucbench_stripes/params.py": """
        from pydantic import Field

        import ucbench


        class StripesParams(ucbench.Params):
            period: int = Field(4, ge=2, description="pixels from one stripe to the next")

            presets = {"wide": {"period": 8}}
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
    offline = ["--no-build-isolation", "--no-deps", "--no-index", "--disable-pip-version-check", "--quiet"]
    subprocess.run([sys.executable, "-m", "pip", "install", *offline, "--target", str(site), str(source)], check=True)
    path = os.pathsep.join(filter(None, [str(site), os.environ.get("PYTHONPATH")]))
    return {**os.environ, "PYTHONPATH": path}


def ucbench(environment: dict[str, str], *arguments: str) -> str:
    """Standard output of a command line that must succeed."""
    command = [sys.executable, "-m", "ucbench", *arguments]
    return subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True).stdout


def test_it_is_listed_beside_the_others_with_its_distribution(stripes):
    records = {record["name"]: record for record in json.loads(ucbench(stripes, "list", "poisoner", "--json"))}
    assert "clean" in records
    assert records["stripes"]["distribution"] == "ucbench-stripes"
    assert records["stripes"]["distribution_version"] == "0.7"
    assert records["stripes"]["granularity"] == "universal"


def test_its_parameters_and_presets_are_shown(stripes):
    shown = json.loads(ucbench(stripes, "show", "poisoner", "bars@wide", "--json"))
    (period,) = shown["parameters"]
    assert (period["type"], period["default"], period["value"]) == ("int >= 2", 4, 8)
    assert shown["reference"] == "stripes@wide"


def test_it_is_gone_when_loading_is_restricted(stripes):
    records = json.loads(ucbench({**stripes, "UCBENCH_PLUGINS": "none"}, "list", "poisoner", "--json"))
    assert "stripes" not in {record["name"] for record in records}
