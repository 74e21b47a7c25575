"""A CLIP with fixed weights as a surrogate: it learned from captions, not from the evaluated data's labels."""

from __future__ import annotations

from collections.abc import Sequence

import open_clip
import torch
import torch.nn.functional as F
from torch import Tensor

from ucbench import FrozenNetwork, NetworkSurrogate, UsageError
from ucbench_openclip.loading import LoadedClip, load_clip, tokenizer_of
from ucbench_openclip.params import ENSEMBLE, SIMPLE, OpenClipParams

#: Texts that go through the text tower at once.
BATCH = 256


def prompts(name: str, templates: Sequence[str]) -> list[str]:
    """The texts of the class ``name``, with spaces for underscores: one per template, and 80 for ``ensemble``."""
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
        UsageError: if the text tower's vocabulary is not available.
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


class FrozenClip(FrozenNetwork):
    """Both towers of a CLIP, taking images in [0, 1].

    Whole images are resized to the image tower's size. (open_clip's transform of files crops the centre of images
    that are not square, and rounds to 8 bits.)

    Args:
        clip: the model.
        normalize: whether :meth:`features` have length 1.
    """

    text: Tensor | None

    def __init__(self, clip: LoadedClip, *, normalize: bool = False) -> None:
        super().__init__(clip.model, mean=clip.mean, std=clip.std, size=clip.size, mode=clip.mode, note=clip.note)
        self.register_buffer("text", None)
        self.normalize = normalize
        self._clip = clip

    def name_classes(self, classes: Sequence[str], templates: Sequence[str]) -> None:
        """Make scores those of these classes; see :func:`class_embeddings`."""
        self.text = class_embeddings(self._clip, classes, templates)

    def penultimate(self, x: Tensor) -> Tensor:
        embedded: Tensor = self.network.encode_image(x, normalize=False)
        return embedded

    def features(self, x: Tensor) -> Tensor:
        """Images ``[B, 3, H, W]`` in [0, 1] to embeddings ``[B, D]`` float32."""
        embedded = super().features(x)
        return F.normalize(embedded, dim=1) if self.normalize else embedded

    def forward(self, x: Tensor) -> Tensor:
        """Images ``[B, 3, H, W]`` in [0, 1] to scores ``[B, K]`` float32: scaled cosines to the classes' texts.

        Raises:
            UsageError: before classes were named.
        """
        if self.text is None:
            raise UsageError(
                "A CLIP has scores only for named classes, and none are named. Give class names, as in"
                " openclip:RN50/openai:classes=cat/dog, or use its features."
            )
        embedded = F.normalize(super().features(x), dim=1)
        with torch.autocast(x.device.type, enabled=False):
            scores: Tensor = self.network.logit_scale.exp() * (embedded @ self.text.T)
        return scores if self.network.logit_bias is None else scores + self.network.logit_bias


class OpenClip(NetworkSurrogate):
    """The image tower of a CLIP; with class names also a zero-shot classifier.

    Features are the image embeddings ``[B, D]`` (1,024 numbers for RN50) and, as in UC's released code, not brought to
    length 1; ``normalize=true`` does so. They are small, so that the softmax of them that UC compares is nearly
    uniform. The model's configuration sets normalisation, interpolation and (without ``size``) the input's size.

    Scores exist for ``classes`` alone, under the prompt "a photo of a {class}.". A protector who names those of the
    data set uses its class names.

    Raises:
        UsageError: as :func:`ucbench_openclip.loading.load_clip`, and by :meth:`logits` if no classes are named.
        DataError: as :func:`ucbench_openclip.loading.load_clip`.
    """

    def __init__(self, params: OpenClipParams) -> None:
        network = FrozenClip(load_clip(params), normalize=params.normalize)
        if params.classes:
            network.name_classes(params.classes, (SIMPLE,))
        super().__init__(network)
