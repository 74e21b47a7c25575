"""APBench's training and evaluation: an epoch, an epoch of adversarial training, and a pass over the test images."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable
from functools import cached_property
from types import ModuleType
from typing import Any

import numpy as np
import torch
from plain import images as plain_images
from plain import training as plain_training
from subjects import adversarial, evaluation, victim
from subjects.base import Evidence, Measured, Side, array, network
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from official.clones import clone, imported, running
from ucbench.training.normalized import channel_statistics


class _Pairs(Dataset[tuple[Tensor, int, Tensor]]):
    """An image, its label, and the image once more, as the repository pairs a poisoned image with its clean one."""

    def __init__(self, images: plain_images.Images) -> None:
        self._images = images

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: int) -> tuple[Tensor, int, Tensor]:
        x, y, _ = self._images[index]
        return x, y, self._images[index][0]


class _Bench(Side):
    """The repository's modules, and its options without a defense."""

    train: Any

    @cached_property
    def folder(self) -> Any:
        return clone(self.setting.official, "lafeat/apbench", ("train.py", "madrys.py", "util.py"))

    @cached_property
    def theirs(self) -> ModuleType:
        return imported(self.folder, "train", ("train", "test", "MadrysLoss"))

    def options(self, **changes: Any) -> Namespace:
        names = ("cutmix", "mixup", "ueraser", "at")
        return Namespace(
            **{**dict.fromkeys(names, False), "ratio": 100, "at_eps": 8 / 255, "at_type": "L_inf"} | changes
        )

    def model(self) -> nn.Sequential:
        """The network behind its normalisation, which the repository does not have."""
        return nn.Sequential(plain_training.Normalize(*channel_statistics(self.train)), network(self.sizes)).to(
            self.device
        )

    @cached_property
    def loader(self) -> tuple[int, DataLoader[Any]]:
        """The fastest of several numbers of workers, with the repository's crop and flip."""
        transform = self.theirs.aug_train("c10", False, False, False, False, False, None)
        stored = plain_images.Images(self.train.images, self.train.known_labels, transform)

        def make(workers: int) -> DataLoader[Any]:
            return DataLoader(
                _Pairs(stored), self.sizes.batch, shuffle=True, num_workers=workers,
                persistent_workers=workers > 0, pin_memory=self.device.type == "cuda",
            )  # fmt: skip

        return plain_images.fastest(make, lambda batches: self.epoch(batches), self.sizes.most_workers)

    def epoch(
        self, batches: Any, model: nn.Module | None = None, criterion: Callable[..., Tensor] | None = None
    ) -> float:
        """Their epoch, with a fresh model unless one is given; returns when it began."""
        recipe = victim.victim(self.sizes).recipe
        model = model or self.model()
        optimizer = plain_training.sgd(model, recipe.lr, recipe.momentum, recipe.weight_decay)
        theirs, options = self.theirs, self.their_options
        started = self.clock()
        with running(self.device):
            theirs.train(model, batches, optimizer, criterion or nn.CrossEntropyLoss(), self.device, 0, options)
        return started

    @property
    def their_options(self) -> Namespace:
        return self.options()


class Victim(_Bench, victim._Data):
    def check(self, inputs: None) -> Evidence:
        x, y = victim.sample(self)
        model, losses = self.model().double(), []

        def criterion(scores: Tensor, targets: Tensor) -> Tensor:
            losses.append(nn.functional.cross_entropy(scores, targets))
            return losses[-1]

        self.epoch([(x.double(), y, x.double())], model, criterion)
        return Evidence({"loss": float(losses[0].detach()), **victim._gradients(model)})

    def measure(self) -> Measured:
        workers, batches = self.loader
        started = self.epoch(batches)
        return Measured(self.clock() - started, len(self.train), len(batches), {"workers": workers})


class Adversarial(_Bench, adversarial._Data):
    @property
    def their_options(self) -> Namespace:
        return self.options(at=True)

    @cached_property
    def theirs(self) -> ModuleType:
        """Their epoch constructs the attack itself, with ten steps; here with those of the sizes."""
        module = super().theirs
        self._loss = module.MadrysLoss
        module.MadrysLoss = lambda **_: self.attack(self.sizes.attack_steps)  # type: ignore[attr-defined]
        return module

    def attack(self, steps: int) -> Any:
        return self._loss(step_size=adversarial.STEP * adversarial.RADIUS, perturb_steps=steps)

    def check(self, start: np.ndarray[Any, Any]) -> Evidence:
        """The examples that their attack makes from the given start, seen in their model's last forward pass."""
        x, y = victim.sample(self)
        x, model, delta = x.double(), self.model().double(), torch.from_numpy(start).to(self.device)
        seen: list[Tensor] = []
        handle = model.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].detach()))
        assert self.theirs
        attack, draw = self.attack(adversarial._CHECKED_STEPS), torch.randn
        torch.randn = lambda *_, **__: delta / attack.step_size  # type: ignore[assignment]
        try:
            optimizer = plain_training.sgd(model, 0.1, 0.0, 0.0)
            with running(self.device):
                attack(model, x, y, optimizer)
        finally:
            torch.randn = draw
            handle.remove()
        # Their last pass changed the statistics of batch norm, so the gradient is that of a fresh model.
        first = seen[0].clone().requires_grad_()
        nn.functional.cross_entropy(self.model().double().eval()(first), y).backward()
        return Evidence({"gradient": array(first.grad)}, {"change": (array(seen[-1] - x), array(first.grad))})

    def measure(self) -> Measured:
        workers, batches = self.loader
        started = self.epoch(batches)
        seconds, passes = self.clock() - started, self.sizes.attack_steps + 1
        return Measured(seconds, len(self.train) * passes, len(batches) * passes, {"workers": workers})


class Evaluation(_Bench, evaluation._Data):
    @property
    def train(self) -> Any:
        return self.checked()

    @cached_property
    def _model(self) -> nn.Module:
        return self.model()

    def batches(self, images: Any, workers: int) -> Any:
        stored = plain_images.Images(images.images, images.known_labels, plain_images.to_tensor())
        size = self.sizes.evaluation_batch
        loader = plain_images.loader(stored, size, shuffle=False, workers=workers, device=self.device)
        return _TwoOf(loader)

    def predict(self, batches: Any) -> tuple[float, Tensor]:
        """Their accuracy in percent, and the scores that their pass computed."""
        scores: list[Tensor] = []
        handle = self._model.register_forward_hook(lambda _, __, output: scores.append(output))
        try:
            with running(self.device):
                accuracy = self.theirs.test(self._model, batches, nn.CrossEntropyLoss(), self.device)
        finally:
            handle.remove()
        return accuracy, torch.cat(scores)

    def check(self, inputs: None) -> Evidence:
        _, scores = self.predict(self.batches(self.checked(), 0))
        return evaluation.scored(scores.argmax(1).cpu().numpy(), scores)

    @cached_property
    def loader(self) -> tuple[int, Any]:
        part = evaluation.synthetic_images(max(self.sizes.evaluated // 5, self.sizes.checked), self.sizes.side)
        workers, _ = plain_images.fastest(
            lambda count: self.batches(part, count), self.predict, self.sizes.most_workers
        )
        return workers, self.batches(self.test, workers)

    def measure(self) -> Measured:
        workers, batches = self.loader
        started = self.clock()
        accuracy, _ = self.predict(batches)
        return Measured(self.clock() - started, len(self.test), notes={"workers": workers, "accuracy": accuracy})


class _TwoOf:
    """The first two parts of every batch."""

    def __init__(self, loader: Any) -> None:
        self._loader = loader

    def __len__(self) -> int:
        return len(self._loader)

    def __iter__(self) -> Any:
        return ((x, y) for x, y, _ in self._loader)
