"""Suites: named, versioned matrices in TOML files.

    name = "digits-defenses"
    version = 1
    title = "Defenses on handwritten digits"
    threads = 1

    [common]                      # axes that all tables share, as the command line calls them
    dataset = "digits"
    victim = "resnet18:width=16"
    seed = "0-2"

    [[table]]                     # each is a cross product of its axes
    poisoner = ["uc", "mi-ue"]
    defense = ["none", "jpeg"]

    [[exclude]]                   # no cell that matches all of these patterns
    poisoner = "mi-ue*"
    defense = "jpeg*"

    [ranking]
    defenses = ["none", "jpeg"]   # what rankings take the worst case over

A suite's numbers are published under its version: whoever changes what it holds raises that.
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

from ucbench.errors import UsageError, did_you_mean
from ucbench.matrix.axes import AXES, Axis
from ucbench.matrix.cell import Cell


class _AxisValues(BaseModel):
    """Values of axes, by their names."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    def given(self) -> dict[str, Any]:
        return self.model_dump(exclude_none=True)


def _of_axis(axis: Axis) -> Any:
    """The type of an axis' key in a table: one value or several, which the axis can read."""
    one: Any = str if axis.type.is_text else int | float | str

    def check(given: Any) -> Any:
        try:
            axis.values(given)
        except UsageError as error:
            raise ValueError(str(error).removesuffix(".")) from None
        return given

    return Annotated[one | list[one] if axis.repeatable else one, AfterValidator(check)]


def _model(name: str, text: str, fields: Mapping[Axis, Any]) -> Any:
    """A model with an optional field for each axis, under its key."""
    types: dict[str, Any] = {axis.name: (kind | None, Field(None, alias=axis.key)) for axis, kind in fields.items()}
    return create_model(name, __base__=_AxisValues, __doc__=text, **types)


if TYPE_CHECKING:
    TableAxes = _AxisValues
    Exclusion = _AxisValues
else:
    TableAxes = _model("TableAxes", "The axes of one cross product.", {axis: _of_axis(axis) for axis in AXES})
    Exclusion = _model(
        "Exclusion",
        "Patterns that a cell's values must all match to be left out: ``*`` and ``?`` as in file names.",
        {axis: str | list[str] for axis in AXES if axis.type.is_text and axis.columns},
    )


class Ranking(BaseModel):
    """The frozen list of defenses that a leaderboard takes the worst case over."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    defenses: list[str] = ["none"]


class SuiteFile(BaseModel):
    """The layout of a suite's file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")
    version: int = Field(ge=1)
    title: str = ""
    threads: int = Field(1, ge=1)
    common: TableAxes = TableAxes()
    table: list[TableAxes] = Field(min_length=1)
    exclude: list[Exclusion] = []
    ranking: Ranking = Ranking()

    @field_validator("table")
    @classmethod
    def _something_to_run(cls, tables: list[TableAxes], info: Any) -> list[TableAxes]:
        common = info.data.get("common")
        shared = {} if common is None else common.given()
        if any("poisoner" not in {**shared, **table.given()} for table in tables):
            raise ValueError("every table names a poisoner, or common does")
        return tables


@dataclass(frozen=True)
class Suite:
    """A suite as read from ``path``; see the module for the layout."""

    path: Path
    file: SuiteFile

    @property
    def title(self) -> str:
        """Name, version and title, as leaderboards are headed."""
        return f"{self.file.name} v{self.file.version}" + (f": {self.file.title}" if self.file.title else "")

    def requests(self, overrides: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """The arguments of :func:`ucbench.api.axes`, a table each; ``overrides`` replace axes in all of them.

        A seed given either way replaces those of the file.
        """
        asked = dict(overrides or {})
        seeds = {"seed", "craft_seed", "train_seed"}
        merged = []
        for table in self.file.table:
            values = {**self.file.common.given(), **table.given()}
            if {"seed"} & table.given().keys() or {"craft_seed", "train_seed"} & table.given().keys():
                values = {k: v for k, v in values.items() if k not in seeds} | {
                    k: v for k, v in table.given().items() if k in seeds
                }
            if seeds & asked.keys():
                values = {k: v for k, v in values.items() if k not in seeds}
            merged.append({**values, **asked})
        return merged

    def keeps(self, cell: Cell) -> bool:
        """Whether no exclusion of the file matches the cell."""
        return not any(_matches(exclusion, cell) for exclusion in self.file.exclude)


def load_suite(path: Path) -> Suite:
    """Read a suite.

    Raises:
        UsageError: naming file, line and key of whatever is wrong.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"Suite {path} cannot be read: {getattr(error, 'strerror', None) or error}.") from error
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"Suite {path} is not valid TOML: {error}.") from error
    try:
        return Suite(path, SuiteFile.model_validate(content))
    except ValidationError as error:
        problems = [_problem(item, text) for item in error.errors()]
        raise UsageError(f"Suite {path}: {'; '.join(dict.fromkeys(problems))}.") from error


def _problem(item: Mapping[str, Any], text: str) -> str:
    """One validation error with the line of its key."""
    place = [part for part in item["loc"] if not (isinstance(part, str) and _is_branch(part))]
    keys = [part for part in place if isinstance(part, str)]
    name = ".".join(str(part + 1) if isinstance(part, int) else part for part in place)
    line = _line(text, place)
    where = f"line {line}, {name}" if line else name
    message = item["msg"].removeprefix("Value error, ")
    if item["type"] == "extra_forbidden":
        models: dict[str, type[BaseModel]] = {
            "table": TableAxes,
            "common": TableAxes,
            "exclude": Exclusion,
            "ranking": Ranking,
        }
        model = models.get(keys[0] if len(keys) > 1 else "", SuiteFile)
        known = [field.alias or name for name, field in model.model_fields.items()]
        # Problems are joined and ended by the caller, with a full stop.
        message = f"there is no such key.{did_you_mean(keys[-1], known)}".removesuffix(".")
    return f"{where}: {message}"


def _is_branch(part: str) -> bool:
    """Whether pydantic names a branch of a union here, and not a key."""
    return part in ("str", "int", "float") or "[" in part


def _line(text: str, place: Sequence[str | int]) -> int | None:
    """The line, from 1, of the key at ``place``; None if it is not written anywhere."""
    lines = text.splitlines()
    start = 0
    if len(place) > 1 and isinstance(place[1], int):
        headers = [i for i, line in enumerate(lines) if re.match(rf"\s*\[\[\s*{place[0]}\s*\]\]", line)]
        start = headers[place[1]] if place[1] < len(headers) else 0
    elif len(place) > 1:
        start = next((i for i, line in enumerate(lines) if re.match(rf"\s*\[\s*{place[0]}\s*\]", line)), 0)
    key = next((part for part in reversed(place) if isinstance(part, str)), "")
    for i in range(start, len(lines)):
        if re.match(rf"\s*(\[\[?\s*)?[\"']?{re.escape(key)}[\"']?\s*(=|\])", lines[i]):
            return i + 1
    return None


def find_suite(name: str, known: Mapping[str, Path]) -> Suite:
    """The suite of that name among ``known``, or in the file that ``name`` is.

    Raises:
        UsageError: if there is neither; the text gives the nearest names.
    """
    if name in known:
        return load_suite(known[name])
    if name.endswith(".toml") or "/" in name:
        return load_suite(Path(name))
    raise UsageError(
        f"There is no suite {name!r}.{did_you_mean(name, known)} Those there are: {', '.join(sorted(known)) or 'none'};"
        " or name a file, FILE.toml."
    )


def shipped_suites() -> dict[str, Path]:
    """The suites that come with ucbench, by name: beside the installed package, or in the checkout it runs from."""
    here = Path(__file__).resolve().parents[1]
    for folder in (here / "suites", here.parent / "benchmarks" / "suites"):
        found = {path.stem: path for path in sorted(folder.glob("*.toml"))}
        if found:
            return found
    return {}


def shard(cells: Sequence[Cell], part: str) -> list[Cell]:
    """The cells of shard ``part`` ("3/16"): those that share a release are in one shard, every cell is in one.

    Raises:
        UsageError: if ``part`` is no share such as 3/16.
    """
    match = re.fullmatch(r"(\d+)/(\d+)", part)
    number, count = (int(match[1]), int(match[2])) if match else (0, 0)
    if not 1 <= number <= count:
        raise UsageError(f"--shard is a part such as 3/16, from 1/16 to 16/16; got {part!r}.")
    groups: dict[str, int] = {}
    chosen = []
    for cell in cells:
        place = groups.setdefault(_shared_work(cell), len(groups))
        if place % count == number - 1:
            chosen.append(cell)
    return chosen


def _matches(exclusion: _AxisValues, cell: Cell) -> bool:
    """Whether each value of the cell that the exclusion names matches one of the patterns."""
    values, patterns = cell.describe(), exclusion.given()
    return bool(patterns) and all(
        any(fnmatchcase(str(values[name]), pattern) for pattern in ([texts] if isinstance(texts, str) else texts))
        for name, texts in patterns.items()
    )


def _shared_work(cell: Cell) -> str:
    """Equal for cells that share a release; clean cells share none, and lie with their own kind of training."""
    values = cell.describe()
    sides = ("data", "exploiter" if cell.craft.is_clean else "protector")
    return repr([values[name] for axis in AXES if axis.side in sides for name in axis.columns])
