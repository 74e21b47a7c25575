"""Defenses draw for every image: choices that a batch shares are found, and rare or balanced ones are not mistaken."""

from __future__ import annotations

import pytest
import torch
from kornia.augmentation.auto import TrivialAugment

from ucbench import ContractError, seeded
from ucbench.testing import check_defense


class SharedChoice:
    """Defenses that make one random choice for a whole batch, and others by image."""

    class OperationOfThree:
        """The operation by batch, its strength by image: the policies of kornia do so."""

        def augment(self, x, run, generator):
            strength = torch.rand((len(x), 1, 1, 1), generator=generator)
            operation = int(torch.randint(3, (), generator=generator))
            return (x * (1 - strength), x + strength * (1 - x), x + strength * (x.flip(3) - x))[operation]

    class Gate:
        """Whether there is noise, by batch; the noise by image."""

        def augment(self, x, run, generator):
            noise = 0.05 * torch.randn(x.shape, generator=generator)
            return (x + noise).clamp(0, 1) if torch.rand((), generator=generator) < 0.5 else x

    class Strength:
        """How strong the noise is, by batch; the noise by image."""

        def augment(self, x, run, generator):
            strength = 0.2 * torch.rand((), generator=generator)
            return (x + strength * torch.randn(x.shape, generator=generator)).clamp(0, 1)

    class Everything:
        def augment(self, x, run, generator):
            return x * torch.rand((), generator=generator)

    class KorniaPolicy:
        """kornia's TrivialAugment, called once for the batch."""

        def augment(self, x, run, generator):
            with seeded(int(torch.randint(2**62, (), generator=generator))):
                return TrivialAugment()(x).clamp(0, 1)


class OwnChoice:
    """Defenses that keep the rule, though their outputs are not all different."""

    class Operation:
        def augment(self, x, run, generator):
            return torch.cat([SharedChoice.OperationOfThree().augment(one, run, generator) for one in x.split(1)])

    class RareFlip:
        def augment(self, x, run, generator):
            chosen = torch.rand(len(x), generator=generator) < 0.02
            return torch.where(chosen[:, None, None, None], x.flip(3), x)

    class ExactlyHalf:
        def augment(self, x, run, generator):
            chosen = torch.randperm(len(x), generator=generator) < len(x) // 2
            return torch.where(chosen[:, None, None, None], x.flip(3), x)


def choices(of: type) -> list[object]:
    return [pytest.param(made, id=made.__name__) for made in vars(of).values() if isinstance(made, type)]


@pytest.mark.parametrize("made", choices(SharedChoice))
def test_per_image_choice_shared_by_a_batch_is_found(made):
    with pytest.raises(ContractError, match=r"draw for every image, not once for a batch\..* standard deviations"):
        check_defense(made())


@pytest.mark.parametrize("made", choices(OwnChoice))
def test_per_image_choice_of_every_image_passes(made):
    check_defense(made())
