"""BridgePure: learn the way back from leaked pairs, and take it with every protected image."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from ucbench import ImageSet, cosine, seeded
from ucbench_bridge.network import BridgeNetwork
from ucbench_bridge.schedule import bridged, walked_back

if TYPE_CHECKING:
    from ucbench import DefenseRun
    from ucbench_bridge.params import BridgeParams

#: Images purified together; part of the result, since noise is drawn block by block.
_TOGETHER = 100


class BridgePure:
    """Train a diffusion bridge from protected to clean images on leaked pairs, and purify the release with it.

    The exploiter has clean images and had them protected as the release was: by the protector's service, or from a
    leak. The network sees what the protection adds, and needs no knowledge of the method. Test images are not changed.

    The record notes ``pairs`` (their number), ``pair_difference`` (the root mean square of what the protection
    changed in them, in 8-bit levels) and ``pair_rest`` (what is left of it after their own purification). Pairs
    without difference, as of the clean reference, leave the set as it is.
    """

    def __init__(self, params: BridgeParams) -> None:
        self.params = params

    def prepare(self, train: ImageSet, run: DefenseRun) -> ImageSet:
        """The purified set, rounded to 8 bits.

        Raises:
            UsageError: without leaked pairs.
        """
        before, after = run.leaked
        clean, protected = (_pixels(images).to(run.device) for images in (before, after))
        unit = float((protected - clean).square().mean().sqrt())
        run.note("pairs", len(before))
        run.note("pair_difference", 127.5 * unit)
        if unit == 0:
            return train
        network = self._trained(clean, protected, unit, run)
        rest = self._purified(after, network, unit, run, "pairs").images.astype(np.float64) - before.images
        run.note("pair_rest", float(np.sqrt(np.square(rest).mean())))
        return self._purified(train, network, unit, run, "release")

    def _trained(self, clean: Tensor, protected: Tensor, unit: float, run: DefenseRun) -> BridgeNetwork:
        """A network trained on pairs ``[N, 3, H, W]`` on the [-1, 1] scale."""
        params, generator = self.params, run.generator("bridge")
        with seeded(run.seed("network")):
            network = BridgeNetwork((clean.shape[2], clean.shape[3]), params.width, params.blocks).to(run.device)
        optimizer = torch.optim.Adam(network.parameters(), lr=params.lr)
        warm = max(1, params.steps // 20)
        advance = run.progress("learning the bridge from leaked pairs", params.steps)
        for step in range(params.steps):
            rate = (step + 1) / warm if step < warm else cosine(1, 0, step - warm, params.steps - warm)
            optimizer.param_groups[0]["lr"] = params.lr * rate
            rows = torch.randint(len(clean), (params.batch,), generator=generator).to(run.device)
            times = torch.rand(params.batch, generator=generator).to(run.device)
            noise = torch.randn((params.batch, *clean.shape[1:]), generator=generator).to(run.device)
            start, end = clean[rows], protected[rows]
            with run.engine.autocast():
                difference = network(bridged(start, end, times, noise), end, times)
            loss = (difference.float() - (end - start) / unit).square().mean()
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
            advance(1)
        return network.eval()

    @torch.no_grad()
    def _purified(
        self, images: ImageSet, network: BridgeNetwork, unit: float, run: DefenseRun, stream: str
    ) -> ImageSet:
        def predict(x: Tensor, end: Tensor, times: Tensor) -> Tensor:
            with run.engine.autocast():
                difference = network(x, end, times)
            clean: Tensor = (end - unit * difference.float()).clamp(-1, 1)
            return clean

        generator, params = run.generator(f"way back of the {stream}"), self.params
        purified = np.empty_like(images.images)
        advance = run.progress(f"purifying the {stream}", len(images))
        for begin in range(0, len(images), _TOGETHER):
            end = _pixels(images.subset(np.arange(begin, min(begin + _TOGETHER, len(images))))).to(run.device)

            def draw(shape: torch.Size = end.shape) -> Tensor:
                # On the CPU, so that it is the same on every device.
                return torch.randn(shape, generator=generator).to(run.device)

            back = walked_back(end, predict, params.evaluations, params.eta, draw)
            levels = ((back + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
            purified[begin : begin + len(levels)] = levels.cpu().numpy()
            advance(len(levels))
        return images.with_images(purified)


def _pixels(images: ImageSet) -> Tensor:
    """The images as float32 ``[N, 3, H, W]`` on the [-1, 1] scale."""
    return torch.from_numpy(images.images.copy()).float() / 127.5 - 1
