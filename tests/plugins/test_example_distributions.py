"""The distributions in ``docs/examples`` are built and installed by pip, pass their own tests, and run by name."""

from __future__ import annotations

import importlib.util
import json
import re
import shlex
import tomllib
import xml.etree.ElementTree as ET
from importlib.metadata import distributions
from pathlib import Path

import pytest
from pip_installed import environment_with, install, output

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "docs" / "examples"
DISTRIBUTIONS = ("ucbench-fourier", "ucbench-wavelet")
PYWAVELETS = importlib.util.find_spec("pywt") is not None
#: Those whose dependencies are installed.
RUNNABLE = DISTRIBUTIONS if PYWAVELETS else DISTRIBUTIONS[:1]
needs_pywavelets = pytest.mark.skipif(not PYWAVELETS, reason="PyWavelets is not installed; pip install PyWavelets")
TINY = """
import numpy as np
from torch import nn

import ucbench


class Squares:
    def __init__(self, params):
        self.params = params

    def load(self, split):
        labels = np.arange(40, dtype=np.int64) % 2
        images = np.random.default_rng(split == "test").integers(60, 120, (40, 3, 8, 8), dtype=np.uint8)
        images[labels == 1, :, 2:6, 2:6] += 90
        return ucbench.ImageSet(images, labels, ("dark", "bright"), name="squares")


class SpeckParams(ucbench.Recipe):
    epochs: int = 1


class Speck:
    def __init__(self, params):
        self.recipe = params

    def build(self, classes, size):
        return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, classes))


@ucbench.hookimpl
def ucbench_datasets():
    yield ucbench.DatasetSpec(name="squares", summary="Squares", load=f"{__name__}:Squares", epsilon=16)


@ucbench.hookimpl
def ucbench_victims():
    yield ucbench.VictimSpec(
        name="speck", summary="The smallest network", load=f"{__name__}:Speck", params=f"{__name__}:SpeckParams"
    )
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """A folder into which pip has installed both."""
    folder = tmp_path_factory.mktemp("site")
    install(folder, [EXAMPLES / name for name in DISTRIBUTIONS])
    return folder


@pytest.fixture(scope="module")
def environment(site, tmp_path_factory) -> dict[str, str]:
    home = tmp_path_factory.mktemp("store")
    return {**environment_with(site), "UCBENCH_HOME": str(home), "PYTHONDONTWRITEBYTECODE": "1"}


def test_metadata_has_name_licence_entry_point_and_dependencies(site):
    found = {dist.name: dist for dist in distributions(path=[str(site)])}
    assert sorted(found) == sorted(DISTRIBUTIONS)
    for name, dist in found.items():
        assert dist.metadata["License-Expression"] == "Apache-2.0"
        assert [path.name for path in dist.files if path.name == "LICENSE"] == ["LICENSE"]
        (entry,) = dist.entry_points.select(group="ucbench")
        assert entry.name == entry.value == name.replace("-", "_")
    assert "pywavelets>=1.6" in map(str.lower, found["ucbench-wavelet"].requires)


def test_spec_extra_is_a_dependency_of_the_distribution(environment):
    """A user without PyWavelets reads the spec's ``extra``."""
    described = tomllib.loads((EXAMPLES / "ucbench-wavelet" / "pyproject.toml").read_text(encoding="utf-8"))
    shown = json.loads(output(environment, "ucbench", "show", "defense", "wavelet-denoise", "--json"))
    assert shown["extra"] in described["project"]["dependencies"]


def test_components_are_listed_with_distribution_and_paper(environment):
    listed = {(r["kind"], r["name"]): r for r in json.loads(output(environment, "ucbench", "list", "--json"))}
    poisoner, defense = listed["poisoner", "fourier"], listed["defense", "wavelet-denoise"]
    assert (poisoner["distribution"], defense["distribution"]) == DISTRIBUTIONS
    assert "1809.04098" in poisoner["paper"]
    assert "1906.08988" in poisoner["paper"]
    assert "Wavelet" in defense["paper"]


def test_distributions_pass_their_own_tests(environment, tmp_path):
    report = tmp_path / "report.xml"
    folders = [str(EXAMPLES / name / "tests") for name in RUNNABLE]
    options = ["-q", "--import-mode=importlib", "-p", "no:cacheprovider", f"--rootdir={tmp_path}"]
    output(environment, "pytest", *options, f"--junit-xml={report}", *folders)
    suite = ET.parse(report).getroot()[0]
    names = [case.get("name").partition("[")[0] for case in suite.iter("testcase")]
    assert suite.get("skipped") == "0"
    assert names.count("test_component_keeps_its_contract") == 3 * len(RUNNABLE)
    assert "test_groups_share_no_frequency" in names
    assert ("test_denoising_removes_energy_of_noise_on_smooth_image" in names) == ("ucbench-wavelet" in RUNNABLE)


def test_distributions_pass_check_plugin(environment):
    report = json.loads(output(environment, "ucbench", "check-plugin", *RUNNABLE, "--json"))
    assert [entry["distribution"] for entry in report["components"]] == list(RUNNABLE)
    for entry in report["components"]:
        verdicts = {line["rule"]: line["verdict"] for line in entry["rules"]}
        assert "failed" not in verdicts.values()
        assert verdicts["spec/light"] == "ok"


def run(environment: dict[str, str], folder: Path, *axes: str) -> list[dict]:
    """Rows of a run on tiny images by a tiny victim."""
    tiny = folder / "tiny.py"
    tiny.write_text(TINY)
    common = ["--plugin", str(tiny), "--dataset", "squares", "--victim", "speck", "--device", "cpu", "--threads", "1"]
    return json.loads(output(environment, "ucbench", "run", *common, *axes, "--json"))


def test_fourier_fills_budget_on_labels_and_on_clusters(environment, tmp_path):
    axes = ["--poisoner", "fourier", "--poisoner", "fourier@fixed", "--craft-labels", "original"]
    rows = run(environment, tmp_path, *axes, "--craft-labels", "clusters:k=3", "--epsilon", "12")
    assert {row["status"] for row in rows} == {"ok"}
    waves = [row for row in rows if row["poisoner"] == "fourier"]
    assert sorted((row["preset"], row["label_access"]) for row in waves) == [
        ("fixed", "full"), ("fixed", "none"), ("standard", "full"), ("standard", "none")
    ]  # fmt: skip
    assert {row["measured_linf"] for row in waves} == {12.0}
    assert all(row["perturbed_test_accuracy"] is not None for row in waves if row["label_access"] == "full")


@needs_pywavelets
def test_release_is_denoised_once_for_all_trainings(environment, tmp_path):
    store = tmp_path / "store"
    axes = ["--poisoner", "fourier", "--defense", "none", "--defense", "wavelet-denoise"]
    rows = run({**environment, "UCBENCH_HOME": str(store)}, tmp_path, *axes, "--craft-seed", "0", "--train-seed", "0-1")
    assert {row["status"] for row in rows} == {"ok"}
    denoised = [row for row in rows if row["defense"] == "wavelet-denoise"]
    assert len(denoised) == 6
    assert len(list(store.glob("**/prepared/*/"))) == 3  # clean, sham and fourier, each for two trainings


def test_commands_of_the_page_can_be_planned(environment):
    page = (ROOT / "docs" / "examples.md").read_text(encoding="utf-8")
    lines = [shlex.split(line) for line in page.replace("\\\n", " ").splitlines() if line.startswith("ucbench ")]
    (requested,) = (words[2:] for words in lines if words[1] == "run")
    out = requested.index("--out")
    planned = json.loads(output(environment, "ucbench", "plan", *requested[:out], *requested[out + 2 :], "--json"))
    assert len(planned) == 5 * 3 * 4  # with clean and sham, for three defenses and four seeds
    assert {words[1] for words in lines} == {"run", "show", "check-plugin"}
    for words in lines:
        if words[1] == "show":
            assert output(environment, *words)


def test_folders_named_on_the_page_exist():
    page = (ROOT / "docs" / "examples.md").read_text(encoding="utf-8")
    folders = re.findall(r"\./(docs/examples/[\w-]+)", page)
    assert sorted(folders) == sorted(f"docs/examples/{name}" for name in DISTRIBUTIONS)
    assert all((ROOT / folder / "pyproject.toml").exists() for folder in folders)
