"""Typed component parameters and their presets.

A component's parameters are a frozen pydantic model. They live in a module that imports no torch, so that
``ucbench show``, ``ucbench plan`` and the keys of the store need neither torch nor a component's optional dependencies.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping
from typing import Any, ClassVar, Self, cast

from pydantic import BaseModel, ConfigDict, ValidationError

from ucbench.errors import UsageError, did_you_mean
from ucbench.plugins.expected import problems

DEFAULT_PRESET = "standard"


class Params(BaseModel):
    """Base of every component's parameters.

    Subclasses declare fields with ``pydantic.Field(description=...)`` and may set:

    * ``presets``: named sets of values. A bare name means ``standard``, which is empty unless declared.
    * ``argument``: the field that the positional ``ARGUMENT`` of ``name:ARGUMENT:key=value`` sets, or None.
    * ``surrogates``: for presets of a poisoner that need another surrogate than its spec's, the reference by preset.
    * ``neutral``: the value at which a field that came later changes nothing. At this value the field is left out of
      :meth:`identity`, so that older keys hold.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    argument: ClassVar[str | None] = None
    surrogates: ClassVar[Mapping[str, str]] = {}
    neutral: ClassVar[Mapping[str, Any]] = {}

    def identity(self) -> dict[str, Any]:
        """Everything about these parameters that can change a number, as JSON values.

        By default all fields, defaults included, but for those at their ``neutral`` value. Override it to add the
        content of what a field refers to, such as the SHA-256 of a weights file. It must not import torch.
        """
        values = self.model_dump(mode="json").items()
        return {name: value for name, value in values if name not in self.neutral or value != self.neutral[name]}

    def check_names(self) -> None:
        """Refuse names that only a library knows, such as that of an architecture, before anything is crafted.

        By default there are none. It may import that library, but loads no weights and needs no network.

        Raises:
            UsageError: for a name that the library lacks; the text gives the nearest.
        """

    def least_images(self, size: tuple[int, int]) -> int:
        """The fewest images of this height and width with which the component works; by default any number.

        A poisoner is given the images that are protected, all others the training set. It must not import torch.
        """
        return 0

    @classmethod
    def argument_values(cls) -> tuple[str, ...]:
        """The values that the positional argument can have, for ``ucbench show`` and completion; empty if any will do.

        By default those of a ``Literal`` type. It must not import torch.
        """
        annotation = cls.model_fields[cls.argument].annotation if cls.argument else None
        choices = (annotation, *typing.get_args(annotation))
        return tuple(
            str(value)
            for choice in choices
            if typing.get_origin(choice) is typing.Literal
            for value in typing.get_args(choice)
        )

    @classmethod
    def for_argument(cls, argument: str | None) -> type[Params]:
        """The parameters' class once the argument is known: another if that decides what options there are.

        Called with the positional argument, or with the option of its name; the class that it returns returns itself.

        Raises:
            UsageError: for an argument that it cannot be.
        """
        return cls

    @classmethod
    def preset_names(cls) -> tuple[str, ...]:
        return tuple(dict.fromkeys([DEFAULT_PRESET, *cls.presets]))

    @classmethod
    def resolve(
        cls,
        label: str,
        preset: str | None = None,
        argument: str | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> Self:
        """Build the parameters from preset, positional argument and options; options override the preset.

        Option values may be text from a command line, which pydantic converts. The entries of a tuple are separated by
        ``/`` (``milestones=75/90``); ``none`` means None where the field allows it.

        Args:
            label: the component's name in errors.

        Raises:
            UsageError: for an unknown preset or option (with the nearest names), a value of the wrong type, an argument
                the component does not take, or one that is an option too. What is wrong in a preset names the preset.
        """
        named = argument if cls.argument is None else argument or (options or {}).get(cls.argument)
        if (params := cls.for_argument(named)) is not cls:
            return cast(Self, params.resolve(label, preset, argument, options))
        preset = preset or DEFAULT_PRESET
        if preset not in cls.preset_names():
            raise UsageError(
                f"{label} has no preset {preset!r}.{did_you_mean(preset, cls.preset_names())}"
                f" Its presets: {', '.join(cls.preset_names())}."
            )
        inherited = cls.presets.get(preset, {})
        values: dict[str, Any] = dict(inherited)
        for key in inherited:
            if key not in cls.model_fields:
                raise UsageError(
                    f"{label}: its preset {preset!r} sets {key!r}, which is not a parameter.{cls._known_fields(key)}"
                )
        if argument is not None:
            if cls.argument is None:
                raise UsageError(f"{label} takes no argument, got {argument!r}. Write options as key=value.")
            if cls.argument in (options or {}):
                raise UsageError(f"{label}: {cls.argument} is given twice, as {argument!r} and by name. Leave one out.")
            values[cls.argument] = argument
        for key, value in (options or {}).items():
            if key not in cls.model_fields:
                raise UsageError(f"{label} has no parameter {key!r}.{cls._known_fields(key)}")
            values[key] = cls._from_text(key, value) if isinstance(value, str) else value
        try:
            return cls(**values)
        except ValidationError as error:
            text = problems(error, cls.model_fields, values | dict(options or {}))
            wrong = {item["loc"][0] for item in error.errors() if item["loc"]}
            if any(key in wrong and values[key] is value for key, value in inherited.items()):
                label = f"{label}, preset {preset!r}"
            raise UsageError(f"{label}: {text}{'' if text.endswith('?') else '.'}") from error

    @classmethod
    def _known_fields(cls, wrong: str) -> str:
        return f"{did_you_mean(wrong, cls.model_fields)} Its parameters: {', '.join(cls.model_fields) or 'none'}."

    @classmethod
    def _from_text(cls, key: str, text: str) -> Any:
        annotation = cls.model_fields[key].annotation
        union = typing.get_origin(annotation) in (typing.Union, types.UnionType)
        choices = typing.get_args(annotation) if union else (annotation,)
        if text.lower() == "none" and type(None) in choices:
            return None
        if any(typing.get_origin(choice) is tuple for choice in choices):
            return tuple(part for part in text.split("/") if part)
        # pydantic compares the values of a Literal as they are, so a number must be one.
        literals = (typing.get_args(choice) for choice in choices if typing.get_origin(choice) is typing.Literal)
        return next((value for values in literals for value in values if str(value) == text), text)
