"""What ``list`` and ``show`` say of a component."""

from __future__ import annotations

import dataclasses
import logging
from typing import Any

from ucbench.components import ComponentRecord
from ucbench.registry import Registry, install_line, installed, missing_modules

_log = logging.getLogger(__name__)


def open_registry() -> Registry:
    """The installed components, with a warning for everything that was left out."""
    registry = installed()
    for plugin in registry.plugins:
        if plugin.problem:
            _log.warning("Plugin %s was left out: %s.", plugin, plugin.problem)
    for conflict in registry.conflicts:
        _log.warning("%s", conflict)
    return registry


def describe(record: ComponentRecord, registry: Registry) -> dict[str, Any]:
    """A record as JSON values, with its plugin and what is missing to use it."""
    origin = registry.origin(record.kind, record.name)
    return {
        "kind": record.kind,
        **dataclasses.asdict(record),
        "plugin": origin.name,
        "distribution": origin.distribution,
        "distribution_version": origin.version,
        "missing": missing_modules(record),
    }


def needed(record: ComponentRecord) -> str:
    """The install line of a component whose requirements are missing, else an empty text."""
    return install_line(record) if missing_modules(record) else ""


def as_text(value: Any) -> str:
    """A value as it is written in a reference: ``none``, ``true``, ``75/90``."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (tuple, list)):
        return "/".join(as_text(part) for part in value)
    return str(value)
