"""CLIP models of open_clip: surrogates, annotators without training, a victim, and a poisoner that needs one.

open_clip: Ilharco et al., https://doi.org/10.5281/zenodo.5143773.
"""

from __future__ import annotations

from collections.abc import Iterator

from ucbench import LabelingSpec, PoisonerSpec, SurrogateSpec, VictimSpec, hookimpl

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
def ucbench_poisoners() -> Iterator[PoisonerSpec]:
    yield PoisonerSpec(
        name="one-for-all",
        summary="One generator that leads every image away from what a CLIP sees in it: one-for-all:ARCH/TAG",
        title="One for All (14A)",
        load="ucbench_openclip.concepts:OneForAll",
        params="ucbench_openclip.concept_params:OneForAllParams",
        paper=(
            "C. Chen, J. Zhang, Y. Li, Z. Han: One for All: A Universal Generator for Concept Unlearnability via "
            "Multi-Modal Alignment. ICML 2024. https://proceedings.mlr.press/v235/chen24bc.html"
        ),
        equation=r"$$\min_{\theta} \mathbb{E}_x \left[ \frac{1}{k} \sum_{j=1}^k \cos(f(x + \delta), t_j) - "
        r"w \cos(f(x + \delta), t^*) \right], \quad \delta = \varepsilon \tanh(G(x, f(x); \theta))$$ where $f$ and "
        "$t$ are the image and text embeddings of a CLIP: $t_1, \\ldots, t_k$ of the names most like what the image "
        "shows, $t^*$ of the most unlike one",
        aliases=("14a",),
        label_access="names",
        granularity="sample",
        budget="linf",
        native_epsilon=16,
        fidelity=(
            "the generator is trained on the images that it protects, where the paper trains it once on ImageNet and "
            "releases perturbations of other sets; what an image shows is the name nearest to it in the CLIP, where "
            "the paper has ImageNet's labels while it trains; names are those of the data set's classes, in `paper` "
            "and `released` ImageNet's, which tell nothing of these classes, although rows say `names` all the same; "
            "images reach the CLIP normalised, in training and use, and the release is "
            "image plus perturbation: the released code normalises only in use, clips the normalised images to [0, 1] "
            "and publishes them, which shifts training images against test images whatever the perturbation; "
            "perturbations have the images' own size, where the code enlarges small images to 224 pixels and publishes "
            "those; `paper` and `released` scale to the code's length of 16, which is meant for 224 pixels: elsewhere "
            "use norm=linf; `standard` bounds values instead and "
            "subtracts the second cosine, since the reciprocal has a pole at 0, which small CLIPs cross; its "
            "generator has a quarter of the width and a sixth of the blocks; batches are of even size; the paper was "
            "read in its abstract and notes"
        ),
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
