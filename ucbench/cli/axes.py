"""The options that name the axes of a matrix, shared by ``run`` and ``plan``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

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
    """Add every axis, the seeds, and where and how to compute."""
    decorators = [
        click.option(
            f"--{name}", name.replace("-", "_"), metavar=metavar, multiple=True, help=text, required=name == "poisoner"
        )
        for name, metavar, text in _AXES
    ]
    decorators += [
        click.option("--seed", metavar="SEEDS", help="Craft and train seed, pairwise: 0 (default), 0-2, 0,3."),
        click.option("--craft-seed", metavar="SEEDS", help="Craft seeds, crossed with the train seeds."),
        click.option("--train-seed", metavar="SEEDS", help="Train seeds, crossed with the craft seeds."),
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
    for decorator in reversed(decorators):
        command = decorator(command)
    return command


def chosen_axes(options: dict[str, Any]) -> dict[str, Any]:
    """The arguments of :func:`ucbench.api.axes` among a command's options; what was not given keeps its default."""
    names = [name.replace("-", "_") for name, _, _ in _AXES] + ["seed", "craft_seed", "train_seed"]
    given = {name: options[name] for name in names if options[name] not in (None, ())}
    if "mixture" in given:
        given["mixture"] = [_fraction(text) for text in given["mixture"]]
    if "trusted" in given:
        given["trusted"] = [_count(text) for text in given["trusted"]]
    return given


def _count(text: str) -> int:
    if not text.isdecimal():
        raise click.BadParameter(f"{text!r} is no number of images.", param_hint="--trusted")
    return int(text)


def _fraction(text: str) -> float:
    try:
        return float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        raise click.BadParameter(f"{text!r} is no fraction such as 0.4 or 40%.", param_hint="--mixture") from None
