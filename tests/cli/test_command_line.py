"""The command line as a process: what it imports, how it exits, what goes to which stream."""

from __future__ import annotations

import json
import subprocess
import sys

import click
import pytest

from ucbench.cli import app
from ucbench.errors import DataError

#: What only running, or only a terminal, needs.
HEAVY = {
    "torch",
    "torchvision",
    "timm",
    "pandas",
    "sklearn",
    "scipy",
    "pyarrow",
    "PIL",
    "numpy",
    "pydantic",
    "rich",
}


def imported_by(statement: str) -> set[str]:
    """Top-level packages in memory after ``statement`` in a fresh interpreter."""
    report = "import json, sys; print('\\n' + json.dumps([m.partition('.')[0] for m in sys.modules]))"
    done = subprocess.run([sys.executable, "-c", f"{statement}\n{report}"], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize(
    "statement",
    [
        "import ucbench",
        "from ucbench.cli import main; main(['--help'])",
        "from ucbench.cli import main; main(['list'])",
        "from ucbench.cli import main; main(['plugins', '--json'])",
    ],
)
def test_list_and_help_import_nothing_heavy(statement):
    assert imported_by(statement) & HEAVY == set()


def test_show_imports_no_torch():
    statement = "from ucbench.cli import main; assert main(['show', 'poisoner', 'positive']) == 0"
    assert imported_by(statement) & {"torch", "pandas", "sklearn", "scipy"} == set()


def test_module_is_runnable_and_stdout_is_pure_json():
    done = subprocess.run(
        [sys.executable, "-m", "ucbench", "list", "--json"], capture_output=True, text=True, check=True
    )
    assert {"clean", "sham"} <= {record["name"] for record in json.loads(done.stdout)}


def test_doctor_passes_and_reports_a_missing_data_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("UCBENCH_HOME", str(tmp_path / "store"))
    monkeypatch.setenv("UCBENCH_DATA", str(tmp_path / "absent"))
    done = subprocess.run(
        [sys.executable, "-m", "ucbench", "doctor", "--json"], capture_output=True, text=True, check=True
    )
    report = json.loads(done.stdout)
    assert report["store"]["path"] == str(tmp_path / "store")
    assert report["store"]["writable"] is True
    assert not (tmp_path / "store").exists()
    assert report["torch"]["dtype"] in ("float32", "bfloat16")
    assert [p for p in report["problems"] if "UCBENCH_DATA" in p] == [
        f"UCBENCH_DATA={tmp_path / 'absent'} is not a folder."
    ]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["lst"], 2, "Did you mean 'list'?"),
        (["list", "poisonr"], 2, "Did you mean 'poisoner'?"),
        (["show", "poisoner", "clen"], 2, "Did you mean 'clean'?"),
        (["show", "poisoner"], 2, "NAME"),
        (["list", "--jsn"], 2, "--json"),
        (["--version"], 0, ""),
        (["list", "poisoner", "no-such-*"], 0, "There is no poisoner named 'no-such-*'."),
    ],
)
def test_errors_have_exit_codes_and_suggestions(arguments, code, words, capsys):
    assert app.main(arguments) == code
    output = capsys.readouterr()
    assert words in output.err
    assert "Traceback" not in output.err
    assert code == 0 or output.out == ""


def raising(error: BaseException) -> click.Command:
    @click.command("list")
    def command():
        raise error

    return command


def test_known_error_prints_one_line(capsys, monkeypatch):
    monkeypatch.setattr(app.LazyGroup, "get_command", lambda *_: raising(DataError("cat.png is broken.")))
    assert app.main(["list"]) == 1
    assert capsys.readouterr().err == "Error: cat.png is broken.\n"


def test_interrupt_says_that_finished_work_is_kept(capsys, monkeypatch):
    monkeypatch.setattr(app.LazyGroup, "get_command", lambda *_: raising(KeyboardInterrupt()))
    assert app.main(["list"]) == 130
    assert "Finished work is kept" in capsys.readouterr().err


def test_unexpected_error_keeps_its_traceback(monkeypatch):
    monkeypatch.setattr(app.LazyGroup, "get_command", lambda *_: raising(ZeroDivisionError()))
    with pytest.raises(ZeroDivisionError):
        app.main(["list"])
