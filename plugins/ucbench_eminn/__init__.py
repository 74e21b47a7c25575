"""Error-minimising and error-maximising noise, on surrogates that the poisoner trains (ICLR 2021)."""

from collections.abc import Iterator

from ucbench import MetricSpec, PoisonerSpec, hookimpl

PAPER = (
    "H. Huang, X. Ma, S. M. Erfani, J. Bailey, Y. Wang: Unlearnable Examples: Making Personal Data Unexploitable. "
    "ICLR 2021. arXiv 2101.04898"
)
_PUE = "D. Wang, M. Xue, B. Li, S. Camtepe, L. Zhu: Provably Unlearnable Data Examples. NDSS 2025. arXiv 2405.03316"

_SWEEPS = (
    "`released` and `paper` have the official code's settings for CIFAR-10, with a bound on the sweeps that it lacks. "
    "Negative noise, which the official code loses when it adds it, is kept unless legacy_positive_only is set. The "
    "network learns images plus noise cut to [0, 1], in the code without that cut. Perturbations are cut to what keeps "
    "the images in [0, 1] after every step, in the code after all but the last: noise differs by a step's length at "
    "most. Batches of a pass differ by one image at most. "
)
_SURROGATE = "The default surrogate has a quarter of the published width, that of {} has all of it"
_STANDARD = "`standard` is the same procedure at a smaller batch, with {}5 to 20 sweeps."


@hookimpl
def ucbench_poisoners() -> Iterator[PoisonerSpec]:
    yield PoisonerSpec(
        name="eminn",
        summary="Error-minimising noise, one perturbation per image: nothing is left to learn from it",
        title="Error-minimising noise (EM)",
        load="ucbench_eminn.minimising:ErrorMinimising",
        params="ucbench_eminn.params:EMinNParams",
        paper=PAPER,
        equation=r"$$\min_{\theta} \min_{\delta_1, \ldots, \delta_n} \frac{1}{n} \sum_{i=1}^n \mathrm{CE}(f(x_i + "
        r"\delta_i; \theta), y_i), \quad {\|\delta_i\|}_\infty \le \varepsilon$$",
        aliases=("em",),
        label_access="full",
        granularity="sample",
        budget="linf",
        native_epsilon=8,
        surrogate="resnet18:width=16",
        trains_surrogate=True,
        fidelity=(
            f"{_SWEEPS}Every pass is shuffled, where the code takes the stored order. `apbench` and `rem` follow those "
            f"repositories' settings, `rem` without its augmentation and its shift of pixels. "
            f"{_STANDARD.format('a quarter of the steps, each twice as long, and ')} "
            f"{_SURROGATE.format('the other presets but `quick`')}"
        ),
    )
    yield PoisonerSpec(
        name="eminn-class",
        summary="Error-minimising noise, one perturbation per class",
        title="Class-wise error-minimising noise (EM)",
        load="ucbench_eminn.minimising:ErrorMinimisingClasses",
        params="ucbench_eminn.params:EMinNClassParams",
        paper=PAPER,
        equation=r"$$\min_{\theta} \min_{\delta_1, \ldots, \delta_K} \frac{1}{n} \sum_{i=1}^n \mathrm{CE}(f(x_i + "
        r"\delta_{y_i}; \theta), y_i), \quad {\|\delta_k\|}_\infty \le \varepsilon$$",
        aliases=("em-class",),
        label_access="full",
        granularity="class",
        budget="linf",
        native_epsilon=8,
        surrogate="resnet18:width=16",
        trains_surrogate=True,
        fidelity=(
            f"{_SWEEPS}Fitted on all images, where the official scripts take a fifth of them. {_STANDARD.format('')} "
            f"{_SURROGATE.format('`released` and `paper`')}"
        ),
    )
    yield PoisonerSpec(
        name="pue",
        summary="Class-wise error-minimising noise for all networks near the surrogate, its weights under noise",
        title="Provably unlearnable examples (PUE)",
        load="ucbench_eminn.smoothed:ProvablyUnlearnable",
        params="ucbench_eminn.params:PUEParams",
        paper=_PUE,
        equation=r"$$\min_{\theta} \min_{\delta_1, \ldots, \delta_K} \frac{1}{n} \sum_{i=1}^n \mathbb{E}_{\nu} "
        r"\mathrm{CE}(f(x_i + \delta_{y_i}; \theta + \nu), y_i), \quad {\|\delta_k\|}_\infty \le \varepsilon$$ "
        r"where $\nu$ is Gaussian noise on the weights",
        aliases=("provably-unlearnable",),
        label_access="full",
        granularity="class",
        budget="linf",
        native_epsilon=8,
        surrogate="resnet18:width=16",
        trains_surrogate=True,
        fidelity=(
            "`released` and `paper` have the defaults of the official code, with a bound on the sweeps that it lacks; "
            "`standard` is this suite's: a quarter of the noise, fewer levels and draws of it; noise begins, as in the "
            "code, once more than half of the perturbed images are recognised; the craft does not stop before a sweep "
            "with noise, where the code's default error ends it at that very point; the gradient is cut to its largest "
            "norm once a step, in the code after every draw; fitted on all images, where the code can take a fifth of "
            "them; perturbations are cut to what keeps the images in [0, 1] after every step, in the code after "
            "all but the last; the certification is the metric `certified-learnability`; the paper was read in its "
            f"abstract and the notes of its repository. {_SURROGATE.format('`released` and `paper`')}"
        ),
    )
    yield PoisonerSpec(
        name="emaxn",
        summary="Error-maximising noise: ascent on the loss of a network trained on the clean images",
        title="Error-maximising noise",
        load="ucbench_eminn.maximising:ErrorMaximising",
        params="ucbench_eminn.params:EMaxNParams",
        paper=f"{PAPER} (its error-maximising baseline)",
        equation=r"$$\max_{\delta_i} \mathrm{CE}(f(x_i + \delta_i; \theta), y_i), \quad {\|\delta_i\|}_\infty \le "
        r"\varepsilon$$ where $\theta$ is trained on the clean images",
        aliases=("emax",),
        label_access="full",
        granularity="sample",
        budget="linf",
        native_epsilon=8,
        surrogate="resnet18:width=16",
        trains_surrogate=True,
        fidelity=(
            "`released` has the code's 60 epochs in batches of 512, but no crop and flip, and a cosine that moves at "
            "every step, there every epoch; one pass of ascent, which is not repeated until an error is reached; "
            "perturbations cut to what keeps the images in [0, 1] after every step; `standard` trains a third of the "
            "epochs at a smaller batch; negative noise, which the official code loses when it adds it, is kept. "
            f"{_SURROGATE.format('`released`')}"
        ),
    )


@hookimpl
def ucbench_metrics() -> Iterator[MetricSpec]:
    yield MetricSpec(
        name="certified-learnability",
        summary="A bound on the clean accuracy of networks near the victim under weight noise, not of the victim",
        load="ucbench_eminn.certify:CertifiedLearnability",
        params="ucbench_eminn.params:CertifiedParams",
        sample="draws=3",
        paper=_PUE,
        reads=("model", "test"),
        fidelity=(
            "the bound of the official code's certification at one eta, of the trained victim, where the paper "
            "certifies the surrogate of the craft; it holds with probability q for networks under Gaussian noise, not "
            "for the victim, whose own accuracy stands beside it and may exceed it; noise lowers the accuracy of a "
            "victim that was not trained under it whatever the release, so the bound does not compare such victims; "
            "100 draws suffice for an eta up to 0.1: with more, `bound` is undefined, as it always is in `released`, "
            "the code's defaults, whose 10 draws are too few at any eta"
        ),
    )
