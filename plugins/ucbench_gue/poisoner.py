"""GUE, game unlearnable examples (Liu et al., AAAI 2024, arXiv 2401.17523)."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from ucbench import (
    DivergedError,
    ImageSet,
    Perturbation,
    ResidentSet,
    UsageError,
    blocks,
    optimizer_state,
    restore_optimizer,
    seeded,
    split_evenly,
)
from ucbench_gue.unet import UNet

if TYPE_CHECKING:
    from ucbench import CraftRun
    from ucbench_gue.params import GUEParams

#: Name in the state of the radius; the other arrays are the generator's.
_RADIUS = "radius"
#: Of torch's batch norm.
MOMENTUM = 0.1
#: Keeps the multiplier finite where the condition's gradient vanishes; the official code's.
TINY = 1e-8


class GameUnlearnable:
    """A Stackelberg game, solved by BOME (Liu et al., NeurIPS 2022, arXiv 2209.08709).

    The follower, a network, learns the perturbed images. The leader, a generator, wants the follower to be wrong on the
    clean ones: it minimises ``f``, the mean over images of the largest cross-entropy with a wrong class (one that has
    images). That the follower has learned is the condition ``q = g(theta) - g(theta*) = 0``: g is its cross-entropy on
    the perturbed batch, and theta* its weights after ``steps`` steps of Adam on g, taken as constants. Generator phi
    and follower theta then take plain gradient steps along ::

        grad f + lambda grad q,   lambda = max(0, (eta |grad q|^2 - <grad f, grad q>) / |grad q|^2)

    (f does not depend on phi), so that q falls at least ``eta`` times as fast as its squared gradient. All networks are
    in train mode; images are not augmented. At the end the generator perturbs all images in eval mode.

    All is in float32, whatever the engine's precision: phi's gradient is a difference of two similar ones, from theta
    and from theta*, much of which the rounding of bfloat16 would hide.
    """

    def __init__(self, params: GUEParams) -> None:
        self.params = params

    def craft(self, train: ImageSet, run: CraftRun) -> Perturbation:
        """Perturbations float32 ``[N, 3, H, W]``, one per image, within ``run.budget``.

        Notes, of every pass: ``clean_losses`` (f), ``perturbed_losses`` (g) and ``multipliers`` (lambda); and
        ``accuracies`` of the follower in eval mode after the last, on ``clean`` and ``perturbed`` images, in [0, 1].

        Raises:
            DataError: without labels.
            UsageError: for a single image, and for images of a single class.
            DivergedError: if a loss is not finite.
        """
        params = self.params
        data = ResidentSet(train, padding=0, flip=False, device=run.device)
        if len(np.unique(train.known_labels)) < 2:
            raise UsageError("gue trains a network to be wrong: it needs images of at least two classes.")
        game = Game(train, params, run)
        rows: list[dict[str, float]] = []
        done, arrays = run.checkpoint.load() or (0, {})
        if done:
            restore_optimizer(game.players, None, arrays)
            rows = [dict(zip(Game.NUMBERS, map(float, row), strict=True)) for row in arrays["rows"]]
        parts = split_evenly(len(train), params.batch)
        advance = run.progress("crafting", params.epochs * parts)
        advance(done * parts)
        for epoch in range(done, params.epochs):
            total = torch.zeros(len(Game.NUMBERS), device=run.device)
            with seeded(run.seed(f"layers-{epoch}")):
                for x, labels in data.epoch(params.batch, run.generator(f"pass-{epoch}")):
                    total += game.play(x, labels)
                    advance(1)
            rows.append(dict(zip(Game.NUMBERS, (total / parts).tolist(), strict=True)))
            if not all(map(math.isfinite, rows[-1].values())):
                raise DivergedError(f"gue: the game diverged in pass {epoch + 1}: {rows[-1]}.")
            table = np.array([list(row.values()) for row in rows])
            run.checkpoint.save(epoch + 1, {**optimizer_state(game.players), "rows": table})
        for name in Game.NUMBERS:
            run.note(name, [row[name] for row in rows])
        state = {_RADIUS: np.array(run.budget.radius, np.float32), **optimizer_state(game.generator)}
        return Perturbation(self._released(train, game, run), state=state)

    def assign(self, images: ImageSet, labels: object, state: object, run: CraftRun) -> NDArray[np.int64]:
        """0 for every image: :meth:`transform` needs no number."""
        return np.zeros(len(images), np.int64)

    def transform(self, images: Tensor, index: Tensor, state: Mapping[str, NDArray[Any]]) -> Tensor:
        """Unseen images ``[B, 3, H, W]`` in [0, 1] as the trained generator perturbs them."""
        with seeded(0):  # the initial weights, all of them overwritten
            generator = UNet(self.params.width, MOMENTUM)
        restore_optimizer(generator, None, state)
        with torch.no_grad():
            values: Tensor = generator.to(images.device).eval()(images)
        return (images + float(state[_RADIUS]) * values).clamp(0, 1)

    @torch.no_grad()
    def _released(self, train: ImageSet, game: Game, run: CraftRun) -> NDArray[np.float32]:
        """All perturbations ``[N, 3, H, W]``, computed in float32 as :meth:`transform` does.

        Notes what the follower recognises.
        """
        delta, right = np.empty(train.images.shape, np.float32), torch.zeros(2, device=run.device)
        game.generator.eval()
        game.follower.eval()
        for rows in blocks(train.images.shape):
            x = torch.from_numpy(train.images[rows].copy()).to(run.device).float().div_(255.0)
            labels = torch.from_numpy(train.known_labels[rows].copy()).to(run.device)
            made = run.budget.radius * game.generator(x)
            delta[rows] = made.cpu().numpy()
            for which, seen in enumerate((x, (x + made).clamp(0, 1))):
                right[which] += (game.scores(game.follower, seen).argmax(1) == labels).sum()
        run.note("accuracies", dict(zip(("clean", "perturbed"), (right / len(train)).tolist(), strict=True)))
        return delta


class Game:
    """The two players, and the follower's answer.

    Attributes:
        generator: the leader.
        follower: the surrogate's fresh network.
        players: both of them.
        absent: bool ``[K]``, the classes without images.
    """

    #: What :meth:`play` returns, in this order.
    NUMBERS = ("clean_losses", "perturbed_losses", "multipliers")

    def __init__(self, train: ImageSet, params: GUEParams, run: CraftRun) -> None:
        self._params, self._run = params, run
        self.follower = run.engine.placed(run.surrogate.module(run.seed("network"), train))
        self._answer = copy.deepcopy(self.follower)
        # The official code runs the same batch through the generator once for every step and twice more: its running
        # statistics move as far as here in one run.
        momentum = 1 - (1 - MOMENTUM) ** (params.steps + 2)
        with seeded(run.seed("generator")):
            self.generator = UNet(params.width, momentum).to(run.device)
        self.players = nn.ModuleDict({"follower": self.follower, "generator": self.generator})
        absent = ~np.isin(np.arange(len(train.classes)), train.known_labels)
        self.absent = torch.from_numpy(absent).to(run.device)

    def play(self, x: Tensor, labels: Tensor) -> Tensor:
        """One step of both players on images ``[B, 3, H, W]`` with labels ``[B]``; returns the :attr:`NUMBERS`."""
        for network in (self.generator, self.follower):
            network.train()
        poisoned = (x + self.perturbation(x)).clamp(0, 1)
        answer = self._answered(poisoned.detach(), labels)
        theta = [weight for weight in self.follower.parameters() if weight.requires_grad]
        phi = list(self.generator.parameters())
        clean = wrong_class_loss(self.scores(self.follower, x), labels, self.absent)
        leader = torch.autograd.grad(clean, theta)
        present = F.cross_entropy(self.scores(self.follower, poisoned), labels)
        best = F.cross_entropy(self.scores(answer, poisoned), labels)
        to_images, *to_theta = torch.autograd.grad(present, [poisoned, *theta])
        slope = to_images - torch.autograd.grad(best, poisoned)[0]
        to_phi = torch.autograd.grad(poisoned, phi, slope)
        factor = multiplier(leader, to_theta, to_phi, self._params.eta)
        with torch.no_grad():
            for weight, gradient in zip(phi, to_phi, strict=True):
                weight.sub_(self._params.lr_generator * factor * gradient)
            for weight, own, condition in zip(theta, leader, to_theta, strict=True):
                weight.sub_(self._params.lr_network * (own + factor * condition))
        return torch.stack([clean, present, factor]).detach()

    def _answered(self, poisoned: Tensor, labels: Tensor) -> nn.Module:
        """The follower's answer to perturbed images: its weights after a few steps on them."""
        self._answer.load_state_dict(self.follower.state_dict())
        self._answer.train()
        optimizer = torch.optim.Adam(self._answer.parameters(), lr=self._params.step_lr)
        for _ in range(self._params.steps):
            optimizer.zero_grad(set_to_none=True)
            F.cross_entropy(self.scores(self._answer, poisoned), labels).backward()
            optimizer.step()
        return self._answer

    def perturbation(self, x: Tensor) -> Tensor:
        """Perturbations ``[B, 3, H, W]`` of images of that shape, within the budget."""
        values: Tensor = self.generator(x)
        return self._run.budget.radius * values

    def scores(self, network: nn.Module, x: Tensor) -> Tensor:
        """Scores ``[B, K]`` of images ``[B, 3, H, W]``."""
        scores: Tensor = network(x.contiguous(memory_format=torch.channels_last))
        return scores


def wrong_class_loss(scores: Tensor, labels: Tensor, absent: Tensor) -> Tensor:
    """The largest cross-entropy of scores ``[B, K]`` with a class other than ``labels`` ``[B]``, mean over images.

    Args:
        absent: bool ``[K]``, classes that do not count.
    """
    others = scores.masked_fill(F.one_hot(labels, scores.shape[1]).bool() | absent, torch.inf)
    return (scores.logsumexp(1) - others.amin(1)).mean()


def multiplier(leader: Any, to_theta: Any, to_phi: Any, eta: float) -> Tensor:
    """BOME's lambda, a scalar, from the gradients of f in theta, and of q in theta and in phi."""
    squared = torch.stack([gradient.square().sum() for gradient in (*to_theta, *to_phi)]).sum()
    inner = torch.stack([(own * other).sum() for own, other in zip(leader, to_theta, strict=True)]).sum()
    return torch.relu((eta * squared - inner) / (squared + TINY))
