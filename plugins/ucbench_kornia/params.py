"""Parameters of the defense (a class per augmentation, made of its constructor) and of the metric. Imports no torch."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self, cast

from pydantic import Field, create_model, field_validator

from ucbench import Params, UsageError, did_you_mean, versions
from ucbench_kornia.catalogue import MIXING, augmentations, options_of

#: The level of every corruption at severities 1 to 5. "Published" levels are those of CIFAR-10-C (Hendrycks and
#: Dietterich, ICLR 2019); the others are ours, chosen for images of 32 to 96 pixels. Pixels are those of an image
#: whose shorter side is 32: lengths grow in proportion in larger images.
LEVELS: Mapping[str, tuple[float, float, float, float, float]] = {
    "gaussian_noise": (0.04, 0.06, 0.08, 0.09, 0.10),  # deviation on the [0, 1] scale; published
    "shot_noise": (500, 250, 100, 75, 50),  # photons of a white pixel; published
    "impulse_noise": (0.01, 0.02, 0.03, 0.05, 0.07),  # share of values set to 0 or 1; published
    "speckle_noise": (0.06, 0.10, 0.12, 0.16, 0.20),  # deviation of the factor; published
    "gaussian_blur": (0.4, 0.6, 0.7, 0.8, 1.0),  # deviation in pixels; published
    "defocus_blur": (0.7, 0.9, 1.1, 1.3, 1.5),  # radius of the disk in pixels; ours
    "motion_blur": (3, 5, 7, 9, 11),  # length of the path in pixels; ours
    "zoom_blur": (1.05, 1.10, 1.15, 1.20, 1.25),  # largest magnification; published
    "brightness": (0.05, 0.10, 0.15, 0.20, 0.30),  # added to the value of HSV; published
    "contrast": (0.75, 0.50, 0.40, 0.30, 0.15),  # factor of the distance from a channel's mean; published
    "saturate": (1.5, 2.0, 2.5, 3.0, 4.0),  # factor of the saturation of HSV; ours (the published ones go both ways)
    "posterize": (6, 5, 4, 3, 2),  # bits per value; ours (not among the published corruptions)
    "elastic_transform": (0.3, 0.5, 0.7, 0.9, 1.1),  # deviation of the displacement in pixels; ours
    "pixelate": (0.9, 0.8, 0.7, 0.6, 0.5),  # share of the resolution that is left; ours
    "jpeg_compression": (80, 65, 58, 50, 40),  # quality; published
}


class KorniaParams(Params):
    """Which augmentation, and its constructor's parameters with kornia's defaults.

    What :meth:`resolve` returns has a field for every option of the named augmentation, so that names and types are
    checked while planning; kornia checks values when the defense is built, at the start of a run. Tuples are written
    with ``/``, members of an enum by name. A ``size`` that kornia requires is the images' own unless given.
    """

    argument: ClassVar[str | None] = "augmentation"
    neutral: ClassVar[Mapping[str, Any]] = {"gate": "image"}

    augmentation: str = Field(
        description="kornia's class; its constructor's parameters are options too, p (its probability) included: "
        "`ucbench show defense kornia:CLASS` shows them"
    )

    @classmethod
    def argument_values(cls) -> tuple[str, ...]:
        """The classes by name."""
        return augmentations()

    @classmethod
    def for_argument(cls, argument: str | None) -> type[Params]:
        """The class with a field for every option of that augmentation; an unknown one raises UsageError."""
        return cls if argument is None else _params_of(argument)

    @classmethod
    def resolve(
        cls,
        label: str,
        preset: str | None = None,
        argument: str | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> Self:
        """As :meth:`ucbench.Params.resolve`; unknown augmentations and options raise with the nearest names."""
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
        """All fields with kornia's defaults filled in, and kornia's version: its numbers change between releases."""
        return {**super().identity(), "kornia": versions()["kornia"]}


@functools.cache
def _params_of(name: str) -> type[KorniaParams]:
    fields: dict[str, Any] = {}
    for key, option in options_of(name).items():
        if key == "size" and option.default is ...:
            fields[key] = (option.type | None, None)
        elif key == "p":
            fields[key] = (option.type, Field(option.default, ge=0, le=1, description="probability of every image"))
        else:
            fields[key] = (option.type, option.default)
    if name in MIXING:
        fields["gate"] = (
            Literal["image", "batch"],
            Field("image", description="what p decides for: every image, or whole batches as in kornia"),
        )
    return create_model(f"{name}Params", __base__=KorniaParams, **fields)


class CorruptionsParams(Params):
    """Which corruptions, how severe, and of how many images."""

    families: tuple[str, ...] = Field(tuple(LEVELS), min_length=1, description="kinds of corruption, by name")
    severities: tuple[int, ...] = Field((1, 2, 3, 4, 5), min_length=1, description="of each family, from 1 to 5")
    images: int | None = Field(
        None, ge=1, description="how many test images, drawn at random, are corrupted at most; none for all"
    )

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "standard": {},
        "quick": {"severities": (1, 3, 5), "images": 1000},
    }

    @field_validator("families")
    @classmethod
    def _known_families(cls, families: tuple[str, ...]) -> tuple[str, ...]:
        for name in families:
            if name not in LEVELS:
                raise ValueError(f"no corruption {name!r}.{did_you_mean(name, LEVELS)} All: {', '.join(LEVELS)}")
        return tuple(name for name in LEVELS if name in families)

    @field_validator("severities")
    @classmethod
    def _known_severities(cls, severities: tuple[int, ...]) -> tuple[int, ...]:
        for severity in severities:
            if not 1 <= severity <= 5:
                raise ValueError(f"severities go from 1 to 5, got {severity}")
        return tuple(sorted(set(severities)))

    def identity(self) -> dict[str, Any]:
        """All fields and kornia's version, as :meth:`KorniaParams.identity`."""
        return {**super().identity(), "kornia": versions()["kornia"]}
