"""The official code of error-minimising noise: its training step and its perturbation tool."""

from __future__ import annotations

from argparse import Namespace
from functools import cached_property
from typing import Any

import torch
from plain import images as plain_images
from plain import training as plain_training
from plain.eminn import endless
from subjects import eminn
from subjects.base import Evidence, Measured, array
from torch import Tensor, nn

from official.clones import clone, imported, running


def shares(scores: Tensor, labels: Tensor, topk: tuple[int, ...]) -> list[Tensor]:
    """Shares of images whose label is among the first k; in place of theirs, which current versions of torch refuse."""
    right = scores.topk(max(topk), 1).indices == labels[:, None]
    return [right[:, :k].any(1).float().mean() for k in topk]


class Official(eminn._Data):
    @cached_property
    def folder(self) -> Any:
        return clone(
            self.setting.official, "HanxunH/Unlearnable-Examples", ("toolbox.py", "trainer.py", "perturbation.py")
        )

    def tool(self, steps: int) -> Any:
        made = imported(self.folder, "toolbox", ("PerturbationTool",)).PerturbationTool
        return made(epsilon=eminn.RADIUS, num_steps=steps, step_size=eminn.STEP * eminn.RADIUS)

    @cached_property
    def trainer(self) -> Any:
        module = imported(self.folder, "trainer", ("Trainer",))
        module.util.accuracy = shares
        config = Namespace(grad_clip=eminn.CLIP, log_frequency=None)
        with running(self.device):
            return module.Trainer(nn.CrossEntropyLoss(), None, None, config)

    def check(self, inputs: None) -> Evidence:
        """As ours, in double; the gradient is the one that their first step computes."""
        x, y = eminn.sample(self)
        x, start = x.double(), self.start(x).double()
        model = self.fresh().to(self.device).eval().double()
        gradients: list[Tensor] = []

        def watched(seen: Tensor) -> Tensor:
            seen.register_hook(gradients.append)
            return model(seen)

        watched.zero_grad = model.zero_grad  # type: ignore[attr-defined]
        with running(self.device):
            _, delta = self.tool(eminn._CHECKED_STEPS).min_min_attack(
                x, y, watched, None, nn.CrossEntropyLoss(), random_noise=start
            )
        # Theirs is the change before the image is cut to [0, 1].
        delta = (x + delta).clamp(0, 1) - x
        return Evidence({"gradient": array(gradients[0])}, {"perturbation": (array(delta), array(gradients[0]))})

    def loader(self, workers: int) -> Any:
        stored = plain_images.Images(self.train.images, self.train.known_labels, plain_images.to_tensor())
        return plain_images.loader(stored, self.sizes.batch, shuffle=False, workers=workers, device=self.device)

    @cached_property
    def fastest_loader(self) -> tuple[int, Any]:
        return plain_images.fastest(self.loader, lambda batches: self.round(batches, 1), self.sizes.most_workers)

    def round(self, batches: Any, steps: int) -> float:
        """The steps of the network, then a sweep over all images, as their script goes from one to the other.

        Returns when they began.
        """
        model, tool, trainer = self.fresh().to(self.device), self.tool(steps), self.trainer
        optimizer = plain_training.sgd(model, eminn.LR, eminn.MOMENTUM, eminn.WEIGHT_DECAY)
        noise = torch.zeros(self.train.images.shape)
        model.train()
        started = self.clock()
        with running(self.device):
            for (x, y, rows), _ in zip(endless(batches), range(self.sizes.network_steps), strict=False):
                trainer.train_batch(
                    x.to(self.device) + noise[rows].to(self.device), y.to(self.device), model, optimizer
                )
            model.eval().requires_grad_(False)
            for x, y, rows in batches:
                _, delta = tool.min_min_attack(
                    x.to(self.device), y.to(self.device), model, optimizer, nn.CrossEntropyLoss(),
                    random_noise=noise[rows].to(self.device),
                )  # fmt: skip
                noise[rows] = delta.detach().cpu()
        return started

    def measure(self) -> Measured:
        workers, batches = self.fastest_loader
        started = self.round(batches, self.sizes.attack_steps)
        return Measured(self.clock() - started, self.visits(), self.work(), {"workers": workers})
