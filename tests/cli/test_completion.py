"""What shells complete: through the variables that bash sets, and the functions behind it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Literal

import pytest
from pydantic import Field

import ucbench
from ucbench.cli.completion import prepare, references
from ucbench.plugins.registry import installed

#: Runs the command line, then reports to stderr what was imported.
PROGRAM = (
    "import atexit, json, sys;"
    "atexit.register(lambda: print(json.dumps(sorted({m.partition('.')[0] for m in sys.modules})), file=sys.stderr));"
    "from ucbench.cli import main; sys.exit(main())"
)
HEAVY = {"torch", "torchvision", "timm", "kornia", "pandas", "sklearn", "scipy", "pyarrow", "PIL", "open_clip"}


def completed(*words: str, folder=None) -> list[str]:
    """What bash offers for the last of its words; asserts that nothing heavy was imported."""
    environment = {
        **os.environ,
        "_UCBENCH_COMPLETE": "complete_bash",
        "COMP_WORDS": "\n".join(["ucbench", *words]),
        "COMP_CWORD": str(len(words)),
    }
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=environment, cwd=folder, capture_output=True, text=True, check=True
    )
    assert set(json.loads(done.stderr)) & HEAVY == set()
    return done.stdout.split()


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["pla"], ["plan"]),
        (["run", "--pois"], ["--poisoner"]),
        (["run", "--poisoner", "mi-"], ["mi-ue"]),
        (["run", "--poisoner", "uc", "@", "rel"], ["@released"]),
        (
            ["run", "--poisoner", "=", "uc", "@"],
            ["@standard", "@quick", "@photos", "@multiscale", "@paper", "@released"],
        ),
        (["run", "--defense", "jpeg+gray"], ["jpeg+grayscale"]),
        (["run", "--defense", "jpeg+kornia", ":", "RandomPersp"], ["RandomPerspective"]),
        (["run", "--poisoner", "uc", ":", "clusters", "=", ""], []),
        (["run", "--dtype", "bf"], ["bfloat16"]),
        (["leaderboard", "check", "digits-co"], ["digits-core"]),
        (["show", "suite", "smo"], ["smoke"]),
        (["cache", "verify", "p"], ["pictures", "prepared"]),
        (["show", "exe"], ["executor"]),
        (["leaderboard", "plot", "FOLDER", "--by", "p"], ["poisoner"]),
        (["leaderboard", "plot", "FOLDER", "--measure", "linear"], ["linear_probe"]),
        (["leaderboard", "diff", "ONE", "OTHER", "--across", "d"], ["dataset"]),
        (["leaderboard", "diff", "ONE", "OTHER", "--across", "label"], ["labeling", "label_access"]),
    ],
)
def test_bash_completes_what_follows_its_last_break(words, offered):
    assert completed(*words) == offered


def test_folders_with_records_are_completed_and_others_left_to_the_shell(tmp_path):
    for name in ("board/records", "boards/one/records", "boxes"):
        (tmp_path / name).mkdir(parents=True)
    assert completed("leaderboard", "tiers", "bo", folder=tmp_path) == ["board", "boards/one"]
    assert completed("leaderboard", "tiers", "box", folder=tmp_path) == []


@pytest.mark.parametrize("kind", ["poisoner", "defense", "victim"])
def test_every_completed_reference_begins_with_the_text_and_names_a_component(kind):
    registry = installed()
    names = [name for name, _ in references(kind, "")]
    assert names == list(registry.names(kind))
    for name in names:
        for reference, _ in references(kind, f"{name}@"):
            assert reference.startswith(f"{name}@")
            assert reference.partition("@")[2] in registry.params_class(registry.find(kind, name)).preset_names()


def test_arguments_of_a_literal_type_are_known():
    class Params(ucbench.Params):
        shape: Literal["flat", "sine"] | None = Field(None, description="of the stripes")
        argument = "shape"

    class Free(ucbench.Params):
        path: str = ""
        argument = "path"

    assert Params.argument_values() == ("flat", "sine")
    assert Free.argument_values() == ucbench.Params.argument_values() == ()


def test_words_of_other_shells_and_open_quotes_are_left_alone(monkeypatch):
    monkeypatch.setenv("COMP_WORDS", "ucbench run 'uc")
    monkeypatch.setenv("COMP_CWORD", "2")
    monkeypatch.setenv("COLUMNS", "80")
    for shell in ("complete_zsh", "complete_bash"):
        monkeypatch.setenv("_UCBENCH_COMPLETE", shell)
        prepare()
        assert os.environ["COMP_WORDS"] == "ucbench run 'uc"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_installation_writes_a_script_that_calls_the_command(tmp_path, shell):
    environment = {**os.environ, "HOME": str(tmp_path), "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}
    subprocess.run(
        [sys.executable, "-m", "ucbench", "--install-completion", shell],
        env=environment,
        capture_output=True,
        check=True,
    )
    written = "".join(path.read_text() for path in tmp_path.rglob("*") if path.is_file())
    assert f"_UCBENCH_COMPLETE=complete_{shell}" in written
