"""Finding plugins, and isolating the broken ones.

Every entry point of the group ``ucbench`` is imported with all errors caught and has a separate pluggy manager, so no
plugin can wrap, block or stop the hooks of another. A plugin that cannot be imported, raises in a hook, or yields an
invalid spec is left out as a whole; :attr:`LoadedPlugin.problem` says why.

For debugging, the environment variable ``UCBENCH_PLUGINS`` restricts loading to a comma-separated list of entry-point
names, or ``none``. Unset or empty means all. The core's components are always loaded.

A single file can be a plugin too, for a quick trial (:func:`load_file`). Nobody raises versions during a trial, so the
keys of its components hold the file's SHA-256.
"""

from __future__ import annotations

import difflib
import functools
import hashlib
import logging
import os
import re
import sys
import types
import typing
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

import pluggy

import ucbench
from ucbench.errors import PluginError, UsageError, did_you_mean
from ucbench.plugins import builtin, hookspecs
from ucbench.plugins.specs import SPEC_KINDS, CellEvent, ComponentSpec, EpochEvent

RESTRICT_VARIABLE = "UCBENCH_PLUGINS"

_log = logging.getLogger(__name__)
#: The form of names of components.
KEBAB = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
#: The literature has names that begin with a digit.
_ALIAS = re.compile(rf"[0-9]*{KEBAB.pattern}")
_OBJECT_PATH = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*")


@dataclass(frozen=True)
class LoadedPlugin:
    """A plugin after the attempt to load it.

    Attributes:
        name: the entry point's name.
        distribution: the installed distribution that declares it.
        version: the distribution's version.
        module: the module that the entry point names.
        specs: the components it registers; empty if there is a problem.
        problem: why it was left out, or None.
        hooks: the hooks of this plugin alone, or None if there is a problem.
        digest: SHA-256 of a single-file plugin, part of its components' identity; else empty.
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
    """The content of a single-file plugin, read once so that every process of a run executes the same bytes."""

    path: str
    content: bytes = field(repr=False)

    @classmethod
    def read(cls, path: str | Path) -> PluginFile:
        """Read a file.

        Raises:
            UsageError: if it cannot be read, or its name does not end in ``.py``.
        """
        file = Path(path).resolve()
        if file.suffix != ".py":
            raise UsageError(f"The plugin {str(path)!r} is not a Python file: its name must end in .py.")
        try:
            return cls(str(file), file.read_bytes())
        except OSError as error:
            raise UsageError(f"The plugin {str(path)!r} cannot be read: {error.strerror or error}.") from error

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.content).hexdigest()

    @property
    def module(self) -> str:
        """The name it is imported under: a new one after every edit, so that classes of both versions can coexist."""
        digest = hashlib.sha256(self.path.encode() + b"\0" + self.content).hexdigest()
        return f"ucbench_file_{re.sub(r'[^0-9A-Za-z_]', '_', Path(self.path).stem)}_{digest[:12]}"


@functools.lru_cache(maxsize=1)
def load_plugins() -> tuple[LoadedPlugin, ...]:
    """The core's components, then every installed plugin, broken ones included; loaded once per process.

    Raises:
        UsageError: if ``UCBENCH_PLUGINS`` names an entry point that is not installed.
    """
    core = load_module(hookspecs.PROJECT, builtin, hookspecs.PROJECT, ucbench.__version__)
    return (core, *load_entry_points(_enabled(entry_points(group=hookspecs.ENTRY_POINT_GROUP))))


def load_entry_points(points: Iterable[EntryPoint]) -> tuple[LoadedPlugin, ...]:
    """Load entry points in isolation. Those that share a name are all left out; the problem of each names all."""
    loaded = [_load(point) for point in sorted(points, key=lambda point: (point.name, point.value))]
    counts = Counter(plugin.name for plugin in loaded)
    return tuple(
        plugin if counts[plugin.name] == 1 else _clashing(plugin, [p for p in loaded if p.name == plugin.name])
        for plugin in loaded
    )


def load_module(name: str, module: object, distribution: str = "unpackaged", version: str = "0") -> LoadedPlugin:
    """Load one plugin from a module, or any object with hooks, as if an entry point named it."""
    plugin = LoadedPlugin(name, distribution, version, getattr(module, "__name__", repr(module)))
    try:
        hooks, specs = _register(module)
    except PluginError as error:
        return _broken(plugin, error)
    return replace(plugin, specs=specs, hooks=hooks)


def load_file(file: PluginFile) -> LoadedPlugin:
    """Load one file as a plugin. Its distribution is the file's name, its version the start of its SHA-256."""
    path = Path(file.path)
    plugin = LoadedPlugin(path.stem, path.name, file.digest[:12], file.module, digest=file.digest)
    try:
        with _as_plugin_error("cannot be imported"):
            module = _execute(file)
        if not any(hasattr(value, f"{hookspecs.PROJECT}_impl") for value in vars(module).values()):
            raise PluginError("registers nothing: none of its functions is marked @ucbench.hookimpl")
    except PluginError as error:
        return _broken(plugin, error)
    return replace(load_module(path.stem, module, path.name, file.digest[:12]), digest=file.digest)


def notify(hook: str, event: CellEvent | EpochEvent, plugins: Iterable[LoadedPlugin] | None = None) -> list[str]:
    """Call ``hook`` (``"ucbench_cell_finished"``) of every working plugin in isolation.

    Args:
        plugins: by default all installed plugins.

    Returns:
        One sentence per plugin that raised; the others are called in any case.
    """
    problems = []
    for plugin in load_plugins() if plugins is None else plugins:
        if plugin.hooks is None:
            continue
        call = getattr(plugin.hooks, hook)
        try:
            with _as_plugin_error(f"hook {hook} raised"):
                call(event=event)
        except PluginError as error:
            problems.append(f"Plugin {plugin}: {error}.")
    return problems


def suite_paths(plugins: Iterable[LoadedPlugin]) -> tuple[dict[str, Path], list[str]]:
    """The suites of plugins, by file name without ``.toml``, and one sentence per problem.

    A name that two plugins provide is left out.
    """
    suites: dict[str, Path] = {}
    owners: dict[str, list[LoadedPlugin]] = {}
    problems = []
    for plugin in plugins:
        if plugin.hooks is None:
            continue
        try:
            with _as_plugin_error("hook ucbench_suites raised"):
                paths = [Path(path) for result in plugin.hooks.ucbench_suites() for path in result]
        except PluginError as error:
            problems.append(f"Plugin {plugin}: {error}.")
            continue
        for path in paths:
            suites[path.stem] = path
            owners.setdefault(path.stem, []).append(plugin)
    for name, claimants in owners.items():
        if len(claimants) > 1:
            del suites[name]
            problems.append(f"The suite {name!r} is claimed by {' and '.join(map(str, claimants))}, so it is left out.")
    return suites, problems


def _enabled(points: Iterable[EntryPoint]) -> list[EntryPoint]:
    """The entry points that ``UCBENCH_PLUGINS`` allows."""
    points = list(points)
    choice = os.environ.get(RESTRICT_VARIABLE, "").strip()
    if not choice:
        return points
    names = set() if choice == "none" else {name.strip() for name in choice.split(",") if name.strip()}
    installed = {point.name for point in points}
    for name in sorted(names - installed):
        raise UsageError(
            f"{RESTRICT_VARIABLE} names {name!r}, which is not installed.{did_you_mean(name, installed)}"
            f" Installed: {', '.join(sorted(installed)) or 'none'}."
        )
    return [point for point in points if point.name in names]


def _load(entry_point: EntryPoint) -> LoadedPlugin:
    dist = entry_point.dist
    distribution, version = (dist.name, dist.version) if dist else ("unknown", "unknown")
    try:
        with _as_plugin_error("cannot be imported"):
            module = entry_point.load()
    except PluginError as error:
        return _broken(LoadedPlugin(entry_point.name, distribution, version, entry_point.value), error)
    return load_module(entry_point.name, module, distribution, version)


def _execute(file: PluginFile) -> types.ModuleType:
    """The file's module. It stays importable by its name, since specs name classes in it."""
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
    known = tuple(vars(manager.hook))
    with _as_plugin_error("hooks do not fit the contract"):
        manager.register(module)
    for name in sorted(vars(manager.hook).keys() - set(known)):
        if all(implementation.optionalhook for implementation in getattr(manager.hook, name).get_hookimpls()):
            continue
        near = difflib.get_close_matches(name, known, n=1)
        raise PluginError(f"implements {name!r}, which is not a hook" + "".join(f"; perhaps {it!r}" for it in near))
    specs = tuple(spec for kind in SPEC_KINDS for spec in _specs(manager.hook, kind))
    claims = Counter((spec.kind, name) for spec in specs for name in (spec.name, *spec.aliases))
    for (kind, name), count in claims.items():
        if count > 1:
            raise PluginError(f"claims the {kind} name {name!r} {count} times")
    return manager.hook, specs


def _specs(hooks: pluggy.HookRelay, kind: str) -> Iterator[ComponentSpec]:
    hook = f"ucbench_{kind}s"
    with _as_plugin_error(f"hook {hook} raised"):
        # The body of a generator runs only here, so consume it where errors are caught.
        yielded = [spec for result in getattr(hooks, hook)() for spec in result]
    for spec in yielded:
        if fault := _fault(spec, kind):
            raise PluginError(f"hook {hook} yielded {fault}")
        yield spec


def _fault(spec: object, kind: str) -> str | None:
    """What is wrong with a yielded spec, in words that follow "yielded"; None for a valid one."""
    expected = SPEC_KINDS[kind]
    if not isinstance(spec, expected):
        return f"an object of type {type(spec).__name__}, which is not a {expected.__name__}"
    for attribute, (several, known) in _restricted(kind).items():
        value = getattr(spec, attribute)
        # A bare string, the likely mistake, would be read as a sequence of letters.
        if several and not isinstance(value, tuple):
            return f"{spec.name!r} with {attribute}={value!r}, which is not a tuple"
        for one in value if several else (value,):
            if known and one not in known:
                return f"{spec.name!r} with {attribute}={one!r}, which is none of {', '.join(known)}"
    for name, form in ((spec.name, KEBAB), *((alias, _ALIAS) for alias in spec.aliases)):
        if not isinstance(name, str) or not form.fullmatch(name):
            return f"the invalid name {name!r}: names are lower-kebab, such as 'my-{kind}'"
    for attribute in ("load", "params"):
        path = getattr(spec, attribute)
        if not isinstance(path, str) or not _OBJECT_PATH.fullmatch(path):
            return f"{spec.name!r} with {attribute}={path!r}, which is not of the form 'module:Class'"
    if type(spec.version) is not int or spec.version < 1:
        return f"{spec.name!r} with version={spec.version!r}, which is not a positive integer"
    if not isinstance(spec.sample, str):
        return f"{spec.name!r} with sample={spec.sample!r}, which is not text"
    if spec.requires and not spec.extra:
        return f"{spec.name!r} with requires but no extra, which says what to install"
    return None


@functools.cache
def _restricted(kind: str) -> Mapping[str, tuple[bool, tuple[str, ...]]]:
    """The fields of a kind that are tuples or have few values: whether it is a tuple, and the values (none: any)."""
    restricted = {}
    for name, annotation in typing.get_type_hints(SPEC_KINDS[kind]).items():
        several = typing.get_origin(annotation) is tuple
        of = typing.get_args(annotation)[0] if several else annotation
        known = typing.get_args(of) if typing.get_origin(of) is typing.Literal else ()
        if several or known:
            restricted[name] = several, known
    return restricted


def _clashing(plugin: LoadedPlugin, claimants: list[LoadedPlugin]) -> LoadedPlugin:
    names = " and ".join(f"{p.distribution} {p.version}" for p in claimants)
    problem = f"the entry point {plugin.name!r} is declared by {names}; uninstall all but one"
    return _broken(plugin, PluginError(problem))


def _broken(plugin: LoadedPlugin, reason: PluginError) -> LoadedPlugin:
    _log.debug("Plugin %s was left out.", plugin, exc_info=reason)
    return replace(plugin, specs=(), hooks=None, problem=str(reason))


@contextmanager
def _as_plugin_error(problem: str) -> Iterator[None]:
    """Turn every exception of plugin code, ``sys.exit`` included, into a PluginError ``problem: cause`` of one line."""
    try:
        yield
    except (Exception, SystemExit) as error:
        text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        # One line fits a table; the whole trace goes to the log.
        raise PluginError(f"{problem}: {' '.join(text.split())}") from error
