"""The wheel: the core and every first-party plugin, each registered, and nothing else."""

from __future__ import annotations

import configparser
import tomllib
import zipfile
from pathlib import Path

import pytest
from pip_installed import pip

ROOT = Path(__file__).parents[2]
PLUGINS = {path.name for path in (ROOT / "plugins").iterdir() if (path / "__init__.py").exists()}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> zipfile.ZipFile:
    target = tmp_path_factory.mktemp("wheel")
    pip("wheel", "--wheel-dir", target, ROOT)
    (built,) = target.glob("*.whl")
    with zipfile.ZipFile(built) as archive:
        yield archive


def entry_points(archive: zipfile.ZipFile) -> configparser.ConfigParser:
    (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/entry_points.txt"))
    parser = configparser.ConfigParser()
    parser.read_string(archive.read(name).decode())
    return parser


def test_plugin_folders_equal_entry_points(wheel):
    registered = dict(entry_points(wheel)["ucbench"])
    assert registered == {name: name for name in PLUGINS}
    assert all(name.startswith("ucbench_") for name in PLUGINS)


def test_wheel_holds_exactly_the_modules_of_the_folders(wheel):
    def modules(folder: Path, base: Path) -> set[str]:
        return {path.relative_to(base).as_posix() for path in folder.rglob("*.py")}

    expected = modules(ROOT / "ucbench", ROOT).union(
        *(modules(ROOT / "plugins" / p, ROOT / "plugins") for p in PLUGINS)
    )
    shipped = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert {name for name in shipped if name.endswith(".py")} == expected
    assert {name.partition("/")[0] for name in shipped} == {"ucbench", *PLUGINS}
    kinds = {".py", ".pyi", ".typed", ".toml", ".tmpl", ".j2", ".css", ".js"}
    photos = {"ucbench_datasets/photos.png", "ucbench_datasets/PHOTOS.md"}  # the second says whose they are
    figures = {"ucbench/protection/boards.json"}
    assert {Path(name).suffix for name in shipped - photos - figures} == kinds
    assert photos | figures <= shipped


def test_wheel_holds_the_suites(wheel):
    suites = {path.name: path.read_text() for path in (ROOT / "benchmarks" / "suites").glob("*.toml")}
    shipped = {name for name in wheel.namelist() if name.endswith(".toml")}
    assert {Path(name).name: wheel.read(name).decode() for name in shipped} == suites
    assert {Path(name).parent.as_posix() for name in shipped} == {"ucbench/suites"}


def test_wheel_has_py_typed_and_the_command(wheel):
    assert "ucbench/py.typed" in wheel.namelist()
    assert dict(entry_points(wheel)["console_scripts"]) == {"ucbench": "ucbench.cli:main"}


def test_import_contracts_cover_every_plugin():
    """A new plugin that the linter's contracts do not name could import another one unnoticed."""
    linter = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    core, plugins = (one for one in linter["contracts"] if one["type"] == "forbidden")
    (independence,) = (one for one in linter["contracts"] if one["type"] == "independence")
    assert set(linter["root_packages"]) == {"ucbench", *PLUGINS}
    assert core["source_modules"] == plugins["forbidden_modules"][0].split(".")[:1] == ["ucbench"]
    assert set(core["forbidden_modules"]) == set(plugins["source_modules"]) == PLUGINS
    assert set(independence["modules"]) == PLUGINS
    assert not linter.get("exclude_type_checking_imports")
