"""What commands share: lazy groups, common options, and the options for the axes of a matrix."""

from __future__ import annotations

import functools
import importlib
import logging
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

from ucbench.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    from ucbench.matrix.cell import Cell
    from ucbench.progress import Progress
    from ucbench.session import Session

Command = TypeVar("Command", bound=Callable[..., Any])

#: Paths that must exist (FOLDER, FILE), and paths that need not.
FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
OUT_FOLDER = click.Path(file_okay=False, path_type=Path)
OUT_FILE = click.Path(dir_okay=False, path_type=Path)


class LazyGroup(click.Group):
    """Imports a command's module when the command runs, and suggests similar names for unknown ones.

    The modules import heavy libraries (torch, numpy, pandas, pydantic) inside their functions.

    Args:
        modules: module in ``ucbench.cli`` by command, in the order of ``--help``. The command ``new-plugin`` is the
            function ``new_plugin_command``.
    """

    def __init__(self, *args: Any, modules: Mapping[str, str], **options: Any) -> None:
        super().__init__(*args, **options)
        self._modules = modules

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self._modules)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self._modules:
            return None
        module = importlib.import_module(f"ucbench.cli.{self._modules[cmd_name]}")
        command: click.Command = getattr(module, f"{cmd_name.replace('-', '_')}_command")
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if name not in self._modules and not name.startswith("-"):
            raise click.UsageError(f"No such command {name!r}.{did_you_mean(name, self._modules)}", ctx)
        return super().resolve_command(ctx, args)


as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")


def plugin_files(command: Command) -> Command:
    """Add ``--plugin FILE.py``; while the command runs, these files are plugins like installed ones."""

    @functools.wraps(command)
    def with_files(*args: Any, plugin: tuple[str, ...], **options: Any) -> Any:
        from ucbench.plugins.registry import trying

        with trying(plugin):
            return command(*args, **options)

    option = click.option(
        "--plugin",
        metavar="FILE.py",
        type=click.Path(exists=True, dir_okay=False),
        multiple=True,
        help="Load a single file as a plugin, to try it; may be repeated.",
    )
    return cast(Command, option(with_files))


def verbosity(command: Command) -> Command:
    """Add ``-v`` and ``-q``, which are valid before and after the command's name."""
    command = click.option(
        "-v",
        "--verbose",
        count=True,
        expose_value=False,
        callback=lambda ctx, param, count: _log_from(logging.INFO if count == 1 else logging.DEBUG, count),
        help="Print more; twice shows where errors were raised.",
    )(command)
    return click.option(
        "-q",
        "--quiet",
        is_flag=True,
        expose_value=False,
        callback=lambda ctx, param, quiet: _log_from(logging.ERROR, quiet),
        help="Print no warnings.",
    )(command)


def is_quiet() -> bool:
    """Whether ``-q`` was given."""
    return logging.getLogger("ucbench").level >= logging.ERROR


def _log_from(level: int, is_set: bool | int) -> None:
    # An option that is not set after the command's name must not undo the one before it.
    if is_set:
        logging.getLogger("ucbench").setLevel(level)


def axis_options(command: Command) -> Command:
    """Add the options for axes, suites, shards, output, numerics, data and plugin files."""
    from ucbench.matrix.axes import AXES

    decorators = [
        click.option(axis.option, axis.name, metavar=axis.metavar, multiple=axis.repeatable, help=axis.help)
        for axis in AXES
    ]
    decorators += [
        click.option(
            "--suite",
            metavar="NAME",
            help="A suite, or a file FILE.toml; axes on the command line replace those of the suite.",
        ),
        click.option(
            "--shard",
            metavar="I/N",
            help="Only this part of the cells, such as 3/16; cells that share a release stay together.",
        ),
        click.option("--out", type=OUT_FOLDER, help="Folder for records, results.csv and image sheets."),
        click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:N or mps."),
        click.option("--dtype", default="auto", show_default=True, help="auto, float32 or bfloat16."),
        click.option("--threads", type=int, help="CPU threads; part of every key. Default: the cores of this process."),
        click.option("--data-root", type=click.Path(), help="Folder with cifar10/, cifar100/; same as UCBENCH_DATA."),
    ]
    command = plugin_files(command)
    for decorator in reversed(decorators):
        command = decorator(command)
    return command


def requested_axes(options: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of :func:`ucbench.api.axes` in a command's options; unset options keep their defaults."""
    from ucbench.matrix.axes import AXES

    return {axis.name: options[axis.name] for axis in AXES if options[axis.name] not in (None, ())}


def requested_cells(options: Mapping[str, Any], progress: Progress | None = None) -> tuple[list[Cell], Session]:
    """The cells that a command's options name, and the session to run them in.

    Raises:
        UsageError: if they name no cells, or names or values that do not exist or fit together.
    """
    from ucbench.api import axes, cells_of, open_session, suite, suite_cells
    from ucbench.matrix.suite import shard

    if options["data_root"] is not None:
        # In the environment, which plugins of data sets read and worker processes inherit.
        os.environ["UCBENCH_DATA"] = options["data_root"]
    requested_suite = suite(options["suite"]) if options["suite"] else None
    if requested_suite is None and not options["poisoner"]:
        raise UsageError("Nothing to run: name a poisoner with --poisoner, or a suite with --suite.")
    threads = options["threads"]
    if threads is None and requested_suite is not None:
        threads = requested_suite.file.threads
    session = open_session(device=options["device"], dtype=options["dtype"], threads=threads, progress=progress)
    if requested_suite is not None:
        return suite_cells(requested_suite, session, shard=options["shard"], **requested_axes(options)), session
    cells = cells_of(axes(**requested_axes(options)), session)
    return cells if options["shard"] is None else shard(cells, options["shard"]), session
