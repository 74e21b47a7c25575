"""Purification as a defense: add noise to the release, and remove it by a diffusion model.

diffusers: von Platen et al., https://github.com/huggingface/diffusers.
"""

from collections.abc import Iterator

from ucbench import DefenseSpec, hookimpl


@hookimpl
def ucbench_defenses() -> Iterator[DefenseSpec]:
    yield DefenseSpec(
        name="diffusion-purify",
        summary="Noise every image and denoise it with a diffusion model that was trained on other, clean images",
        title="Diffusion purification (AVATAR)",
        load="ucbench_purify.diffusion:DiffusionPurify",
        params="ucbench_purify.params:PurifyParams",
        paper="H. M. Dolatabadi, S. Erfani, C. Leckie: The Devil's Advocate: Shattering the Illusion of Unexploitable "
        "Data using Diffusion Models. SaTML 2024. arXiv 2303.08500",
        aliases=("avatar",),
        tier="T4",
        static=True,
        requires=("diffusers",),
        extra="ucbench[purify]",
    )
