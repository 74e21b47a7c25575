"""``--plugin FILE``: a plugin in a file for one command, known by its content."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from plugin_sources import checked, failed, source

from ucbench import steps
from ucbench.cli.app import main
from ucbench.plugins import registry
from ucbench.plugins.registry import installed

TINY = """
class Data(Thing):
    def load(self, split):
        images = np.random.default_rng(len(split)).integers(0, 256, (12, 3, 8, 8), dtype=np.uint8)
        return ucbench.ImageSet(images, np.arange(12) % 2, ("a", "b"), name=split)

class Net(Thing):
    recipe = ucbench.Recipe(epochs=1, crop=0)

    def build(self, classes, size):
        return nn.Sequential(nn.Flatten(), nn.Linear(3 * size[0] * size[1], classes))

@ucbench.hookimpl
def ucbench_datasets():
    yield ucbench.DatasetSpec(name="data", summary="Data", load=f"{__name__}:Data", epsilon=8)

@ucbench.hookimpl
def ucbench_victims():
    yield ucbench.VictimSpec(name="net", summary="Net", load=f"{__name__}:Net")
"""


WATCHING = """
@ucbench.hookimpl
def ucbench_epoch_finished(event):
    with open({seen!r}, "a") as file:
        print(event.cell, file=file)
"""


@pytest.fixture
def file(tmp_path) -> Path:
    return tmp_path / "thing.py"


@pytest.fixture
def tiny(file, tmp_path, monkeypatch) -> Path:
    """A poisoner, a data set and a victim in a file."""
    monkeypatch.setenv("UCBENCH_HOME", str(tmp_path / "store"))
    file.write_text(source("poisoner") + TINY)
    return file


def request(file: Path, command: str = "plan") -> list[str]:
    axes = ["--dataset", "data", "--poisoner", "thing", "--victim", "net", "--device", "cpu", "--threads", "1"]
    return [command, *axes, "--plugin", str(file), "--json"]


def rows(capsys, *arguments: str) -> list[dict]:
    assert main(arguments) == 0
    return json.loads(capsys.readouterr().out)


def test_plugin_file_is_loaded_for_one_command(capsys, tiny):
    before = installed()
    for command in (["list", "poisoner"], ["show", "poisoner", "thing", "--full"], ["plugins"]):
        assert main([*command, "--plugin", str(tiny)]) == 0
        assert "thing.py" in capsys.readouterr().out
    assert installed() is before
    assert main(["show", "poisoner", "thing"]) == 2


def test_edit_changes_keys_and_undo_restores_them(capsys, tiny):
    (*_, first) = rows(capsys, *request(tiny))
    text = tiny.read_text()
    tiny.write_text(text.replace("2 * noise - 1", "1 - 2 * noise"))
    (*_, edited) = rows(capsys, *request(tiny))
    tiny.write_text(text)
    (*_, again) = rows(capsys, *request(tiny))
    assert first["poisoner"] == "thing"
    assert first["cell"] == again["cell"] != edited["cell"]


def test_results_are_not_reused_after_an_edit(capsys, tiny):
    (*_, first) = rows(capsys, *request(tiny, "run"))
    assert {cell["done"] for cell in rows(capsys, *request(tiny))} == {True}
    # An edit of one class would change what the others of the file inherit or call: all are known by the file.
    tiny.write_text(tiny.read_text().replace("np.float32(run.budget.radius)", "np.float32(run.budget.radius / 2)"))
    planned = rows(capsys, *request(tiny))
    assert {(cell["done"], cell["release_done"]) for cell in planned if cell["poisoner"] == "thing"} == {(False, False)}
    (*_, second) = rows(capsys, *request(tiny, "run"))
    assert (first["measured_linf"], second["measured_linf"]) == (8.0, 4.0)


def test_records_name_file_and_content_without_folder(capsys, tiny, tmp_path):
    out = tmp_path / "out"
    rows(capsys, *request(tiny, "run"), "--out", str(out))
    for path in (out / "records").iterdir():
        components = json.loads(path.read_text())["components"]
        assert components["victim"]["distribution"] == "thing.py"
        assert components["victim"]["file"].startswith(components["victim"]["distribution_version"])
        assert str(tmp_path) not in path.read_text()


def test_workers_use_the_content_read_at_start(capsys, tiny, monkeypatch):
    prepare = steps.run_session

    def run_session(cells, here, **options):
        tiny.write_text("raise RuntimeError('edited too early')")
        return prepare(cells, here, **options)

    monkeypatch.setattr(steps, "run_session", run_session)
    found = rows(capsys, *request(tiny, "run"), "--executor", "process:workers=1")
    assert {row["status"] for row in found} == {"ok"}
    assert found[-1]["measured_linf"] == 8.0


def test_workers_have_the_file_for_nested_references_and_hooks(capsys, tiny, tmp_path):
    seen = tmp_path / "seen"
    tiny.write_text(tiny.read_text() + WATCHING.format(seen=str(seen)))
    arguments = request(tiny, "run")
    arguments[arguments.index("thing")] = "shuffled:thing"
    found = rows(capsys, *arguments, "--executor", "process:workers=1")
    assert {row["status"] for row in found} == {"ok"}, found
    assert sorted(seen.read_text().split()) == sorted(row["cell"] for row in found)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("def", "cannot be imported: SyntaxError"),
        ("import no_such_module_anywhere", "No module named 'no_such_module_anywhere'"),
        ("raise SystemExit(3)", "cannot be imported: SystemExit: 3"),
        ("def ucbench_poisoners():\n    return []", "none of its functions is marked @ucbench.hookimpl"),
        (source("poisoner").replace("ucbench_poisoners", "ucbench_poisners"), "ucbench_poisners"),
        (source("poisoner").replace('"thing"', '"Thing"'), "invalid name 'Thing'"),
    ],
)
def test_broken_file_is_reported_like_a_broken_plugin(capsys, file, text, reason):
    file.write_text(text)
    plugins = rows(capsys, "plugins", "--plugin", str(file), "--json")["plugins"]
    (sick,) = [plugin for plugin in plugins if plugin["problem"]]
    assert sick["distribution"] == "thing.py"
    assert reason in sick["problem"]
    assert main(["run", "--poisoner", "thing", "--plugin", str(file)]) == 2
    error = capsys.readouterr().err
    assert "Unknown poisoner 'thing'" in error
    assert f"thing.py was left out: {sick['problem']}." in error
    code, report = checked(capsys, "--plugin", str(file))
    assert code == 1
    assert failed(report["components"][0]) == {"plugin/loads"}


@pytest.mark.parametrize("command", ["run", "plan"])
def test_broken_file_that_no_axis_needs_is_named_in_a_warning(caplog, tmp_path, tiny, command):
    watching = tmp_path / "watching.py"
    watching.write_text("import no_such_module_anywhere")
    assert main([*request(tiny, command), "--plugin", str(watching)]) == 0
    (warning,) = [record for record in caplog.records if "was left out" in record.getMessage()]
    assert warning.getMessage().startswith("Plugin watching (watching.py ")


def test_name_of_an_installed_component_is_contested(capsys, file):
    file.write_text(source("poisoner").replace('"thing"', '"uc"'))
    assert main(["run", "--poisoner", "uc", "--plugin", str(file)]) == 1
    error = capsys.readouterr().err
    assert "ucbench_uc" in error
    assert "thing.py" in error


def test_file_that_is_not_python_is_rejected(capsys, tmp_path):
    assert main(["list", "--plugin", str(tmp_path / "missing.py")]) == 2
    other = tmp_path / "notes.txt"
    other.touch()
    assert main(["list", "--plugin", str(other)]) == 2
    assert "must end in .py" in capsys.readouterr().err


def test_same_file_given_twice_is_one_plugin(tiny):
    with registry.trying([tiny, str(tiny)]), registry.trying([tiny]):
        assert sum(plugin.distribution == "thing.py" for plugin in installed().plugins) == 1
        assert installed().find("poisoner", "thing").name == "thing"
