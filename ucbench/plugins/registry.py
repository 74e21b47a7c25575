"""Names of components: which there are, who brings each, and what a reference to one stands for."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import importlib
import importlib.util
from collections.abc import Callable, Iterable, Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar, overload

from ucbench.errors import PluginError, UsageError, did_you_mean
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
    """A component reference made definite: which spec, written how, with which parameters.

    Attributes:
        spec: the component.
        ref: the reference in canonical form: the spec's own name, no ``@standard``, options sorted.
        params: the validated parameters.
        registry: where it was found.
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

        Of a component that comes from a single file, the file's SHA-256 too: it changes without a version being raised.
        """
        known = {"name": self.spec.name, "version": self.spec.version, "params": self.params.identity()}
        digest = self.origin.digest
        return {**known, "file": digest} if digest else known

    @functools.cached_property
    def key_text(self) -> KeyText:
        """:meth:`identity` as keys take it: written out once, however many cells share the component."""
        return KeyText.of(self.identity())

    def __reduce__(self) -> tuple[Any, ...]:
        # Another process resolves it anew, among the components installed there.
        return _component, (self.registry.source, self.spec.kind, str(self.ref))

    def build(self) -> Any:
        """A new instance of the component; raises as :meth:`Registry.component_class` does."""
        return self.registry.component_class(self.spec)(self.params)


class Registry:
    """The components of some plugins, found by kind and name.

    A name or alias that two plugins claim is nobody's: a spec whose own name is contested is left out, and
    using a contested name is an error that names both plugins. Kinds are accepted singular and plural.

    Args:
        plugins: whose components there are.
        source: a function of a module, by which another process gets an equal registry; :func:`installed` by default.
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
        """One sentence for each name that more than one plugin claims."""
        return tuple(
            _contested(kind, name, claims)
            for kind, names in self._claims.items()
            for name, claims in sorted(names.items())
            if len(claims) > 1
        )

    def specs(self, kind: str) -> tuple[ComponentSpec, ...]:
        """The usable components of one kind, by name."""
        uncontested = {name: c[0].spec for name, c in self._claims[kind_named(kind)].items() if len(c) == 1}
        return tuple(spec for name, spec in sorted(uncontested.items()) if spec.name == name)

    def names(self, kind: str, glob: str | None = None) -> tuple[str, ...]:
        """Names of the usable components; with ``glob``, of those it matches by name or alias."""
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
        """The spec of that name or alias.

        Raises:
            UsageError: if there is none; the text gives the nearest names and the plugins that did not load.
            PluginError: if more than one plugin claims the name.
        """
        return self._claim(kind if isinstance(kind, str) else kind.kind, name).spec

    def origin(self, kind: str, name: str) -> LoadedPlugin:
        """The plugin that registers the component; raises as :meth:`find` does."""
        return self._claim(kind, name).plugin

    def claimants(self, kind: str, name: str) -> tuple[LoadedPlugin, ...]:
        """The plugins that register a component of that name or alias; more than one if it is contested."""
        return tuple(claim.plugin for claim in self._claims[kind_named(kind)].get(name, []))

    @overload
    def resolve(self, kind: type[SpecT], reference: str | ComponentRef) -> Component[SpecT]: ...

    @overload
    def resolve(self, kind: str, reference: str | ComponentRef) -> Component[ComponentSpec]: ...

    def resolve(self, kind: type[SpecT] | str, reference: str | ComponentRef) -> Component[Any]:
        """Look up a reference (``uc@paper:clusters=5``) and validate its parameters.

        Args:
            kind: the class of its spec, or the kind's name.

        Raises:
            UsageError: for a malformed reference, or an unknown name, preset, parameter or value.
            PluginError: if more than one plugin claims the name, or its parameters cannot be loaded.
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

    def params_class(self, spec: ComponentSpec) -> type[Params]:
        """The class of a component's parameters.

        Raises:
            PluginError: if it cannot be loaded, or is no subclass of :class:`ucbench.plugins.params.Params`.
        """
        from ucbench.plugins.params import Params

        found = self._load(spec, spec.params)
        if not (isinstance(found, type) and issubclass(found, Params)):
            raise PluginError(f"{self._place(spec)}: {spec.params!r} is no subclass of ucbench.Params.")
        return found

    def component_class(self, spec: ComponentSpec) -> type[Any]:
        """The component's class, to be built with its parameters.

        Raises:
            UsageError: if modules it requires are missing; the text holds the install line.
            PluginError: if it cannot be loaded, or is no class.
        """
        missing = missing_modules(spec)
        if missing:
            raise UsageError(
                f"{spec.kind} {spec.name!r} needs {', '.join(missing)}, not installed here. Run: {install_line(spec)}"
            )
        found = self._load(spec, spec.load)
        if not isinstance(found, type):
            raise PluginError(f"{self._place(spec)}: {spec.load!r} is no class.")
        return found

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
        own_name = claims[0].spec.name
        for contested, claimants in ((name, claims), (own_name, self._claims[kind][own_name])):
            if len(claimants) > 1:
                raise PluginError(_contested(kind, contested, claimants))
        return claims[0]

    def _unknown(self, kind: str, name: str) -> str:
        text = (
            f"Unknown {kind} {name!r}.{did_you_mean(name, self._claims[kind])}"
            f" `ucbench list {kind}` lists all {len(self.specs(kind))}."
        )
        broken = [plugin for plugin in self.plugins if plugin.problem]
        installed_ones = [str(plugin) for plugin in broken if not plugin.digest]
        if installed_ones:
            text += f" Plugins that failed to load: {', '.join(installed_ones)}; `ucbench plugins` says why."
        for plugin in broken:
            if plugin.digest:
                text += f" {plugin.distribution} was left out: {plugin.problem}."
        return text


def _component(source: Callable[[], Registry] | None, kind: str, reference: str) -> Component[ComponentSpec]:
    return (source or installed)().resolve(kind, reference)


#: The files that are tried as plugins in this process.
_tried: tuple[PluginFile, ...] = ()


def installed() -> Registry:
    """The registry of the core's own references, of all installed plugins, and of the files that are being tried."""
    return _with_files(_tried)


@contextlib.contextmanager
def trying(paths: Iterable[str | Path]) -> Iterator[None]:
    """Inside the block, single files are plugins beside the installed ones.

    A file is read once, here: a change to it while the block lasts has no effect, in this process or its workers.

    Raises:
        UsageError: if a file cannot be read. What is wrong *in* a file leaves it out, as with any plugin.
    """
    global _tried
    before = _tried
    files = (*before, *(PluginFile.read(path) for path in paths))
    _tried = tuple({file.path: file for file in files}.values())
    try:
        yield
    finally:
        _tried = before


@functools.lru_cache(maxsize=4)
def _with_files(files: tuple[PluginFile, ...]) -> Registry:
    # Another process is handed the files themselves, so that it computes what this one has made keys for.
    source = functools.partial(_with_files, files) if files else None
    return Registry((*load_plugins(), *map(load_file, files)), source)


def kind_named(kind: str) -> str:
    """``poisoner`` for ``poisoner`` or ``poisoners``.

    Raises:
        UsageError: if there is no such kind.
    """
    singular = kind.removesuffix("s")
    if singular not in SPEC_KINDS:
        raise UsageError(
            f"There is no kind of component {kind!r}.{did_you_mean(kind, SPEC_KINDS)}"
            f" The kinds: {', '.join(SPEC_KINDS)}."
        )
    return singular


def missing_modules(spec: ComponentSpec) -> tuple[str, ...]:
    """Those top-level packages of ``spec.requires`` that are not installed; imports nothing."""
    roots = dict.fromkeys(module.partition(".")[0] for module in spec.requires)
    return tuple(root for root in roots if importlib.util.find_spec(root) is None)


def install_line(spec: ComponentSpec) -> str:
    """The command that brings what the component requires."""
    return f'pip install "{spec.extra}"'


def _contested(kind: str, name: str, claims: Iterable[_Claim]) -> str:
    who = " and ".join(str(plugin) for plugin, _ in claims)
    return f"The {kind} name {name!r} is claimed by {who}, so none of them gets it. Uninstall all but one."
