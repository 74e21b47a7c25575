"""Wavelet shrinkage of the published images, before anything is trained on them.

This module imports neither torch nor PyWavelets, so that `ucbench list` stays quick and works without either.
"""

from collections.abc import Iterator

from ucbench import DefenseSpec, hookimpl


@hookimpl
def ucbench_defenses() -> Iterator[DefenseSpec]:
    yield DefenseSpec(
        name="wavelet-denoise",
        summary="Shrink the wavelet coefficients of every training image, once: small ones count as noise",
        load="ucbench_wavelet.defense:WaveletDenoising",
        params="ucbench_wavelet.params:WaveletParams",
        paper="S. G. Chang, B. Yu, M. Vetterli: Adaptive Wavelet Thresholding for Image Denoising and Compression. "
        "IEEE Transactions on Image Processing 9(9), 2000 (rule=bayes); D. L. Donoho, I. M. Johnstone: Ideal Spatial "
        "Adaptation by Wavelet Shrinkage. Biometrika 81(3), 1994 (rule=visu)",
        requires=("pywt",),
        extra="PyWavelets>=1.6",
        tier="T1",
        static=True,
    )
