"""BridgePure: a diffusion bridge from protected to clean images, learned from leaked pairs (NeurIPS 2025)."""

from collections.abc import Iterator

from ucbench import DefenseSpec, hookimpl


@hookimpl
def ucbench_defenses() -> Iterator[DefenseSpec]:
    yield DefenseSpec(
        name="bridge-pure",
        summary="Learn from a few images before and after protection how to undo it, by a diffusion bridge",
        title="Bridge purification (BridgePure)",
        load="ucbench_bridge.defense:BridgePure",
        params="ucbench_bridge.params:BridgeParams",
        paper="Y. Wang, Y. Lu, X.-S. Gao, G. Kamath, Y. Yu: BridgePure: Limited Protection Leakage Can Break Black-Box "
        "Data Protection. NeurIPS 2025. arXiv 2412.21061; L. Zhou, A. Lou, S. Khanna, S. Ermon: Denoising Diffusion "
        "Bridge Models. ICLR 2024. arXiv 2309.16948",
        equation=r"$$x_t = \frac{\alpha_t}{\alpha_1} r_t \, x_1 + \alpha_t (1 - r_t) \, x_0 + \sigma_t \sqrt{1 - r_t} "
        r"\, z, \quad r_t = \frac{\alpha_1^2 \sigma_t^2}{\sigma_1^2 \alpha_t^2}$$ where $x_0$ is an image, $x_1$ the "
        r"same image after protection and $z$ is normal; a network learns $x_0$ from $x_t$, $x_1$ and $t$",
        tier="T4",
        static=True,
        needs_trusted=True,
        leaked=True,
        sample="steps=20,width=8",
        fidelity="the pairs are the `--trusted N` images, which no release contains, before and after the same craft "
        "(published: 500 to 4,000); a poisoner that has no perturbation for further images is refused, where the paper "
        "protects pairs and release together; the bridge preserves variance, with DDBM's rates, as the official code "
        "can, where its examples take the one of exploding variance; the network is a small convolutional one with "
        "learned maps of the place, where the code has a U-Net of 192 channels with attention and dropout; it predicts "
        "the difference to the protected image in units of the pairs' mean difference, and all times weigh alike, "
        "where DDBM scales input and output of a prediction of the clean image, and weighs times, by their variances; "
        "Adam warms up and follows a cosine, and gradients are clipped, where the code has RAdam at one rate; the way "
        "back resamples the bridge at evenly spaced times, its noise fresh to the share `eta`, where the code takes 40 "
        "steps of churn (0.33 or 0.8) and Heun with guidance 0.5, 119 evaluations at times that crowd towards 0; "
        "levels are rounded, where the code truncates; no Gaussian noise is added to protected images (the code tries "
        "none and 0.02), no average of weights is kept, and pairs are not mirrored, as the code's are half of the "
        "time; `paper` has the code's 100,000 steps of 256 pairs, learning rate and 40 evaluations on the way back, "
        "with our network",
    )
