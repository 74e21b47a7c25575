"""Formats that a leaderboard's table is written in."""

from ucbench.leaderboard.formats.layout import HEADERS, Line, Section, sections

__all__ = ["HEADERS", "Line", "Section", "sections"]
