"""What commands share: lazy groups, options of all commands, and the options that name the axes of a matrix."""

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

#: Paths that must exist, and paths that need not.
FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
OUT_FOLDER = click.Path(file_okay=False, path_type=Path)
OUT_FILE = click.Path(dir_okay=False, path_type=Path)


class LazyGroup(click.Group):
    """Imports a command's module when the command is named, and suggests near names for unknown ones.

    Modules import what is heavy (torch, numpy, pandas, pydantic) inside their functions.

    Args:
        modules: of the commands, in the order of ``--help``: the command ``new-plugin`` is ``new_plugin_command`` of
            its module in ``ucbench.cli``.
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
    """Add ``--plugin FILE.py``; while the command runs, these files are plugins like the installed ones."""

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
        help="Load a single file as a plugin, for a quick try; may be repeated.",
    )
    return cast(Command, option(with_files))


def verbosity(command: Command) -> Command:
    """Add ``-v`` and ``-q``, which may stand before or after the command's name."""
    command = click.option(
        "-v",
        "--verbose",
        count=True,
        expose_value=False,
        callback=lambda ctx, param, count: _log_from(logging.INFO if count == 1 else logging.DEBUG, count),
        help="Say more; twice shows where errors were raised.",
    )(command)
    return click.option(
        "-q",
        "--quiet",
        is_flag=True,
        expose_value=False,
        callback=lambda ctx, param, quiet: _log_from(logging.ERROR, quiet),
        help="Leave out warnings.",
    )(command)


def is_quiet() -> bool:
    """Whether ``-q`` was given."""
    return logging.getLogger("ucbench").level >= logging.ERROR


def _log_from(level: int, given: bool | int) -> None:
    # Not given must not undo what stood before the command's name.
    if given:
        logging.getLogger("ucbench").setLevel(level)


def axis_options(command: Command) -> Command:
    """Add every axis, suites and shards, where and how to compute, and plugins to try."""
    from ucbench.matrix.axes import AXES

    decorators = [
        click.option(axis.option, axis.name, metavar=axis.metavar, multiple=axis.repeatable, help=axis.help)
        for axis in AXES
    ]
    decorators += [
        click.option("--suite", metavar="NAME", help="A suite, or a file FILE.toml; axes given here replace its own."),
        click.option("--shard", metavar="I/N", help="Only that part of the cells, such as 3/16; releases stay whole."),
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


def chosen_axes(options: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of :func:`ucbench.api.axes` among a command's options; what was not given keeps its default."""
    from ucbench.matrix.axes import AXES

    return {axis.name: options[axis.name] for axis in AXES if options[axis.name] not in (None, ())}


def chosen_cells(options: Mapping[str, Any], progress: Progress | None = None) -> tuple[list[Cell], Session]:
    """The cells that a command's options name, and the session to run them in.

    Raises:
        UsageError: if they name none, or what does not exist or fit together.
    """
    from ucbench.api import axes, cells_of, session, suite, suite_cells
    from ucbench.matrix.suite import shard

    if options["data_root"] is not None:
        os.environ["UCBENCH_DATA"] = options["data_root"]
    named = suite(options["suite"]) if options["suite"] else None
    if named is None and not options["poisoner"]:
        raise UsageError("Nothing to run: name a poisoner by --poisoner, or a suite by --suite.")
    threads = options["threads"]
    if threads is None and named is not None:
        threads = named.file.threads
    here = session(device=options["device"], dtype=options["dtype"], threads=threads, progress=progress)
    if named is not None:
        return suite_cells(named, here, shard=options["shard"], **chosen_axes(options)), here
    cells = cells_of(axes(**chosen_axes(options)), here)
    return cells if options["shard"] is None else shard(cells, options["shard"]), here
