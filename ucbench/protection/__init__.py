"""Protecting a folder of photos: which files, patterns for them, perturbed copies, a manifest and a report.

:func:`ucbench.protection.protect.protect` is the flow.
"""
