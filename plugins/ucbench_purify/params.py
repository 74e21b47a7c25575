"""Parameters of purification and the files of a saved diffusion model. Imports no torch.

The denoiser enters a key by the content of its files.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic import Field, field_validator, model_validator

from ucbench import Params, UnmetRequestError, sha256_of

#: Facts about the training, in folders that ``benchmarks/train_denoiser.py`` wrote.
FACTS = "ucbench.json"

_WEIGHTS, _CONFIG, _SCHEDULE = "diffusion_pytorch_model.safetensors", "config.json", "scheduler_config.json"


class PurifyParams(Params):
    """Defaults are the ``standard`` preset, ten deterministic steps; ``paper`` walks back all, as AVATAR does."""

    argument: ClassVar[str | None] = "denoiser"

    denoiser: Path = Field(description="folder of a diffusion model for pixels, as diffusers saves it")
    time: int = Field(100, ge=1, description="diffusion steps by which the images are noised, of the model's (1000)")
    steps: int = Field(10, ge=1, description="evaluations of the network on the way back, evenly spaced")
    eta: float = Field(0.0, ge=0, le=1, description="fresh noise on the way back: 0 is DDIM's, 1 as much as DDPM's")

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "standard": {},
        "paper": {"steps": 100, "eta": 1.0},
        "apbench": {"time": 60, "steps": 60, "eta": 1.0},
    }

    @field_validator("denoiser")
    @classmethod
    def _expand_home(cls, denoiser: Path) -> Path:
        return denoiser.expanduser()

    @model_validator(mode="after")
    def _steps_fit(self) -> Self:
        if self.steps > self.time:
            raise ValueError(f"steps={self.steps} must not exceed time={self.time}")
        return self

    def identity(self) -> dict[str, Any]:
        """All fields, with the SHA-256 of its files for ``denoiser``.

        Raises:
            UnmetRequestError: if one of them is missing.
            DataError: if one cannot be read.
        """
        hashes = {part: sha256_of(path) for part, path in model_files(self.denoiser).items()}
        return {**self.model_dump(mode="json", exclude={"denoiser"}), "denoiser": hashes}


class EclipseParams(PurifyParams):
    """Defaults are the ``standard`` preset; ``paper`` walks back every step with fresh noise."""

    time: int = Field(12, ge=1, description="diffusion steps by which the images are noised, of the model's (1000)")
    steps: int = Field(4, ge=1, description="evaluations of the network on the way back, evenly spaced")
    grey: float = Field(0.4, ge=0, le=1, description="probability that an image of a batch loses its colours")
    sigma: float = Field(0.05, ge=0, description="deviation of the noise of a batch's images, on the [0, 1] scale")

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"standard": {}, "paper": {"steps": 12, "eta": 1.0}}


def model_files(folder: Path) -> dict[str, Path]:
    """Paths of ``weights``, ``config`` and ``schedule`` of a model that was saved as a pipeline or by itself.

    Raises:
        UnmetRequestError: naming the missing file. Weights must be safetensors: loading a pickle runs code.
    """
    network = folder / "unet" if (folder / "unet").is_dir() else folder
    schedule = folder / "scheduler" if (folder / "scheduler").is_dir() else folder
    paths = {"weights": network / _WEIGHTS, "config": network / _CONFIG, "schedule": schedule / _SCHEDULE}
    for path in paths.values():
        if not path.is_file():
            raise UnmetRequestError(
                f"{folder} is not a diffusion model as diffusers saves it: {path} is missing. "
                "benchmarks/train_denoiser.py trains one."
            )
    return paths
