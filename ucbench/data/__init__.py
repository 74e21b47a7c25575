"""Image sets: the value, reading pictures into one, and choosing parts of one."""

from ucbench.data.imageset import ImageSet, LabelSet

__all__ = ["ImageSet", "LabelSet"]
