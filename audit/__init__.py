"""The ledger: records, commit log, tree, checkpoints, verifier, and the commands."""

from importlib.metadata import version

__version__ = version("strongroom")
