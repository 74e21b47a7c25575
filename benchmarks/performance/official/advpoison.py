"""The official code of Adversarial Poisoning: its step on a batch of perturbations."""

from __future__ import annotations

from functools import cached_property
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from plain import images as plain_images
from subjects import advpoison
from subjects.base import CLASSES, EPSILON, Evidence, Measured, array, network
from torch import Tensor, nn

from official.clones import clone, imported, running


class Official(advpoison._Data):
    @cached_property
    def folder(self) -> Any:
        return clone(
            self.setting.official,
            "lhfowl/adversarial_poisons",
            ("village/shop/forgemaster_targeted.py", "village/materials/diff_data_augmentation.py"),
        )

    @cached_property
    def model(self) -> nn.Module:
        return network(self.sizes).to(self.device).eval()

    @cached_property
    def scale(self) -> tuple[Tensor, Tensor]:
        mean, std = (values.view(1, 3, 1, 1).to(self.device) for values in self.statistics)
        return mean, std

    def forge(self, dtype: torch.dtype) -> tuple[Any, Any, Any]:
        """Their object for perturbations, the classifier behind its interface, and their view of images."""
        shop = imported(self.folder, "village.shop.forgemaster_targeted", ("ForgemasterTargeted",))
        views = imported(self.folder, "village.materials.diff_data_augmentation", ("RandomTransform",))
        options = imported(self.folder, "village.options", ("options",)).options()
        args = options.parse_args(["--tau", str(advpoison.STEP), "--eps", str(EPSILON)])
        side = self.sizes.side
        default = torch.get_default_dtype()
        torch.set_default_dtype(dtype)  # of their grid: a view that is rounded differently can turn a unit on
        view = views.RandomTransform(source_size=side, target_size=side, shift=side // 4, fliplr=True)
        torch.set_default_dtype(default)
        mean, std = (values.to(dtype) for values in self.scale)
        furnace = SimpleNamespace(dm=mean, ds=std, augment=view, poison_lookup={})
        criterion = nn.CrossEntropyLoss()
        client = SimpleNamespace(
            eval=lambda dropout: None,
            compute=lambda closure: closure(self.model, criterion, None),
            sync_gradients=lambda delta: delta,
        )
        with running(self.device):
            forge = shop.ForgemasterTargeted(args, {"device": self.device, "dtype": dtype})
            forge._initialize_forge(client, furnace)
        return forge, client, furnace

    def check(self, draws: np.ndarray[Any, Any]) -> Evidence:
        """View, loss and gradient in their step, with the given draws.

        Their view mirrors after it shifts, and ours before; so the shift to the right of a mirrored image is reversed.
        """
        x, y = advpoison.sample(self)
        x, random = x.double(), torch.from_numpy(draws).to(self.device).double()
        mirrored = random[:, 2] >= 0.5
        right = torch.where(mirrored, 1 - random[:, 1], random[:, 1])
        randgen = torch.stack([right, random[:, 0], mirrored.double(), torch.zeros_like(right)], 1)
        self.model.double()
        forge, client, furnace = self.forge(torch.float64)
        view, seen, steps = furnace.augment, list[Tensor](), list[Tensor]()

        def augment(inputs: Tensor, randgen: None = None, *, drawn: Tensor = randgen) -> Tensor:
            seen.append(view(inputs, drawn))
            return seen[-1]

        def step(delta: Tensor, *_: Any) -> Tensor:
            steps.append(delta.grad if delta.grad is not None else torch.zeros_like(delta))
            return delta

        furnace.augment, forge._pgd_step = augment, step
        furnace.poison_lookup = {row: row for row in range(len(x))}
        mean, std = (values.double() for values in self.scale)
        noise = torch.zeros(x.shape, dtype=torch.float64)
        example = ((x - mean) / std, (y - 1) % CLASSES, torch.arange(len(x)))
        with running(self.device):
            loss, _ = forge._batched_step(noise, None, example, client, furnace)
        self.model.float()
        # Perturbations are in units of the deviation there.
        return Evidence({"view": array(seen[0] * std + mean), "loss": loss, "gradient": array(steps[0] / std)})

    def steps(self, batches: Any, steps: int) -> float:
        """Steps of their attack on all images; returns when they began."""
        forge, client, furnace = self.forge(torch.float32)
        furnace.poison_lookup = {row: row for row in range(len(self.train))}
        noise = torch.zeros(self.train.images.shape)
        started = self.clock()
        with running(self.device):
            for _ in range(steps):
                for example in batches:
                    forge._batched_step(noise, None, example, client, furnace)
        return started

    @cached_property
    def loader(self) -> tuple[int, Any]:
        mean, std = (values.tolist() for values in self.statistics)
        transform = plain_images.to_tensor(mean, std)
        stored = plain_images.Images(self.train.images, self.train.known_labels, transform)

        def make(workers: int) -> Any:
            return plain_images.loader(stored, self.sizes.attacked, shuffle=False, workers=workers, device=self.device)

        return plain_images.fastest(make, lambda batches: self.steps(batches, 1), self.sizes.most_workers)

    def measure(self) -> Measured:
        workers, batches = self.loader
        steps = self.sizes.attack_steps
        started = self.steps(batches, steps)
        return Measured(self.clock() - started, len(self.train) * steps, steps, {"workers": workers})
