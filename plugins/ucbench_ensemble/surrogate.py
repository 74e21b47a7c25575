"""A surrogate made of several."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from ucbench import FittedSurrogate, ImageSet, Surrogate, UsageError
from ucbench_ensemble.params import EnsembleParams, resolve_members

if TYPE_CHECKING:
    from ucbench import Run


class _SideBySide(nn.Module):
    """The members' networks, images ``[B, 3, H, W]`` in [0, 1] to features ``[B, D]``."""

    def __init__(self, members: Sequence[Surrogate]) -> None:
        super().__init__()
        self.networks = nn.ModuleList(member.module(0) for member in members)
        self._members = members

    def forward(self, x: Tensor) -> Tensor:
        # Every member has the same weight, for any number and length of its features: the cosine of two
        # images is the mean of their cosines in the members.
        parts = [F.normalize(member.features(x), dim=1) for member in self._members]
        features: Tensor = torch.cat(parts, dim=1) / len(parts) ** 0.5
        return features


class Ensemble:
    """The features of several surrogates side by side, each scaled to the same length; of this suite.

    A perturbation against all of them depends less on the quirks of one network. Members are fitted where they have to
    be; none may have seen labels. There are no class scores: members' classes differ.
    """

    fit: Callable[[ImageSet, Run], Mapping[str, NDArray[Any]]]
    restore: Callable[[Mapping[str, NDArray[Any]], ImageSet, Run], None]

    def __init__(self, params: EnsembleParams) -> None:
        self._members: list[Surrogate] = [member.build() for member in resolve_members(params.members)]
        self._fitted = {
            place: member for place, member in enumerate(self._members) if isinstance(member, FittedSurrogate)
        }
        # The core fits a surrogate if it has these methods.
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
            prefix = f"{place}."
            arrays = {name.removeprefix(prefix): array for name, array in state.items() if name.startswith(prefix)}
            member.restore(arrays, train, run)

    @property
    def note(self) -> str:
        """The members' notes on their weights, joined."""
        return "; ".join(dict.fromkeys(note for member in self._members if (note := getattr(member, "note", ""))))

    def to(self, device: torch.device, dtype: torch.dtype) -> None:
        """Move every member to ``device`` and ``dtype``."""
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
        features: Tensor = self.module()(x)
        return features

    def logits(self, x: Tensor) -> NoReturn:
        """Raises UsageError: an ensemble has no classes."""
        raise UsageError(
            "The surrogate ensemble has no class scores. Name a surrogate with a classifier for predicted labels or"
            " scores."
        )
