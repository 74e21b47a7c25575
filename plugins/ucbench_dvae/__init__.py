"""D-VAE: purification by autoencoders that keep a limited rate of information (ICML 2024)."""

from collections.abc import Iterator

from ucbench import DefenseSpec, hookimpl


@hookimpl
def ucbench_defenses() -> Iterator[DefenseSpec]:
    yield DefenseSpec(
        name="d-vae",
        summary="Rebuild every image by an autoencoder too small for the perturbation, which labels explain instead",
        title="Disentangling variational autoencoder (D-VAE)",
        load="ucbench_dvae.defense:DisentanglingVAE",
        params="ucbench_dvae.params:DVAEParams",
        paper="Y. Yu, Y. Wang, S. Xia, W. Yang, S. Lu, Y.-P. Tan, A. C. Kot: Purify Unlearnable Examples via "
        "Rate-Constrained Variational Autoencoders. ICML 2024. arXiv 2405.01460",
        equation=r"$$\min {\|x - \hat{x}\|}^2 + {\|x - \operatorname{clip}(\hat{x} + \hat{p})\|}^2 + w "
        r"\max(\mathrm{KL}, k) + \max({\|\hat{p}\|}^2, 0.002)$$ where $\hat{x}$ is decoded from $z$, $\hat{p}$ from "
        r"$z$ and an embedding $u_y$ of the label; $k$ is 1 in the first stage, which hands $x - \hat{p}$ to the "
        r"second, whose $k$ is 3 and whose result is $\hat{x}$",
        tier="T3",
        static=True,
        sample="epochs=1,width=8,latent=8",
        fidelity="two stages with targets 1 and 3 of the rate, its weight, Adam, rates, batches, epochs, clipping and "
        "the bound on the perturbation, from 11/60 of the epochs on, are the official code's; its networks, parts of a "
        "ResNet-18, are not published: encoder and decoders are small, with one latent vector for every patch of 4 x 4 "
        "pixels, and the embedding of a class is a map of such vectors; latents are their means once trained, which "
        "may differ in the code; `standard` has 64 latent channels, batches of 32 and 10 epochs, ten minutes of a core "
        "for 10,000 images; batches of a pass differ by one image at most, the code leaves incomplete ones out",
    )
