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
        "noise, its images bounded to their range at every step; images are rounded and clipped to 8 bits, where "
        "AVATAR's code truncates without clipping; `paper` walks back all 100 steps with fresh noise, `apbench` 60 "
        "from time 60; `standard` takes ten steps without noise",
    )
    yield DefenseSpec(
        name="eclipse",
        summary="Purify by a diffusion model of few clean images, then train with random grey and noise",
        title="Sparse diffusion purification with corruption compensation (ECLIPSE)",
        load="ucbench_purify.eclipse:Eclipse",
        params="ucbench_purify.params:EclipseParams",
        paper="X. Wang, S. Hu, Y. Zhang, Z. Zhou, L. Y. Zhang, P. Xu, W. Wan, H. Jin: ECLIPSE: Expunging Clean-label "
        "Indiscriminate Poisons via Sparse Diffusion Purification. ESORICS 2024. "
        "https://github.com/wxldragon/ECLIPSE",
        tier="T4",
        needs_trusted=True,
        requires=("diffusers",),
        extra="ucbench[purify]",
        fidelity="the diffusion model is the one in the folder: `benchmarks/train_denoiser.py --trusted N` learns it "
        "from the exploiter's clean images, best at times up to 12 only, and one that it learned from others is "
        "refused; the code's learned 250,000 steps from 2,000 test images, each four times; the code noises images by "
        "100 of a cosine schedule's 4,000 steps, which in the linear schedule of 1,000 that DDPM has is 12; it walks "
        "back all steps with fresh noise of a learned variance, `paper` with DDPM's, and `standard` in four without; "
        "images are grey with probability 0.4, then get noise of deviation 0.05, after crop and flip and anew in every "
        "batch, as in the code, which truncates to 8 bits then, and purified images too, where ours are rounded; the "
        "code's 80 epochs without decay are the victim's to set",
    )
