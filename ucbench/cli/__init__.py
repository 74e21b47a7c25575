"""The command line. A command's module is imported only when the command runs."""

from ucbench.cli.app import main

__all__ = ["main"]
