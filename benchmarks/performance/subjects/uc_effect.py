"""UC with the fewest ucbench steps that have the effect of the released procedure: images moved to their target."""

from __future__ import annotations

from typing import Any

from subjects import uc_steps
from subjects.base import Measured, Setting
from ucbench.plugins.registry import installed

Plain = uc_steps.Plain

#: Steps of every generator that are tried, in this order.
TRIED = (1, 2, 5, 10, 20, 50, 100, 200, 400)
#: A procedure that moves a smaller share of the images has no effect that could be reached. Its loss is no measure: on
#: some images it is as low without any perturbation.
LEAST = 0.5


class Fast(uc_steps.Fast):
    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self._steps: int | None = None
        self._wanted = float("nan")

    def _reference(self, steps: int) -> str:
        return f"uc:clusters={self.sizes.uc_clusters},steps={steps},{self.sizes.uc_craft}"

    def aim(self, notes: dict[str, Any]) -> None:
        """Find the fewest steps that move as many images as the plain side, or use the largest number."""
        self._wanted = notes["share"]
        for steps in TRIED if self._wanted >= LEAST else TRIED[:1]:
            self._steps = steps
            made, _ = self.crafted(self._reference(steps), steps)
            if self.effect(made)["share"] >= self._wanted:
                return

    def measure(self) -> Measured:
        assert self._steps is not None, "aim() comes first"
        steps, clusters = self._steps, self.sizes.uc_clusters
        made, seconds = self.crafted(self._reference(steps), steps)
        effect = self.effect(made)
        reached = effect["share"] >= self._wanted >= LEAST
        notes = {**effect, "wanted": self._wanted, "reached": reached, "craft": self._reference(steps)}
        batch = installed().resolve("poisoner", self._reference(steps)).params.batch
        return Measured(seconds, clusters * steps * batch, clusters * steps, notes)
