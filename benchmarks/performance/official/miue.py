"""The official code of MI-UE: an epoch of its training with its pass over the perturbations."""

from __future__ import annotations

import sys
from functools import cached_property
from types import ModuleType, SimpleNamespace
from typing import Any
from unittest import mock

import torch
from plain import images as plain_images
from plain import training as plain_training
from subjects import miue
from subjects.base import Evidence, Measured, array
from torch import Tensor, nn

from official.clones import clone, imported, running


class _Pair(nn.Module):
    """A network that returns its features beside its scores, which theirs do."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        kept: list[Tensor] = []
        head = list(self.network.modules())[-1]
        handle = head.register_forward_pre_hook(lambda _, inputs: kept.append(inputs[0]))
        scores = self.network(x)
        handle.remove()
        return kept[0], scores


class Official(miue._Data):
    @cached_property
    def theirs(self) -> ModuleType:
        """Their script, with the options that it has by itself."""
        folder = clone(self.setting.official, "hala64/mi-ue", ("gen_miue.py", "utils.py", "dataloaders.py"))
        module = imported(folder, "gen_miue", ("train_epoch", "error_minimizing", "get_args", "nt_xent"))
        with mock.patch.object(sys, "argv", ["gen_miue.py", "--experiment", "measured"]):
            module.args = module.get_args()  # type: ignore[attr-defined]
        return module

    def check(self, inputs: None) -> Evidence:
        """The loss, and its gradient in the one step of their function."""
        x, y = miue.sample(self)
        model, gradients = self.fresh().to(self.device).eval(), list[Tensor]()

        class Watched(_Pair):
            def forward(self, seen: Tensor) -> tuple[Tensor, Tensor]:
                if seen.requires_grad:
                    seen.register_hook(gradients.append)
                return super().forward(seen)

        watched, rows = Watched(model), torch.arange(len(x), device=self.device)
        with running(self.device):
            loss = self.theirs.nt_xent(watched(x)[0], y, t=miue.TEMPERATURE)
            watched.requires_grad_(False)
            self.theirs.error_minimizing(
                watched, x, y, rows, torch.zeros_like(x), None, eps=miue.RADIUS, alpha=miue.STEP * miue.RADIUS,
                iters=1, type=self.theirs.args.poison_loss_type, t=miue.TEMPERATURE,
            )  # fmt: skip
        return Evidence({"loss": array(loss), "gradient": array(gradients[0])})

    def loader(self, workers: int) -> Any:
        stored = plain_images.Images(self.train.images, self.train.known_labels, plain_images.to_tensor())
        return plain_images.loader(stored, self.sizes.gathered, shuffle=True, workers=workers, device=self.device)

    @cached_property
    def fastest_loader(self) -> tuple[int, Any]:
        return plain_images.fastest(self.loader, lambda batches: self.round(batches, 1), self.sizes.most_workers)

    def round(self, batches: Any, steps: int) -> float:
        """Their epoch on a fresh network; returns when it began."""
        model = _Pair(self.fresh()).to(self.device)
        optimizer = plain_training.sgd(model, miue.LR, miue.MOMENTUM, miue.WEIGHT_DECAY)
        scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1)
        self.theirs.args.perturb_iters = steps
        noise = torch.zeros(self.train.images.shape, device=self.device)
        started = self.clock()
        with running(self.device):
            self.theirs.train_epoch(
                batches, batches, model, noise, optimizer, scheduler,
                1, SimpleNamespace(info=lambda text: None), None, poison_loss_type=self.theirs.args.poison_loss_type,
                eps=miue.RADIUS, alpha=miue.STEP * miue.RADIUS,
            )  # fmt: skip
        return started

    def measure(self) -> Measured:
        workers, batches = self.fastest_loader
        started = self.round(batches, self.sizes.attack_steps)
        return Measured(self.clock() - started, self.visits(), self.sizes.attack_steps + 1, {"workers": workers})
