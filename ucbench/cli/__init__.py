"""The command line. A command's module is imported only when the command is named."""

from ucbench.cli.app import main

__all__ = ["main"]
