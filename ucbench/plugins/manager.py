"""Finding plugins and keeping a broken one from harming the others.

Every entry point of the group ``ucbench`` is imported in a guard and gets a pluggy manager of its own, so no
plugin can wrap, block or stop the hooks of another. A plugin that cannot be imported, raises in a hook, or
yields something that is no valid spec is left out wholly, and :attr:`LoadedPlugin.problem` says why.

The environment variable ``UCBENCH_PLUGINS`` restricts loading while debugging: a comma-separated list of
entry-point names, or ``none``. Unset or empty means all. The core's own components are always there.

A single file can be a plugin too, for a quick try (:func:`load_file`). Nobody raises a version while trying, so the
file's bytes stand for one in the keys of its components.
"""

from __future__ import annotations

import functools
import hashlib
import logging
import os
import re
import sys
import types
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

import pluggy

import ucbench
from ucbench.errors import PluginError, UsageError, did_you_mean
from ucbench.plugins import builtin, hookspecs
from ucbench.plugins.specs import SPEC_KINDS, CellEvent, ComponentSpec

RESTRICT_VARIABLE = "UCBENCH_PLUGINS"

_log = logging.getLogger(__name__)
_KEBAB = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_OBJECT_PATH = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*")


@dataclass(frozen=True)
class LoadedPlugin:
    """One entry point of the group ``ucbench`` and what became of it.

    Attributes:
        name: the entry point's name.
        distribution: the installed distribution that declares it.
        version: of the distribution.
        module: what the entry point names.
        specs: the components it registers; empty if there is a problem.
        problem: why it was left out, or None.
        hooks: the hooks of this plugin alone, or None if there is a problem.
        digest: SHA-256 of the file, where the plugin is a single file; part of its components' identity.
    """

    name: str
    distribution: str
    version: str
    module: str
    specs: tuple[ComponentSpec, ...] = ()
    problem: str | None = None
    hooks: pluggy.HookRelay | None = field(default=None, repr=False, compare=False)
    digest: str = ""

    def __str__(self) -> str:
        return f"{self.name} ({self.distribution} {self.version})"


@dataclass(frozen=True)
class PluginFile:
    """A single file that is to be a plugin, as it was read: every process of a run executes these very bytes."""

    path: str
    content: bytes = field(repr=False)

    @classmethod
    def read(cls, path: str | Path) -> PluginFile:
        """Read a file.

        Raises:
            UsageError: if it cannot be read, or is no ``.py`` file.
        """
        found = Path(path).resolve()
        if found.suffix != ".py":
            raise UsageError(f"The plugin {str(path)!r} is no Python file: its name must end in .py.")
        try:
            return cls(str(found), found.read_bytes())
        except OSError as error:
            raise UsageError(f"The plugin {str(path)!r} cannot be read: {error.strerror or error}.") from error

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.content).hexdigest()

    @property
    def module(self) -> str:
        """The name it is imported under: another after every edit, so that classes of both can live side by side."""
        told = hashlib.sha256(self.path.encode() + b"\0" + self.content).hexdigest()
        return f"ucbench_file_{re.sub(r'[^0-9A-Za-z_]', '_', Path(self.path).stem)}_{told[:12]}"


@functools.lru_cache(maxsize=1)
def load_plugins() -> tuple[LoadedPlugin, ...]:
    """The core's own components, then every installed plugin, broken ones included; read once a process.

    Raises:
        UsageError: if ``UCBENCH_PLUGINS`` names an entry point that is not installed.
    """
    wanted = _wanted(entry_points(group=hookspecs.ENTRY_POINT_GROUP))
    own = load_module(hookspecs.PROJECT, builtin, hookspecs.PROJECT, ucbench.__version__)
    return (own, *load_entry_points(wanted))


def load_entry_points(found: Iterable[EntryPoint]) -> tuple[LoadedPlugin, ...]:
    """Load entry points, each apart. Those that share a name are left out, each naming the others."""
    loaded = [_load(entry_point) for entry_point in sorted(found, key=lambda e: (e.name, e.value))]
    counts = Counter(plugin.name for plugin in loaded)
    return tuple(
        plugin if counts[plugin.name] == 1 else _clashing(plugin, [p for p in loaded if p.name == plugin.name])
        for plugin in loaded
    )


def load_module(name: str, module: object, distribution: str = "unpackaged", version: str = "0") -> LoadedPlugin:
    """Load one plugin from a module (or any object with hooks), as if an entry point had named it."""
    where = getattr(module, "__name__", repr(module))
    plugin = LoadedPlugin(name, distribution, version, where)
    try:
        hooks, specs = _register(module)
    except PluginError as error:
        return _broken(plugin, error)
    return replace(plugin, specs=specs, hooks=hooks)


def load_file(file: PluginFile) -> LoadedPlugin:
    """Load one file as a plugin; its distribution is its name, and its version the beginning of its SHA-256."""
    path = Path(file.path)
    plugin = LoadedPlugin(path.stem, path.name, file.digest[:12], file.module, digest=file.digest)
    try:
        with _stating("cannot be imported"):
            module = _executed(file)
        if not any(hasattr(value, f"{hookspecs.PROJECT}_impl") for value in vars(module).values()):
            raise PluginError("registers nothing: none of its functions is marked @ucbench.hookimpl")
    except PluginError as error:
        return _broken(plugin, error)
    return replace(load_module(path.stem, module, path.name, file.digest[:12]), digest=file.digest)


def notify(hook: str, event: CellEvent, plugins: Iterable[LoadedPlugin] | None = None) -> list[str]:
    """Call the observing ``hook`` (``"ucbench_cell_finished"``) of every working plugin, each apart.

    Args:
        plugins: whom to tell; the installed plugins by default.

    Returns:
        One sentence for every plugin that raised; the others were told all the same.
    """
    problems = []
    for plugin in load_plugins() if plugins is None else plugins:
        if plugin.hooks is None:
            continue
        call = getattr(plugin.hooks, hook)
        try:
            with _stating(f"hook {hook} raised"):
                call(event=event)
        except PluginError as error:
            problems.append(f"Plugin {plugin}: {error}.")
    return problems


def suite_paths(plugins: Iterable[LoadedPlugin]) -> tuple[dict[str, Path], list[str]]:
    """The suites that plugins bring, by file name without ``.toml``, and one sentence for every plugin that failed.

    A name that two of them bring is nobody's.
    """
    found: dict[str, Path] = {}
    owners: dict[str, list[LoadedPlugin]] = {}
    problems = []
    for plugin in plugins:
        if plugin.hooks is None:
            continue
        try:
            with _stating("hook ucbench_suites raised"):
                paths = [Path(path) for result in plugin.hooks.ucbench_suites() for path in result]
        except PluginError as error:
            problems.append(f"Plugin {plugin}: {error}.")
            continue
        for path in paths:
            found[path.stem] = path
            owners.setdefault(path.stem, []).append(plugin)
    for name, who in owners.items():
        if len(who) > 1:
            del found[name]
            problems.append(f"The suite {name!r} is brought by {' and '.join(map(str, who))}, so none of them gets it.")
    return found, problems


def _wanted(found: Iterable[EntryPoint]) -> list[EntryPoint]:
    found = list(found)
    choice = os.environ.get(RESTRICT_VARIABLE, "").strip()
    if not choice:
        return found
    names = set() if choice == "none" else {name.strip() for name in choice.split(",") if name.strip()}
    installed = {entry_point.name for entry_point in found}
    for name in sorted(names - installed):
        raise UsageError(
            f"{RESTRICT_VARIABLE} names {name!r}, and no such plugin is installed."
            f"{did_you_mean(name, installed)}"
            f" Installed: {', '.join(sorted(installed)) or 'none'}."
        )
    return [entry_point for entry_point in found if entry_point.name in names]


def _load(entry_point: EntryPoint) -> LoadedPlugin:
    dist = entry_point.dist
    distribution, version = (dist.name, dist.version) if dist else ("unknown", "unknown")
    try:
        with _stating("cannot be imported"):
            module = entry_point.load()
    except PluginError as error:
        return _broken(LoadedPlugin(entry_point.name, distribution, version, entry_point.value), error)
    return load_module(entry_point.name, module, distribution, version)


def _executed(file: PluginFile) -> types.ModuleType:
    """The file's module, which stays importable by its name: specs point to classes in it."""
    if file.module in sys.modules:
        return sys.modules[file.module]
    module = types.ModuleType(file.module)
    module.__file__ = file.path
    sys.modules[file.module] = module
    try:
        exec(compile(file.content, file.path, "exec"), vars(module))
    except BaseException:
        del sys.modules[file.module]
        raise
    return module


def _register(module: object) -> tuple[pluggy.HookRelay, tuple[ComponentSpec, ...]]:
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    with _stating("hooks do not fit the contract"):
        manager.register(module)
        manager.check_pending()
    specs = tuple(spec for kind in SPEC_KINDS for spec in _specs(manager.hook, kind))
    claims = Counter((spec.kind, name) for spec in specs for name in (spec.name, *spec.aliases))
    for (kind, name), count in claims.items():
        if count > 1:
            raise PluginError(f"claims the {kind} name {name!r} {count} times")
    return manager.hook, specs


def _specs(hooks: pluggy.HookRelay, kind: str) -> Iterator[ComponentSpec]:
    hook = f"ucbench_{kind}s"
    with _stating(f"hook {hook} raised"):
        # A generator runs only while it is drained, so draining belongs inside the guard.
        yielded = [spec for result in getattr(hooks, hook)() for spec in result]
    for spec in yielded:
        fault = _fault(spec, kind)
        if fault:
            raise PluginError(f"hook {hook} yielded {fault}")
        yield spec


def _fault(spec: object, kind: str) -> str | None:
    """What is wrong with a yielded spec, to follow "yielded"; None if nothing is."""
    wanted = SPEC_KINDS[kind]
    if not isinstance(spec, wanted):
        return f"an object of type {type(spec).__name__}, which is no {wanted.__name__}"
    for attribute in ("aliases", "requires"):
        # A bare string is the likely slip, and would be read as a sequence of letters.
        if not isinstance(getattr(spec, attribute), tuple):
            return f"{spec.name!r} with {attribute}={getattr(spec, attribute)!r}, which is not a tuple"
    for name in (spec.name, *spec.aliases):
        if not isinstance(name, str) or not _KEBAB.fullmatch(name):
            return f"the invalid name {name!r}: names are lower-kebab, such as 'my-{kind}'"
    for attribute in ("load", "params"):
        path = getattr(spec, attribute)
        if not isinstance(path, str) or not _OBJECT_PATH.fullmatch(path):
            return f"{spec.name!r} with {attribute}={path!r}, which is not of the form 'module:Class'"
    if type(spec.version) is not int or spec.version < 1:
        return f"{spec.name!r} with version={spec.version!r}, which is not a positive integer"
    if spec.requires and not spec.extra:
        return f"{spec.name!r} with requires but no extra, so nobody could be told what to install"
    return None


def _clashing(plugin: LoadedPlugin, claimants: list[LoadedPlugin]) -> LoadedPlugin:
    who = " and ".join(f"{p.distribution} {p.version}" for p in claimants)
    return _broken(plugin, PluginError(f"the entry point {plugin.name!r} is declared by {who}; uninstall all but one"))


def _broken(plugin: LoadedPlugin, reason: PluginError) -> LoadedPlugin:
    _log.debug("Plugin %s was left out.", plugin, exc_info=reason)
    return replace(plugin, specs=(), hooks=None, problem=str(reason))


@contextmanager
def _stating(what: str) -> Iterator[None]:
    """Turn whatever plugin code raises, an attempt to exit included, into a PluginError of one line."""
    try:
        yield
    except (Exception, SystemExit) as error:
        text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        # One line, so that a table can hold it; the whole trace goes to the log.
        raise PluginError(f"{what}: {' '.join(text.split())}") from error
