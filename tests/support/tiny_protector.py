"""Poisoners and surrogates that take milliseconds, and some that misbehave."""

from __future__ import annotations

import numpy as np
import torch
from tiny_base import Component, log
from torch import nn

import ucbench
from ucbench import ImageSet


class StripesParams(ucbench.Params):
    period: int = 4
    share: float = 1.0

    presets = {"wide": {"period": 8}}  # noqa: RUF012


class Stripes(Component):
    """The same stripes on every image."""

    def craft(self, train: ImageSet, run) -> ucbench.Perturbation:
        log("craft stripes")
        bright = np.arange(train.size[1]) // (self.params.period // 2) % 2 == 0
        row = np.where(bright, 1, -1).astype(np.float32) * np.float32(run.budget.radius * self.params.share)
        return ucbench.Perturbation(np.tile(row, (1, 3, train.size[0], 1)), np.zeros(len(train), np.int64))


class Halting(Stripes):
    """Saves a state and fails, unless it goes on from one; notes which."""

    def craft(self, train: ImageSet, run) -> ucbench.Perturbation:
        saved = run.checkpoint.load()
        if saved is None:
            run.checkpoint.save(7, {"row": np.ones(3)})
            raise RuntimeError("the power failed")
        run.note("resumed", saved[0])
        return super().craft(train, run)


class Blots(Component):
    """Random noise of full size in l2."""

    def craft(self, train: ImageSet, run) -> ucbench.Perturbation:
        delta = torch.randn(train.images.shape, generator=run.generator("blots")).numpy()
        return ucbench.Perturbation(delta * (run.budget.radius / np.sqrt((delta**2).sum((1, 2, 3), keepdims=True))))


class Badge(Component):
    """One pattern per label; notes the labels it receives."""

    def craft(self, train: ImageSet, run) -> ucbench.Perturbation:
        log("craft badge")
        run.note("labels", train.known_labels.tolist())
        run.note("classes", list(train.classes))
        rng = np.random.default_rng(run.seed("badge"))
        signs = rng.choice(np.array([-1, 1], np.float32), (len(train.classes), 3, *train.size))
        return ucbench.Perturbation(np.float32(run.budget.radius) * signs, train.known_labels)

    def assign(self, images: ImageSet, labels, state, run):
        assert images.labels is None
        log(f"assign {'nothing' if labels is None else ''.join(map(str, labels[:6]))}")
        return labels


class Leaner(Component):
    """Moves every image along the surrogate's weights."""

    def craft(self, train: ImageSet, run) -> ucbench.Perturbation:
        log("craft leaner")
        assert train.labels is None
        step = run.surrogate.weights.sign().numpy().astype(np.float32) * np.float32(run.budget.radius)
        return ucbench.Perturbation(
            np.broadcast_to(step[None, :, None, None], (1, 3, *train.size)), np.zeros(len(train), int)
        )


class Eyes(Component):
    """A frozen surrogate: features are the means of the channels."""

    weights = torch.tensor([1.0, -1.0, 1.0])

    def to(self, device: torch.device, dtype: torch.dtype) -> None:
        pass

    def module(self, seed: int, train: ImageSet | None = None) -> nn.Module:
        return nn.Identity()

    def features(self, x: torch.Tensor) -> torch.Tensor:
        return x.mean((2, 3))

    def logits(self, x: torch.Tensor) -> torch.Tensor:
        return self.features(x)


class OtherEyes(Eyes):
    weights = torch.tensor([1.0, 2.0, 1.0])


class FittedEyes(Eyes):
    """One that is trained on the protector's images."""

    def fit(self, train: ImageSet, run):
        log("fit eyes")
        return {"weights": np.array([len(train), run.seed("fit") % 3 - 1, -1.0], np.float32)}

    def restore(self, state, train: ImageSet, run) -> None:
        self.weights = torch.tensor(np.array(state["weights"]))


class BadParams(ucbench.Params):
    how: str

    argument = "how"


class Bad:
    """A poisoner that breaks the contract in the way that its argument names."""

    def __init__(self, params: BadParams) -> None:
        self.how = params.how

    def craft(self, train: ImageSet, run):
        log(f"craft bad {self.how}")
        count = len(train)
        delta = np.zeros((count, 3, *train.size), np.float32)
        match self.how:
            case "shape":
                delta = delta[..., 1:]
            case "nan":
                delta[3, 1, 2, 0] = np.nan
            case "budget":
                delta += 0.5
            case "index":
                return ucbench.Perturbation(delta, np.arange(count - 1))
            case "range":
                return ucbench.Perturbation(delta[:2], np.arange(count))
            case "twice":
                delta = np.concatenate([delta, delta])
            case "release":
                return train.images
            case "overwrites":
                train.images[0] = 0
            case "overwrites-with-torch":
                torch.from_numpy(train.images)[0] = 0
            case "spoils-and-raises":
                torch.from_numpy(train.images)[0] = 0
                raise RuntimeError("spoiled")
            case "patches":
                right = torch.nn.functional.cross_entropy
                torch.nn.functional.cross_entropy = lambda *args, **options: 3 * right(*args, **options)
            case "resets":
                torch.backends.mkldnn.enabled = False
                torch.set_default_dtype(torch.float64)
            case "draws":
                torch.manual_seed(5)
                np.random.seed(5)
            case "relabels":
                torch.from_numpy(train.known_labels)[0] = 2
            case "gibberish":
                raise ValueError("\ud800bad")
            case "misuses":
                ucbench.resize(torch.zeros(3), train.size)
            case "raises":
                raise RuntimeError("the optimiser gave up")
            case "exits":
                raise SystemExit("done")
            case "interrupts":
                raise KeyboardInterrupt
        return ucbench.Perturbation(delta)
