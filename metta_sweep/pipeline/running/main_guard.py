"""No runs while the main script is loaded for a process that works for another one: it would start all over again there."""

from __future__ import annotations

import sys

from metta_sweep.errors import StageProcessError

__all__ = ["MainNotGuarded", "refuse_while_main_loads"]


class MainNotGuarded(StageProcessError):
    """The main script starts a run wherever it is loaded."""


def refuse_while_main_loads(what: str) -> None:
    """Raise ``MainNotGuarded`` in a process that is loading the main script of the one which started it.

    Args:
        what: what is to be started.
    """
    module = sys.modules.get("multiprocessing.process")
    if module is not None and getattr(module.current_process(), "_inheriting", False):
        raise MainNotGuarded(
            f"{what} is to be started while the main script is being loaded for another process, which needs its functions only. "
            "Put what the script runs under: if __name__ == '__main__':"
        )
