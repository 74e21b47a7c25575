"""CUDA, convolution-based unlearnable data (Sadasivan et al., CVPR 2023, arXiv 2303.04278)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ucbench import ImageSet, Perturbation

if TYPE_CHECKING:
    from ucbench import CraftRun
    from ucbench_shortcuts.params import CUDAParams

#: Values transformed at once, which bounds the memory and changes no number.
_VALUES = 1 << 22


class ClassWiseConvolution:
    """Convolve a class's (or cluster's) images with its random kernel, and divide each by its largest value.

    A kernel's entries are uniform in 0 to ``blur``, except one at a random place, which is 1. The same kernel serves
    the three channels; zeros surround the image. A black image stays black.
    """

    def __init__(self, params: CUDAParams) -> None:
        self.params = params

    def craft(self, train: ImageSet, run: CraftRun) -> Perturbation:
        """Perturbations ``[N, 3, H, W]``, the change by the transformation of each image; no budget bounds them.

        State: ``kernels`` float32 ``[K, side, side]``, one for every class, even without images.
        """
        state = {"kernels": self._kernels(len(train.classes), np.random.default_rng(run.seed("kernels")))}
        delta = np.empty(train.images.shape, np.float32)
        step = max(1, _VALUES // train.images[0].size)
        for begin in range(0, len(train), step):
            block = slice(begin, begin + step)
            x = torch.from_numpy(train.images[block].copy()).to(run.device).float().div_(255.0)
            index = torch.from_numpy(train.known_labels[block].copy()).to(run.device)
            delta[block] = (self.transform(x, index, state) - x).cpu().numpy()
        return Perturbation(delta, state=state)

    def assign(
        self, images: ImageSet, labels: NDArray[np.int64] | None, state: object, run: CraftRun
    ) -> NDArray[np.int64] | None:
        """The label of each image, which :meth:`transform` takes as index; None without labels."""
        return labels

    def transform(self, images: Tensor, index: Tensor, state: Mapping[str, NDArray[Any]]) -> Tensor:
        """Images ``[B, 3, H, W]`` convolved with kernel ``index[i]`` and brought to a largest value of 1."""
        kernels = torch.from_numpy(np.array(state["kernels"])).to(images.device)[index]
        side, (height, width) = kernels.shape[-1], images.shape[2:]
        padded = torch.nn.functional.pad(images, (side // 2,) * 4)
        # Sums of shifted images, each image with its own weights: in float32 throughout, where a convolution may
        # be computed in reduced precision.
        blurred = torch.zeros_like(images)
        for r, c in np.ndindex(side, side):
            blurred += kernels[:, r, c, None, None, None] * padded[:, :, r : r + height, c : c + width]
        largest = blurred.amax((1, 2, 3), keepdim=True)
        return blurred / torch.where(largest > 0, largest, 1)

    def _kernels(self, count: int, rng: np.random.Generator) -> NDArray[np.float32]:
        side = self.params.kernel
        kernels = rng.uniform(0, self.params.blur, (count, side**2)).astype(np.float32)
        kernels[np.arange(count), rng.integers(0, side**2, count)] = 1
        return kernels.reshape(count, side, side)
