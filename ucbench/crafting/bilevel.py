"""What bi-level poisoners share: a network and the perturbations of all images, optimised alternately.

The device holds the perturbations of ``N`` images as float32 beside the images as uint8. Every random decision is a
function of the number of a step or round, so a craft that is interrupted between rounds resumes with equal results.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from ucbench.crafting.pgd import pgd, project
from ucbench.data.imageset import ImageSet
from ucbench.store.keys import derive_seed
from ucbench.training.batches import split_evenly
from ucbench.training.determinism import seeded
from ucbench.training.optim import Stepper

if TYPE_CHECKING:
    from ucbench.crafting.poisoner import CraftRun


class BiLevel:
    """The state of a bi-level craft, and its steps.

    Args:
        train: the images to perturb; labels are required.
        run: gives surrogate, budget, engine, seeds and checkpoint.
        wrap: makes the network out of the surrogate's, such as one with another head.
        options: of the network's SGD, see :class:`ucbench.Stepper`.

    Attributes:
        network: the surrogate's fresh network for the classes and size of ``train``, or what ``wrap`` made of it.
        delta: float32 ``[N, 3, H, W]`` on the device, zero at first.
        labels: int64 ``[N]`` on the device.
        radius: of the linf ball, on the [0, 1] scale.
        history: numbers by name, one mapping per round, appended by the poisoner; saved in checkpoints.

    Raises:
        UsageError: if the run has no surrogate.
    """

    def __init__(
        self,
        train: ImageSet,
        run: CraftRun,
        *,
        wrap: Callable[[nn.Module], nn.Module] = lambda network: network,
        **options: Any,
    ) -> None:
        self._run = run
        self.radius = run.budget.radius
        self.network = wrap(run.surrogate.module(run.seed("network"), train))
        self._trained = [weight for weight in self.network.parameters() if weight.requires_grad]
        self.stepper: Stepper = run.engine.stepper(self.network, **options)
        self._pixels = torch.from_numpy(train.images.copy()).to(run.device)
        self.labels = torch.from_numpy(train.known_labels.copy()).to(run.device)
        self.delta = torch.zeros(train.images.shape, device=run.device)
        self.history: list[dict[str, float]] = []

    def __len__(self) -> int:
        return len(self.labels)

    def clean(self, indices: Tensor) -> Tensor:
        """The images ``[B, 3, H, W]`` in [0, 1] at ``indices`` ``[B]``."""
        return self._pixels[indices].float().div_(255.0)

    def poisoned(self, indices: Tensor) -> Tensor:
        """The perturbed images ``[B, 3, H, W]`` at ``indices`` ``[B]``, clipped to [0, 1]."""
        return (self.clean(indices) + self.delta[indices]).clamp_(0.0, 1.0)

    def batches(self, batch: int, stream: str | None = None) -> Iterator[Tensor]:
        """Indices of all images once, in stored order or shuffled by ``stream``; sizes differ by one at most."""
        count = len(self)
        order = (
            torch.arange(count)
            if stream is None
            else torch.randperm(count, generator=torch.Generator().manual_seed(self._run.seed(stream)))
        )
        yield from order.to(self.delta.device).tensor_split(-(-count // batch))

    def learn(
        self,
        first: int,
        steps: int,
        batch: int,
        lr: Callable[[int], float] | float | None = None,
        before: Callable[[int, Tensor], None] | None = None,
        view: Callable[[int, Tensor, Tensor], Tensor] | None = None,
        step: Callable[[int, Tensor, Tensor, float | None], Tensor] | None = None,
    ) -> Tensor:
        """Train the network on the poisoned images for the steps ``first`` to ``first + steps - 1``.

        Args:
            first: number of the first step. Step s takes the s-th batch of the shuffled passes over the data.
            steps: number of steps.
            batch: images per step, at most.
            lr: learning rate, or a function of the step's number.
            before: called ahead of every step with its number and the indices of its batch; may change their
                perturbations. It must :meth:`thaw` the network if it froze it.
            view: makes the images to learn from out of a step's number, its poisoned images and their labels; augments
                or attacks them. It must thaw the network, too.
            step: takes a step in place of :meth:`ucbench.Stepper.step`, and returns its detached loss: from the step's
                number, images, labels and learning rate (None for the present one).

        Returns:
            The mean loss, a scalar on the device.
        """
        count, per_pass = len(self), self.steps_per_pass(batch)
        total = torch.zeros((), device=self.delta.device)
        shuffled: tuple[int, tuple[Tensor, ...]] | None = None
        with seeded(derive_seed("bilevel", self._run.seed("layers"), first)):
            for number in range(first, first + steps):
                epoch, place = divmod(number, per_pass)
                if shuffled is None or shuffled[0] != epoch:
                    generator = torch.Generator().manual_seed(self._run.seed(f"pass-{epoch}"))
                    order = torch.randperm(count, generator=generator).to(self.delta.device)
                    shuffled = epoch, order.tensor_split(per_pass)
                indices = shuffled[1][place]
                if before is not None:
                    before(number, indices)
                rate = lr(number) if callable(lr) else lr
                x, labels = self.poisoned(indices), self.labels[indices]
                if view is not None:
                    x = view(number, x, labels)
                total += self.stepper.step(x, labels, rate) if step is None else step(number, x, labels, rate)
        return total / max(1, steps)

    def steps_per_pass(self, batch: int) -> int:
        """The number of :meth:`learn` steps that see every image once."""
        return split_evenly(len(self), batch)

    def frozen(self) -> nn.Module:
        """The network in eval mode without weight gradients, to optimise perturbations; :meth:`thaw` undoes it."""
        return self.network.eval().requires_grad_(False)

    def thaw(self) -> None:
        """Set the network to train mode, with gradients of the weights that had them at first."""
        self.network.train()
        for weight in self._trained:
            weight.requires_grad_(True)

    def scores(self, x: Tensor, network: nn.Module | None = None) -> Tensor:
        """The network's scores ``[B, K]`` of images ``[B, 3, H, W]``, in float32 at least, differentiable in ``x``.

        Args:
            x: in [0, 1].
            network: another one, such as an earlier state of it.
        """
        return self._output(self.network if network is None else network, x)

    def features(self, x: Tensor, network: nn.Module | None = None) -> Tensor:
        """The network's penultimate features ``[B, D]``, of images and networks as in :meth:`scores`."""
        encoder: Any = self.network if network is None else network
        return self._output(encoder.features, x)

    @torch.no_grad()
    def class_means(self, batch: int, network: nn.Module | None = None) -> Tensor:
        """Mean :meth:`features` ``[K, D]`` of the clean images of every class that occurs, in the order of labels."""
        member = F.one_hot(self.labels.unique(return_inverse=True)[1]).float()
        total: Tensor | float = 0.0
        for indices in self.batches(batch):
            total = total + member[indices].T @ self.features(self.clean(indices), network)
        return total / member.sum(0)[:, None]

    def _output(self, layers: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        with self._run.engine.autocast():
            output = layers(x.contiguous(memory_format=torch.channels_last))
        return output.to(torch.promote_types(output.dtype, torch.float32))

    def cross_entropy(self, x: Tensor, labels: Tensor) -> Tensor:
        """The cross-entropy of images ``[B, 3, H, W]`` under ``labels`` ``[B]``.

        A sum, so that an image's gradient does not depend on how many others are in its batch.
        """
        return F.cross_entropy(self.scores(x), labels, reduction="sum")

    def attacked(
        self, x: Tensor, labels: Tensor, *, radius: float, step: float, steps: int, generator: torch.Generator
    ) -> Tensor:
        """Images within ``radius`` of ``x`` (linf), and in [0, 1], that raise the frozen network's cross-entropy: PGD.

        Args:
            x: images ``[B, 3, H, W]`` in [0, 1].
            labels: int64 ``[B]``.
            radius: of the ball, on the [0, 1] scale.
            step: length of a signed step, on the [0, 1] scale.
            steps: their number; 0 leaves the uniform start.
            generator: on the CPU, draws the start.
        """
        start = radius * (2 * torch.rand(x.shape, generator=generator).to(x.device) - 1)
        return x + pgd(x, start, lambda p: -self.cross_entropy(p, labels), steps=steps, step=step, radius=radius)

    @torch.no_grad()
    def measured(self, batch: int) -> dict[str, float]:
        """Mean ``loss`` and ``error`` (share in [0, 1]) of the network in eval mode on all perturbed images."""
        self.frozen()
        loss, wrong = torch.zeros((2,), device=self.delta.device)
        for indices in self.batches(batch):
            scores, labels = self.scores(self.poisoned(indices)).float(), self.labels[indices]
            loss += F.cross_entropy(scores, labels, reduction="sum")
            wrong += (scores.argmax(1) != labels).sum()
        self.thaw()
        return {"loss": float(loss) / len(self), "error": float(wrong) / len(self)}

    def put(self, indices: Tensor, delta: Tensor) -> None:
        """Set the perturbations of ``indices``, clipped to the ball and so that the images stay in [0, 1]."""
        self.delta[indices] = project(delta.detach(), self.clean(indices), self.radius)

    def save(self, rounds: int, extra: Mapping[str, NDArray[Any]] | None = None) -> None:
        """Save the state after ``rounds`` rounds; the core decides how often it is written."""
        names = sorted({name for row in self.history for name in row})
        table = np.array([[row.get(name, np.nan) for name in names] for row in self.history], np.float64)
        self._run.checkpoint.save(
            rounds,
            {
                "delta": self.delta.cpu().numpy(),
                "history": table.reshape(len(self.history), len(names)),
                "history_names": np.array(names, dtype=np.str_),
                **self.stepper.state(),
                **{f"extra.{name}": array for name, array in (extra or {}).items()},
            },
        )

    def resume(self) -> tuple[int, dict[str, NDArray[Any]]]:
        """Load the checkpoint; returns the number of finished rounds (0 without one) and the extra arrays."""
        saved = self._run.checkpoint.load()
        if saved is None:
            return 0, {}
        rounds, arrays = saved
        self.delta.copy_(torch.from_numpy(arrays["delta"]))
        names = [str(name) for name in arrays["history_names"]]
        self.history = [
            {name: float(value) for name, value in zip(names, row, strict=True) if not np.isnan(value)}
            for row in arrays["history"]
        ]
        self.stepper.restore(arrays)
        prefix = "extra."
        return rounds, {name.removeprefix(prefix): a for name, a in arrays.items() if name.startswith(prefix)}
