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
        version=2,
        static=True,
        sample="epochs=1,width=8,latent=8",
        fidelity="both stages, their losses, Adam, clipping, the bound on the perturbation from 11/60 of the epochs "
        "on, latents drawn anew when images are purified, and cutting to 8 bits are the official code's, with the "
        "options of its script for CIFAR-10; so are the network's layers at 32 pixels, without the classifier that it "
        "carries and no loss trains, and in `paper` its channels, batches and epochs; convolutions stand for its "
        "transposed ones of stride 1, which start from other weights, and the logarithm of the variance stays within "
        "20; a latent vector stands for 2 x 2 pixels, so the rates of 1 and 3 nats are 256 and 768 nats for an image "
        "of 32 pixels; for larger images the code has a deeper encoder with fewer latent vectors, ours stays the same; "
        "`standard` has a quarter of the channels, batches of 32 and 10 epochs, so that a few thousand images give "
        "some hundred steps a stage, which rebuild little of an image; batches of a pass differ by one image at most, "
        "the code leaves incomplete ones out",
    )
