"""Calling the observing hooks of plugins, which can change no number."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ucbench.errors import ContractError
from ucbench.plugins.manager import notify
from ucbench.plugins.specs import CellEvent, EpochEvent
from ucbench.running.tasks import Task
from ucbench.session import Session
from ucbench.training.determinism import guarded

_EPOCH = "ucbench_epoch_finished"


def observed(hook: str, event: CellEvent | EpochEvent, session: Session) -> list[str]:
    """Call a hook of all plugins; returns their problems, one sentence each."""
    try:
        with guarded(f"A hook {hook} of a plugin"):
            return notify(hook, event, session.registry.plugins)
    except ContractError as error:
        return [str(error)]


def epoch_observer(task: Task, session: Session) -> Callable[[Mapping[str, Any], int], None] | None:
    """Passes a point of a training's history on to the plugins; None if no plugin observes epochs.

    A problem is reported once per cell, not after every epoch.
    """
    hooks = [plugin.hooks for plugin in session.registry.plugins if plugin.hooks is not None]
    if not any(getattr(hook, _EPOCH).get_hookimpls() for hook in hooks):
        return None
    request = task.cell.describe()
    reported: set[str] = set()

    def on_epoch(point: Mapping[str, Any], epochs: int) -> None:
        values = {name: value for name, value in point.items() if name != "epoch"}
        for problem in observed(_EPOCH, EpochEvent(task.key, request, point["epoch"], epochs, values), session):
            if problem not in reported:
                session.progress.say(problem)
            reported.add(problem)

    return on_epoch
