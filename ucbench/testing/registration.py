"""The rules of registration: what a spec says, and that its classes can be loaded."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from collections.abc import Callable, Mapping

from ucbench.errors import ContractError, PluginError, UcbenchError, UsageError
from ucbench.plugins.grammar import ComponentRef
from ucbench.plugins.params import Params
from ucbench.plugins.registry import Component, Registry, missing_modules
from ucbench.plugins.specs import ComponentSpec, LabelingSpec, PoisonerSpec, SurrogateSpec
from ucbench.store.keys import canonical
from ucbench.testing.rules import Finding, Rule

SUMMARY = Rule(
    "summary",
    "the summary is one line of text",
    "Set summary in the spec to one line of at most 120 characters: `ucbench list` shows it.",
)
PARAMETERS = Rule(
    "parameters",
    "params names a subclass of ucbench.Params",
    'Write params="module:Class" with a class derived from ucbench.Params (ucbench.Recipe for a victim with a recipe, '
    "ucbench.DatasetParams for a data set).",
)
PRESETS = Rule(
    "presets",
    "presets and argument must name existing parameters, with valid values",
    "Correct the class variables of the parameters: presets is {preset: {field: value}}, argument the name of a field.",
)
SAMPLE = Rule(
    "sample",
    "a component that requires parameters names some by which it can be checked",
    'Set sample in the spec to what follows the colon of a valid reference: sample="0.5" or sample="rate=0.5,steps=2". '
    "To check without, name the parameters: ucbench check-plugin KIND/NAME:PARAMETERS.",
)
KEYS = Rule(
    "keys",
    "equal parameters have equal identities, of JSON values",
    "Let identity() return JSON values that depend only on the fields (and on the content of files they name).",
)
SURROGATE = Rule(
    "surrogate",
    "the surrogates that the spec and its presets name are installed, and have weights unless it trains them",
    "Correct surrogate in the spec, or the class variable surrogates of the parameters: `ucbench list surrogate`. A "
    "poisoner that trains a network names an architecture without weights, and trains_surrogate=True.",
)
CLASS = Rule(
    "class",
    "load names a class",
    'Write load="module:Class"; the module is imported only when a cell needs the component.',
)
LIGHT = Rule(
    "light",
    "neither the plugin's module nor that of its parameters imports torch",
    "Import torch in the component's module only; every `ucbench list` and `plan` imports hooks and parameters.",
)

_LONGEST_SUMMARY = 120
_IMPORTING = (
    "import importlib, json, sys\n"
    "sys.path[:] = json.loads(sys.argv[1])\n"
    "for name in sys.argv[2:]:\n"
    "    importlib.import_module(name)\n"
    "    if 'torch' in sys.modules:\n"
    "        sys.exit(f'{name} does')\n"
)


class _InapplicableError(Exception):
    """The rule does not apply to the component; the text says why."""


def registration(registry: Registry, spec: ComponentSpec, ref: ComponentRef) -> tuple[Finding, ...]:
    """The findings on each rule of registration; ``ref`` is how the component was named."""
    return tuple(_finding(rule, check, registry, spec, ref) for rule, check in _CHECKS.items())


def as_tried(registry: Registry, spec: ComponentSpec, ref: ComponentRef) -> Component[ComponentSpec]:
    """The component as it is checked: small, if ``ref`` is its name alone."""
    return registry.sample(spec.kind, spec.name) if ref.bare else registry.resolve(spec.kind, ref)


_Check = Callable[[Registry, ComponentSpec, ComponentRef], str | None]


def _finding(rule: Rule, check: _Check, registry: Registry, spec: ComponentSpec, ref: ComponentRef) -> Finding:
    try:
        fault = check(registry, spec, ref)
    except _InapplicableError as why:
        return Finding(rule, "skipped", str(why))
    return Finding(rule, "ok") if fault is None else Finding(rule, "failed", fault)


def _summary(registry: Registry, spec: ComponentSpec, ref: ComponentRef) -> str | None:
    lines, length = len(spec.summary.splitlines()), len(spec.summary.strip())
    return None if lines == 1 and 0 < length <= _LONGEST_SUMMARY else f"It has {length} characters on {lines} lines"


def _parameters(registry: Registry, spec: ComponentSpec, ref: ComponentRef) -> str | None:
    try:
        registry.params_class(spec)
    except PluginError as error:
        return str(error)
    return None


def _presets(registry: Registry, spec: ComponentSpec, ref: ComponentRef) -> str | None:
    params = _class_of_params(spec, registry)
    if fault := _unknown_field(params):
        return fault
    plain = ComponentRef(spec.name)
    if any(field.is_required() for field in params.model_fields.values()):
        try:
            plain = registry.sample(spec.kind, spec.name).ref
        except UsageError:
            return None  # values can only be validated together, and some are missing
    for preset in params.presets:
        try:
            registry.resolve(spec.kind, dataclasses.replace(plain, preset=preset))
        except UsageError as error:
            return str(error)
    return None


def _unknown_field(params: type[Params]) -> str | None:
    fields = params.model_fields
    if params.argument is not None and params.argument not in fields:
        return f"argument is {params.argument!r}, which is not a parameter"
    for preset, values in params.presets.items():
        unknown = [name for name in values if name not in fields]
        if unknown:
            return f"The preset {preset!r} sets {unknown[0]!r}, which is not a parameter"
    return None


def _sample(registry: Registry, spec: ComponentSpec, ref: ComponentRef) -> str | None:
    if not ref.bare:
        raise _InapplicableError("parameters were named")
    if _unknown_field(_class_of_params(spec, registry)):
        raise _InapplicableError("argument or presets are broken")
    try:
        registry.sample(spec.kind, spec.name)
    except UsageError as error:
        return str(error)
    return None


def _keys(registry: Registry, spec: ComponentSpec, ref: ComponentRef) -> str | None:
    _class_of_params(spec, registry)
    try:
        first, again = (canonical(as_tried(registry, spec, ref).params.identity()) for _ in range(2))
    except ContractError as error:
        return str(error)
    except UcbenchError as error:
        raise _InapplicableError(str(error)) from error
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return None if first == again else f"It was {first}, and then {again}"


def _surrogate(registry: Registry, spec: ComponentSpec, ref: ComponentRef) -> str | None:
    named = [spec.surrogate] if isinstance(spec, PoisonerSpec | LabelingSpec) and spec.surrogate else []
    named += _class_of_params(spec, registry).surrogates.values()
    trains = isinstance(spec, PoisonerSpec) and spec.trains_surrogate
    if not named and trains:
        return "trains_surrogate=True, but surrogate names no architecture"
    if not named:
        raise _InapplicableError("it names none")
    for reference in named:
        try:
            surrogate = registry.resolve(SurrogateSpec, reference)
        except UcbenchError as error:
            return str(error)
        if surrogate.spec.untrained != trains:
            declared = f", and trains_surrogate is {trains}" if isinstance(spec, PoisonerSpec) else ""
            return f"{reference} has {'no ' if surrogate.spec.untrained else ''}weights{declared}"
    return None


def _class(registry: Registry, spec: ComponentSpec, ref: ComponentRef) -> str | None:
    missing = missing_modules(spec)
    if missing:
        raise _InapplicableError(f"it needs {', '.join(missing)}, which is not installed")
    try:
        registry.component_class(spec)
    except PluginError as error:
        return str(error)
    return None


def _light(registry: Registry, spec: ComponentSpec, ref: ComponentRef) -> str | None:
    origin = registry.origin(spec.kind, spec.name)
    if origin.digest:
        raise _InapplicableError("a single file has one module")
    modules = [path.partition(":")[0] for path in (origin.module, spec.params)]
    command = [sys.executable, "-c", _IMPORTING, json.dumps(sys.path), *modules]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stderr.strip().splitlines()[-1] if done.returncode else None


_CHECKS: Mapping[Rule, _Check] = {
    SUMMARY: _summary,
    PARAMETERS: _parameters,
    PRESETS: _presets,
    SAMPLE: _sample,
    KEYS: _keys,
    SURROGATE: _surrogate,
    CLASS: _class,
    LIGHT: _light,
}
RULES = tuple(_CHECKS)


def _class_of_params(spec: ComponentSpec, registry: Registry) -> type[Params]:
    try:
        return registry.params_class(spec)
    except PluginError as error:
        raise _InapplicableError("the parameters cannot be loaded") from error
