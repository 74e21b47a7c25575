"""Measures of arrays, and the protocol of metrics that plugins add."""
