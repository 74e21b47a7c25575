"""Parameters of kornia's augmentations: a class of them per augmentation, made of its constructor. Imports no torch."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any, ClassVar, Self, cast

from pydantic import Field, create_model

from ucbench import Params, UsageError
from ucbench_kornia.catalogue import kornia_version, options_of


class KorniaParams(Params):
    """Which augmentation, and its constructor's parameters with kornia's defaults.

    What :meth:`resolve` returns has a field for every option of the named augmentation, so that names and values are
    checked while planning. Tuples are written with ``/``, members of an enum by name. A ``size`` that kornia requires
    is the images' own unless given.
    """

    argument: ClassVar[str | None] = "augmentation"

    augmentation: str = Field(
        description="kornia's class; its constructor's parameters are options too, p (its probability) included"
    )

    @classmethod
    def resolve(
        cls,
        label: str,
        preset: str | None = None,
        argument: str | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> Self:
        """As :meth:`ucbench.Params.resolve`; unknown augmentations and options raise with the nearest names.

        Raises:
            UsageError: also if kornia is not installed.
        """
        name = argument or (options or {}).get("augmentation")
        if name is None:
            raise UsageError(f"{label} needs the name of an augmentation: kornia:RandomPerspective.")
        params = super(KorniaParams, _params_of(name)).resolve(f"{label} {name}", preset, argument, options)
        return cast(Self, params)

    @classmethod
    def _from_text(cls, key: str, text: str) -> Any:
        # One number may stand for an interval around it, so that only a slash makes a tuple.
        value = super()._from_text(key, text)
        return text if isinstance(value, tuple) and "/" not in text else value

    @property
    def options(self) -> dict[str, Any]:
        """The constructor's arguments that were given."""
        return {name: getattr(self, name) for name in options_of(self.augmentation) if name in self.model_fields_set}

    def identity(self) -> dict[str, Any]:
        """All fields with kornia's defaults filled in, and kornia's version: its numbers change between releases.

        Raises:
            UsageError: if kornia is not installed.
        """
        return {**super().identity(), "kornia": kornia_version()}


@functools.cache
def _params_of(name: str) -> type[KorniaParams]:
    fields: dict[str, Any] = {}
    for key, option in options_of(name).items():
        if key == "size" and option.default is ...:
            fields[key] = (option.type | None, None)
        elif key == "p":
            fields[key] = (option.type, Field(option.default, ge=0, le=1))
        else:
            fields[key] = (option.type, option.default)
    return create_model(f"{name}Params", __base__=KorniaParams, **fields)
