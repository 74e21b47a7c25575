"""Parameters of imported releases. Imports neither torch nor NumPy; the content enters a key, its place does not."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field, field_validator

from ucbench import Params
from ucbench_imported.content import sha256


class ReleaseParams(Params):
    """Where a release lies, and how to read it where the file leaves that open.

    ``norm`` replaces the budget norm of the spec. ``--epsilon`` applies to ``linf``; under another norm the
    radius is that of ``native_epsilons``.
    """

    argument: ClassVar[str | None] = "path"
    #: Radius by norm: 8-bit units for linf, the [0, 1] scale for l2, pixels for l0.
    native_epsilons: ClassVar[Mapping[str, float]] = {"linf": 8.0, "l2": 1.0, "l0": 1.0}

    path: Path = Field(description="a .npy, .npz, .safetensors, .pt or .pth file, or a folder of images or shards")
    key: str | None = Field(None, description="which array of a file that holds several by name; none: the only one")
    #: "pictures" means images; the word is part of keys.
    kind: Literal["auto", "perturbations", "pictures"] = Field(
        "auto",
        description=(
            "what it holds, perturbations or images (pictures); auto: a folder or uint8 is images, negative values "
            "mean perturbations, anything else has to be named"
        ),
    )
    scale: Literal["auto", "unit", "levels"] = Field(
        "auto",
        description="whether 1 or 255 is white; auto: 255 for integers and for floats beyond 1, and 1 for the others",
    )
    layout: Literal["auto", "nchw", "nhwc"] = Field(
        "auto", description="which axis holds the colours, the second or the last; auto: the only one of length 3"
    )
    norm: Literal["linf", "l2", "l0", "unbounded"] = Field(
        "linf",
        description="the budget it is held to: linf (--epsilon), l2 of length 1, l0 of 1 pixel, or unbounded",
    )

    @field_validator("path")
    @classmethod
    def _at_home(cls, path: Path) -> Path:
        return path.expanduser()

    def identity(self) -> dict[str, Any]:
        """All fields but ``path``, and the SHA-256 of what lies there.

        Raises:
            UnmetRequestError: if nothing lies there.
            DataError: if it cannot be read.
            UsageError: if it is a file of another format.
        """
        return {**self.model_dump(mode="json", exclude={"path"}), "sha256": sha256(self.path)}
