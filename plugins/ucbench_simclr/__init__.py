"""Contrastive learning without labels, as an exploiter and as a surrogate (Chen et al., ICML 2020)."""

from __future__ import annotations

from collections.abc import Iterator

from ucbench import SurrogateSpec, VictimSpec, hookimpl

PAPER = (
    "T. Chen, S. Kornblith, M. Norouzi, G. Hinton: A Simple Framework for Contrastive Learning of Visual "
    "Representations. ICML 2020. arXiv 2002.05709"
)


@hookimpl
def ucbench_victims() -> Iterator[VictimSpec]:
    yield VictimSpec(
        name="simclr",
        summary="SimCLR on the release without its labels, then a linear probe on the trusted set",
        load="ucbench_simclr.victim:SimCLR",
        params="ucbench_simclr.params:SimCLRParams",
        paper=PAPER,
        opaque=True,
        needs_trusted=True,
    )


@hookimpl
def ucbench_surrogates() -> Iterator[SurrogateSpec]:
    yield SurrogateSpec(
        name="simclr",
        summary="A ResNet-18 trained by SimCLR on the protector's images, without labels",
        load="ucbench_simclr.surrogate:SimCLRSurrogate",
        params="ucbench_simclr.params:EncoderParams",
        paper=PAPER,
        label_access="none",
    )
