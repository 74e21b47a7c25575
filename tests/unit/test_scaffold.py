"""The templates of new plugins: names that are free, files that are valid, and all of them or none."""

from __future__ import annotations

import ast
import importlib.util
import inspect
import re
import subprocess
import sys
import tomllib
import types
from pathlib import Path

import pytest

import ucbench
from ucbench.errors import UsageError
from ucbench.plugins import hookspecs
from ucbench.plugins.manager import load_module
from ucbench.plugins.registry import Registry, installed
from ucbench.plugins.specs import SPEC_KINDS
from ucbench.scaffold.naming import LONGEST, Names, names_for
from ucbench.scaffold.writing import KINDS, render, write_plugin

#: Short and long names put line breaks to the test, the others the names that a template imports.
NAMES = ("a", "z" * LONGEST, "a-b-" + "c" * (LONGEST - 4), "recipe", "image-set", "dataset", "none-2", "true", "x2")


def registry(**owners: tuple[str, ...]) -> Registry:
    """A plugin for each argument, with a poisoner of the first name and the others as its aliases."""

    def plugin(owner, name, *aliases):
        record = ucbench.PoisonerSpec(name=name, summary="", load="m:C", aliases=aliases)
        module = types.SimpleNamespace(ucbench_poisoners=ucbench.hookimpl(lambda: [record]))
        return load_module(f"ucbench_{owner}", module, f"ucbench-{owner}", "1.0")

    return Registry([plugin(owner, *names) for owner, names in owners.items()])


def test_scaffold_has_a_template_for_every_kind():
    assert set(KINDS) == set(SPEC_KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_rendered_files_are_valid_and_names_agree(kind):
    names = names_for("my-own-2", kind, installed())
    files = render(names)
    project = tomllib.loads(files["pyproject.toml"])
    assert names == Names("my-own-2", kind, "ucbench-my-own-2", "ucbench_my_own_2", "MyOwn2")
    assert project["project"]["name"] == "ucbench-my-own-2"
    assert project["project"]["entry-points"]["ucbench"] == {names.module: names.module}
    assert project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"] == [f"src/{names.module}"]
    assert files[".github/workflows/ci.yml"].count("${{ matrix.python }}") == 1
    for path, text in files.items():
        assert "$" not in text.replace("${{ matrix.python }}", ""), path
        if path.endswith(".py"):
            tree = ast.parse(text)
            imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
            # As the import contract has it for first-party plugins; what a template's tests add is ucbench.testing.
            core = {module for module in imported if module.partition(".")[0] == "ucbench"}
            assert core <= ({"ucbench", "ucbench.testing"} if path.startswith("tests/") else {"ucbench"}), path
            own = {f"src/{module.replace('.', '/')}.py" for module in imported if module.startswith(names.module)}
            assert own <= set(files), path
    assert f"check_{kind}(" in files["tests/test_contract.py"]
    assert "`my-own-2` for ucbench" in files["README.md"]


class Untyped(ast.NodeTransformer):
    """Makes assignments of those with a type."""

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        return ast.fix_missing_locations(ast.Assign([node.target], node.value)) if node.value else node


def bodies(code: str) -> dict[str, str]:
    """The statements of every function of a module by its name, without docstring and annotations; hooks aside."""
    found = {}
    for node in ast.walk(Untyped().visit(ast.parse(code))):
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("ucbench_"):
            body = node.body[1:] if ast.get_docstring(node) is not None else node.body
            found[node.name] = "\n".join(map(ast.unparse, body))
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_component_of_a_template_is_the_example_of_its_hook(kind):
    """A reader of the documentation recognises what the command writes."""
    (example,) = re.findall(r"```python\n(.*?)```", inspect.getdoc(getattr(hookspecs, f"ucbench_{kind}s")), re.DOTALL)
    (name,) = re.findall(r'name="([a-z-]+)"', example)
    written = render(Names(name, kind, f"ucbench-{name}", "mine", "Mine"))
    assert bodies(written[f"src/mine/{kind}.py"]) == bodies(example)


def test_rendered_files_pass_the_linter_for_any_name(tmp_path):
    if importlib.util.find_spec("ruff") is None:
        pytest.skip("ruff is not installed")
    for kind in KINDS:
        for name in NAMES:
            write_plugin(names_for(name, kind, registry()), tmp_path / kind)
    for command in (["check"], ["format", "--check"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *command, "--no-cache", str(tmp_path)], capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr


#: Mistakes that a type checker finds by the protocols and runs of this package, each in its line.
MISTYPED = """
from torch import nn

from ucbench import ImageSet, Labeling, LabelRun, MetricContext, Perturbation, Poisoner, PoisonerSpec, Victim


class Drift(Poisoner):
    def craft(self, train: ImageSet, run: LabelRun) -> Perturbation:  # wrong
        raise NotImplementedError


class Net(Victim):
    def build(self, classes: int) -> nn.Module:  # wrong
        return nn.Linear(1, classes)


class Half(Labeling):
    def apply(self, clean: ImageSet, published: ImageSet, test: ImageSet, run: LabelRun) -> ImageSet:  # wrong
        return clean


def read(context: MetricContext) -> object:
    return context.tests  # wrong


SPEC = PoisonerSpec(name="drift", summary="", load="m:C", granularity="samplewise")  # wrong
"""


@pytest.mark.slow
def test_rendered_files_pass_mypy_and_mistakes_do_not(tmp_path):
    if importlib.util.find_spec("mypy") is None:
        pytest.skip("mypy is not installed")
    for kind in KINDS:
        write_plugin(names_for(f"my-{kind}", kind, registry()), tmp_path)
    wrong = tmp_path / "wrong.py"
    wrong.write_text(MISTYPED)
    # torch leaves a few of its functions untyped.
    settings = "[mypy]\nstrict = true\nuntyped_calls_exclude = torch\n"
    (tmp_path / "mypy.ini").write_text(settings)
    sources = [str(path) for path in tmp_path.glob("*/src/*")]
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--cache-dir", str(tmp_path / "cache"), str(wrong), *sources],
        cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip
    errors = re.findall(r"^(.+?):(\d+): error: ", done.stdout, re.MULTILINE)
    expected = [number for number, line in enumerate(MISTYPED.splitlines(), 1) if line.endswith("# wrong")]
    assert errors == [("wrong.py", str(number)) for number in expected], done.stdout + done.stderr


@pytest.mark.parametrize(
    ("name", "proposal"),
    [("MyNoise", "my-noise"), ("my_noise", "my-noise"), ("2noise", "noise"), ("my--noise-", "my-noise"), ("é", "")],
)
def test_names_not_in_lower_kebab_raise_with_a_suggestion(name, proposal):
    with pytest.raises(UsageError) as caught:
        names_for(name, "poisoner", registry())
    assert "not lower-kebab" in str(caught.value)
    assert (f"Perhaps {proposal!r}?" in str(caught.value)) == bool(proposal)


def test_taken_name_or_alias_raises_with_owner_and_free_names():
    known = registry(noise=("noise", "snow"), other=("my-noise",))
    for name, free in (("noise", "'noise-poisoner' and 'noise-2'"), ("snow", "'my-snow'")):
        with pytest.raises(UsageError) as caught:
            names_for(name, "poisoner", known)
        assert f"{name!r} is taken: ucbench_noise (ucbench-noise 1.0) has it. Free are {free}" in str(caught.value)
    # Names are unique within a kind only.
    assert names_for("noise", "victim", known).module == "ucbench_noise"


def test_contested_name_is_taken_by_both_owners():
    with pytest.raises(UsageError, match=r"ucbench_a \(ucbench-a 1.0\) and ucbench_b \(ucbench-b 1.0\) have it"):
        names_for("noise", "poisoner", registry(a=("noise",), b=("noise",)))


def test_existing_module_raises_with_its_owner():
    with pytest.raises(UsageError, match=r"The module ucbench_uc is taken: it is that of ucbench_uc \(ucbench "):
        names_for("uc", "defense", installed())
    with pytest.raises(UsageError, match=r"The module ucbench_uc is taken: it is imported from .*ucbench_uc"):
        names_for("uc", "defense", registry())


def test_long_or_reserved_names_and_unknown_kinds_raise():
    with pytest.raises(UsageError, match=f"tables have room for {LONGEST}"):
        names_for("x" * (LONGEST + 1), "poisoner", registry())
    with pytest.raises(UsageError, match="means no defense"):
        names_for("none", "defense", registry())
    with pytest.raises(UsageError, match="Unknown kind 'poisner'"):
        names_for("x", "poisner", registry())


class TestWriting:
    NAMES = names_for("my-own", "metric", registry())

    def test_writes_into_an_empty_folder_and_creates_parents(self, tmp_path):
        (tmp_path / "deep" / "ucbench-my-own").mkdir(parents=True)
        for parent in (tmp_path / "deep", tmp_path / "new" / "er"):
            folder = write_plugin(self.NAMES, parent)
            written = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
            assert written == set(render(self.NAMES))
            assert list(parent.iterdir()) == [folder]

    def test_keeps_existing_files(self, tmp_path):
        folder = tmp_path / "ucbench-my-own"
        folder.mkdir()
        (folder / "mine.txt").write_text("mine")
        with pytest.raises(UsageError, match="exists already and is not empty"):
            write_plugin(self.NAMES, tmp_path)
        assert [path.name for path in folder.iterdir()] == ["mine.txt"]
        (tmp_path / "other").mkdir()
        (tmp_path / "other" / "ucbench-my-own").write_text("a file")
        with pytest.raises(UsageError, match="exists already"):
            write_plugin(self.NAMES, tmp_path / "other")

    @pytest.mark.parametrize("failing", [OSError(28, "No space left on device"), KeyboardInterrupt()])
    def test_leaves_nothing_after_an_interruption(self, tmp_path, monkeypatch, failing):
        write = Path.write_text

        def fail_at_the_tests(path, *arguments, **options):
            if path.parent.name == "tests":
                raise failing
            return write(path, *arguments, **options)

        monkeypatch.setattr(Path, "write_text", fail_at_the_tests)
        with pytest.raises((UsageError, KeyboardInterrupt)) as caught:
            write_plugin(self.NAMES, tmp_path)
        assert list(tmp_path.iterdir()) == []
        if isinstance(failing, OSError):
            assert "No space left on device" in str(caught.value)
