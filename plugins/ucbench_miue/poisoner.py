"""MI-UE (ICLR 2026; code: hala64/mi-ue)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ucbench import (
    BiLevel,
    ImageSet,
    Perturbation,
    UsageError,
    check_finite,
    cosine,
    cosine_gap,
    mean_variance,
    pgd,
    random_basis,
    within_class_log_det,
)
from ucbench_miue.objective import (
    balanced_batches,
    mutual_information_loss,
)

if TYPE_CHECKING:
    from ucbench import CraftRun
    from ucbench_miue.params import MIUEParams

#: Images on which the diagnostics of a finished craft are measured.
DIAGNOSED = 1500
#: Above so many classes ``balanced=auto`` stratifies: a batch of 512 then has less than 13 images of the average class.
MANY_CLASSES = 40
#: Images whose features are taken at once where nothing is compared.
_BLOCK = 250


class MirroredBiLevel(BiLevel):
    """A bi-level state whose images, but not their perturbations, can be mirrored.

    Attributes:
        mirrored: bool ``[N, 1, 1, 1]`` on the device: which images are; None if none is. Everything else, the cut
            that keeps images in [0, 1] included, then takes the mirrored image for the image.
    """

    mirrored: Tensor | None = None

    def clean(self, indices: Tensor) -> Tensor:
        """The images ``[B, 3, H, W]`` in [0, 1] at ``indices`` ``[B]``, mirrored where :attr:`mirrored` says so."""
        x = super().clean(indices)
        return x if self.mirrored is None else torch.where(self.mirrored[indices], x.flip(-1), x)

    def mirror(self, generator: torch.Generator) -> None:
        """Mirror each image with probability 1/2."""
        self.mirrored = (torch.rand(len(self), 1, 1, 1, generator=generator) < 0.5).to(self.delta.device)

    def straighten(self) -> None:
        """Mirror none, and cut the perturbations to what keeps the images as they are in [0, 1]."""
        self.mirrored = None
        for indices in self.batches(_BLOCK):
            self.put(indices, self.delta[indices])


class MIUE:
    """Train a network on the perturbed images and gather, in its features, the perturbed images of each class, in turn.

    A round is an epoch of cross-entropy on ``clip(x + delta)`` and a pass over all images in batches of
    ``poison_batch``, with the network in evaluation mode and its weights fixed: ``steps`` times
    ``delta <- project(delta - alpha sign(grad L_MI))``, where L_MI
    (:func:`ucbench_miue.objective.mutual_information_loss`) compares the penultimate features of the batch. In round r
    of R, from 0, ``alpha = epsilon (alpha_last + (1 - r/R) (alpha_first - alpha_last))``, and the learning rate is
    constant at ``final_lr + (lr - final_lr) (1 + cos(pi r/R)) / 2``.

    With ``flip`` the image is mirrored with probability 1/2, drawn again for every pass, and the perturbation is added
    as it is: the network sees ``mirror(x) + delta``, so delta fits both orientations of its image and its gradient
    needs no mirroring back. It is not what a victim does, who mirrors the sum. All steps on a batch see one
    orientation, and delta is cut to what keeps the image *so oriented* in [0, 1], before the first step too, where the
    released code begins uncut.

    The code's crop of scale 1 and jitter of strength 0 change nothing and are left out. Deviations: see the spec.
    """

    def __init__(self, params: MIUEParams) -> None:
        self.params = params

    def craft(self, train: ImageSet, run: CraftRun) -> Perturbation:
        """Perturbations ``[N, 3, H, W]``, one per image, within ``run.budget``; reads the labels.

        Notes ``loss`` (L_MI at the first step of the first round and the last of the last, means over batches),
        ``cross_entropy`` (of the first and last epoch), ``cosine_gap`` and ``within_class_log_det`` (of the trained
        network's features of clean images, ``before``, and of perturbed ones, ``after``), and ``saturated`` (the share
        of values at 99 % of epsilon or more).

        Raises:
            DataError: without labels.
            UsageError: for fewer than two images, or for a single class where only its similarity to others counts
                (``zeta=0``).
            DivergedError: at the end of an epoch whose mean loss is not finite.
        """
        params = self.params
        present = len(set(train.known_labels.tolist()))
        if len(train) < 2:
            raise UsageError("mi-ue compares images with each other: it needs at least two.")
        if present < 2 and not params.zeta:
            raise UsageError("mi-ue with zeta=0 compares classes with each other: it needs images of at least two.")
        state = MirroredBiLevel(train, run, lr=params.lr, momentum=params.momentum, weight_decay=params.weight_decay)
        flip = params.flip and train.flip
        balanced = params.balanced == "always" or (params.balanced == "auto" and present > MANY_CLASSES)
        done, _ = state.resume()
        advance = run.progress("crafting", params.rounds)
        advance(done)
        for number in range(done, params.rounds):
            if flip:
                state.mirror(run.generator(f"mirrored-learning-{number}"))
            cross_entropy = self._learn(state, number)
            if flip:
                state.mirror(run.generator(f"mirrored-perturbing-{number}"))
            losses = self._perturb(state, self._batches(state, number, balanced, run), number, run)
            state.history.append({"cross_entropy": cross_entropy, "first": losses[0], "last": losses[1]})
            state.save(number + 1)
            advance(1)
        state.straighten()
        first, last = state.history[0], state.history[-1]
        run.note("loss", {"first": first["first"], "last": last["last"]})
        run.note("cross_entropy", {"first": first["cross_entropy"], "last": last["cross_entropy"]})
        run.note("saturated", float((state.delta.abs() >= 0.99 * state.radius).float().mean()))
        self._diagnose(state, run)
        return Perturbation(state.delta.cpu().numpy())

    def _learn(self, state: BiLevel, number: int) -> float:
        """One epoch; returns its mean loss."""
        params = self.params
        per_pass = state.steps_per_pass(params.batch)
        rate = cosine(params.lr, params.final_lr, number, params.rounds)
        loss = float(state.learn(number * per_pass, per_pass, params.batch, rate))
        check_finite(loss, f"mi-ue: training diverged in round {number + 1}")
        return loss

    def _batches(self, state: BiLevel, number: int, balanced: bool, run: CraftRun) -> Iterator[Tensor]:
        """Indices of all images once, shuffled by the round's number."""
        stream = f"perturbing-{number}"
        if not balanced:
            return state.batches(self.params.poison_batch, stream)
        batches = balanced_batches(state.labels.cpu(), self.params.poison_batch, run.generator(stream))
        return (indices.to(state.delta.device) for indices in batches)

    def _perturb(self, state: BiLevel, batches: Iterator[Tensor], number: int, run: CraftRun) -> tuple[float, float]:
        """One pass over ``batches``; returns the mean loss at a batch's first and at its last step."""
        params = self.params
        alpha = params.alpha_last + (1 - number / params.rounds) * (params.alpha_first - params.alpha_last)
        network: Any = state.frozen()
        first, last = [], []
        for indices in batches:
            labels = state.labels[indices]
            losses: list[Tensor] = []

            def objective(perturbed: Tensor, labels: Tensor = labels, losses: list[Tensor] = losses) -> Tensor:
                with run.engine.autocast():
                    features = network.features(perturbed.contiguous(memory_format=torch.channels_last))
                loss = self.loss(features, labels)
                losses.append(loss.detach())
                return loss

            delta = pgd(
                state.clean(indices),
                state.delta[indices],
                objective,
                steps=params.steps,
                step=alpha * state.radius,
                radius=state.radius,
            )
            state.put(indices, delta)
            first.append(losses[0])
            last.append(losses[-1])
        state.thaw()
        return float(torch.stack(first).mean()), float(torch.stack(last).mean())

    def loss(self, features: Tensor, labels: Tensor) -> Tensor:
        """L_MI, a float32 scalar, of features ``[B, D]`` and labels int64 ``[B]`` under these parameters."""
        params = self.params
        return mutual_information_loss(
            features.float(),
            labels,
            zeta=params.zeta,
            temperature=params.temperature,
            denominator=params.denominator,
            distance_scale=params.distance_scale,
        )

    @torch.no_grad()
    def _diagnose(self, state: BiLevel, run: CraftRun) -> None:
        """Note whether perturbation narrows the classes in the trained network's features."""
        rows = torch.randperm(len(state), generator=run.generator("diagnosed"))[:DIAGNOSED].to(state.delta.device)
        network: Any = state.frozen()

        def features_of(images: Callable[[Tensor], Tensor]) -> Tensor:
            features = []
            with run.engine.autocast():
                for indices in rows.split(_BLOCK):
                    features.append(network.features(images(indices).contiguous(memory_format=torch.channels_last)))
            return torch.cat(features).cpu().double()

        sides = {"before": features_of(state.clean), "after": features_of(state.poisoned)}
        state.thaw()
        labels = state.labels[rows].cpu()
        run.note("cosine_gap", {side: cosine_gap(features, labels) for side, features in sides.items()})
        basis = random_basis(sides["before"].shape[1], run.generator("projection"))
        if basis is not None:
            sides = {side: features @ basis for side, features in sides.items()}
        scale = mean_variance(sides["before"])
        run.note(
            "within_class_log_det",
            {side: within_class_log_det(features, labels, scale) for side, features in sides.items()},
        )
