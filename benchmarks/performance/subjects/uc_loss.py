"""UC with the fewest ucbench steps that reach the final loss of the released procedure."""

from __future__ import annotations

from typing import Any

from subjects import uc_steps
from subjects.base import Measured, Setting
from ucbench.plugins.registry import installed

Plain = uc_steps.Plain

#: Steps of every generator that are tried, in this order.
TRIED = (1, 2, 5, 10, 20, 50, 100, 200, 400)


class Fast(uc_steps.Fast):
    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self._steps: int | None = None
        self._wanted = float("nan")

    def _reference(self, steps: int) -> str:
        return f"uc:clusters={self.sizes.uc_clusters},steps={steps},{self.sizes.uc_craft}"

    def aim(self, notes: dict[str, Any]) -> None:
        """Find the fewest steps that reach the loss of the plain side, or use the largest number."""
        self._wanted = notes["loss"]
        for self._steps in TRIED:
            made, _ = self.crafted(self._reference(self._steps), self._steps)
            if self.loss(made) <= self._wanted:
                return

    def measure(self) -> Measured:
        assert self._steps is not None, "aim() comes first"
        steps, clusters = self._steps, self.sizes.uc_clusters
        made, seconds = self.crafted(self._reference(steps), steps)
        loss = self.loss(made)
        notes = {"loss": loss, "wanted": self._wanted, "reached": loss <= self._wanted, "craft": self._reference(steps)}
        batch = installed().resolve("poisoner", self._reference(steps)).params.batch
        return Measured(seconds, clusters * steps * batch, clusters * steps, notes)
