"""UC with the fewest ucbench steps that have the effect of the released procedure: images moved to their target."""

from __future__ import annotations

from typing import Any

from subjects import uc_steps
from subjects.base import Measured, Setting
from ucbench.plugins.registry import installed

Plain = uc_steps.Plain

#: Steps of every generator that are tried, in this order.
TRIED = (1, 2, 5, 10, 20, 50, 100, 150, 200, 300, 400)
#: The share of held-out images to move. If the released procedure moves fewer in its time, it needs longer than that
#: for this effect, and the ratio is a lower bound. Its loss is no measure: on some images it is as low without a
#: perturbation.
LEAST = 0.5


class Fast(uc_steps.Fast):
    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self._steps: int | None = None
        self._theirs = float("nan")

    def _reference(self, steps: int) -> str:
        return f"uc:clusters={self.sizes.uc_clusters},steps={steps},{self.sizes.uc_craft}"

    def aim(self, notes: dict[str, Any]) -> None:
        """Find the fewest steps that move as many images as the plain side, and at least half, or use the most."""
        self._theirs = notes["share"]
        for steps in filter(self.sizes.uc_most.__ge__, TRIED):
            self._steps = steps
            made, _ = self.crafted(self._reference(steps), steps)
            if self._enough(self.effect(made)):
                return

    def _enough(self, effect: dict[str, float]) -> bool:
        return effect["share"] >= max(self._theirs, LEAST)

    def measure(self) -> Measured:
        assert self._steps is not None, "aim() comes first"
        steps, clusters = self._steps, self.sizes.uc_clusters
        made, seconds = self.crafted(self._reference(steps), steps)
        effect = self.effect(made)
        reached = self._enough(effect)
        notes = {
            **effect,
            "theirs": self._theirs,
            "reached": reached,
            "at_least": reached and self._theirs < LEAST,
            "craft": self._reference(steps),
        }
        batch = installed().resolve("poisoner", self._reference(steps)).params.batch
        return Measured(seconds, clusters * steps * batch, clusters * steps, notes)
