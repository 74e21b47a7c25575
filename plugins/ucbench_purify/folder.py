"""The files of a saved diffusion model, found and identified without torch."""

from __future__ import annotations

from pathlib import Path

from ucbench import DataError
from ucbench.identity import sha256_of

#: Facts about the training, where ``benchmarks/train_denoiser.py`` wrote the folder.
FACTS = "ucbench.json"

_WEIGHTS, _CONFIG, _SCHEDULE = "diffusion_pytorch_model.safetensors", "config.json", "scheduler_config.json"


def files(folder: Path) -> dict[str, Path]:
    """``weights``, ``config`` and ``schedule`` of a model, saved as a pipeline with sub-folders or by itself.

    Raises:
        DataError: naming what the folder lacks. Weights are taken as safetensors alone: pickles run code.
    """
    network = folder / "unet" if (folder / "unet").is_dir() else folder
    schedule = folder / "scheduler" if (folder / "scheduler").is_dir() else folder
    found = {"weights": network / _WEIGHTS, "config": network / _CONFIG, "schedule": schedule / _SCHEDULE}
    for path in found.values():
        if not path.is_file():
            raise DataError(
                f"{folder} is no diffusion model as diffusers saves it: there is no {path}. "
                "benchmarks/train_denoiser.py trains one."
            )
    return found


def contents(folder: Path) -> dict[str, str]:
    """SHA-256 of each of the model's files, by what it is.

    Raises:
        DataError: as :func:`files`, or naming a file that cannot be read.
    """
    return {what: sha256_of(path) for what, path in files(folder).items()}
