"""The command line as a process: what it imports, how it exits, what goes to which stream."""

from __future__ import annotations

import json
import logging
import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from image_files import write_images
from imports import imported_by
from typer.core import TyperGroup

from ucbench.cli import app
from ucbench.cli.lazy import LazyGroup
from ucbench.cli.streams import with_home
from ucbench.errors import DataError
from ucbench.numerics import allocator
from ucbench.store.store import Store

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


@pytest.mark.parametrize(
    ("statement", "allowed"),
    [
        ("import ucbench", set()),
        ("from ucbench.cli import main; main(['--help'])", {"pydantic", "rich"}),
        ("from ucbench.cli import main; main(['run', '--help'])", {"pydantic", "rich"}),
        ("from ucbench.cli import main; main(['lst'])", {"pydantic"}),
        ("from ucbench.cli import main; main(['list'])", {"pydantic"}),
        ("from ucbench.cli import main; main(['plugins', '--json'])", {"pydantic"}),
    ],
)
def test_list_and_help_import_nothing_heavy(statement, allowed):
    assert imported_by(statement) & HEAVY <= allowed


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
    assert ("LD_PRELOAD" in report["processor"].get("allocator", "")) is (allocator() == "glibc")
    assert [p for p in report["problems"] if "UCBENCH_DATA" in p] == [
        f"UCBENCH_DATA={tmp_path / 'absent'} is not a folder."
    ]


@pytest.mark.skipif(not hasattr(os, "getloadavg"), reason="this system states no load")
@pytest.mark.parametrize(("load", "count"), [(0.0, 0), (10_000.0, 1)])
def test_doctor_advises_fewer_threads_only_on_a_busy_machine(load, count, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("UCBENCH_HOME", str(tmp_path / "store"))
    monkeypatch.setattr(os, "getloadavg", lambda: (load, load, load))
    assert app.main(["doctor", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert ["--threads" in note for note in report["notes"]] == [True] * count
    assert not [problem for problem in report["problems"] if "threads" in problem]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["lst"], 2, "Did you mean 'list'?"),
        (["list", "poisonr"], 2, "Did you mean 'poisoner'?"),
        (["show", "poisoner", "clen"], 2, "Did you mean 'clean'"),
        (["list", "suit"], 2, "Unknown kind 'suit'. Did you mean 'suite'?"),
        (["show", "Sute", "smoke"], 2, "Unknown kind 'Sute'. Did you mean 'suite'"),
        (["show", "Suite"], 2, "Suite is a kind."),
        (["show", "poisoner"], 2, "NAME"),
        (["show", "UC"], 2, "Did you mean 'uc'?"),
        (["show", "resnet18"], 2, "ucbench show surrogate resnet18\n  ucbench show victim resnet18"),
        (["show", "suite", "smok"], 2, "Did you mean 'smoke'?"),
        (["plan", "--poisoner", "UC"], 2, "Did you mean 'uc'?"),
        (["plan", "--poisoner", "uc,lsp"], 2, "repeat --poisoner"),
        (["plan", "--poisoner", "uc", "--epsilon", "8,16"], 2, "repeat --epsilon"),
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


def test_data_set_without_a_test_split_is_a_wrong_request(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("UCBENCH_HOME", str(tmp_path / "store"))
    write_images(tmp_path / "train", cat=[1, 2], dog=[3])
    assert app.main(["plan", "--poisoner", "clean", "--dataset", f"imagefolder:{tmp_path}"]) == 2
    assert "ask for validation=0.2" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("--dataset=imagefolder:ABSENT", "imagefolder: ABSENT is not a folder."),
        ("--dataset=csv:ABSENT", "csv: ABSENT is not a file."),
        ("--dataset=csv:FILE:root=ABSENT", "csv: root=ABSENT is not a folder."),
        ("--dataset=parquet:ABSENT", "parquet: ABSENT does not exist."),
        ("--dataset=webdataset:ABSENT", "webdataset: ABSENT does not exist."),
        ("--dataset=hf:ABSENT", "hf: ABSENT is no folder"),
        ("--poisoner=release:ABSENT", "release: ABSENT does not exist."),
        ("--poisoner=uc --surrogate=timm:test_efficientnet:checkpoint=ABSENT", "Cannot read ABSENT: No such file"),
        ("--labeling=coarse:ABSENT.toml", "ABSENT.toml cannot be read: No such file"),
        ("--defense=diffusion-purify:ABSENT", "ABSENT is not a diffusion model"),
    ],
)
def test_path_that_does_not_exist_is_a_wrong_request(option, words, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("UCBENCH_HOME", str(tmp_path / "store"))
    (tmp_path / "file").write_text("path,label\n1.png,cat\n")
    here = {"ABSENT": str(tmp_path / "absent"), "FILE": str(tmp_path / "file")}
    for name, path in here.items():
        option, words = option.replace(name, path), words.replace(name, path)
    request = {"--poisoner": "clean", "--dataset": "digits", "--victim": "resnet18:width=16"}
    request |= dict(one.split("=", 1) for one in option.split())
    assert app.main(["plan", *(text for pair in request.items() for text in pair)]) == 2
    assert words in capsys.readouterr().err.replace("\n", " ")


def raising(error: BaseException):
    """``get_command`` of a group whose commands raise this."""
    single = typer.Typer()

    @single.command("list")
    def command():
        raise error

    return lambda *_: typer.main.get_command(single)


def test_known_error_prints_one_line(capsys, monkeypatch):
    monkeypatch.setattr(LazyGroup, "get_command", raising(DataError("cat.png is broken.")))
    assert app.main(["list"]) == 1
    assert capsys.readouterr().err == "Error: cat.png is broken.\n"


def test_interrupt_says_that_finished_work_is_kept(capsys, monkeypatch):
    monkeypatch.setattr(LazyGroup, "get_command", raising(KeyboardInterrupt()))
    assert app.main(["list"]) == 130
    assert "Finished work is kept" in capsys.readouterr().err


def test_unexpected_error_keeps_its_traceback(monkeypatch):
    monkeypatch.setattr(LazyGroup, "get_command", raising(ZeroDivisionError()))
    with pytest.raises(ZeroDivisionError):
        app.main(["list"])


def test_closed_pipe_ends_the_command_without_a_word_as_sigpipe_does():
    read, write = os.pipe()
    os.close(read)
    for arguments in (["list"], ["list", "--json"], ["run", "--help"]):
        done = subprocess.run([sys.executable, "-m", "ucbench", *arguments], stdout=write, stderr=subprocess.PIPE)
        assert (done.returncode, done.stderr) == (141, b"")
    os.close(write)


def test_first_line_of_a_pipeline_is_its_only_output():
    done = ucbench("list", "| head -1")
    (heading,) = done.stdout.splitlines()
    assert heading.split()[:2] == ["kind", "name"]
    assert done.stderr == ""


def test_verbosity_is_valid_before_and_after_the_command(monkeypatch):
    logger = logging.getLogger("ucbench")
    for arguments, level in (["-q", "cache", "ls"], 40), (["cache", "-v", "ls"], 20), (["cache", "ls", "-vv"], 10):
        monkeypatch.setattr(logger, "level", logging.NOTSET)
        assert app.main(arguments) == 0
        assert logger.level == level


def help_texts(command, context):
    """The texts of a command, of its parameters, and of the commands below it."""
    yield command.help
    yield from (param.help for param in command.get_params(context))
    if isinstance(command, TyperGroup):
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            yield from help_texts(below, typer.Context(below, parent=context, info_name=name))


def test_help_texts_have_no_brackets_that_rich_reads_as_markup():
    texts = list(help_texts(app.cli, typer.Context(app.cli)))
    assert len(texts) > 150
    assert all(texts)
    assert [text for text in texts if "[" in text.replace("[not dim]", "").replace("[/]", "")] == []


def test_help_shows_defaults_as_values_and_only_descriptions_in_parentheses(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "200")
    app.main(["plan", "--help"])
    shown = {line.split()[1]: line for line in capsys.readouterr().out.splitlines() if "[default" in line}
    assert "[default: photos]" in shown["--dataset"]
    assert "[default: 0]" in shown["--seed"]
    assert "[default: (the poisoner's)]" in shown["--surrogate"]
    assert "[default: (only the store)]" in shown["--out"]


def test_export_offers_only_options_that_decide_a_release_while_run_offers_all(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "120")
    offered = {}
    for command in ("run", "export"):
        app.main([command, "--help"])
        offered[command] = {word for word in capsys.readouterr().out.split() if word.startswith("--")}
    assert {"--poisoner", "--labeling", "--epsilon", "--suite"} <= offered["export"]
    assert {"--defense", "--victim", "--metric", "--trainings", "--schedule", "--shard"} <= (
        offered["run"] - offered["export"]
    )


@pytest.mark.parametrize("width", ["80", "120"])
def test_help_keeps_examples_on_their_lines_and_fits_the_terminal(width, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", width)
    for command in (["run"], ["export"], ["show"], ["check-plugin"], ["leaderboard", "plot"]):
        app.main([*command, "--help"])
        lines = capsys.readouterr().out.splitlines()
        assert max(map(len, lines)) <= int(width)
        examples = [line.split() for line in lines if line.startswith("   ucbench")]
        assert examples
        assert all(words[1 : 1 + len(command)] == command for words in examples)


def ucbench(arguments: str, redirection: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command line under a shell's redirection."""
    command = f"{shlex.quote(sys.executable)} -m ucbench {arguments} {redirection}"
    return subprocess.run(
        command, shell=True, capture_output=True, env={**os.environ, **environment}, text=True, errors="replace"
    )


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a device that is full")
@pytest.mark.parametrize("arguments", ["list suites", "list suites --json", "--help"])
def test_full_output_is_one_line_and_exit_code_1(arguments):
    done = ucbench(arguments, ">/dev/full")
    assert done.returncode == 1
    assert done.stderr.startswith("Error: Nothing can be printed to standard output: No space left on device.")
    assert len(done.stderr.splitlines()) == 1


def test_closed_output_is_refused_before_any_work_and_a_closed_stderr_is_not():
    done = ucbench("list suites", ">&-")
    assert (done.returncode, done.stderr.splitlines()) == (
        1,
        ["Error: Nothing can be printed to standard output: it is closed. Finished work is kept."],
    )
    done = ucbench("list suites --json", "2>&-")
    assert done.returncode == 0
    assert json.loads(done.stdout)


def test_characters_that_a_terminal_lacks_are_printed_as_escapes(tmp_path):
    suite = tmp_path / "small.toml"
    suite.write_text('name = "small"\nversion = 1\ntitle = "日"\n[[table]]\npoisoner = "uc"\n', encoding="utf-8")
    done = ucbench(f"show suite {shlex.quote(str(suite))}", PYTHONIOENCODING="latin-1")
    assert done.returncode == 0
    assert "\\u65e5" in done.stdout


@pytest.mark.parametrize(
    ("argument", "expected"),
    [
        ("--out=~/results", "--out=/home/me/results"),
        ("~/board", "/home/me/board"),
        ("--out", "--out"),
        ("--defense=jpeg~x", "--defense=jpeg~x"),
        ("a=~/b", "a=~/b"),
        ("~nobody-of-this-name/x", "~nobody-of-this-name/x"),
    ],
)
def test_tilde_at_the_start_of_a_value_is_the_home_folder(argument, expected, monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    assert with_home(argument) == expected


def test_tilde_in_the_environment_is_the_home_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("UCBENCH_HOME", "~/store")
    assert Store().root == tmp_path / "store"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_signal_ends_a_command_with_the_exit_code_of_shells(number, code, capsys, monkeypatch):
    def raised(*_):
        os.kill(os.getpid(), number)

    monkeypatch.setattr(LazyGroup, "get_command", raised)
    signal.signal(number, signal.SIG_DFL)  # where tests run in the background of a shell, SIGHUP may be ignored
    assert app.main(["list"]) == code
    assert "Finished work is kept" in capsys.readouterr().err
    assert signal.getsignal(number) is signal.SIG_DFL
