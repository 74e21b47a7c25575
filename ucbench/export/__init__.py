"""Releases as files: images with labels, hashes and descriptions, and image sheets."""
