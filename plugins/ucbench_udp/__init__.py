"""Detection by a small network, then stronger augmentation with adversarial noise (AAAI 2024)."""

from collections.abc import Iterator

from ucbench import DefenseSpec, hookimpl


@hookimpl
def ucbench_defenses() -> Iterator[DefenseSpec]:
    yield DefenseSpec(
        name="udp",
        summary="Add the adversarial noise of a two-layer network to the release, and train with strong augmentation",
        title="Stronger data augmentation with adversarial noise (SDA, UDP)",
        load="ucbench_udp.defense:AdversarialNoise",
        params="ucbench_udp.params:NoiseParams",
        paper="Y. Zhu, L. Yu, X.-S. Gao: Detection and Defense of Unlearnable Examples. AAAI 2024. arXiv 2312.08898",
        equation=r"$$x_i + \arg\max_{{\|\eta\|}_\infty \le \varepsilon} \mathrm{CE}(f(x_i + \eta), y_i)$$ where $f$ is "
        r"a two-layer network, adversarially trained on the release",
        aliases=("sda",),
        tier="T3",
        sample="epochs=1,hidden=16",
        fidelity="radius, steps, optimiser and strengths are the official code's; the hidden layer has 512 units, 10 "
        "epochs and batches of 32, `paper` a unit per input, 100 and 128 (the code's detector of CIFAR-100: 200 "
        "epochs); detection, the accuracy of the same network on a held-out fifth, is noted, and the noise is left out "
        "where it is below `threshold` (the paper's 70 %), which the code does not couple, while the augmentation "
        "stays; the detector is trained on images as they are, where the code crops and flips; the strong crop comes "
        "after the recipe's crop and flip, of which the code keeps the flip alone; `paper` is refused beyond 64 x 64 "
        "pixels, where the layer would need gigabytes; noise is rounded to 8 bits with the images, where the official "
        "class truncates",
    )
