"""NTGA, neural tangent generalization attacks (Yuan and Wu, ICML 2021)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ucbench import ImageSet, Perturbation, UsageError, double_device, pgd
from ucbench_ntga.kernel import coefficients, tangent_kernel

if TYPE_CHECKING:
    from ucbench import CraftRun
    from ucbench_ntga.params import NTGAParams

#: Attacked images at once: kernels with all of them take memory.
CHUNK = 1000


class TangentAttack:
    """Images from which a network of infinite width, a kernel machine, learns to be wrong on other images.

    The images are cut into blocks at random. Of a block X with classes Y, and some clean images of the other blocks, an
    infinitely wide network that learned (X + delta, Y) for a time predicts the classes in closed form. The
    perturbations of the block together take signed steps, from zero, that raise the cross-entropy of these predictions.

    Kernels are computed in float64, on the CPU where the device has none (mps).
    """

    def __init__(self, params: NTGAParams) -> None:
        self.params = params

    def craft(self, train: ImageSet, run: CraftRun) -> Perturbation:
        """Perturbations float32 ``[N, 3, H, W]``, one per image, within ``run.budget``.

        Notes ``attacked``, means over the blocks of the accuracy of their infinite network on the attacked images, when
        it learned the block ``clean`` and ``perturbed``, in [0, 1].

        Raises:
            DataError: without labels.
            UsageError: for fewer than four images, which do not make two blocks.
        """
        params, count = self.params, len(train)
        device = double_device(run.device)
        labels = torch.from_numpy(train.known_labels.copy()).to(device)
        if count < 4:
            raise UsageError(f"ntga needs at least 4 images, to attack some by others; there are {count}.")
        images = torch.from_numpy(train.images.copy()).to(device)
        parts = max(2, -(-count // params.block))
        done, arrays = run.checkpoint.load() or (0, {})
        delta = arrays["delta"].copy() if done else np.zeros(train.images.shape, np.float32)
        right = arrays["right"].copy() if done else np.zeros((parts, 2))
        order = torch.randperm(count, generator=run.generator("blocks"))
        advance = run.progress("crafting", parts * params.steps)
        advance(done * params.steps)
        for number, block in enumerate(order.tensor_split(parts)):
            if number < done:
                continue
            draws = torch.randperm(count, generator=run.generator(f"attacked-{number}"))
            others = draws[~torch.isin(draws, block)][: params.attacked]
            block, others = block.to(device), others.to(device)
            x = _pixels(images[block])
            network = Network(x, labels[block], images[others], labels[others], train, params)
            made = torch.zeros_like(x)
            for _ in range(params.steps):
                made = pgd(
                    x, made, network.negative_loss, steps=1, step=params.step * run.budget.radius,
                    radius=run.budget.radius,
                )  # fmt: skip
                advance(1)
            delta[block.cpu().numpy()] = made.float().cpu().numpy()
            right[number] = network.accuracy(x), network.accuracy(x + made)
            run.checkpoint.save(number + 1, {"delta": delta, "right": right})
        run.note("attacked", dict(zip(("clean", "perturbed"), right.mean(0).tolist(), strict=True)))
        return Perturbation(delta)


class Network:
    """An infinitely wide network that learns one block, as a function of the block's images.

    Args:
        x: the block, float64 ``[B, 3, H, W]``.
        labels: int64 ``[B]``.
        aims: the attacked images, uint8 ``[M, 3, H, W]``: in float64 all of them could take many gigabytes.
        goals: their labels, int64 ``[M]``.
        train: names the classes.
    """

    def __init__(
        self, x: Tensor, labels: Tensor, aims: Tensor, goals: Tensor, train: ImageSet, params: NTGAParams
    ) -> None:
        self._targets = F.one_hot(labels, len(train.classes)).to(x.dtype)
        self._aims, self._goals, self._params = aims, goals, params

    def negative_loss(self, x: Tensor) -> Tensor:
        """A linear function of ``x`` with the gradient there of minus the summed cross-entropy of the attacked images.

        The gradient is summed over chunks of them.
        """
        flat = x.detach().flatten(1).requires_grad_()
        learned = self._learned(flat)
        held = learned.detach().requires_grad_()
        slope, to_learned = torch.zeros_like(flat), torch.zeros_like(held)
        for aims, goals in zip(self._aims.split(CHUNK), self._goals.split(CHUNK), strict=True):
            loss = -F.cross_entropy(self._attacked(aims, flat) @ held, goals, reduction="sum")
            for total, part in zip((slope, to_learned), torch.autograd.grad(loss, (flat, held)), strict=True):
                total += part
        slope += torch.autograd.grad(learned, flat, to_learned)[0]
        return (x.flatten(1) * slope).sum()

    @torch.no_grad()
    def accuracy(self, x: Tensor) -> float:
        """Share of the attacked images that are recognised, having learned the images ``x`` ``[B, 3, H, W]``."""
        flat = x.flatten(1)
        learned = self._learned(flat)
        outputs = torch.cat([self._attacked(aims, flat) @ learned for aims in self._aims.split(CHUNK)])
        return float((outputs.argmax(1) == self._goals).double().mean())

    def _learned(self, flat: Tensor) -> Tensor:
        return coefficients(self._kernel(flat, flat), self._targets, self._params.time)

    def _attacked(self, aims: Tensor, flat: Tensor) -> Tensor:
        return self._kernel(_pixels(aims).flatten(1), flat)

    def _kernel(self, x: Tensor, z: Tensor) -> Tensor:
        params = self._params
        return tangent_kernel(x, z, params.layers, params.weight_variance, params.bias_variance)


def _pixels(images: Tensor) -> Tensor:
    return images.double().div_(255.0)
