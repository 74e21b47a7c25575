"""``ucbench doctor``: this machine, what a run would use, and what is broken."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

import typer

from ucbench.cli.options import AsJson
from ucbench.cli.output import as_text, print_facts, print_json
from ucbench.numerics import allocator, available_cores, cpu_has_bf16, cpu_name, resolve
from ucbench.plugins.registry import installed

Facts = Mapping[str, str | int | float | bool]

LOW_SPACE_GIB = 2.0


app = typer.Typer()


@app.command("doctor", rich_help_panel="This machine")
def doctor_command(as_json: AsJson = False) -> None:
    """Show what a run would use on this machine, and what is broken.

    Python, processor, torch, device and dtype, store, data, libraries and plugins. The store is in UCBENCH_HOME, or in
    a cache folder; data sets are searched in UCBENCH_DATA.
    """
    problems: list[str] = []
    notes: list[str] = []
    sections: dict[str, Facts] = {
        "python": _python(),
        "processor": _processor(notes),
        "torch": _torch(problems),
        "store": _store(problems),
        "data": _data(problems),
        "libraries": _libraries(),
        "plugins": _plugins(problems),
    }
    if as_json:
        print_json({**sections, "problems": problems, "notes": notes})
        return
    print_facts(
        (f"{section} {label}".replace("_", " "), as_text(value))
        for section, facts in sections.items()
        for label, value in facts.items()
    )
    typer.echo()
    for note in notes:
        typer.echo(f"Note: {note}")
    for problem in problems:
        typer.echo(f"Problem: {problem}")
    if not problems:
        typer.echo("No problem found.")


def _python() -> Facts:
    return {
        "version": f"{platform.python_version()} ({platform.python_implementation()})",
        "executable": sys.executable,
        "system": platform.platform(),
    }


def _processor(notes: list[str]) -> Facts:
    cores = available_cores()
    facts: dict[str, str | int | float | bool] = {"name": cpu_name(), "cores": cores, "bfloat16": cpu_has_bf16()}
    if used := allocator():
        hint = "; jemalloc or tcmalloc, loaded by LD_PRELOAD, may be faster" if used == "glibc" else ""
        facts["allocator"] = used + hint
    if hasattr(os, "getloadavg"):  # not on Windows
        facts["load"] = load = round(os.getloadavg()[0], 1)
        if load >= cores:
            notes.append(
                f"{load:g} processes want this machine's {cores} cores. A training with a thread per core then waits"
                " for its own threads at every step, and can be many times slower. Use fewer: --threads."
            )
    return facts


def _torch(problems: list[str]) -> Facts:
    try:
        import torch
    except (ImportError, OSError) as error:
        problems.append(f"torch cannot be imported: {error}. Nothing can be crafted or trained; reinstall torch.")
        return {}
    from ucbench.running.preflight import device_problem

    numerics = resolve()
    facts: dict[str, str | int] = {
        "version": torch.__version__,
        "device": numerics.device,
        "dtype": numerics.dtype,
        "threads": numerics.threads,
    }
    if problem := device_problem(numerics):
        problems.append(problem)
    elif numerics.device == "cuda":
        facts["gpu"] = torch.cuda.get_device_name()
    return facts


def _store(problems: list[str]) -> Facts:
    from ucbench.running.preflight import store_problem, store_warnings
    from ucbench.store.files import existing_part
    from ucbench.store.store import Store

    root = Store().root
    free = round(shutil.disk_usage(existing_part(root)).free / 2**30, 1)
    problem = store_problem(root)
    if problem:
        problems.append(problem)
    else:
        problems.extend(store_warnings(root))
        if free < LOW_SPACE_GIB:
            problems.append(
                f"The store {root} has only {free} GiB left. `ucbench cache gc` removes what is not needed."
            )
    return {"path": str(root), "writable": not problem, "free_gib": free}


def _data(problems: list[str]) -> Facts:
    folder = os.path.expanduser(os.environ.get("UCBENCH_DATA", ""))
    if not folder:
        return {"root": "UCBENCH_DATA is not set; data sets use their own parameters and caches"}
    root = Path(folder)
    if not root.is_dir():
        problems.append(f"UCBENCH_DATA={root} is not a folder.")
        return {"root": folder}
    return {"root": folder, "folders": ", ".join(sorted(path.name for path in root.iterdir() if path.is_dir()))}


def _libraries() -> Facts:
    from ucbench.numerics import versions

    return versions()


def _plugins(problems: list[str]) -> Facts:
    registry = installed()
    broken = [plugin for plugin in registry.plugins if plugin.problem]
    problems.extend(f"Plugin {plugin} was left out: {plugin.problem}." for plugin in broken)
    problems.extend(registry.conflicts)
    return {"working": len(registry.plugins) - len(broken), "left_out": len(broken)}
