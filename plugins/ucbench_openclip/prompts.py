"""Classes as a text tower knows them."""

from __future__ import annotations

from collections.abc import Sequence

import open_clip
import torch
import torch.nn.functional as F
from torch import Tensor

from ucbench_openclip.loading import LoadedClip, tokenizer_of
from ucbench_openclip.params import ENSEMBLE

#: Texts that go through the text tower at once.
BATCH = 256


def prompts(name: str, templates: Sequence[str]) -> list[str]:
    """The texts of the class ``name``, in which underscores become spaces: one a template, and 80 for ``ensemble``."""
    spoken, texts = name.replace("_", " "), list[str]()
    for template in templates:
        if template == ENSEMBLE:
            texts += [fill(spoken) for fill in open_clip.OPENAI_IMAGENET_TEMPLATES]
        else:
            texts.append(template.replace("{class}", spoken))
    return texts


@torch.no_grad()
def class_embeddings(clip: LoadedClip, classes: Sequence[str], templates: Sequence[str]) -> Tensor:
    """Text embeddings ``[K, D]`` float32 of length 1, on the model's device.

    A class has the mean of its prompts' embeddings, of length 1 before and after (Radford et al., 2021, section 3.1.4).
    Texts longer than the text tower's context are cut.

    Raises:
        UsageError: if the text tower's vocabulary cannot be had.
    """
    tokenizer = tokenizer_of(clip)
    device = clip.model.logit_scale.device
    texts = [text for name in classes for text in prompts(name, templates)]
    with torch.autocast(device.type, enabled=False):
        parts = [
            clip.model.encode_text(tokenizer(texts[start : start + BATCH]).to(device), normalize=True)
            for start in range(0, len(texts), BATCH)
        ]
        embedded = torch.cat(parts).float()
        return F.normalize(embedded.reshape(len(classes), -1, embedded.shape[1]).mean(1), dim=1)
