"""A benchmark suite for unlearnable examples.

``ucbench.run`` measures cells, ``ucbench.craft`` perturbs images, ``ucbench.plan`` says what a run would do. Authors of
plugins find here all that a plugin may import, and in :mod:`ucbench.testing` what they test with. The names are listed,
with their homes, in ``__init__.pyi``; each is imported when first used, so that ``ucbench list`` and the registration
of a plugin cost neither torch nor pydantic.
"""

from typing import Any

import lazy_loader

_getattr, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


def __getattr__(name: str) -> Any:
    if name != "__version__":
        return _getattr(name)
    from ucbench.numerics import versions

    return versions()["ucbench"]
