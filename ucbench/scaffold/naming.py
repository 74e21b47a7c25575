"""The names of a new plugin, and whether they are free."""

from __future__ import annotations

import builtins
import importlib.util
import re
from dataclasses import dataclass

import ucbench
from ucbench.errors import UsageError
from ucbench.plugins.builtin import NO_DEFENSE
from ucbench.plugins.hookspecs import PROJECT
from ucbench.plugins.manager import KEBAB
from ucbench.plugins.registry import Registry, kind_named

#: Longer names would be cut off in tables, and break the lines of the templates.
LONGEST = 32

#: What the templates import or define, beside the names of :mod:`ucbench`.
_IMPORTED = frozenset(
    {"Any", "ClassVar", "Field", "FixedScores", "Iterable", "Iterator", "Literal", "Mapping", "NoReturn", "Path"}
    | {"Sequence", "Tensor"}
)


@dataclass(frozen=True)
class Names:
    """What a plugin and its parts are called.

    Attributes:
        name: of the component.
        kind: of the component.
        distribution: what pip installs, and the folder's name.
        module: the package, and the entry point's name.
        class_name: the component's class.
    """

    name: str
    kind: str
    distribution: str
    module: str
    class_name: str


def names_for(name: str, kind: str, registry: Registry) -> Names:
    """The names that follow from the component's.

    Raises:
        UsageError: if ``name`` is not lower-kebab or too long, or if it, or the module, belongs to somebody.
    """
    kind = kind_named(kind)
    if not KEBAB.fullmatch(name):
        proposal = _kebab_of(name)
        hint = f" Perhaps {proposal!r}?" if proposal else ""
        raise UsageError(f"The name {name!r} is not lower-kebab, such as 'my-{kind}': letters, digits and -.{hint}")
    if len(name) > LONGEST:
        raise UsageError(f"The name {name!r} has {len(name)} characters; tables have room for {LONGEST}.")
    owners = registry.claimants(kind, name)
    if owners:
        who = f"{' and '.join(map(str, owners))} {'has' if len(owners) == 1 else 'have'} it"
        raise UsageError(f"The {kind} name {name!r} is taken: {who}.{_free(name, kind, registry)}")
    if kind == "defense" and name == NO_DEFENSE:
        raise UsageError(f"{name!r} means no defense at all.{_free(name, kind, registry)}")
    module = _module(name)
    if importlib.util.find_spec(module) is not None:
        raise UsageError(f"The module {module} is taken: {_owner(module, registry)}.{_free(name, kind, registry)}")
    return Names(name, kind, f"{PROJECT}-{name}", module, _class_name(name, kind))


def _module(name: str) -> str:
    return f"{PROJECT}_{name.replace('-', '_')}"


def _kebab_of(name: str) -> str:
    words = re.sub(r"([a-z0-9])([A-Z])", r"\1-\2", name).lower()
    return re.sub(r"[^a-z0-9]+", "-", words).strip("-0123456789")


def _free(name: str, kind: str, registry: Registry) -> str:
    """ " 'my-uc' is free.", for a name that is not."""
    others = (f"my-{name}", f"{name}-{kind}", f"{name}-2")
    free = [one for one in others if len(one) <= LONGEST and _is_free(one, kind, registry)]
    return f" Free are {' and '.join(map(repr, free))}." if free else ""


def _is_free(name: str, kind: str, registry: Registry) -> bool:
    return not registry.claimants(kind, name) and importlib.util.find_spec(_module(name)) is None


def _owner(module: str, registry: Registry) -> str:
    owners = [plugin for plugin in registry.plugins if plugin.module.partition(":")[0].partition(".")[0] == module]
    if owners:
        return f"it is that of {' and '.join(map(str, owners))}"
    spec = importlib.util.find_spec(module)
    return f"it is imported from {spec.origin or module}" if spec else "it can be imported"


def _class_name(name: str, kind: str) -> str:
    """``my-blur`` becomes ``MyBlur``, unless that, or ``MyBlurParams``, means something in the templates already."""
    words = "".join(word.capitalize() for word in name.split("-"))
    taken = _IMPORTED | set(ucbench.__all__) | set(dir(builtins))
    return f"{words}{kind.capitalize()}" if {words, f"{words}Params"} & taken else words
