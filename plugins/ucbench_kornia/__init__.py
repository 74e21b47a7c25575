"""The two-dimensional augmentations of kornia as defenses, by the names of their classes.

kornia: Riba et al., https://github.com/kornia/kornia.
"""

from collections.abc import Iterator

from ucbench import DefenseSpec, hookimpl

REQUIREMENT = "kornia>=0.9,<0.10"


@hookimpl
def ucbench_defenses() -> Iterator[DefenseSpec]:
    yield DefenseSpec(
        name="kornia",
        summary="Any augmentation of kornia, by class: kornia:RandomPerspective; its colour changes are not Pillow's",
        load="ucbench_kornia.defense:Kornia",
        params="ucbench_kornia.params:KorniaParams",
        paper="E. Riba, D. Mishkin, D. Ponsa, E. Rublee, G. Bradski: Kornia: an Open Source Differentiable Computer "
        "Vision Library for PyTorch. WACV 2020. arXiv 1910.02190",
        tier="T0",
        requires=("kornia",),
        extra=REQUIREMENT,
    )
