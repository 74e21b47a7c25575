"""Architectures and weights that open_clip knows by name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import open_clip

from ucbench import UsageError, did_you_mean
from ucbench_openclip.configuration import config_beside


def check_names(architecture: str | None, tag: str | None, checkpoint: Path | None) -> Mapping[str, Any]:
    """What open_clip knows of the tag; nothing where none is named.

    Raises:
        UsageError: for an architecture or weights that open_clip does not know, or an architecture that the file beside
            a checkpoint describes too.
    """
    if architecture is None:
        return {}
    known = open_clip.list_models()
    if architecture not in known:
        raise UsageError(
            f"open_clip {open_clip.__version__} has no architecture {architecture!r}."
            f"{did_you_mean(architecture, known)} open_clip.list_models() lists what it has."
        )
    if tag is None:
        if checkpoint and (beside := config_beside(checkpoint)).is_file():
            raise UsageError(
                f"Both {architecture!r} and {beside} describe {checkpoint.name}. Leave the architecture out to"
                f" follow the file, or add the tag whose normalisation the weights want: {architecture}/TAG."
            )
        return {}
    pretrained: Mapping[str, Any] = open_clip.get_pretrained_cfg(architecture, tag)
    if not pretrained:
        tags = open_clip.list_pretrained_tags_by_model(architecture)
        raise UsageError(
            f"open_clip {open_clip.__version__} has no weights {tag!r} of {architecture}.{did_you_mean(tag, tags)}"
            f" It has: {', '.join(tags) or 'none'}."
        )
    return pretrained
