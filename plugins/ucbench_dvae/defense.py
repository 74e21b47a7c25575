"""D-VAE (Yu et al., ICML 2024, arXiv 2405.01460): two autoencoders in turn."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ucbench import DivergedError, ImageSet, ResidentSet, cosine, seeded, split_evenly
from ucbench_dvae.network import Decoded, Disentangler

if TYPE_CHECKING:
    from ucbench import DefenseRun
    from ucbench_dvae.params import DVAEParams

#: Rate of the first stage, in nats per latent vector.
_FIRST_RATE = 1.0
#: Mean square of the perturbation that costs nothing more, and the share of epochs after which it counts.
_FREE, _UNBOUND = 0.002, 11 / 60
_CLIP = 5.0
#: Images decoded together once the network is trained; part of the result, since latents are drawn block by block.
_TOGETHER = 200


class DisentanglingVAE:
    """Rebuild every image from a representation too small for the perturbation.

    At a low rate an autoencoder keeps what lowers the error most: image content. What is left is decoded from the same
    representation and a learned embedding of the label, on which most perturbations depend. The first
    stage subtracts it; the second, trained on the result with a higher rate, rebuilds the images. Test images are not
    changed.

    The record notes for both stages ``rates`` (nats per latent vector) and ``perturbations`` (root mean square of what
    the second decoder found, in 8-bit levels).
    """

    def __init__(self, params: DVAEParams) -> None:
        self.params = params

    def prepare(self, train: ImageSet, run: DefenseRun) -> ImageSet:
        """The rebuilt set, cut to 8 bits as in the official code.

        Raises:
            DataError: without labels.
            DivergedError: if a loss is not finite.
        """
        rates, sizes = [], []
        images = train
        for stage, target in enumerate((_FIRST_RATE, self.params.rate)):
            network, rate = self._fitted(images, target, f"stage {stage + 1}", run)
            images, size = _without(images, network, run.generator(f"latents {stage + 1}"), rebuild=stage == 1, run=run)
            rates.append(rate)
            sizes.append(size)
        run.note("rates", rates)
        run.note("perturbations", sizes)
        return images

    def _fitted(self, train: ImageSet, target: float, stage: str, run: DefenseRun) -> tuple[Disentangler, float]:
        """A network trained on ``train``, in eval mode, and its mean rate in the last epoch."""
        params = self.params
        with seeded(run.seed(f"network of {stage}")):
            network = Disentangler(len(train.classes), train.size, params.latent, params.width)
        network.to(run.device)
        optimizer = torch.optim.Adam(network.parameters(), lr=params.lr)
        data = ResidentSet(train, padding=0, flip=False, device=run.device)
        steps = params.epochs * split_evenly(len(train), params.batch)
        order, draws = run.generator(f"order of {stage}"), run.generator(f"latents of {stage}")
        advance = run.progress(f"training the autoencoder of {stage}", steps)
        rates = list[Tensor]()
        for epoch in range(params.epochs):
            optimizer.param_groups[0]["lr"] = cosine(params.lr, 0, epoch, params.epochs)
            total, rates = torch.zeros((), device=run.device), []
            for x, labels in data.epoch(params.batch, order):
                decoded = _decoded(network, x, labels, draws, run)
                bound = epoch >= _UNBOUND * params.epochs
                value = objective(x, decoded, target, params.weight, bound=bound)
                optimizer.zero_grad(set_to_none=True)
                value.backward()
                torch.nn.utils.clip_grad_norm_(network.parameters(), _CLIP)
                optimizer.step()
                total += value.detach()
                rates.append(decoded.rate.detach())
                advance(1)
            if not torch.isfinite(total):
                raise DivergedError(f"The autoencoder of {stage} diverged in epoch {epoch + 1}.")
        return network.eval(), float(torch.stack(rates).mean())


def objective(x: Tensor, decoded: Decoded, target: float, weight: float, *, bound: bool) -> Tensor:
    """The loss of images ``[B, 3, H, W]``, a scalar.

    Both squared errors are means over all values. A rate below ``target`` costs no more than ``target`` and so has no
    gradient; likewise, if ``bound``, a perturbation of a mean square below 0.002.
    """
    both = (decoded.image + decoded.perturbation).clamp(0, 1)
    value = F.mse_loss(decoded.image, x) + F.mse_loss(both, x) + weight * decoded.rate.clamp(min=target)
    if bound:
        value = value + decoded.perturbation.square().mean().clamp(min=_FREE)
    return value


def _decoded(network: Disentangler, x: Tensor, labels: Tensor, draws: torch.Generator, run: DefenseRun) -> Decoded:
    # Drawn on the CPU, so that noise is the same on every device.
    noise = torch.randn(network.latents(len(x)), generator=draws).to(run.device)
    with run.engine.autocast():
        decoded: Decoded = network(x, labels, noise)
    return decoded


@torch.no_grad()
def _without(
    images: ImageSet, network: Disentangler, draws: torch.Generator, *, rebuild: bool, run: DefenseRun
) -> tuple[ImageSet, float]:
    """Images less the perturbation that ``network`` finds, then rebuilt by it if asked; and the perturbation's RMS."""
    purified, square = np.empty_like(images.images), 0.0
    labels = torch.from_numpy(images.known_labels.copy()).to(run.device)
    for begin in range(0, len(images), _TOGETHER):
        block = slice(begin, begin + _TOGETHER)
        x = torch.from_numpy(images.images[block].copy()).to(run.device).float() / 255
        perturbation = _decoded(network, x, labels[block], draws, run).perturbation
        x = (x - perturbation).clamp(0, 1)
        if rebuild:
            x = _decoded(network, x, labels[block], draws, run).image
        square += float(perturbation.square().sum())
        purified[block] = (255 * x).to(torch.uint8).cpu().numpy()
    return images.with_images(purified), 255 * (square / images.images.size) ** 0.5
