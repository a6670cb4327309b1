"""The command line: ``metta-sweep`` and ``python -m metta_sweep``."""

from metta_sweep.cli.main import main

__all__ = ["main"]
