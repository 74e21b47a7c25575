"""CLIP models of open_clip: surrogates, annotators without training, and a victim.

open_clip: Ilharco et al., https://doi.org/10.5281/zenodo.5143773.
"""

from __future__ import annotations

from collections.abc import Iterator

from ucbench import LabelingSpec, SurrogateSpec, VictimSpec, hookimpl

_CLIP = (
    "A. Radford et al.: Learning Transferable Visual Models From Natural Language Supervision. ICML 2021. "
    "arXiv 2103.00020"
)


@hookimpl
def ucbench_surrogates() -> Iterator[SurrogateSpec]:
    yield SurrogateSpec(
        name="openclip",
        summary="openclip:ARCH/TAG, the image tower of any CLIP of open_clip, or of a local checkpoint",
        load="ucbench_openclip.surrogate:OpenClip",
        params="ucbench_openclip.params:OpenClipParams",
        paper=_CLIP,
        aliases=("clip",),
        label_access="none",
        fidelity="the output of the image tower as it is, as in UC's released code, or at length 1 (`normalize`); "
        "whole images are resized to the model's size, where that code resizes to 256 and cuts the middle 224 out; "
        "`uc` is UC-CLIP's RN50",
    )


@hookimpl
def ucbench_victims() -> Iterator[VictimSpec]:
    yield VictimSpec(
        name="openclip-probe",
        summary="T4: openclip-probe:ARCH/TAG, a linear classifier on a CLIP's image tower, frozen or fine-tuned",
        load="ucbench_openclip.victim:OpenClipProbe",
        params="ucbench_openclip.params:OpenClipProbeParams",
        paper=f"{_CLIP} (its section 3.2)",
        fidelity="SGD with the recipe's crop and flip, where the paper fits L-BFGS without augmentation with a "
        "searched penalty; embeddings are brought to one length; transformers are probed after their projection, where "
        "the paper probes before it; rates were not tuned on a CLIP; `fine-tune` is this suite's",
    )


@hookimpl
def ucbench_labelings() -> Iterator[LabelingSpec]:
    yield LabelingSpec(
        name="zero-shot",
        summary="What a CLIP sees in the published images, from class names alone: zero-shot:ARCH/TAG",
        load="ucbench_openclip.labelings:ZeroShot",
        params="ucbench_openclip.params:ZeroShotParams",
        paper=f"{_CLIP} (its section 3.1)",
        aliases=("clip-zero-shot",),
        source="machine",
        fidelity='one prompt, "a photo of a {class}."; `ensemble` averages the paper\'s 80 for ImageNet; whole images '
        "are resized, where open_clip's transform cuts the middle out; that the annotated pixels are a release is this "
        "suite's question",
    )
    yield LabelingSpec(
        name="coarse-by-name",
        summary="Classes grouped by how similar their names are to a CLIP: coarse-by-name:clip=ARCH/TAG,groups=2",
        load="ucbench_openclip.labelings:CoarseByName",
        params="ucbench_openclip.params:CoarseByNameParams",
        paper=_CLIP,
        source="semantic",
        fidelity="after the evaluation of 14A, whose code clusters the text embeddings of ViT-B/32 into 20 groups; "
        "here any CLIP, two groups by default, and the prompt ends in a full stop",
    )
