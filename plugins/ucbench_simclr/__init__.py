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
        fidelity="SGD with momentum and coupled decay of all weights, where the paper has LARS; images are normalised "
        "by the mean and deviation of their channels; crops have continuous places and are resized bilinearly, where "
        "the paper's code cuts whole pixels and resizes bicubically; `standard` has a quarter of the width and 20 "
        "passes in batches of 128; `paper` has the settings of the paper's appendix B.9, `bridgepure` those of that "
        "evaluation; `uc` is `standard` at the temperature in UC's code, of which only the model is published; the "
        "head has batch norm after both layers, as in the code of the paper and of AUE; the linear probe learns from "
        "the trusted set alone, on standardised features divided by the root of their number, from weights of 0; "
        "passes and rates of the probe are BridgePure's, its batch is 64 (`bridgepure`: 512)",
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
        fidelity="SGD with momentum and coupled decay of all weights, where the paper has LARS; images are normalised "
        "by the mean and deviation of their channels; crops have continuous places and are resized bilinearly, where "
        "the paper's code cuts whole pixels and resizes bicubically; `standard` has a quarter of the width and 20 "
        "passes in batches of 128; `paper` has the settings of the paper's appendix B.9, `bridgepure` those of that "
        "evaluation; `uc` is `standard` at the temperature in UC's code, of which only the model is published; "
        "features are the encoder's, before the head, as the paper advises",
    )
