"""Game unlearnable examples: a generator against a network that answers it (AAAI 2024)."""

from collections.abc import Iterator

from ucbench import PoisonerSpec, hookimpl


@hookimpl
def ucbench_poisoners() -> Iterator[PoisonerSpec]:
    yield PoisonerSpec(
        name="gue",
        summary="A U-Net whose perturbations lead a network that learns them to wrong classes of the clean images",
        title="Game unlearnable examples (GUE)",
        load="ucbench_gue.poisoner:GameUnlearnable",
        params="ucbench_gue.params:GUEParams",
        sample="epochs=2,width=2,steps=2",
        version=2,
        paper=("S. Liu, Y. Wang, X.-S. Gao: Game-Theoretic Unlearnable Example Generator. AAAI 2024. arXiv 2401.17523"),
        equation=r"$$\min_{\phi} \frac{1}{n} \sum_{i=1}^n \max_{k \ne y_i} \mathrm{CE}(f(x_i; \theta^*), k) \quad "
        r"\text{with} \quad \theta^* = \operatorname{argmin}_{\theta} \frac{1}{n} \sum_{i=1}^n \mathrm{CE}(f(x_i + "
        r"\varepsilon \, G(x_i; \phi); \theta), y_i)$$ where $G$ is a generator with values between -1 and 1",
        aliases=("game-unlearnable",),
        label_access="full",
        granularity="sample",
        budget="linf",
        native_epsilon=8,
        surrogate="resnet18:width=16",
        trains_surrogate=True,
        fidelity=(
            "`released` and `paper` have the official code's settings; `standard` takes fewer passes, half the batch, "
            "3 steps of the answer instead of 10, and a quarter of the generator's width; the generator after the last "
            "pass is used, where the code keeps the one with the lowest test accuracy; its output for a batch is "
            "computed once, where the code computes the same twelve times, which only moves its running statistics, as "
            "here; on the first batch after each of its tests, the code's generator is in eval mode, here never before "
            "the end; the variant against adversarial training is left out; enlargement is a product of matrices, "
            "equal to the code's up to rounding; batches are of even size; the paper was read in its abstract; the "
            "default surrogate has a quarter of the published width, that of `paper` and `released` all of it"
        ),
    )
