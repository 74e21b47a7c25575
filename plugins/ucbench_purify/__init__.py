"""Purification as a defense: noise is added to the release, and a diffusion model takes it out again.

diffusers: von Platen et al., https://github.com/huggingface/diffusers.
"""

from collections.abc import Iterator

from ucbench import DefenseRecord, hookimpl


@hookimpl
def ucbench_defenses() -> Iterator[DefenseRecord]:
    yield DefenseRecord(
        name="diffusion-purify",
        summary="Noise every picture and denoise it with a diffusion model that was trained on other, clean pictures",
        load="ucbench_purify.purification:DiffusionPurify",
        params="ucbench_purify.params:PurifyParams",
        paper="H. M. Dolatabadi, S. Erfani, C. Leckie: The Devil's Advocate: Shattering the Illusion of Unexploitable "
        "Data using Diffusion Models. SaTML 2024. arXiv 2303.08500",
        aliases=("avatar",),
        tier="T4",
        static=True,
        requires=("diffusers",),
        extra="ucbench[purify]",
    )
