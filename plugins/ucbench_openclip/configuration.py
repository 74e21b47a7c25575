"""The configuration file that open_clip writes beside a model's weights. Imports no torch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ucbench import DataError

#: What open_clip calls the description of a model beside its weights.
CONFIG_NAME = "open_clip_config.json"


def config_beside(checkpoint: Path) -> Path:
    """Where open_clip's description of the model in ``checkpoint`` lies, if there is one."""
    return checkpoint.parent / CONFIG_NAME


def read_config(checkpoint: Path) -> dict[str, Any]:
    """``model_cfg`` and ``preprocess_cfg`` of the file ``open_clip_config.json`` beside ``checkpoint``.

    Raises:
        DataError: naming the file if it cannot be read or describes no model.
    """
    path = config_beside(checkpoint)
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
        return {"model_cfg": dict(content["model_cfg"]), "preprocess_cfg": dict(content.get("preprocess_cfg", {}))}
    except OSError as error:
        raise DataError(
            f"{checkpoint} comes without an architecture, and {path} cannot be read: {error.strerror}. Name the"
            " architecture, as in RN50/openai, or put open_clip's configuration there."
        ) from error
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path} is not a configuration of open_clip ({type(error).__name__}: {error}).") from error
