"""A surrogate that looks through several."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from ucbench import ImageSet, UsageError
from ucbench.components import FittedSurrogate, Surrogate
from ucbench_ensemble.params import EnsembleParams, resolved

if TYPE_CHECKING:
    from ucbench.components import Run


class _SideBySide(nn.Module):
    """The members' networks, images ``[B, 3, H, W]`` in [0, 1] to features ``[B, D]``."""

    def __init__(self, members: Sequence[Surrogate]) -> None:
        super().__init__()
        self.networks = nn.ModuleList(member.module(0) for member in members)
        self._members = members

    def forward(self, x: Tensor) -> Tensor:
        # Each member counts the same, however many features it has and however long they are: the cosine of two
        # images is the mean of their cosines in the members.
        parts = [F.normalize(member.features(x), dim=1) for member in self._members]
        return torch.cat(parts, dim=1) / len(parts) ** 0.5


class Ensemble:
    """The features of several surrogates side by side, each scaled to the same length; this suite's own.

    A perturbation that has to move all of them together depends less on what one network happens to see. Members are
    fitted where they have to be; none may have seen labels. There are no class scores: members' classes differ.
    """

    fit: Callable[[ImageSet, Run], Mapping[str, NDArray[Any]]]
    restore: Callable[[Mapping[str, NDArray[Any]], ImageSet, Run], None]

    def __init__(self, params: EnsembleParams) -> None:
        self._members: list[Surrogate] = [member.build() for member in resolved(params.members)]
        self._fitted = {
            place: member for place, member in enumerate(self._members) if isinstance(member, FittedSurrogate)
        }
        # The core asks whether a surrogate has to be fitted by whether it has these.
        if self._fitted:
            self.fit, self.restore = self._fit, self._restore

    def _fit(self, train: ImageSet, run: Run) -> Mapping[str, NDArray[Any]]:
        return {
            f"{place}.{name}": array
            for place, member in self._fitted.items()
            for name, array in member.fit(train, run).items()
        }

    def _restore(self, state: Mapping[str, NDArray[Any]], train: ImageSet, run: Run) -> None:
        for place, member in self._fitted.items():
            mark = f"{place}."
            own = {name.removeprefix(mark): array for name, array in state.items() if name.startswith(mark)}
            member.restore(own, train, run)

    def to(self, device: torch.device, dtype: torch.dtype) -> None:
        """Bring every member there."""
        for member in self._members:
            member.to(device, dtype)

    def module(self, seed: int = 0, train: ImageSet | None = None) -> nn.Module:
        """The members' frozen networks as one, images ``[B, 3, H, W]`` in [0, 1] to *features*.

        Raises:
            UsageError: before it was fitted or restored, where a member has to be.
        """
        return _SideBySide(self._members)

    def features(self, x: Tensor) -> Tensor:
        """Features ``[B, D]`` float32 of images ``[B, 3, H, W]`` in [0, 1], of length 1."""
        found: Tensor = self.module()(x)
        return found

    def logits(self, x: Tensor) -> NoReturn:
        """Raises UsageError: an ensemble has no classes."""
        raise UsageError(
            "The surrogate ensemble has no class scores. Name one with a classifier where predicted labels or scores"
            " are wanted."
        )
