"""Leaderboards: tables, plots and a site computed from records; checking, comparing and submitting them.

Nothing here trains or crafts. Exporters of plugins write ``ucbench.Entry``.
"""
