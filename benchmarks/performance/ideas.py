"""Compare possible speed-ups that ucbench does not use with its current code, on this machine.

    python benchmarks/performance/ideas.py [IDEA ...] [--repeats 5] [--threads N] [--device auto] [--json FILE]

Both sides start from the same weights and images. One step in double precision checks that they compute the same
(``agrees``). A warm-up follows, which includes any compilation and is timed separately. Then the sides are measured in
alternating order, and their medians are compared. ``--tiny`` checks that everything works.
"""

from __future__ import annotations

import argparse
import copy
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from subjects.base import Evidence, Setting, Side, Sizes, agreement, array, network, synthetic_images
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from ucbench.crafting.pgd import pgd
from ucbench.numerics import environment, resolve
from ucbench.training.determinism import seeded

RADIUS = 8 / 255
LR, MOMENTUM = 0.05, 0.9


@dataclass(frozen=True)
class Scale:
    """``steps`` per measurement; images of side ``side``, or ``small`` for small victims; ``batch`` of both."""

    steps: int = 10
    side: int = 32
    small: int = 8
    batch: int = 128
    victims: int = 4
    width: int = 16


TINY = Scale(steps=1, side=8, small=8, batch=8, victims=2, width=16)

#: Work that is timed; its results are compared between the sides.
Work = Callable[[], Evidence]


class Bench:
    """Images and networks, on the device and in the layout that ucbench uses."""

    def __init__(self, scale: Scale, numerics: Any, scratch: Path, precision: torch.dtype = torch.float32) -> None:
        self.scale, self.numerics, self.scratch, self.precision = scale, numerics, scratch, precision
        self.engine = Side(Setting(Sizes(width=scale.width), numerics, scratch)).engine
        self.device = self.engine.device

    def exact(self) -> Bench:
        """The same bench for one step in double precision, where rounding decides no sign and no unit."""
        scale, numerics = replace(self.scale, steps=1), replace(self.numerics, dtype="float32")
        return Bench(scale, numerics, self.scratch, torch.float64)

    def images(self, side: int) -> tuple[Tensor, Tensor]:
        made = synthetic_images(self.scale.batch, side)
        x = torch.from_numpy(made.images.copy()).to(self.device, self.precision).div(255)
        return x.contiguous(memory_format=torch.channels_last), torch.from_numpy(made.known_labels.copy()).to(x.device)

    def network(self, side: int, seed: int = 0) -> nn.Module:
        """A victim; its weights depend on ``seed`` only."""
        made = network(Sizes(width=self.scale.width, side=side)).to(self.device)
        with seeded(seed), torch.no_grad():
            for weight in made.parameters():
                weight.add_(1e-3 * torch.randn_like(weight))
        return made.to(self.precision, memory_format=torch.channels_last)

    def trained(self, step: Callable[[nn.Module, Tensor, Tensor], Tensor] | None = None) -> Work:
        """Training steps of a victim; their last loss is compared."""
        x, y = self.images(self.scale.side)
        model = self.network(self.scale.side)
        stepper = self.engine.stepper(model, lr=LR, momentum=MOMENTUM)
        losses = step or (lambda model, x, y: F.cross_entropy(model.train()(x).float(), y))

        def work() -> Evidence:
            for _ in range(self.scale.steps):
                with self.engine.autocast():
                    loss = losses(model, x, y)
                last = stepper.apply(loss)
            return Evidence({"loss": array(last)})

        return work

    def attacked(self, model: nn.Module, chunks: int = 1) -> Work:
        """Signed steps against a frozen network; the perturbations and the first gradient are compared."""
        x, y = self.images(self.scale.side)

        def one(part: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
            gradients: list[Tensor] = []

            def loss(seen: Tensor) -> Tensor:
                if not gradients:
                    seen.register_hook(gradients.append)
                with self.engine.autocast():
                    return F.cross_entropy(model(seen).float(), targets, reduction="sum")

            zeros = torch.zeros_like(part)
            delta = pgd(part, zeros, loss, steps=self.scale.steps, step=0.1 * RADIUS, radius=RADIUS)
            return delta, gradients[0]

        def work() -> Evidence:
            parts = [one(a, b) for a, b in zip(x.chunk(chunks), y.chunk(chunks), strict=True)]
            delta, gradient = (array(torch.cat(tensors)) for tensors in zip(*parts, strict=True))
            return Evidence({"gradient": gradient}, {"perturbation": (delta, gradient)})

        return work

    def frozen(self) -> nn.Module:
        return self.network(self.scale.side).eval().requires_grad_(False)


def compiled_training(bench: Bench) -> tuple[Work, Work]:
    def loss(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        return F.cross_entropy(model(x).float(), y)

    step = torch.compile(loss)
    return bench.trained(), bench.trained(lambda model, x, y: step(model.train(), x, y))


def compiled_attack(bench: Bench) -> tuple[Work, Work]:
    return bench.attacked(bench.frozen()), bench.attacked(torch.compile(bench.frozen()))


def folded_attack(bench: Bench) -> tuple[Work, Work]:
    return bench.attacked(bench.frozen()), bench.attacked(folded(bench.frozen()))


def chunked_attack(bench: Bench) -> tuple[Work, Work]:
    return bench.attacked(bench.frozen()), bench.attacked(bench.frozen(), chunks=4)


def fused_step(bench: Bench) -> tuple[Work, Work]:
    """Only the step, sign and projection, for the gradients of one batch."""
    x, _ = bench.images(bench.scale.side)
    gradient = torch.randn(x.shape, generator=torch.Generator().manual_seed(0)).to(x)

    def step(x: Tensor, delta: Tensor, gradient: Tensor) -> Tensor:
        delta = (delta - 0.1 * RADIUS * gradient.sign()).clamp(-RADIUS, RADIUS)
        return (x + delta).clamp(0.0, 1.0) - x

    def repeated(step: Callable[[Tensor, Tensor, Tensor], Tensor]) -> Work:
        def work() -> Evidence:
            delta = torch.zeros_like(x)
            for _ in range(20 * bench.scale.steps):
                delta = step(x, delta, gradient)
            return Evidence({"perturbation": array(delta)})

        return work

    return repeated(step), repeated(torch.compile(step))


def victims_together(bench: Bench) -> tuple[Work, Work]:
    """Steps of several small victims (seeds of one cell), one by one or as one network with stacked weights."""
    from torch.func import functional_call, grad_and_value, stack_module_state, vmap

    scale = bench.scale
    x, y = bench.images(scale.small)

    def models() -> list[nn.Module]:
        return [bench.network(scale.small, seed).train() for seed in range(scale.victims)]

    def sgd(weights: Sequence[Tensor]) -> torch.optim.Optimizer:
        return torch.optim.SGD(weights, lr=LR, momentum=MOMENTUM, weight_decay=5e-4)

    singles = models()
    optimizers = [sgd(list(model.parameters())) for model in singles]

    def apart() -> Evidence:
        losses = []
        for model, optimizer in zip(singles, optimizers, strict=True):
            for _ in range(scale.steps):
                optimizer.zero_grad(set_to_none=True)
                loss = F.cross_entropy(model(x), y)
                loss.backward()
                optimizer.step()
            losses.append(loss.detach())
        return Evidence({"losses": array(torch.stack(losses))})

    members = models()
    weights, buffers = stack_module_state(members)
    skeleton = copy.deepcopy(members[0])
    optimizer = sgd(list(weights.values()))

    def loss_of(weights: dict[str, Tensor], buffers: dict[str, Tensor]) -> Tensor:
        return F.cross_entropy(functional_call(skeleton, (weights, buffers), (x,)), y)

    gradients = vmap(grad_and_value(loss_of))

    def together() -> Evidence:
        for _ in range(scale.steps):
            slopes, losses = gradients({name: weight.detach() for name, weight in weights.items()}, buffers)
            for name, weight in weights.items():
                weight.grad = slopes[name]
            optimizer.step()
        return Evidence({"losses": array(losses)})

    return apart, together


def folded(model: nn.Module) -> nn.Module:
    """A ResNet in eval mode with its batch norms folded into the convolutions before them."""
    for module in model.modules():
        children = dict(module.named_children())
        pairs = [(f"conv{k}", f"bn{k}") for k in (1, 2, 3)] if "conv1" in children else []
        if isinstance(module, nn.Sequential) and isinstance(children.get("1"), nn.BatchNorm2d):
            pairs = [("0", "1")]
        for conv, norm in pairs:
            if conv in children and isinstance(children.get(norm), nn.BatchNorm2d):
                setattr(module, conv, fuse_conv_bn_eval(children[conv], children[norm]))
                setattr(module, norm, nn.Identity())
    return model.to(memory_format=torch.channels_last)


IDEAS: dict[str, tuple[str, Callable[[Bench], tuple[Work, Work]]]] = {
    "compiled-training": ("torch.compile of a victim's training step", compiled_training),
    "compiled-attack": ("torch.compile of the frozen network under attack", compiled_attack),
    "folded-attack": ("batch norm folded into the frozen network's convolutions", folded_attack),
    "chunked-attack": ("a batch under attack in four parts", chunked_attack),
    "fused-step": ("step, sign and projection as one compiled kernel", fused_step),
    "victims-together": ("several small victims as one network", victims_together),
}


def measured(prepare: Callable[[Bench], tuple[Work, Work]], bench: Bench, repeats: int) -> dict[str, Any]:
    """Seconds of both sides, and whether they agree.

    ``apart`` is the share of values (perturbations, losses) that differ by more than a thousandth of the largest value
    after all steps in the engine's precision. Rounding adds up there, so it shows how much an idea would move results.
    """
    comparison = agreement(*(work() for work in prepare(bench.exact())))
    today, idea = prepare(bench)
    warm = {}
    outcomes = {}
    for name, work in (("today", today), ("idea", idea)):
        warm[name], evidence = _timed(work, bench)
        outcomes[name] = (
            evidence.decided["perturbation"][0] if evidence.decided else next(iter(evidence.close.values()))
        )
    a, b = outcomes["today"], outcomes["idea"]
    seconds: dict[str, list[float]] = {"today": [], "idea": []}
    for repeat in range(repeats):
        order = [("today", today), ("idea", idea)]
        for name, work in order if repeat % 2 == 0 else order[::-1]:
            seconds[name].append(_timed(work, bench)[0])
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    return {
        "seconds": medians,
        "all_seconds": seconds,
        "ratio": medians["today"] / medians["idea"],
        "first_seconds": warm,
        "apart": float((abs(a - b) > 1e-3 * abs(a).max()).mean()),
        "agrees": {"yes": comparison.agrees, "largest_difference": comparison.largest, "of": comparison.of},
    }


def _timed(work: Work, bench: Bench) -> tuple[float, Evidence]:
    if bench.device.type == "cuda":
        torch.cuda.synchronize()
    started = time.perf_counter()
    evidence = work()
    if bench.device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started, evidence


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("idea", nargs="*", metavar="IDEA", help=f"of {', '.join(IDEAS)}")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(arguments)
    unknown = [name for name in options.idea if name not in IDEAS]
    if unknown:
        parser.error(f"no idea {unknown[0]!r}; there are {', '.join(IDEAS)}")
    numerics = resolve(options.device, "auto", options.threads, deterministic=True)
    print("| idea | today, s | idea, s | ratio | first time, s | values that differ | agrees |")
    print("|---|---|---|---|---|---|---|")
    rows = {}
    with tempfile.TemporaryDirectory() as scratch:
        bench = Bench(TINY if options.tiny else Scale(), numerics, Path(scratch))
        for name in options.idea or IDEAS:
            title, prepare = IDEAS[name]
            row = rows[name] = {"title": title, **measured(prepare, bench, options.repeats)}
            seconds = " | ".join(f"{row['seconds'][side]:.3f}" for side in ("today", "idea"))
            first = row["first_seconds"]["idea"]
            agrees = "yes" if row["agrees"]["yes"] else "NO"
            outcome = f"{row['ratio']:.2f}x | {first:.1f} | {row['apart']:.2%} | {agrees}"
            print(f"| {title} | {seconds} | {outcome} |", flush=True)
    if options.json:
        report = {"machine": environment(numerics), "repeats": options.repeats, "rows": rows}
        options.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    return 0 if all(row["agrees"]["yes"] for row in rows.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
