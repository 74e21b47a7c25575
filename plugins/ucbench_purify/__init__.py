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
        fidelity="the paper's network is a score model trained on the clean version of the very images, which an "
        "exploiter does not have; here it is the model in the folder, whose training data the record notes if "
        "`benchmarks/train_denoiser.py` wrote them down; the way back takes DDIM's steps with a network that predicts "
        "noise, its images bounded to their range at every step; `paper` walks back all 100 steps with fresh noise, "
        "`apbench` 60 from time 60; `standard` takes ten steps without noise",
    )
