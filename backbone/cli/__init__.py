"""The command line: thin commands that parse, call a function and print."""

from backbone.cli.app import main

__all__ = ["main"]
