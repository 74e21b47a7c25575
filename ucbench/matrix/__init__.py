"""Cells and their keys, the axes whose cross product they are, and suites."""
