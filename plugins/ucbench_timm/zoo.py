"""timm's models by name."""

from __future__ import annotations

from typing import Any

import timm
from timm.models import get_pretrained_cfg_value, is_model_pretrained

from ucbench import UsageError, did_you_mean


def create(name: str, size: tuple[int, int], **options: Any) -> Any:
    """``timm.create_model(name, **options)`` for images of ``size``.

    timm is told the size only where the model must know it; all others take any.
    """
    if get_pretrained_cfg_value(name, "fixed_input_size"):
        options["img_size"] = size
    return timm.create_model(name, **options)


def check_name(name: str) -> None:
    """Accept an architecture of timm, with the tag of pretrained weights or without.

    Raises:
        UsageError: for any other name; the text gives the nearest ones.
    """
    architecture, dot, _ = name.partition(".")
    if not timm.is_model(architecture):
        nearest = did_you_mean(architecture, timm.list_models())
        raise UsageError(
            f"timm {timm.__version__} has no model {architecture!r}.{nearest}"
            " timm.list_models('*PATTERN*') lists what it has."
        )
    if dot and not is_model_pretrained(name):
        tagged = timm.list_pretrained(f"{architecture}.*")
        raise UsageError(
            f"timm {timm.__version__} has no weights {name!r}.{did_you_mean(name, tagged)}"
            f" It has: {', '.join(tagged) or 'none of this architecture'}."
        )
