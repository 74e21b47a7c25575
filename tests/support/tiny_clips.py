"""Small random CLIPs, one for each kind of image tower, as open_clip builds and saves them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import open_clip
import torch
from safetensors.torch import save_file
from torch import nn

TEXT = {"context_length": 16, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1}
TOWERS: dict[str, dict[str, Any]] = {
    "transformer": {"layers": 2, "width": 32, "head_width": 16, "patch_size": 8, "image_size": 32},
    "residual": {"layers": [1, 1, 1, 1], "width": 8, "head_width": 32, "image_size": 64},
    "timm": {"timm_model_name": "test_vit", "timm_pool": "", "timm_proj": "linear", "image_size": 160},
}
PREPROCESSING = {"mean": [0.4, 0.5, 0.6], "std": [0.2, 0.25, 0.3], "interpolation": "bicubic"}


def config(tower: str, **further: Any) -> dict[str, Any]:
    return {"embed_dim": 12, "vision_cfg": dict(TOWERS[tower]), "text_cfg": dict(TEXT), **further}


def random_clip(tower: str, **further: Any) -> nn.Module:
    torch.manual_seed(0)
    kind = open_clip.CustomTextCLIP if tower == "timm" else open_clip.CLIP
    return kind(**config(tower, **further)).eval()


def saved(folder: Path, tower: str) -> Path:
    """A random CLIP as open_clip saves one in its own folder."""
    folder.mkdir(exist_ok=True)
    described = {**config(tower), **({"custom_text": True} if tower == "timm" else {})}
    content = {"model_cfg": described, "preprocess_cfg": PREPROCESSING}
    (folder / "open_clip_config.json").write_text(json.dumps(content))
    save_file(random_clip(tower).state_dict(), folder / "open_clip_model.safetensors")
    return folder / "open_clip_model.safetensors"
