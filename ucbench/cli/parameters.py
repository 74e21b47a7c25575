"""Typed parameters as rows: types as in references, defaults, and the values of presets."""

from __future__ import annotations

import types
import typing
from typing import Any

from pydantic.fields import FieldInfo
from pydantic_core import to_jsonable_python

from ucbench.cli.output import as_text
from ucbench.plugins.params import Params

_BOUNDS = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<"}


def parameter_rows(params: type[Params], values: Params | None) -> list[dict[str, Any]]:
    """The parameters of a component in declared order, as JSON values.

    ``default`` is None if the parameter is ``required``. ``presets`` holds the values of presets that set it. With
    ``values``, the parameters of one reference, each row also has a ``value``.
    """
    rows = []
    for name, field in params.model_fields.items():
        required = field.is_required()
        row = {
            "name": name,
            "type": type_text(field),
            "description": field.description or "",
            "required": required,
            "default": None if required else to_jsonable_python(field.get_default(call_default_factory=True)),
            "presets": {
                preset: to_jsonable_python(changes[name])
                for preset, changes in params.presets.items()
                if name in changes
            },
        }
        if values is not None:
            row["value"] = to_jsonable_python(getattr(values, name))
        rows.append(row)
    return rows


def type_text(field: FieldInfo) -> str:
    """``int >= 1``, ``cosine | step``, ``float | none``, ``int/...`` for a tuple written with slashes."""
    bounds = ", ".join(
        f"{sign} {getattr(constraint, name)}"
        for constraint in field.metadata
        for name, sign in _BOUNDS.items()
        if hasattr(constraint, name)
    )
    return f"{_annotation_text(field.annotation)} {bounds}".strip()


def _annotation_text(annotation: Any) -> str:
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Literal:
        return " | ".join(map(as_text, arguments))
    if origin in (typing.Union, types.UnionType):
        return " | ".join(dict.fromkeys(map(_annotation_text, arguments)))
    if origin is tuple:
        return f"{_annotation_text(arguments[0])}/..."
    if annotation is type(None):
        return "none"
    return getattr(annotation, "__name__", str(annotation))


def syntax(name: str, params: type[Params]) -> str:
    """The syntax of references to a component."""
    preset = "[@PRESET]" if len(params.preset_names()) > 1 else ""
    argument = f":{params.argument.upper()}" if params.argument else ""
    if params.argument and not params.model_fields[params.argument].is_required():
        argument = f"[{argument}]"
    return f"{name}{preset}{argument}{'[:key=value,...]' if params.model_fields else ''}"
