"""One for All (Chen et al., ICML 2024): one generator that leads every image away from what a CLIP sees in it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import open_clip
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from ucbench import (
    ImageSet,
    Perturbation,
    ResidualGenerator,
    UsageError,
    check_finite,
    cosine,
    optimizer_state,
    restore_optimizer,
    seeded,
    shifted,
    split_evenly,
)
from ucbench_openclip.concept_params import IMAGENET
from ucbench_openclip.loading import LoadedClip, load_clip
from ucbench_openclip.surrogate import FrozenClip, class_embeddings

if TYPE_CHECKING:
    from ucbench import CraftRun
    from ucbench_openclip.concept_params import OneForAllParams

#: The prompt of the released code.
PROMPT = "a photo of a {class}"
#: Share of the sides that a crop of 224 out of 256 pixels shows.
SHOWN = 7 / 8
#: How often the released generator halves the sides.
HALVINGS = 3
#: Name in the state of the radius; the other arrays are the generator's.
_RADIUS = "radius"


class Concepts(NamedTuple):
    """What a CLIP says of the images, all of length 1.

    Attributes:
        texts: ``[K, D]``, of the concepts' names.
        similar: int64 ``[K, k]``, each concept and those most like it.
        opposite: int64 ``[K]``, the most unlike one.
        shown: int64 ``[N]``, the concept nearest to each image.
    """

    texts: Tensor
    similar: Tensor
    opposite: Tensor
    shown: Tensor

    def targets(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        """Texts to leave ``[B, k, D]`` and to approach ``[B, D]`` of the images at ``indices``."""
        shown = self.shown[indices]
        return self.texts[self.similar[shown]], self.texts[self.opposite[shown]]


class OneForAll:
    """Perturbations by one generator, which reads the image and its CLIP embedding and no label.

    The concept of an image is the name whose text is nearest to it. The generator, the residual network of CycleGAN
    with three halvings and the embedding of the image before its blocks, is trained with Adam on ::

        mean of cos(f(x + delta), t) over the k texts t most like the concept's  -  weight * cos(f(x + delta), t*)

    f being the CLIP's image tower and t* the text most unlike the concept's; the released code adds ``weight / cos``
    instead. Images are cropped and mirrored before delta is added. After the training, the generator, with its running
    statistics, perturbs the whole images in float32; unseen ones likewise, which needs the CLIP again.

    The images that reach the CLIP are normalised, in training and use alike, and what is released is image plus
    perturbation. See the spec for what the released code does.
    """

    def __init__(self, params: OneForAllParams) -> None:
        self.params = params

    def craft(self, train: ImageSet, run: CraftRun) -> Perturbation:
        """Perturbations float32 ``[N, 3, H, W]``, one per image, within ``run.budget``; reads no labels.

        Notes ``losses`` (of every pass), ``cosines`` (mean, to the texts to leave and to approach, of the images clean
        and perturbed), and ``concepts_kept`` (share of images whose nearest text stays the same).

        Raises:
            UsageError: for fewer than two concepts, and as :func:`ucbench_openclip.loading.load_clip`.
            DataError: likewise.
            DivergedError: if the loss is not finite.
        """
        names = self._names(train)
        if self._loaded.note:
            run.note("clip_weights", self._loaded.note)
        clip = FrozenClip(self._loaded, normalize=True).to(run.device)
        images = torch.from_numpy(train.images.copy()).to(run.device)
        embedded = torch.cat([_embedded(clip, _pixels(part)) for part in images.split(250)])
        clip.dtype = run.engine.dtype
        concepts = _concepts(class_embeddings(self._loaded, names, (PROMPT,)), embedded, self.params.similar)
        generator = self._trained(images, clip, concepts, train.flip, run)
        delta, after = np.empty(train.images.shape, np.float32), []
        for rows in torch.arange(len(train)).split(250):
            x = _pixels(images[rows])
            made = self._perturbation(generator, x, embedded[rows], run.budget.radius)
            after.append(_embedded(clip, (x + made).clamp(0, 1)))
            delta[rows.numpy()] = made.cpu().numpy()
        self._diagnose(concepts, embedded, torch.cat(after), run)
        state = {_RADIUS: np.array(run.budget.radius, np.float32), **optimizer_state(generator)}
        return Perturbation(delta, state=state)

    def assign(self, images: ImageSet, labels: object, state: object, run: CraftRun) -> NDArray[np.int64]:
        """0 for every image: :meth:`transform` needs no number."""
        return np.zeros(len(images), np.int64)

    @torch.no_grad()
    def transform(self, images: Tensor, index: Tensor, state: Mapping[str, NDArray[Any]]) -> Tensor:
        """Unseen images ``[B, 3, H, W]`` in [0, 1] as the trained generator perturbs them."""
        embedded = _embedded(FrozenClip(self._loaded, normalize=True).to(images.device), images)
        with seeded(0):  # the initial weights, all of them overwritten
            generator = self._generator(embedded.shape[1])
        restore_optimizer(generator, None, state)
        made = self._perturbation(generator.to(images.device).eval(), images, embedded, float(state[_RADIUS]))
        return (images + made).clamp(0, 1)

    @cached_property
    def _loaded(self) -> LoadedClip:
        return load_clip(self.params)

    def _generator(self, condition: int) -> ResidualGenerator:
        params = self.params
        return ResidualGenerator(params.width, params.blocks, halvings=HALVINGS, condition=condition)

    def _names(self, train: ImageSet) -> tuple[str, ...]:
        names = self.params.concepts or train.classes
        if names == (IMAGENET,):
            names = tuple(open_clip.IMAGENET_CLASSNAMES)
        if len(names) < 2:
            raise UsageError(
                "one-for-all needs the names of at least two concepts: images whose classes have names, or"
                " concepts=cat/dog, or concepts=imagenet."
            )
        return names

    def _trained(
        self, images: Tensor, clip: FrozenClip, concepts: Concepts, flip: bool, run: CraftRun
    ) -> ResidualGenerator:
        """The generator in eval mode; resumed after any pass."""
        params, parts = self.params, split_evenly(len(images), self.params.batch)
        with seeded(run.seed("generator")):
            generator = self._generator(concepts.texts.shape[1])
        generator.to(run.device)
        optimizer = torch.optim.Adam(generator.parameters(), lr=params.lr, weight_decay=params.weight_decay)
        done, arrays = run.checkpoint.load() or (0, {})
        losses: list[float] = list(arrays["losses"]) if done else []
        if done:
            restore_optimizer(generator, optimizer, arrays)
        advance = run.progress("crafting", params.epochs * parts)
        advance(done * parts)
        for epoch in range(done, params.epochs):
            optimizer.param_groups[0]["lr"] = cosine(params.lr, 0.0, epoch, params.epochs)
            draws, total = run.generator(f"pass-{epoch}"), torch.zeros((), device=run.device)
            for indices in torch.randperm(len(images), generator=draws).to(run.device).tensor_split(parts):
                x = _pixels(images[indices])
                if params.augment:
                    x = windows(x, flip, draws)
                with run.engine.autocast():
                    delta = self._perturbation(generator, x, _embedded(clip, x), run.budget.radius)
                similar, opposite = concepts.targets(indices)
                loss = self._objective(clip.features((x + delta).clamp(0, 1)), similar, opposite)
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                optimizer.step()
                total += loss.detach()
                advance(1)
            losses.append(float(total) / parts)
            check_finite(losses[-1], f"one-for-all: the generator diverged in pass {epoch + 1}")
            run.checkpoint.save(epoch + 1, {**optimizer_state(generator, optimizer), "losses": np.array(losses)})
        run.note("losses", losses)
        return generator.eval().requires_grad_(False)

    def _perturbation(self, generator: ResidualGenerator, x: Tensor, embedded: Tensor, radius: float) -> Tensor:
        """Perturbations ``[B, 3, H, W]`` of images ``x`` of that shape, whose embeddings are ``[B, D]``."""
        values = torch.tanh(generator(x, embedded).float())
        if self.params.norm == "l2":
            values = F.normalize(values.flatten(1), dim=1).view_as(values)
        return radius * values

    def _objective(self, embedded: Tensor, similar: Tensor, opposite: Tensor) -> Tensor:
        params = self.params
        return objective(embedded, similar, opposite, params.opposite, params.weight, pairs=params.pairs)

    def _diagnose(self, concepts: Concepts, clean: Tensor, perturbed: Tensor, run: CraftRun) -> None:
        similar, opposite = concepts.targets(torch.arange(len(clean), device=run.device))
        cosines = {
            name: {
                "similar": float(torch.einsum("bd,bkd->bk", each, similar).mean()),
                "opposite": float((each * opposite).sum(1).mean()),
            }
            for name, each in (("clean", clean), ("perturbed", perturbed))
        }
        run.note("cosines", cosines)
        unmoved = (perturbed @ concepts.texts.T).argmax(1) == concepts.shown
        run.note("concepts_kept", float(unmoved.float().mean()))


def objective(
    embedded: Tensor, similar: Tensor, opposite: Tensor, form: str, weight: float, *, pairs: str = "own"
) -> Tensor:
    """What is minimised: a mean cosine to the texts to leave, and a term that falls with that to the text to approach.

    Args:
        embedded: of the perturbed images, ``[B, D]``; all vectors have length 1.
        similar: texts to leave, ``[B, k, D]``.
        opposite: texts to approach, ``[B, D]``.
        form: ``difference`` or ``reciprocal``.
        weight: of the second term.
        pairs: ``own``: every image with its own texts; ``batch``: with those of every image of the batch.
    """
    leave = similar.mean(1)
    if pairs == "own":
        near, far = (embedded * leave).sum(1).mean(), (embedded * opposite).sum(1).mean()
    else:
        near, far = embedded.mean(0) @ leave.mean(0), embedded.mean(0) @ opposite.mean(0)
    return near - weight * far if form == "difference" else near + weight / far


def windows(x: Tensor, flip: bool, generator: torch.Generator) -> Tensor:
    """Random windows of images ``[B, 3, H, W]``, of 7/8 of their sides and enlarged to them; half mirrored if ``flip``.

    As torchvision's ``Resize(256)`` and ``RandomCrop(224)``, but for places between pixels.
    """
    draws = torch.rand((len(x), 3), generator=generator)
    offsets = draws[:, :2] * (1 - SHOWN) * torch.tensor(x.shape[2:])
    return shifted(x, offsets, (draws[:, 2] < 0.5) & flip, scale=SHOWN, border="reflect")


def _concepts(texts: Tensor, embedded: Tensor, similar: int) -> Concepts:
    likeness = texts @ texts.T
    nearest = likeness.topk(min(similar, len(texts)), dim=1).indices
    return Concepts(texts, nearest, likeness.argmin(1), (embedded @ texts.T).argmax(1))


@torch.no_grad()
def _embedded(clip: FrozenClip, x: Tensor) -> Tensor:
    """Embeddings ``[B, D]`` of length 1 of images ``[B, 3, H, W]`` in [0, 1]."""
    return clip.features(x)


def _pixels(images: Tensor) -> Tensor:
    """uint8 images as float32 in [0, 1]."""
    return images.float().div_(255.0)
