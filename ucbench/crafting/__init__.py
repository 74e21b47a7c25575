"""The protector's side: from a craft and its images to a release, and what poisoners share.

Plugins find the shared parts in ``ucbench``: ``CraftRun``, ``BiLevel``, ``pgd``, ``cluster`` and more.
"""
