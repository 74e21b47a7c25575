"""Writing a new plugin from the templates: all of it, or nothing."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Mapping
from pathlib import Path
from string import Template

import ucbench
from ucbench.errors import UsageError
from ucbench.scaffold.naming import Names
from ucbench.store.files import is_occupied

_TEMPLATES = Path(__file__).parent / "templates"
_SUFFIX = ".tmpl"
#: What the component of each template does.
_SUMMARIES: Mapping[str, str] = {
    "poisoner": "One random pattern of coloured patches per class",
    "defense": "Every training image mixed with its box blur, by a random share",
    "labeling": "The remainder of the class number: even and odd",
    "victim": "A small convolutional network",
    "surrogate": "One random convolution, frozen",
    "dataset": "Drawn discs, squares and crosses of any colour",
    "metric": "How sure the victim is of its answers",
    "executor": "One cell after another in this process, the last first",
    "exporter": "Lines of tab-separated values",
}
KINDS = tuple(_SUMMARIES)

#: Where the templates of a kind go; a kind need not have all of them.
_PLACES: Mapping[str, str] = {
    "init.py": "src/$module/__init__.py",
    "params.py": "src/$module/params.py",
    "component.py": "src/$module/$kind.py",
    "test.py": "tests/test_$kind.py",
}
_COMMON_PLACES: Mapping[str, str] = {
    "pyproject.toml": "pyproject.toml",
    "README.md": "README.md",
    "ci.yml": ".github/workflows/ci.yml",
    "gitignore": ".gitignore",
    "test_contract.py": "tests/test_contract.py",
}


def render(names: Names) -> dict[str, str]:
    """The texts of a new plugin's files, by their path in its folder."""
    values = {
        "name": names.name,
        "kind": names.kind,
        "summary": _SUMMARIES[names.kind],
        "module": names.module,
        "distribution": names.distribution,
        "Class": names.class_name,
        "requirement": _requirement(),
    }
    values["attempt"] = Template(_read(names.kind, "attempt.md")).substitute(values).strip()
    # Four spaces at the start of what was stripped are those of the first command.
    values["attempt"] = f"    {values['attempt']}"
    sources = {place: ("common", file) for file, place in _COMMON_PLACES.items()}
    sources |= {place: (names.kind, file) for file, place in _PLACES.items() if _path(names.kind, file).exists()}
    return {
        Template(place).substitute(values): Template(_read(*source)).substitute(values)
        for place, source in sources.items()
    }


def write_plugin(names: Names, parent: Path) -> Path:
    """Write the plugin to a new folder in ``parent`` and return it; an interruption leaves nothing behind.

    Raises:
        UsageError: if there is a file of that name, or a folder that is not empty, or no folder can be made.
    """
    folder = parent / names.distribution
    if is_occupied(folder):
        raise UsageError(f"{folder} exists already and is not empty. Choose another --out, or move it away.")
    draft = parent / f".{names.distribution}-{uuid.uuid4().hex[:8]}"
    try:
        for path, text in render(names).items():
            (draft / path).parent.mkdir(parents=True, exist_ok=True)
            (draft / path).write_text(text, encoding="utf-8")
        if folder.exists():
            folder.rmdir()
        draft.rename(folder)
    except OSError as error:
        raise UsageError(f"{folder} cannot be written: {error.strerror or error}.") from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return folder


def _path(*parts: str) -> Path:
    return _TEMPLATES.joinpath(*parts).with_name(f"{parts[-1]}{_SUFFIX}")


def _read(*parts: str) -> str:
    return _path(*parts).read_text(encoding="utf-8")


def _requirement() -> str:
    """A requirement on this ucbench or a later one; a source tree has no version to name."""
    version = ucbench.__version__
    return "ucbench" if "+" in version else f"ucbench>={version}"
