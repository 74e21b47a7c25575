"""The registry: components by kind and name, and references resolved to components."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import importlib
import importlib.util
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar, overload

from ucbench.errors import PluginError, UsageError, did_you_mean, place_of
from ucbench.plugins.manager import LoadedPlugin, PluginFile, load_file, load_plugins
from ucbench.plugins.specs import SPEC_KINDS, ComponentSpec
from ucbench.store.keys import KeyText

if TYPE_CHECKING:
    from ucbench.plugins.grammar import ComponentRef
    from ucbench.plugins.params import Params


SpecT = TypeVar("SpecT", bound=ComponentSpec, covariant=True)


class _Claim(NamedTuple):
    plugin: LoadedPlugin
    spec: ComponentSpec


@dataclasses.dataclass(frozen=True)
class Component(Generic[SpecT]):
    """A resolved component reference.

    Attributes:
        spec: what the plugin registers.
        ref: the reference in canonical form: no alias, no ``@standard``, options sorted.
        params: the validated parameters.
        registry: the registry that resolved it.
    """

    spec: SpecT
    ref: ComponentRef
    params: Params
    registry: Registry = dataclasses.field(repr=False, compare=False)

    def __str__(self) -> str:
        return str(self.ref)

    @property
    def preset(self) -> str:
        from ucbench.plugins.params import DEFAULT_PRESET

        return self.ref.preset or DEFAULT_PRESET

    @property
    def origin(self) -> LoadedPlugin:
        """The plugin that registers the component."""
        return self.registry.origin(self.spec.kind, self.spec.name)

    def identity(self) -> dict[str, Any]:
        """What can change a number, as JSON values: name, version, and parameters with defaults filled in.

        A component of a single-file plugin adds the file's SHA-256, since its version is not raised after every edit.
        """
        identity = {"name": self.spec.name, "version": self.spec.version, "params": self.params.identity()}
        digest = self.origin.digest
        return {**identity, "file": digest} if digest else identity

    @functools.cached_property
    def key_text(self) -> KeyText:
        """Canonical text of :meth:`identity`, for keys; computed once for all cells that share the component."""
        return KeyText.of(self.identity())

    def __reduce__(self) -> tuple[Any, ...]:
        # Another process resolves the reference in its registry.
        return _component, (self.registry.source, self.spec.kind, str(self.ref))

    def build(self) -> Any:
        """A new instance of the component; raises as :meth:`Registry.component_class` does."""
        return self.registry.component_class(self.spec)(self.params)


class Registry:
    """The components of some plugins, by kind and name.

    A name or alias that two plugins claim belongs to neither: a spec with a contested name is left out, and using a
    contested name or alias is an error that names both plugins. Kinds are accepted in singular and plural.

    Args:
        plugins: the plugins.
        source: a picklable function that returns an equal registry in another process; :func:`installed` by default.
    """

    def __init__(self, plugins: Iterable[LoadedPlugin], source: Callable[[], Registry] | None = None) -> None:
        self.plugins = tuple(plugins)
        self.source = source
        self._claims: dict[str, dict[str, list[_Claim]]] = {kind: {} for kind in SPEC_KINDS}
        for plugin in self.plugins:
            for spec in plugin.specs:
                for name in (spec.name, *spec.aliases):
                    self._claims[spec.kind].setdefault(name, []).append(_Claim(plugin, spec))

    @property
    def conflicts(self) -> tuple[str, ...]:
        """One sentence per name that several plugins claim."""
        return tuple(
            _contested(kind, name, claims)
            for kind, names in self._claims.items()
            for name, claims in sorted(names.items())
            if len(claims) > 1
        )

    def place_of(self, error: BaseException) -> str:
        """``stripes.py, line 12``: the last line of a plugin outside ``ucbench`` that led to the error, or empty."""
        loads = {spec.load for plugin in self.plugins for spec in plugin.specs}
        packages = {re.split("[.:]", load)[0] for load in loads} - {"ucbench"}
        return place_of(error, lambda name: name.partition(".")[0] in packages)

    def specs(self, kind: str) -> tuple[ComponentSpec, ...]:
        """The usable components of one kind, sorted by name."""
        uncontested = {name: c[0].spec for name, c in self._claims[kind_named(kind)].items() if len(c) == 1}
        return tuple(spec for name, spec in sorted(uncontested.items()) if spec.name == name)

    def names(self, kind: str, glob: str | None = None) -> tuple[str, ...]:
        """Names of the usable components; with ``glob``, of those whose name or an alias matches."""
        return tuple(
            spec.name
            for spec in self.specs(kind)
            if glob is None or any(fnmatchcase(name, glob) for name in (spec.name, *spec.aliases))
        )

    @overload
    def find(self, kind: type[SpecT], name: str) -> SpecT: ...

    @overload
    def find(self, kind: str, name: str) -> ComponentSpec: ...

    def find(self, kind: type[SpecT] | str, name: str) -> Any:
        """The spec with this name or alias.

        Args:
            kind: the spec's class, or the kind's name.

        Raises:
            UsageError: if there is none; the text gives the nearest names and the plugins that did not load.
            PluginError: if several plugins claim the name.
        """
        return self._claim(kind if isinstance(kind, str) else kind.kind, name).spec

    def origin(self, kind: str, name: str) -> LoadedPlugin:
        """The plugin that registers the component; raises as :meth:`find` does."""
        return self._claim(kind, name).plugin

    def kinds(self, name: str) -> tuple[str, ...]:
        """The kinds in which this is the name or an alias of a component."""
        return tuple(kind for kind, claims in self._claims.items() if name in claims)

    def claimants(self, kind: str, name: str) -> tuple[LoadedPlugin, ...]:
        """The plugins that register a component with this name or alias; several if it is contested."""
        return tuple(claim.plugin for claim in self._claims[kind_named(kind)].get(name, []))

    @overload
    def resolve(self, kind: type[SpecT], reference: str | ComponentRef) -> Component[SpecT]: ...

    @overload
    def resolve(self, kind: str, reference: str | ComponentRef) -> Component[ComponentSpec]: ...

    def resolve(self, kind: type[SpecT] | str, reference: str | ComponentRef) -> Component[Any]:
        """Look up a reference (``uc@paper:clusters=5``) and validate its parameters.

        Args:
            kind: the spec's class, or the kind's name.

        Raises:
            UsageError: for a malformed reference, or an unknown name, preset, parameter or value.
            PluginError: if several plugins claim the name, or its parameters cannot be loaded.
        """
        from ucbench.plugins.grammar import parse
        from ucbench.plugins.params import DEFAULT_PRESET

        ref = parse(reference) if isinstance(reference, str) else reference
        spec = self.find(kind, ref.name)
        params = self.params_class(spec).resolve(
            f"{spec.kind} {spec.name!r}", ref.preset, ref.argument, dict(ref.options)
        )
        canonical = dataclasses.replace(
            ref,
            name=spec.name,
            preset=None if ref.preset == DEFAULT_PRESET else ref.preset,
            options=tuple(sorted(ref.options)),
        )
        return Component(spec, canonical, params, self)

    def sample(self, kind: str, name: str) -> Component[ComponentSpec]:
        """The component in a small form, for checks: with the spec's ``sample``, or else the preset ``quick`` if any.

        Raises:
            UsageError: if there is none of this name, it requires parameters and has no sample, or the sample is wrong.
            PluginError: as :meth:`resolve`.
        """
        spec = self.find(kind, name)
        if spec.sample:
            return self.resolve(kind, f"{spec.name}:{spec.sample}")
        return self.resolve(kind, f"{spec.name}@quick" if "quick" in self.params_class(spec).presets else spec.name)

    def params_class(self, spec: ComponentSpec) -> type[Params]:
        """The class of a component's parameters.

        Raises:
            PluginError: if it cannot be loaded, is not a subclass of :class:`ucbench.plugins.params.Params`, or has
                presets that are not mappings.
        """
        from ucbench.plugins.params import Params

        loaded = self._load(spec, spec.params)
        if not (isinstance(loaded, type) and issubclass(loaded, Params)):
            raise PluginError(f"{self._place(spec)}: {spec.params!r} is not a subclass of ucbench.Params.")
        if fault := _preset_fault(loaded.presets):
            raise PluginError(f"{self._place(spec)}: {spec.params!r}: {fault}")
        return loaded

    def component_class(self, spec: ComponentSpec) -> type[Any]:
        """The component's class, which takes its parameters.

        Raises:
            UsageError: if modules it requires are missing; the text holds the install command.
            PluginError: if it cannot be loaded, or is not a class.
        """
        missing = missing_modules(spec)
        if missing:
            raise UsageError(
                f"{spec.kind} {spec.name!r} needs {', '.join(missing)}, not installed here. Run: {install_line(spec)}"
            )
        loaded = self._load(spec, spec.load)
        if not isinstance(loaded, type):
            raise PluginError(f"{self._place(spec)}: {spec.load!r} is not a class.")
        return loaded

    def _load(self, spec: ComponentSpec, path: str) -> Any:
        module, _, name = path.partition(":")
        try:
            return getattr(importlib.import_module(module), name)
        except Exception as error:
            raise PluginError(
                f"{self._place(spec)}: {path!r} cannot be loaded: {type(error).__name__}: {error}"
            ) from error

    def _place(self, spec: ComponentSpec) -> str:
        return f"{spec.kind} {spec.name!r} of plugin {self.origin(spec.kind, spec.name)}"

    def _claim(self, kind: str, name: str) -> _Claim:
        kind = kind_named(kind)
        claims = self._claims[kind].get(name, [])
        if not claims:
            raise UsageError(self._unknown(kind, name))
        canonical = claims[0].spec.name
        for contested, claimants in ((name, claims), (canonical, self._claims[kind][canonical])):
            if len(claimants) > 1:
                raise PluginError(_contested(kind, contested, claimants))
        return claims[0]

    def _unknown(self, kind: str, name: str) -> str:
        others = [other for other in self._claims if other != kind and name in self._claims[other]]
        elsewhere = f" (there is a {' and a '.join(others)} of this name)" if others else ""
        text = (
            f"Unknown {kind} {name!r}{elsewhere}.{did_you_mean(name, self._claims[kind])}"
            f" `ucbench list {kind}` lists all {len(self.specs(kind))}."
        )
        broken = [plugin for plugin in self.plugins if plugin.problem]
        if packages := [str(plugin) for plugin in broken if not plugin.digest]:
            text += f" Plugins that failed to load: {', '.join(packages)}; `ucbench plugins` says why."
        files = [plugin for plugin in broken if plugin.digest]
        return text + "".join(f" {file.distribution} was left out: {file.problem}." for file in files)


def _preset_fault(presets: object) -> str:
    """What keeps presets from being read; empty if nothing does."""
    if not isinstance(presets, Mapping):
        return f"presets maps names to mappings of parameters to values; it is {presets!r}."
    for preset, values in presets.items():
        if not isinstance(values, Mapping):
            return f"The preset {preset!r} maps parameters to values; it is {values!r}."
    return ""


def _component(source: Callable[[], Registry] | None, kind: str, reference: str) -> Component[ComponentSpec]:
    return (source or installed)().resolve(kind, reference)


#: Single-file plugins of this process.
_files: tuple[PluginFile, ...] = ()


def installed() -> Registry:
    """The registry of the core's components, all installed plugins, and the files of :func:`trying`."""
    return _with_files(_files)


@contextlib.contextmanager
def trying(paths: Iterable[str | Path]) -> Iterator[None]:
    """Within the block, load single files as plugins beside the installed ones.

    Files are read once, at the start: later edits have no effect in this process or its workers.

    Raises:
        UsageError: if a file cannot be read. A file that is wrong is left out, like any plugin.
    """
    global _files
    before = _files
    files = (*before, *(PluginFile.read(path) for path in paths))
    _files = tuple({file.path: file for file in files}.values())
    try:
        yield
    finally:
        _files = before


def plugin_files() -> tuple[PluginFile, ...]:
    """The files of :func:`trying`, for :func:`adopt` in another process."""
    return _files


def adopt(files: tuple[PluginFile, ...]) -> None:
    """From now on, load these files as plugins beside the installed ones, as the process does that they come from."""
    global _files
    _files = files


@functools.lru_cache(maxsize=4)
def _with_files(files: tuple[PluginFile, ...]) -> Registry:
    # Other processes get the files' content, so that they compute what this one made keys for.
    source = functools.partial(_with_files, files) if files else None
    return Registry((*load_plugins(), *map(load_file, files)), source)


def kind_named(kind: str, kinds: Iterable[str] = tuple(SPEC_KINDS)) -> str:
    """The singular of a kind, in lower case: ``poisoner`` for ``poisoner``, ``poisoners`` or ``Poisoner``.

    Raises:
        UsageError: for none of ``kinds``.
    """
    singular = kind.lower().removesuffix("s")
    if singular not in kinds:
        raise UsageError(f"Unknown kind {kind!r}.{did_you_mean(kind, kinds)} Kinds: {', '.join(kinds)}.")
    return singular


def missing_modules(spec: ComponentSpec) -> tuple[str, ...]:
    """The top-level packages of ``spec.requires`` that are not installed; imports nothing."""
    roots = dict.fromkeys(module.partition(".")[0] for module in spec.requires)
    return tuple(root for root in roots if importlib.util.find_spec(root) is None)


def install_line(spec: ComponentSpec) -> str:
    """The command that installs what the component requires."""
    return f'pip install "{spec.extra}"'


def _contested(kind: str, name: str, claims: Iterable[_Claim]) -> str:
    plugins = " and ".join(str(plugin) for plugin, _ in claims)
    return f"The {kind} name {name!r} is claimed by {plugins}, so none of them gets it. Uninstall all but one."
