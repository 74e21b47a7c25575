"""Adversarial training: PGD (Madry et al., 2018), one random-start step (Wong et al., 2020), TRADES (Zhang et al.)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ucbench_adversarial.pgd import attack, cross_entropies, scores_of, under_attack

if TYPE_CHECKING:
    from ucbench import DefenseRun
    from ucbench_adversarial.params import AdversarialTrainingParams


class AdversarialTraining:
    """Train on worst cases within a ball around the images, against perturbations inside that ball.

    ``objective=cross-entropy`` is the saddle point of Madry et al. (ICLR 2018, equation 2.1), its inner maximum sought
    by PGD from a uniform start; the model never meets the published images themselves::

        min over theta of  E  max over |delta| <= epsilon of  CE(f_theta(x + delta), y)

    ``objective=trades`` is Zhang et al.'s (ICML 2019, Algorithm 1; beta is their 1/lambda), with p = softmax(f_theta)::

        min over theta of  E [ CE(f_theta(x), y) + beta max over |delta| <= epsilon of  KL(p(x) || p(x + delta)) ]

    where gradients flow through both predictions, and the attack holds p(x) fixed. Targets are probabilities, so mixed
    ones can be attacked and learnt; they come with the recipe's label smoothing. Architecture and schedule are the
    victim's: presets set only the attack of a protocol.

    In a chain, images are augmented (and mixed) first and then attacked, whatever the order written, as in the
    evaluations above: the attack sees one augmented image, and the ball lies around it. With ``through`` the attack is
    on the image before its augmentation t (but after the recipe's crop and flip), with t drawn anew in every pass:
    stochastic ascent on an expectation, as in Athalye et al. (Synthesizing Robust Adversarial Examples, ICML 2018,
    arXiv 1707.07397), with one draw a step::

        min over theta of  E  max over |delta| <= epsilon of  E over t  CE(f_theta(t(x + delta)), y)

    Augmentations must then pass gradients, as most of kornia's do, and ``mix`` acts before them. TRADES augments the
    clean and the adversarial images independently.

    Batch norm while attacking, by protocol: eval mode in TRADES' released code and in the evaluations of EMinN, REM,
    APBench and MI-UE; train mode, where every step of the attack also moves the running statistics, in the released
    code of Wong et al. and in Rice et al. (ICML 2020). ``attack_mode`` chooses. The loss itself is always taken in
    train mode.

    Presets set the attack of a protocol: ``fast`` is FGSM from a uniform start with alpha = 1.25 epsilon, then
    projection (Wong et al., Algorithm 3), which sometimes overfits to its one step; ``trades`` has beta 6 and 10 steps
    of 0.226 epsilon (0.007 of 0.031) from a Gaussian start of deviation 0.001.
    """

    def __init__(self, params: AdversarialTrainingParams) -> None:
        self.params = params
        self.through = params.through

    def loss(self, model: nn.Module, x: Tensor, targets: Tensor, run: DefenseRun, generator: torch.Generator) -> Tensor:
        """The batch's mean loss, a float32 scalar with gradients in the weights.

        Args:
            model: takes images in [0, 1] to scores ``[B, K]``; in train mode.
            x: images float32 ``[B, 3, H, W]`` in [0, 1].
            targets: probabilities ``[B, K]``.
            run: not used.
            generator: draws the attack's starts.
        """
        if self.params.objective == "trades":
            return self._trades(model, x, targets, generator)
        return cross_entropies(scores_of(model, self._attacked(model, x, targets, generator)), targets).mean()

    def _trades(self, model: nn.Module, x: Tensor, targets: Tensor, generator: torch.Generator) -> Tensor:
        with under_attack(model, self.params.attack_mode):
            predicted = scores_of(model, x).softmax(1)
        perturbed = self._attacked(model, x, predicted, generator)
        clean, robust = scores_of(model, x), scores_of(model, perturbed)
        divergence = F.kl_div(robust.log_softmax(1), clean.log_softmax(1), reduction="batchmean", log_target=True)
        return cross_entropies(clean, targets).mean() + self.params.beta * divergence

    def _attacked(self, model: nn.Module, x: Tensor, targets: Tensor, generator: torch.Generator) -> Tensor:
        params = self.params
        return attack(
            model,
            x,
            targets,
            epsilon=params.epsilon,
            step=params.step,
            steps=params.steps,
            norm=params.norm,
            generator=generator,
            start=params.start,
            mode=params.attack_mode,
        )
