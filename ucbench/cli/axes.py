"""The options that name the axes of a matrix, shared by ``run`` and ``plan``."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ucbench.cli.options import plugin_files

if TYPE_CHECKING:
    from ucbench.api import Session
    from ucbench.matrix import Cell
    from ucbench.progress import Progress

Command = TypeVar("Command", bound=Callable[..., Any])

#: Option, metavar, help: each may be given several times, and the cells are the cross product.
_AXES = (
    ("dataset", "NAME", "Data set: digits (default), parquet:DIR, imagefolder:DIR, ..."),
    ("poisoner", "NAME", "Poisoner, such as uc or uc@released:clusters=20; references are added."),
    ("surrogate", "NAME", "Surrogate; each poisoner's own by default."),
    ("craft-labels", "LABELS", "What label-based poisoners are told: original (default), clusters:k=K, predicted."),
    ("labeling", "NAME", "The exploiter's labels: original (default), ..."),
    ("defense", "CHAIN", "Defense, or several joined with +; none (default) is the recipe alone."),
    ("victim", "NAME", "Victim: resnet18 (default), resnet18:width=32, timm:MODEL, ..."),
    ("epsilon", "E", "Radius of linf budgets in 8-bit units: 8 or 8/255. Default: the data set's, or the method's."),
    ("mixture", "FRACTION", "Poisoned fraction of the training set (default 1)."),
    ("trusted", "N", "Clean labelled images the exploiter is granted, out of the training set (default 0)."),
    ("metric", "NAME", "What to measure of every cell beyond what each record has; `ucbench list metric`."),
)


def axis_options(command: Command) -> Command:
    """Add every axis, the seeds, where and how to compute, and plugins to try."""
    decorators = [
        click.option(f"--{name}", name.replace("-", "_"), metavar=metavar, multiple=True, help=text)
        for name, metavar, text in _AXES
    ]
    decorators += [
        click.option("--suite", metavar="NAME", help="A suite, or a file FILE.toml; axes given here replace its own."),
        click.option("--shard", metavar="I/N", help="Only that part of the cells, such as 3/16; releases stay whole."),
    ]
    decorators += [
        click.option("--seed", metavar="SEEDS", help="Craft and train seed, pairwise: 0 (default), 0-2, 0,3."),
        click.option("--craft-seed", metavar="SEEDS", help="Craft seeds, crossed with the train seeds."),
        click.option("--train-seed", metavar="SEEDS", help="Train seeds, crossed with the craft seeds."),
        click.option("--schedule", metavar="FACTOR", help="Multiply every victim's epochs: 4x, 0.5x."),
        click.option(
            "--out", type=click.Path(file_okay=False), help="Folder for records, results.csv and picture sheets."
        ),
        click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:N or mps."),
        click.option("--dtype", default="auto", show_default=True, help="auto, float32 or bfloat16."),
        click.option("--threads", type=int, help="CPU threads; part of every key. Default: the cores of this process."),
        click.option(
            "--data-root", type=click.Path(), help="Folder that holds cifar10/, cifar100/; same as UCBENCH_DATA."
        ),
    ]
    command = plugin_files(command)
    for decorator in reversed(decorators):
        command = decorator(command)
    return command


def chosen_axes(options: dict[str, Any]) -> dict[str, Any]:
    """The arguments of :func:`ucbench.api.axes` among a command's options; what was not given keeps its default."""
    names = [name.replace("-", "_") for name, _, _ in _AXES] + ["seed", "craft_seed", "train_seed", "schedule"]
    given = {name: options[name] for name in names if options[name] not in (None, ())}
    if "schedule" in given:
        given["schedule"] = _factor(given["schedule"])
    if "mixture" in given:
        given["mixture"] = [_fraction(text) for text in given["mixture"]]
    if "trusted" in given:
        given["trusted"] = [_count(text) for text in given["trusted"]]
    return given


def chosen_cells(options: dict[str, Any], progress: Progress | None = None) -> tuple[list[Cell], Session]:
    """The cells that a command's options name, and the session to run them in.

    Raises:
        UsageError: if they name none, or what does not exist or fit together.
    """
    from ucbench.api import axes, cells_of, session, suite, suite_cells
    from ucbench.errors import UsageError
    from ucbench.suite import shard

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


def _count(text: str) -> int:
    if not text.isdecimal():
        raise click.BadParameter(f"{text!r} is no number of images.", param_hint="--trusted")
    return int(text)


def _factor(text: str) -> float:
    try:
        return float(text.removesuffix("x"))
    except ValueError:
        raise click.BadParameter(f"{text!r} is no factor such as 4x or 0.5x.", param_hint="--schedule") from None


def _fraction(text: str) -> float:
    try:
        return float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        raise click.BadParameter(f"{text!r} is no fraction such as 0.4 or 40%.", param_hint="--mixture") from None
