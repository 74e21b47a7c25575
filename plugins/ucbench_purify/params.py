"""Parameters of purification. Imports no torch; the denoiser enters a key by the content of its files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic import Field, field_validator, model_validator

from ucbench import Params
from ucbench_purify.folder import contents


class PurifyParams(Params):
    """Defaults are the ``standard`` preset, ten deterministic steps; ``paper`` walks back all, as AVATAR does."""

    argument: ClassVar[str | None] = "denoiser"

    denoiser: Path = Field(description="folder of a diffusion model for pixels, as diffusers saves it")
    time: int = Field(100, ge=1, description="diffusion steps that the pictures are noised by, of the model's (1000)")
    steps: int = Field(10, ge=1, description="evaluations of the network on the way back, evenly spaced")
    eta: float = Field(0.0, ge=0, le=1, description="fresh noise on the way back: 0 is DDIM's, 1 as much as DDPM's")

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "standard": {},
        "paper": {"steps": 100, "eta": 1.0},
        "apbench": {"time": 60, "steps": 60, "eta": 1.0},
    }

    @field_validator("denoiser")
    @classmethod
    def _at_home(cls, denoiser: Path) -> Path:
        return denoiser.expanduser()

    @model_validator(mode="after")
    def _steps_fit(self) -> Self:
        if self.steps > self.time:
            raise ValueError(f"there are no steps={self.steps} different times between {self.time} and 0")
        return self

    def identity(self) -> dict[str, Any]:
        """All fields but ``denoiser``; of that the SHA-256 of its files.

        Raises:
            DataError: if one of them is missing or cannot be read.
        """
        return {**self.model_dump(mode="json", exclude={"denoiser"}), "denoiser": contents(self.denoiser)}
