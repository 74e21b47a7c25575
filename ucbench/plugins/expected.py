"""What a parameter takes, in words, for the errors of wrong values."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import ValidationError
from pydantic.fields import FieldInfo

_NOUNS = {int: ("a whole number", "whole numbers"), float: ("a number", "numbers"), str: ("text", "texts")}
_BOUNDS = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}
#: Types of errors whose text a validator wrote.
_WRITTEN = ("value_error", "assertion_error")


def problems(error: ValidationError, fields: Mapping[str, FieldInfo], values: Mapping[str, Any]) -> str:
    """The problems of an error, each field once: what it takes and what was given, or the text of its validator.

    Args:
        values: of fields, as text where they were.
    """
    texts: dict[str, str] = {}
    for item in error.errors():
        name = str(item["loc"][0]) if item["loc"] else ""
        message = item["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ").removesuffix(".")
        if item["type"] in _WRITTEN or name not in fields:
            text = f"{name}: {message}" if name else message
        elif item["type"] == "missing" and len(item["loc"]) == 1:
            text = f"{name} is required"
        else:
            text = f"{name} takes {expected(fields[name])}; got {values.get(name, item['input'])!r}"
        texts.setdefault(name, text)
    return "; ".join(texts.values())


def expected(field: FieldInfo) -> str:
    """What a field takes: ``a whole number, at least 1``, ``numbers separated by slashes, such as 0.1/2``, ..."""
    tuples, bounds = False, list(_bounds(field.metadata))

    def noun(annotation: Any, number: int) -> str:
        """In singular (0) or plural (1)."""
        nonlocal tuples
        origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
        if origin is typing.Annotated:
            bounds.extend(_bounds(arguments[1:]))
            return noun(arguments[0], number)
        if origin is typing.Literal:
            return " or ".join(str(argument) for argument in arguments)
        if origin in (typing.Union, types.UnionType):
            return " or ".join(dict.fromkeys(noun(argument, number) for argument in arguments))
        if origin is tuple:
            tuples = True
            count = "" if arguments[-1] is Ellipsis else f"{len(arguments)} "
            return f"{count}{noun(arguments[0], 1)} separated by slashes"
        if annotation is bool:
            return "true or false"
        if annotation is type(None):
            return "none"
        return _NOUNS[annotation][number] if annotation in _NOUNS else getattr(annotation, "__name__", str(annotation))

    words = noun(field.annotation, 0)
    if bounds:
        words += f", {' and '.join(dict.fromkeys(bounds))}"
    if tuples and isinstance(field.default, tuple) and field.default:
        words += f", such as {_written(field.default)}"
    return words


def _bounds(metadata: Iterable[Any]) -> Iterable[str]:
    for constraint in metadata:
        if isinstance(constraint, FieldInfo):
            yield from _bounds(constraint.metadata)
        for name, words in _BOUNDS.items():
            if (limit := getattr(constraint, name, None)) is not None:
                yield f"{words} {limit}"


def _written(values: tuple[Any, ...]) -> str:
    return "/".join(f"{value:g}" if isinstance(value, float) else str(value) for value in values)
