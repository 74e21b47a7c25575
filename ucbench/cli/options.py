"""Options that commands share; those of the axes come from their one description."""

from __future__ import annotations

import copy
import functools
import inspect
import logging
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from inspect import Parameter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

import typer

from ucbench.cli import completion
from ucbench.cli.lazy import DATA, EXPLOITER, GENERAL, MACHINE, OUTPUT, PROTECTOR, WHAT, Value
from ucbench.cli.output import TableLayout
from ucbench.errors import UsageError
from ucbench.matrix.axes import AXES, Axis
from ucbench.plugins.specs import SPEC_KINDS

if TYPE_CHECKING:
    from ucbench.matrix.cell import Cell
    from ucbench.progress import Progress
    from ucbench.session import Session

Command = Callable[..., Any]

_log = logging.getLogger(__name__)

_PANEL_OF_SIDE = {"data": DATA, "protector": PROTECTOR, "exploiter": EXPLOITER, "both": WHAT}


def argument(metavar: str, help: str, complete: Command | None = None, default: str = "", **checks: Any) -> Any:
    """An argument: its name, its help, what shells complete, and what happens without it."""
    return typer.Argument(metavar=metavar, help=help, autocompletion=complete, show_default=default or False, **checks)


def option(
    metavar: str, help: str, panel: str | None = None, *names: str, default: str | bool = True,
    complete: Command | None = None, **checks: Any,
) -> Any:  # fmt: skip
    """An option: what its value is called, its help and panel, and the default's text, if it is not the value."""
    return typer.Option(
        *names, metavar=metavar, help=help, rich_help_panel=panel, show_default=default, autocompletion=complete,
        **checks,
    )  # fmt: skip


def flag(name: str, help: str, panel: str | None = None) -> Any:
    """An option without a value."""
    return typer.Option(name, help=help, rich_help_panel=panel)


#: Checks of a folder that must exist.
FOLDER = {"exists": True, "file_okay": False}
AsJson = Annotated[bool, flag("--json", "Print JSON instead of a table.", OUTPUT)]
BoardFolder = Annotated[
    Path, argument("FOLDER", "A leaderboard's folder, with records/.", completion.record_folders, **FOLDER)
]
BoardSuite = Annotated[
    str | None,
    option("NAME", "Suite, for the defenses of the worst case.", default="the folder's", complete=completion.suites),
]
OutFolder = Annotated[
    Path | None,
    option(
        "FOLDER", "Folder for records, results.csv and image sheets.", OUTPUT, default="only the store",
        complete=completion.record_folders, file_okay=False,
    ),
]  # fmt: skip
SuiteName = Annotated[str, argument("SUITE", "A suite, or a file FILE.toml.", completion.suites)]


def with_options(
    enter: Callable[..., AbstractContextManager[Any]], options: Mapping[str, Parameter], fills: str | None = None
) -> Callable[[Command], Command]:
    """Add options to a command, which then runs within ``enter(**options)``.

    Args:
        fills: the command's parameter that takes what the context yields; None: it is not passed on.
    """

    def decorate(command: Command) -> Command:
        @functools.wraps(command)
        def run(**values: Any) -> Any:
            with enter(**{name: values.pop(name) for name in options}) as value:
                return command(**values, **({fills: value} if fills else {}))

        own_parameters = dict(inspect.signature(command, eval_str=True).parameters)
        own_parameters.pop(fills or "", None)
        parameters = [
            parameter.replace(kind=Parameter.KEYWORD_ONLY) for parameter in {**options, **own_parameters}.values()
        ]
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        return run

    return decorate


@contextmanager
def _plugins(
    plugin: Annotated[
        list[Path] | None,
        option("FILE.py", "Load a file as a plugin, to try it; repeatable.", GENERAL, exists=True, dir_okay=False),
    ] = None,
) -> Iterator[None]:
    from ucbench.plugins.registry import trying

    with trying(plugin or ()):
        yield


_PLUGIN = inspect.signature(_plugins, eval_str=True).parameters
#: Adds ``--plugin FILE.py``; while the command runs, these files are plugins like installed ones.
plugin_files = with_options(_plugins, _PLUGIN)


@contextmanager
def _layout(
    columns: Annotated[
        str | None,
        option("NAMES", "Columns to show: headings, or names as in results.csv, separated by commas.", OUTPUT,
               default="those that fit"),
    ] = None,
    wide: Annotated[bool, flag("--wide", "Show all columns, each row on one line.", OUTPUT)] = False,
) -> Iterator[TableLayout]:  # fmt: skip
    yield TableLayout(columns, wide)


#: Replaces a command's parameter ``layout`` by ``--columns`` and ``--wide``.
with_layout = with_options(_layout, inspect.signature(_layout, eval_str=True).parameters, fills="layout")


@dataclass(frozen=True, kw_only=True)
class CellRequest:
    """The cells that a command's options name, and where they are computed.

    Attributes:
        axes: the arguments of :func:`ucbench.matrix.requests.axes` that were given; others keep their defaults.
    """

    axes: Mapping[str, Any]
    suite: Annotated[
        str | None,
        option("NAME", "A suite, or a file FILE.toml; axes on the command line replace those of the suite.", WHAT,
               complete=completion.suites),
    ] = None  # fmt: skip
    shard: Annotated[
        str | None,
        option("I/N", "Only this part of the cells, such as 3/16; cells that share a release stay together.", WHAT,
               default="all cells"),
    ] = None  # fmt: skip
    device: Annotated[
        str,
        option("NAME", "auto, cpu, cuda, cuda:N or mps; auto: an NVIDIA GPU, else cpu.", MACHINE,
               complete=completion.of("auto", "cpu", "cuda", "mps")),
    ] = "auto"  # fmt: skip
    dtype: Annotated[
        Literal["auto", "float32", "bfloat16"],
        typer.Option(rich_help_panel=MACHINE, help="Precision of training; auto: bfloat16 where the device has it."),
    ] = "auto"
    threads: Annotated[
        int | None,
        option("N", "CPU threads; part of every key.", MACHINE, default="the suite's, else the cores of this process"),
    ] = None
    data_root: Annotated[
        str | None, option("FOLDER", "Folder with cifar10/, cifar100/, ...", MACHINE, default="UCBENCH_DATA")
    ] = None

    def cells(self, progress: Progress | None = None) -> tuple[list[Cell], Session]:
        """The cells, references included, and the session to run them in.

        Raises:
            UsageError: if the options name no cells, or names or values that do not exist or fit together.
        """
        from ucbench.matrix.matrix import expand
        from ucbench.matrix.requests import axes, suite, suite_cells
        from ucbench.matrix.suite import shard
        from ucbench.session import open_session

        self._find_data()
        request = axes(**self.axes)  # values are read before anything is missed
        requested_suite = suite(self.suite) if self.suite else None
        if requested_suite is None and not self.axes.get("poisoner"):
            raise UsageError("Nothing to run: name a poisoner with --poisoner, or a suite with --suite.")
        threads = self.threads
        if threads is None and requested_suite is not None:
            threads = requested_suite.file.threads
        session = open_session(device=self.device, dtype=self.dtype, threads=threads, progress=progress)
        if requested_suite is not None:
            cells = suite_cells(requested_suite, session.registry, shard=self.shard, **self.axes)
        else:
            cells = expand(request, session.registry)
            cells = cells if self.shard is None else shard(cells, self.shard)
        for plugin in session.registry.plugins:
            if plugin.digest and plugin.problem:  # a file that this command names; it may hold only hooks
                _log.warning("Plugin %s was left out: %s.", plugin, plugin.problem)
        return cells, session

    def of_records(self, progress: Progress | None = None) -> Session:
        """A session for cells that records name, which state their numerics.

        Raises:
            UsageError: if an option was given that cannot apply to them.
        """
        from ucbench.session import open_session

        stated = {"--dtype": self.dtype != "auto", "--threads": self.threads is not None, "--shard": self.shard}
        if wrong := [name for name, is_given in stated.items() if is_given]:
            raise UsageError(f"{wrong[0]} does not apply to records, which say what their cells are.")
        self._find_data()
        return open_session(device=self.device, progress=progress)

    def _find_data(self) -> None:
        """Set the folder of data sets, if one is given."""
        if self.data_root is not None:
            # In the environment, which plugins of data sets read and worker processes inherit.
            os.environ["UCBENCH_DATA"] = self.data_root


def _of_axis(axis: Axis) -> Parameter:
    """The option of an axis; None if it is not given."""
    shown = option(
        axis.metavar, axis.meaning + (" Repeatable." if axis.repeatable else ""), _PANEL_OF_SIDE[axis.side],
        axis.option, default=(axis.default_shown if axis.default_text else Value(axis.default_shown)) or False,
        complete=completion.components(axis.name) if axis.name in SPEC_KINDS else completion.of(*axis.type.examples),
    )  # fmt: skip
    annotation: Any = Annotated[list[str] | None, shown] if axis.repeatable else Annotated[str | None, shown]
    return Parameter(axis.name, Parameter.KEYWORD_ONLY, default=None, annotation=annotation)


@contextmanager
def _requested(plugin: list[Path] | None, **options: Any) -> Iterator[CellRequest]:
    axes = {axis.name: value for axis in AXES if (value := options.pop(axis.name)) is not None}
    with _plugins(plugin):
        yield CellRequest(axes=axes, **options)


_AXES = {axis.name: _of_axis(axis) for axis in AXES}
_FIELDS = dict(list(inspect.signature(CellRequest, eval_str=True).parameters.items())[1:])
_OPTIONS = {**_FIELDS, **_AXES, **_PLUGIN}
#: Replaces a command's parameter ``request`` by options for the axes, for the fields of CellRequest, and ``--plugin``.
requesting_cells = with_options(_requested, _OPTIONS, fills="request")


def _hidden(parameter: Parameter) -> Parameter:
    annotation, shown = get_args(parameter.annotation)
    hidden = copy.copy(shown)
    hidden.hidden = True
    return parameter.replace(annotation=Annotated[annotation, hidden])


#: Options that decide no release: a command line of ``run`` is valid with them, but ``--help`` does not offer them.
_NO_RELEASE = ("defense", "victim", "metric", "trainings", "train_seed", "schedule", "shard")
#: As :data:`requesting_cells`, for commands that need only a release.
requesting_release = with_options(
    _requested,
    {name: _hidden(parameter) if name in _NO_RELEASE else parameter for name, parameter in _OPTIONS.items()},
    fills="request",
)


def is_quiet() -> bool:
    """Whether ``-q`` was given."""
    return logging.getLogger("ucbench").level >= logging.ERROR
