"""The measured subjects by name: comparisons of the plain side with ucbench, and figures of ucbench alone."""

from __future__ import annotations

from subjects.base import Comparison, Figure

#: Targets: how many times faster on two CPU cores with bfloat16, and on a data-centre GPU.
SUBJECTS: dict[str, Comparison | Figure] = {
    subject.name: subject
    for subject in (
        Comparison("victim", "training epoch of the victim", "subjects.victim", cpu=2.7),
        Comparison("evaluation", "evaluation of the test images", "subjects.evaluation", cpu=3.0, cuda=5.0),
        Comparison("uc-steps", "UC, the released procedure's updates", "subjects.uc_steps"),
        Comparison("uc", "UC, to the effect of the released procedure", "subjects.uc_effect", cpu=40.0, cuda=20.0),
        Comparison("eminn", "EMinN: the network's steps and a sweep", "subjects.eminn", cpu=3.0, cuda=5.0),
        Comparison("mi-ue", "MI-UE: an epoch and a pass of perturbing", "subjects.miue", cpu=3.0, cuda=5.0),
        Comparison("adv-poison", "AdvPoison: steps through random views", "subjects.advpoison", cpu=3.0, cuda=5.0),
        Comparison("adversarial", "adversarial training epoch, PGD", "subjects.adversarial", cpu=3.0, cuda=5.0),
        Comparison("cutmix", "CutMix, one box per image", "subjects.cutmix", cpu=1.0, cuda=1.0),
        Comparison("crop-flip", "random crop and flip", "subjects.crop_flip", cpu=1.0, cuda=1.0),
        Comparison("cutout", "Cutout", "subjects.cutout", cpu=1.0, cuda=1.0),
        Comparison("decoding", "PNG in parquet to an array, first load", "subjects.decoding"),
        Figure("second-load", "the same images loaded again", "subjects.second_load", "s", 1.0),
        Figure("help", "ucbench --help", "subjects.startup:Help", "s", 0.4),
        Figure("list", "ucbench list", "subjects.startup:List", "s", 0.4),
        Figure("memory", "peak memory per byte of uint8 images", "subjects.memory", "bytes", 4.0),
    )
}
