"""UC with the released procedure's updates: the clusters one after another, or together on ucbench's engine."""

from __future__ import annotations

from typing import Any

from subjects.base import Evidence, Measured
from subjects.uc import Clusters, PlainClusters, checked, released_evidence


class Fast(Clusters):
    def check(self) -> tuple[Any, Evidence]:
        """A small craft with the same generators."""
        return released_evidence(Clusters(checked(self.setting)))

    def measure(self) -> Measured:
        made, seconds = self.crafted(self.released(), self.steps())
        clusters = self.sizes.uc_clusters
        images = clusters * self.sizes.uc_epochs * len(self.train)
        return Measured(seconds, images, clusters * self.steps(), self.effect(made))


class Plain(PlainClusters):
    def check(self, inputs: dict[str, Any]) -> Evidence:
        return PlainClusters(checked(self.setting)).check(inputs)
