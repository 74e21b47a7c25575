"""The command line: one module a command, imported only when it is asked for."""

from ucbench.cli.app import main

__all__ = ["main"]
