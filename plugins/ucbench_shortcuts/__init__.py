"""Shortcuts drawn from labels (or clusters) alone, with little or no use of the pixels and without any training."""

from collections.abc import Iterator

from ucbench import PoisonerSpec, hookimpl


@hookimpl
def ucbench_poisoners() -> Iterator[PoisonerSpec]:
    yield PoisonerSpec(
        name="rand-sample",
        summary="Independent random noise for every image, unrelated to labels: the effect of the budget alone",
        title="Sample-wise random noise",
        load="ucbench_shortcuts.random_noise:RandomSamples",
        params="ucbench_shortcuts.params:RandomSampleParams",
        paper="H. Huang, X. Ma, S. M. Erfani, J. Bailey, Y. Wang: Unlearnable Examples: Making Personal Data "
        "Unexploitable. ICLR 2021. arXiv 2101.04898 (its sample-wise random baseline)",
        equation=r"$$\delta_i \sim \mathcal{U}(-\varepsilon, \varepsilon)$$ or $\varepsilon$ times a random sign, at "
        "every pixel and channel",
        label_access="none",
        granularity="sample",
        budget="linf",
        native_epsilon=8,
        fidelity="as in the literature's baselines; drawn on the continuous scale and then rounded to levels",
    )
    yield PoisonerSpec(
        name="rand-class",
        summary="One random pattern per class (or cluster), the same for all its images",
        title="Class-wise random noise",
        load="ucbench_shortcuts.random_noise:RandomClassPatterns",
        params="ucbench_shortcuts.params:RandomClassParams",
        paper="H. Huang, X. Ma, S. M. Erfani, J. Bailey, Y. Wang: Unlearnable Examples: Making Personal Data "
        "Unexploitable. ICLR 2021. arXiv 2101.04898 (its class-wise random baseline)",
        equation=r"$$\delta_i = \xi_{y_i}, \quad \xi_k \sim \mathcal{U}(-\varepsilon, \varepsilon)$$ or "
        r"$\varepsilon$ times a random sign, on a grid of blocks",
        label_access="full",
        granularity="class",
        budget="linf",
        native_epsilon=8,
        fidelity="uniform and sign noise as in the literature's baselines; blocks are a stronger form of this suite",
    )
    yield PoisonerSpec(
        name="lsp",
        summary="Linearly separable synthetic patches: every image draws its own from its class's (or cluster's) group",
        title="Linearly separable perturbations (LSP, SynPer)",
        load="ucbench_shortcuts.lsp:LinearlySeparable",
        params="ucbench_shortcuts.params:LSPParams",
        paper="D. Yu, H. Zhang, W. Chen, J. Yin, T.-Y. Liu: Availability Attacks Create Shortcuts. KDD 2022. "
        "arXiv 2111.00898",
        equation=r"$$\delta_i = \operatorname{clip}\Bigl(\varepsilon \frac{v_i}{\operatorname{rms}(v_i)}\Bigr), \quad "
        r"v_i \sim \mathcal{N}(s h_{y_i}, A_{y_i} A_{y_i}^\top)$$ on a grid of patches, where $h_k$ is a vertex of a "
        "hypercube, one per class, $s$ the separation and $A_k$ a random matrix",
        aliases=("synper",),
        label_access="full",
        granularity="sample",
        budget="linf",
        native_epsilon=8,
        projects=True,
        fidelity="the published budget is l2: every draw is scaled to a root mean square of 6/255; here it is scaled "
        "to one of epsilon and then clipped to the linf ball it is compared in, which leaves less: the column "
        "`measured_rms` says how much, in levels; images are rounded to levels, where the code truncates; by default "
        "there are 4 x 4 patches at any size, where the code's have 32 pixels at 224",
    )
    yield PoisonerSpec(
        name="ar",
        summary="Autoregressive noise: every image draws its own from its class's (or cluster's) process",
        title="Autoregressive perturbations (AR)",
        load="ucbench_shortcuts.ar:Autoregressive",
        params="ucbench_shortcuts.params:ARParams",
        version=2,
        paper="P. Sandoval-Segura, V. Singla, J. Geiping, M. Goldblum, T. Goldstein, D. W. Jacobs: Autoregressive "
        "Perturbations for Data Poisoning. NeurIPS 2022. arXiv 2206.03693",
        equation=r"$$\delta_i[u, v] = \sum_{a, b} w_{y_i}[a, b] \, \delta_i[u - a, v - b], \quad \sum_{a, b} w_k[a, "
        "b] = 1$$ "
        r"where $(u - a, v - b)$ comes before $(u, v)$, grown from Gaussian noise, then scaled to $\varepsilon$",
        aliases=("autoregressive",),
        label_access="full",
        granularity="sample",
        budget="l2",
        native_epsilon=1.0,
        fidelity="filters are drawn anew for every seed by the paper's rules, where the released code ships one set; "
        "the rules' norm is read as l2, their limits are scaled to the size of the images, and one image of noise "
        "judges a filter; l2 1.0 at any size (paper: 3.0 at 96 pixels); linf noise is scaled to a root mean square of "
        "epsilon and clipped, where the released code scales its largest value (fit=scale)",
    )
    yield PoisonerSpec(
        name="ops",
        summary="One pixel of a class's (or cluster's) images set to one colour, both found by search",
        title="One-pixel shortcut (OPS)",
        load="ucbench_shortcuts.ops:OnePixel",
        params="ucbench_shortcuts.params:OPSParams",
        paper="S. Wu, S. Chen, C. Xie, X. Huang: One-Pixel Shortcut: on the Learning Preference of Deep Neural "
        "Networks. ICLR 2023. arXiv 2205.12141",
        equation=r"$$x_i[p_{y_i}] = q_{y_i}, \quad (p_k, q_k) = \operatorname{argmax}_{p, q} "
        r"\frac{\operatorname{mean}_{i: y_i = k} |x_i[p] - q|}{\operatorname{std}_{i: y_i = k} |x_i[p] - q|}$$ "
        "over pixels $p$ and colours $q$ (in the paper the variance instead of the standard deviation)",
        aliases=("one-pixel-shortcut",),
        label_access="full",
        granularity="sample",
        budget="l0",
        native_epsilon=1,
        fidelity="exhaustive search as published; `released`, the default here, divides by the standard deviation over "
        "images and channels jointly, as the code does, `paper` by the variance of the distance summed over channels; "
        "ties, and pixels without any dispersion, follow a fixed rule",
        version=2,
    )
    yield PoisonerSpec(
        name="cuda",
        summary="A class's (or cluster's) images convolved with its random kernel: a blur, not noise",
        title="Convolution-based unlearnable data sets (CUDA)",
        load="ucbench_shortcuts.cuda:ClassWiseConvolution",
        params="ucbench_shortcuts.params:CUDAParams",
        paper="V. S. Sadasivan, M. Soltanolkotabi, S. Feizi: CUDA: Convolution-based Unlearnable Datasets. CVPR 2023. "
        "arXiv 2303.04278",
        equation=r"$$x_i \mapsto \frac{x_i * k_{y_i}}{\max(x_i * k_{y_i})}$$ where $k_c$ is a random kernel of class "
        r"$c$ with one entry 1, the others $\sim \mathcal{U}(0, b)$, and $b$ is blur",
        label_access="full",
        granularity="sample",
        budget="unbounded",
        fidelity="as published, but rounded to levels, where the code truncates; zeros around the image, and a black "
        "image, whose largest value is 0, stays black",
    )
