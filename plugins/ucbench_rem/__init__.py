"""Error-minimising noise that withstands adversarial training: REM (ICLR 2022) and SEM (AAAI 2024)."""

from collections.abc import Iterator

from ucbench import PoisonerSpec, hookimpl

_FIDELITY = (
    "`released` and `paper` have the official code's steps; `imagenet` its steps for ImageNet; `standard` is the same "
    "procedure cut to two cores: a tenth of the surrogate's steps, one view instead of five, fewer and longer steps of "
    "noise and adversary. In all, lengths are shares of epsilon, the adversary's radius too (half of it); "
    "perturbations are cut to what keeps the images in [0, 1] after every step and not rounded to levels before the "
    "end; batches of a pass differ by one image at most; all images are perturbed anew for publication, in the code "
    "all but those that do not fill a batch; `final_steps` and `final_samples` are not in the code. Shifts reach an "
    "eighth of the side; `imagenet` has these small shifts too, where the code crops at random sizes to 224 pixels. "
    "The network takes pixels from 0 to 1, in the code from -0.5 to 0.5. Above 64 pixels it begins with ImageNet's "
    "strided layers, in the code as for CIFAR, and perturbations have the images' size, in the code 256 pixels. The "
    "default surrogate has a quarter of the published width; `resnet18`, that of `paper`, `released` and `imagenet`, "
    "has all of it"
)


@hookimpl
def ucbench_poisoners() -> Iterator[PoisonerSpec]:
    yield PoisonerSpec(
        name="rem",
        summary="Error-minimising noise against a network that trains adversarially, under random crops and flips",
        title="Robust error-minimising noise (REM)",
        load="ucbench_rem.poisoner:RobustErrorMinimising",
        params="ucbench_rem.params:REMParams",
        paper=(
            "S. Fu, F. He, Y. Liu, L. Shen, D. Tao: Robust Unlearnable Examples: Protecting Data Privacy Against "
            "Adversarial Learning. ICLR 2022. arXiv 2203.14533"
        ),
        equation=r"$$\min_{\theta} \frac{1}{n} \sum_{i=1}^n \min_{{\|\delta_i\|}_\infty \le \varepsilon} \mathbb{E}_t "
        r"\max_{{\|a\|}_\infty \le \rho} \mathrm{CE}(f(t(x_i + \delta_i) + a; \theta), y_i)$$ where $t$ is a random "
        "crop and flip",
        aliases=("robust-eminn",),
        label_access="full",
        granularity="sample",
        budget="linf",
        native_epsilon=8,
        surrogate="resnet18:width=16",
        trains_surrogate=True,
        sample="network_steps=9,samples=2",
        fidelity=(
            f"{_FIDELITY}; the paper's text was not read; APBench's figures are of a simplification that is not "
            "offered: no views, a surrogate that trains without an adversary, and noise that ascends in steps of "
            "epsilon / 10, within half of epsilon, before it descends in steps of epsilon / 5"
        ),
    )
    yield PoisonerSpec(
        name="sem",
        summary="As rem, but its noise is made against random changes of a radius instead of an adversary's: cheaper",
        title="Stable error-minimising noise (SEM)",
        load="ucbench_rem.poisoner:StableErrorMinimising",
        params="ucbench_rem.params:SEMParams",
        paper=(
            "Y. Liu, K. Xu, X. Chen, L. Sun: Stable Unlearnable Example: Enhancing the Robustness of Unlearnable "
            "Examples via Stable Error-Minimizing Noise. AAAI 2024. arXiv 2311.13091"
        ),
        equation=r"$$\min_{{\|\delta_i\|}_\infty \le \varepsilon} \mathbb{E}_{t, r} \mathrm{CE}(f(t(x_i + \delta_i) + "
        r"r; \theta), y_i), \quad r \sim \mathcal{U}(-\rho, \rho)$$ in turn with adversarial training of $\theta$ on "
        r"$t(x_i + \delta_i)$, where $t$ is a random crop and flip",
        aliases=("stable-eminn",),
        label_access="full",
        granularity="sample",
        budget="linf",
        native_epsilon=8,
        surrogate="resnet18:width=16",
        trains_surrogate=True,
        sample="network_steps=9,samples=2",
        fidelity=(
            f"{_FIDELITY}; the surrogate trains adversarially, as in paper and code; the code's script for ImageNet "
            "runs REM"
        ),
    )
