"""The official code of Unlearnable Clusters: its training of the generators, one cluster after another."""

from __future__ import annotations

from functools import cached_property
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import torch
from plain import uc as plain_uc
from subjects import uc
from subjects.base import Evidence, array
from torch import Tensor, nn

from official.clones import clone, imported, running
from ucbench import Perturbation
from ucbench.training.determinism import seeded


class _Headed(nn.Module):
    """A network whose features enter a last layer ``fc``, where theirs are read."""

    def __init__(self, surrogate: plain_uc.Surrogate) -> None:
        super().__init__()
        self.surrogate, self.fc = surrogate, nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.surrogate(x))


class _Noise:
    """Stands for the generator's input, whose size theirs fixes at 224 pixels."""

    def __init__(self, noise: Tensor) -> None:
        self._noise = noise

    def uniform_(self, low: float, high: float) -> None:
        """It is drawn already."""

    def to(self, device: Any) -> Tensor:
        return self._noise.to(device)


class _Torch:
    """torch, but for what theirs reads, writes and fixes the size of."""

    def __init__(self, clusters: dict[str, Any], noise: Tensor, saved: list[Tensor]) -> None:
        self._clusters, self._noise, self._saved = clusters, iter(noise.split(1)), saved

    def __getattr__(self, name: str) -> Any:
        return getattr(torch, name)

    def load(self, *_: Any, **__: Any) -> dict[str, Any]:
        return self._clusters

    def save(self, value: dict[str, Any], path: str) -> None:
        self._saved.append(value["perturbation"])

    def zeros(self, *_: Any) -> _Noise:
        return _Noise(next(self._noise))


class Official(uc.PlainClusters):
    """Its loss is given images of any size, batches of any size, our surrogate and our clusters."""

    @cached_property
    def theirs(self) -> ModuleType:
        folder = clone(
            self.setting.official,
            "jiamingzhang94/Unlearnable-Clusters",
            ("main.py", "preprocess.py", "models/generator.py"),
        )
        return imported(folder, "main", ("train_gnet", "ResnetGenerator"))

    def crafted_there(
        self, batches: Any, centres: Tensor, noise: Tensor, *, epochs: int, width: int, blocks: int, weights: Any = None
    ) -> Tensor:
        """Perturbations ``[K, 3, H, W]`` of their training of K generators.

        Args:
            batches: a loader of all images.
            noise: the generators' inputs ``[K, 3, H, W]``.
            weights: their first weights, for each a list; by default drawn.
        """
        module, saved = self.theirs, list[Tensor]()
        made, given = module.ResnetGenerator, iter(weights or ())

        def generator(*_: Any, **__: Any) -> nn.Module:
            network = made(3, 3, width, norm_type="batch", act_type="relu", n_blocks=blocks)
            with torch.no_grad():
                for weight, first in zip(network.parameters(), next(given, ()), strict=False):
                    weight.copy_(first)
            return network

        surrogate = _Headed(self.network)
        replaced = {
            "torch": _Torch({"centers": centres, "pred_idx": None}, noise, saved),
            "ResnetGenerator": generator,
            "DataFolderWithLabel": lambda *_: None,
            "DataLoader": lambda *_, **__: batches,
            "get_surrogate": lambda *_: surrogate,
        }
        module.normalize_list["ours"] = lambda images: images
        config = {
            "normalize": "ours", "model": "", "num_classes": 0, "cluster": "", "num_epoch": epochs, "lr": 1e-4,
            "norm": "linf", "epsilon": uc.EPSILON, "target_offset": 1, "output_dir": "",
            "dataset": {"config": {"train": ""}},
        }  # fmt: skip
        originals = {name: getattr(module, name) for name in replaced}
        vars(module).update(replaced)
        try:
            with running(self.device):
                module.train_gnet(SimpleNamespace(device=self.device), config)
        finally:
            vars(module).update(originals)
        # It saves what the generators, still in training mode, return; its next stage cuts that to the radius.
        return torch.cat(saved).clamp(-uc.RADIUS, uc.RADIUS)

    def procedure(self, batches: Any, clusters: int | None = None, epochs: int | None = None) -> Perturbation:
        """As the plain side's, all clusters whatever ``clusters`` says."""
        sizes, clustering = self.sizes, self.clusters
        with seeded(5):
            noise = torch.rand(sizes.uc_clusters, 3, sizes.side, sizes.side)
            delta = self.crafted_there(
                batches, torch.from_numpy(clustering.centres), noise,
                epochs=epochs or sizes.uc_epochs, width=sizes.uc_width, blocks=sizes.uc_blocks,
            )  # fmt: skip
        targets = (np.arange(sizes.uc_clusters) + 1) % sizes.uc_clusters
        return Perturbation(array(delta), clustering.assignment, {"centres": clustering.centres, "targets": targets})

    def check(self, inputs: dict[str, Any]) -> Evidence:
        side = Official(uc.checked(self.setting))
        count = len(inputs["noise"])
        split = [np.split(stacked, count) for stacked in inputs["weights"]]
        weights = [[torch.from_numpy(part[k]) for part in split] for k in range(count)]
        losses: list[float] = []
        criterion = nn.KLDivLoss.forward

        def noted(loss: nn.KLDivLoss, predicted: Tensor, expected: Tensor) -> Tensor:
            value = criterion(loss, predicted, expected)
            losses.append(float(value.detach()))
            return value

        nn.KLDivLoss.forward = noted  # type: ignore[method-assign]
        try:
            delta = side.crafted_there(
                side.loader(0, augment=False), torch.from_numpy(inputs["centres"]), torch.from_numpy(inputs["noise"]),
                epochs=side.sizes.uc_epochs, width=side.sizes.uc_width, blocks=side.sizes.uc_blocks, weights=weights,
            )  # fmt: skip
        finally:
            nn.KLDivLoss.forward = criterion  # type: ignore[method-assign]
        mean = np.reshape(losses, (count, -1)).mean(0)
        return Evidence({"first loss": mean[0], "last loss": mean[-1]}, mostly={"perturbations": array(delta)})
