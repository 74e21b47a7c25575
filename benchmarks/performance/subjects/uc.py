"""Shared by both comparisons of Unlearnable Clusters: data, surrogate, the released procedure and its effect."""

from __future__ import annotations

from dataclasses import replace
from functools import cache, cached_property
from typing import Any

import numpy as np
import torch
from plain import images as plain_images
from plain import uc as plain_uc

from subjects.base import Evidence, Measured, Setting, Side, Stopwatch, array, crafting
from ucbench import Perturbation
from ucbench.crafting.clustering import clusters_of
from ucbench.data.imageset import ImageSet
from ucbench.plugins.registry import installed
from ucbench.training.determinism import seeded

#: Radius of the perturbations in 8-bit units: the paper's.
EPSILON = 16.0
RADIUS = EPSILON / 255
#: Photographs at most on which the effect is measured.
HELD_OUT = 500


@cache
def _surrogate(side: int, device: torch.device, dtype: torch.dtype) -> Any:
    surrogate = installed().resolve("surrogate", f"efficientnet-lite0:size={side}").build()
    surrogate.to(device, dtype)
    return surrogate


class Clusters(Side):
    """A side with the images of UC, the pretrained surrogate, and clusters in its features."""

    @cached_property
    def photographs(self) -> ImageSet:
        """Embedded photographs in a fixed order, without labels."""
        photos: ImageSet = installed().resolve("dataset", "photos").build().load("train").with_labels(None)
        if self.sizes.side != photos.size[0]:
            raise RuntimeError(f"UC is measured on photographs of {photos.size[0]} pixels; leave --side out")
        return photos.subset(np.random.default_rng(0).permutation(len(photos)))

    @cached_property
    def train(self) -> ImageSet:
        """The photographs that are clustered and that perturbations are fitted on."""
        return self.photographs.subset(np.arange(self.sizes.uc_images))

    @cached_property
    def held_out(self) -> ImageSet:
        """Photographs that neither clusters nor perturbations have seen."""
        return self.photographs.subset(np.arange(self.sizes.uc_images, len(self.photographs))[:HELD_OUT])

    @cached_property
    def surrogate(self) -> Any:
        """EfficientNet-Lite0, applied to the images without resizing."""
        return _surrogate(self.sizes.side, self.engine.device, self.engine.dtype)

    def released(self, **options: Any) -> str:
        """Reference of ucbench's released procedure, at these sizes, with the crops of the plain side."""
        sizes = self.sizes
        values = {
            "clusters": sizes.uc_clusters,
            "epochs": sizes.uc_epochs,
            "batch": sizes.uc_batch,
            "width": sizes.uc_width,
            "residual_blocks": sizes.uc_blocks,
            "together": "true",
            "crop": "zeros",
            **options,
        }
        return "uc@released:" + ",".join(f"{name}={value}" for name, value in values.items())

    def steps(self) -> int:
        """Steps of one generator in the released procedure."""
        return self.sizes.uc_epochs * -(-len(self.train) // self.sizes.uc_batch)

    def crafted(self, reference: str, steps: int) -> tuple[Perturbation, float]:
        """The crafted perturbation, and the seconds of its ``steps`` steps."""
        watch = Stopwatch(self, stop=steps)
        run = crafting(self, watch, self.surrogate, EPSILON)
        made = installed().resolve("poisoner", reference).build().craft(self.train, run)
        return made, watch.seconds

    @torch.no_grad()
    def effect(self, made: Perturbation) -> dict[str, float]:
        """What perturbations do to held-out photographs, each with that of its nearest cluster.

        Returns:
            ``loss``: the released one, mean KL; ``share`` of photographs whose features are closer to the target's
            centre than to any other.
        """
        centres = torch.from_numpy(np.array(made.state["centres"])).to(self.device)
        targets = torch.from_numpy(np.array(made.state["targets"])).to(self.device)
        delta = torch.from_numpy(made.delta).to(self.device)
        loss = reached = 0.0
        for rows in np.array_split(np.arange(len(self.held_out)), -(-len(self.held_out) // 250)):
            x = torch.from_numpy(self.held_out.images[rows]).to(self.device).float().div_(255)
            cluster = torch.cdist(self.surrogate.features(x).float(), centres).argmin(1)
            features = self.surrogate.features((x + delta[cluster]).clamp_(0, 1)).float()
            expected = centres.softmax(1)[targets[cluster]]
            loss += float(torch.nn.functional.kl_div(features.log_softmax(1), expected, reduction="sum"))
            reached += float((torch.cdist(features, centres).argmin(1) == targets[cluster]).sum())
        return {"loss": loss / len(self.held_out), "share": reached / len(self.held_out)}


class PlainClusters(Clusters):
    """The plain side: the released procedure on ucbench's clusters."""

    @cached_property
    def clusters(self) -> Any:
        return clusters_of(
            self.train, self.sizes.uc_clusters, crafting(self, Stopwatch(self, 1), self.surrogate), self.surrogate
        )

    @cached_property
    def network(self) -> plain_uc.Surrogate:
        """A separate surrogate, in the contiguous layout."""
        shell = installed().resolve("surrogate", f"efficientnet-lite0:size={self.sizes.side}").build().module()
        network = shell.network.to(memory_format=torch.contiguous_format)
        return plain_uc.Surrogate(network, shell.mean, shell.std).to(self.device)

    def loader(self, workers: int, *, augment: bool = True) -> Any:
        side, labels = self.sizes.side, np.zeros(len(self.train), np.int64)
        transform = plain_images.augmenting(side, round(side / 7), flip=True) if augment else plain_images.to_tensor()
        stored = plain_images.Images(self.train.images, labels, transform)
        return plain_images.loader(stored, self.sizes.uc_batch, shuffle=False, workers=workers, device=self.device)

    def procedure(self, batches: Any, clusters: int | None = None, epochs: int | None = None) -> Perturbation:
        """Perturbations of the first ``clusters`` clusters (all by default), one after another."""
        sizes, clustering = self.sizes, self.clusters
        centres = torch.from_numpy(clustering.centres).to(self.device)
        epochs = epochs or sizes.uc_epochs
        deltas = []
        with seeded(5):
            for k in range(clusters or sizes.uc_clusters):
                generator = plain_uc.generator(sizes.uc_width, sizes.uc_blocks).to(self.device)
                noise = torch.rand(1, 3, sizes.side, sizes.side).to(self.device)
                delta, _ = plain_uc.craft(
                    generator,
                    noise,
                    centres[(k + 1) % len(centres)],
                    self.network,
                    batches,
                    self.device,
                    epochs=epochs,
                    steps=epochs * len(batches),
                    radius=RADIUS,
                )
                deltas.append(array(delta))
        targets = (np.arange(len(centres)) + 1) % len(centres)
        state = {"centres": clustering.centres, "targets": targets}
        return Perturbation(np.stack(deltas), clustering.assignment, state)

    @cached_property
    def fastest_loader(self) -> tuple[int, Any]:
        return plain_images.fastest(
            self.loader, lambda batches: self.procedure(batches, clusters=1, epochs=1), self.sizes.most_workers
        )

    def measure(self) -> Measured:
        workers, batches = self.fastest_loader
        started = self.clock()
        made = self.procedure(batches)
        seconds, clusters = self.clock() - started, self.sizes.uc_clusters
        images = clusters * self.sizes.uc_epochs * len(self.train)
        return Measured(seconds, images, clusters * self.steps(), {"workers": workers, **self.effect(made)})

    def check(self, inputs: dict[str, Any]) -> Evidence:
        """As :func:`released_evidence`, with the same generators."""
        noise, weights = torch.from_numpy(inputs["noise"]).to(self.device), inputs["weights"]
        centres = torch.from_numpy(inputs["centres"]).to(self.device)
        count = len(noise)
        losses, deltas = [], []
        batches = self.loader(0, augment=False)
        for k in range(count):
            generator = plain_uc.generator(self.sizes.uc_width, self.sizes.uc_blocks).to(self.device)
            with torch.no_grad():
                for weight, stacked in zip(generator.parameters(), weights, strict=True):
                    weight.copy_(torch.from_numpy(np.split(stacked, count)[k]).to(self.device))
            delta, steps = plain_uc.craft(
                generator, noise[k : k + 1], centres[(k + 1) % count], self.network, batches, self.device,
                epochs=self.sizes.uc_epochs, steps=self.steps(), radius=RADIUS,
            )  # fmt: skip
            losses.append(steps)
            deltas.append(array(delta))
        mean = np.mean(losses, axis=0)
        return Evidence({"first loss": mean[0], "last loss": mean[-1]}, mostly={"perturbations": np.stack(deltas)})


def checked(setting: Setting) -> Setting:
    """The setting of the check: few images, small generators, one pass."""
    small = replace(
        setting.sizes,
        uc_images=setting.sizes.checked,
        uc_clusters=3,
        uc_batch=max(2, setting.sizes.checked // 2),
        uc_epochs=1,
        uc_width=8,
        uc_blocks=1,
    )
    return replace(setting, sizes=small)


def released_evidence(side: Clusters) -> tuple[dict[str, Any], Evidence]:
    """ucbench's released procedure on unaugmented images: its starting point and its results."""
    from ucbench_uc.generator import GeneratorBank

    sizes = side.sizes
    run = crafting(side, Stopwatch(side, side.steps()), side.surrogate, EPSILON)
    # The streams that the poisoner draws from when all clusters are advanced together.
    noise = torch.rand((sizes.uc_clusters, 3, sizes.side, sizes.side), generator=run.generator("clusters-together"))
    with seeded(run.seed("clusters-together-weights")):
        bank = GeneratorBank(noise, sizes.uc_width, sizes.uc_blocks)
    made = installed().resolve("poisoner", side.released(augment="none")).build().craft(side.train, run)
    inputs = {
        "noise": noise.numpy(),
        "weights": [array(weight) for weight in bank.parameters()],
        "centres": np.array(made.state["goals"]),
    }
    loss = run.notes["loss"]
    losses = {"first loss": loss["first"], "last loss": loss["last"]}
    return inputs, Evidence(losses, mostly={"perturbations": made.delta})
