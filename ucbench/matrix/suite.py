"""Suites: named, versioned matrices in TOML files.

    name = "photos-defenses"
    version = 1
    title = "Defenses on photographs"
    threads = 1

    [common]                      # axes of all tables, named as on the command line
    dataset = "photos"
    victim = "airbench@small"
    seed = "0-2"
    trainings = 3                 # on each release; 3 is the default

    [[table]]                     # a cross product of axes
    poisoner = ["uc", "mi-ue"]
    defense = ["none", "jpeg"]

    [[exclude]]                   # leave out cells that match all of these patterns
    poisoner = "mi-ue*"
    defense = "jpeg*"

    [ranking]
    defenses = ["none", "jpeg"]   # rankings take the worst case over these

    [gate]
    converged = 99.8              # clean train accuracy that the victim's recipe reaches at convergence, in %
    of = "cifar10-poisoners/v1"   # the leaderboard by which the regime was judged, for settings without `positive`

A suite's numbers are published under its version: raise it with every change of the cells.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, create_model, field_validator

from ucbench.errors import UsageError, did_you_mean, visible
from ucbench.matrix.axes import AXES, Axis
from ucbench.store.untrusted import read_regular

if TYPE_CHECKING:
    from ucbench.matrix.cell import Cell


#: The name of a leaderboard's copy of its suite.
SUITE_FILE = "suite.toml"
#: Trainings per release of a suite that states neither them nor train seeds.
TRAININGS = 3


class _AxisValues(BaseModel):
    """Values of some axes, by name."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    def values(self) -> dict[str, Any]:
        return self.model_dump(exclude_none=True)


def _of_axis(axis: Axis) -> Any:
    """The type of an axis's key in a table: one value or several that the axis can read."""
    one: Any = str if axis.type.is_text else int | float | str

    def check(value: Any) -> Any:
        try:
            axis.values(value)
        except UsageError as error:
            raise ValueError(str(error).removesuffix(".")) from None
        return value

    return Annotated[one | list[one] if axis.repeatable else one, AfterValidator(check)]


def _model(name: str, text: str, fields: Mapping[Axis, Any]) -> Any:
    """A model with an optional field for every axis, under the axis's key."""
    types: dict[str, Any] = {axis.name: (kind | None, Field(None, alias=axis.key)) for axis, kind in fields.items()}
    return create_model(name, __base__=_AxisValues, __doc__=text, **types)


if TYPE_CHECKING:
    TableAxes = _AxisValues
    Exclusion = _AxisValues
else:
    TableAxes = _model("TableAxes", "The axes of one cross product.", {axis: _of_axis(axis) for axis in AXES})
    Exclusion = _model(
        "Exclusion",
        "Patterns (``*``, ``?``); a cell whose values match all of them is left out.",
        {axis: str | list[str] for axis in AXES if axis.type.is_text and axis.columns},
    )


class Ranking(BaseModel):
    """The fixed list of defenses over which a leaderboard takes the worst case."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    defenses: list[str] = ["none"]


class GateRules(BaseModel):
    """What a suite states about the gate of its regimes.

    Attributes:
        converged: clean train accuracy in percent that the recipe reaches at convergence, measured elsewhere; None for
            100.
        of: the leaderboard whose gate holds for settings in which this suite does not run ``positive``: a suite's name,
            and a version unless the latest is meant.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    converged: float | None = Field(None, gt=0, le=100)
    of: str | None = Field(None, pattern=r"^[a-z0-9]+(-[a-z0-9]+)*(/v[0-9]+)?$")


class SuiteFile(BaseModel):
    """The schema of a suite file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")
    version: int = Field(ge=1)
    title: str = ""
    threads: int = Field(1, ge=1)
    common: TableAxes = TableAxes()
    table: list[TableAxes] = Field(min_length=1)
    exclude: list[Exclusion] = []
    ranking: Ranking = Ranking()
    gate: GateRules = GateRules()

    @field_validator("table")
    @classmethod
    def _something_to_run(cls, tables: list[TableAxes], info: Any) -> list[TableAxes]:
        common = info.data.get("common")
        shared = {} if common is None else common.values()
        if any("poisoner" not in {**shared, **table.values()} for table in tables):
            raise ValueError("every table needs a poisoner, or common does")
        return tables


@dataclass(frozen=True)
class Suite:
    """A suite, read from ``path``."""

    path: Path
    file: SuiteFile

    @property
    def title(self) -> str:
        """Name, version and title, the heading of its leaderboard."""
        return f"{self.file.name} v{self.file.version}" + (f": {visible(self.file.title)}" if self.file.title else "")

    def requests(self, overrides: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """The arguments of :func:`ucbench.matrix.requests.axes` of every table; ``overrides`` replace axes in all.

        Seeds replace each other as a group: a table that has ``craft_seed`` or ``train_seed`` inherits no seeds from
        ``common``, and overrides with any of them drop all of the file's. ``seed`` and ``trainings`` replace those two.
        Without any of ``trainings``, ``craft_seed`` and ``train_seed`` there are :data:`TRAININGS`.
        """
        nested, crossed = {"seed", "trainings"}, {"craft_seed", "train_seed"}
        requests = []
        for table in self.file.table:
            values: dict[str, Any] = {}
            for layer in (self.file.common.values(), table.values(), dict(overrides or {})):
                replaced = nested | crossed if crossed & layer.keys() else crossed if nested & layer.keys() else set()
                values = {name: value for name, value in values.items() if name not in replaced} | layer
            if not crossed & values.keys():
                values.setdefault("trainings", TRAININGS)
            requests.append(values)
        return requests

    def keeps(self, cell: Cell) -> bool:
        """Whether no exclusion matches the cell."""
        return not any(_matches(exclusion, cell) for exclusion in self.file.exclude)


def suite_in(folder: Path) -> Suite | None:
    """The copy of its suite in a leaderboard's folder; None without one."""
    path = folder / SUITE_FILE
    return load_suite(path) if path.exists() else None


def load_suite(path: Path) -> Suite:
    """Read a suite.

    Raises:
        UsageError: if it is wrong; the text names file, line and key.
    """
    try:
        text = read_regular(path).decode("utf-8-sig")  # editors on Windows begin files with a byte-order mark
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"Suite {path} cannot be read: {getattr(error, 'strerror', None) or error}.") from error
    try:
        content = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # also for dates and numbers out of range, and for deep nesting
        raise UsageError(f"Suite {path} is not valid TOML: {error}.") from error
    try:
        return Suite(path, SuiteFile.model_validate(content))
    except ValidationError as error:
        problems = "; ".join(dict.fromkeys(_problem(item, text) for item in error.errors()))
        raise UsageError(f"Suite {path}: {problems}{'' if problems.endswith('?') else '.'}") from error


def _problem(item: Mapping[str, Any], text: str) -> str:
    """One validation error, with the line of its key."""
    path = [part for part in item["loc"] if not (isinstance(part, str) and _is_branch(part))]
    keys = [part for part in path if isinstance(part, str)]
    name = ".".join(str(part + 1) if isinstance(part, int) else part for part in path)
    line = _line(text, path)
    where = f"line {line}, {name}" if line else name
    message = item["msg"].removeprefix("Value error, ")
    if item["type"] == "extra_forbidden":
        models: dict[str, type[BaseModel]] = {
            "table": TableAxes,
            "common": TableAxes,
            "exclude": Exclusion,
            "ranking": Ranking,
            "gate": GateRules,
        }
        model = models.get(keys[0] if len(keys) > 1 else "", SuiteFile)
        known = [field.alias or name for name, field in model.model_fields.items()]
        # The caller adds the full stop.
        message = f"unknown key.{did_you_mean(keys[-1], known)}".removesuffix(".")
    elif item["type"] == "missing":
        message = "is required" if keys[-1] != "table" else "is required: [[table]] names the axes to cross"
        return f"{where} {message}"
    elif item["type"] == "list_type" and path in (["table"], ["exclude"]):
        message = f"write [[{name}]], with two brackets"
    elif item["type"] == "string_pattern_mismatch":
        written = "lower-case words joined by -, as in my-suite"
        message = f"write {written}{', and a version: my-suite/v1' if keys[-1] == 'of' else ''}; got {item['input']!r}"
    return f"{where}: {message}"


def _is_branch(part: str) -> bool:
    """Whether part of a pydantic location is a branch of a union, not a key."""
    return part in ("str", "int", "float") or "[" in part


def _line(text: str, path: Sequence[str | int]) -> int | None:
    """The line, from 1, of the key at ``path``; None if the text does not contain it."""
    lines = text.splitlines()
    start = 0
    if len(path) > 1 and isinstance(path[1], int):
        headers = [i for i, line in enumerate(lines) if re.match(rf"\s*\[\[\s*{path[0]}\s*\]\]", line)]
        start = headers[path[1]] if path[1] < len(headers) else 0
    elif len(path) > 1:
        start = next((i for i, line in enumerate(lines) if re.match(rf"\s*\[\s*{path[0]}\s*\]", line)), 0)
    key = next((part for part in reversed(path) if isinstance(part, str)), "")
    for i in range(start, len(lines)):
        if re.match(rf"\s*(\[\[?\s*)?[\"']?{re.escape(key)}[\"']?\s*(=|\])", lines[i]):
            return i + 1
    return None


def find_suite(name: str, known: Mapping[str, Path]) -> Suite:
    """The suite ``name`` of ``known``, or of the file ``name``.

    Raises:
        UsageError: if there is neither; the text gives the nearest names.
    """
    if name in known:
        return load_suite(known[name])
    if name.endswith(".toml") or "/" in name:
        return load_suite(Path(name))
    raise UsageError(
        f"Unknown suite {name!r}.{did_you_mean(name, known)} Suites: {', '.join(sorted(known)) or 'none'}."
        " Or name a file, FILE.toml."
    )


def shipped_suites() -> dict[str, Path]:
    """The suites of ucbench, by name: of the installed package, or of its checkout."""
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "suites", package.parent / "benchmarks" / "suites"):
        if suites := {path.stem: path for path in sorted(folder.glob("*.toml"))}:
            return suites
    return {}


def shard(cells: Sequence[Cell], part: str) -> list[Cell]:
    """The cells of shard ``part`` ("3/16"). Every cell is in one shard; cells with the same release share one.

    Raises:
        UsageError: if ``part`` is malformed or out of range.
    """
    match = re.fullmatch(r"(\d+)/(\d+)", part)
    number, count = (int(match[1]), int(match[2])) if match else (0, 0)
    if not 1 <= number <= count:
        raise UsageError(f"--shard is a part such as 3/16, from 1/16 to 16/16; got {part!r}.")
    groups: dict[str, int] = {}
    selected = []
    for cell in cells:
        group = groups.setdefault(_shared_work(cell), len(groups))
        if group % count == number - 1:
            selected.append(cell)
    return selected


def _matches(exclusion: _AxisValues, cell: Cell) -> bool:
    """Whether the cell matches the exclusion: on each of its axes one of the patterns."""
    values, patterns = cell.describe(), exclusion.values()
    texts = {name: [str(values[name])] for name in patterns}
    if "poisoner" in texts:  # the column is without the preset, which a pattern may name
        texts["poisoner"].append(str(cell.craft.poisoner))
    return bool(patterns) and all(
        any(
            fnmatchcase(text, pattern)
            for text in texts[name]
            for pattern in ([accepted] if isinstance(accepted, str) else accepted)
        )
        for name, accepted in patterns.items()
    )


def _shared_work(cell: Cell) -> str:
    """Equal for cells that share a release, and for clean cells with the same exploiter."""
    values = cell.describe()
    sides = ("data", "exploiter" if cell.craft.is_clean else "protector")
    return repr([values[name] for axis in AXES if axis.side in sides for name in axis.columns])
