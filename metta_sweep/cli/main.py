"""The entry point: runs a command, and turns errors into one message and an exit code."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code (see ``metta_sweep.cli.exits``).

    Args:
        arguments: what follows the program's name; by default those of this process.
    """
    from metta_sweep.cli.exits import CAUGHT, INTERRUPTED, exit_now

    before = {number: signal.getsignal(number) for number in CAUGHT}
    try:
        code = _run(sys.argv[1:] if arguments is None else arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        # who read our output has left, as `| head` does; nothing is to be written when the interpreter closes its files
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    except KeyboardInterrupt:
        code = INTERRUPTED
    finally:
        if arguments is not None:
            for number, handler in before.items():
                if signal.getsignal(number) is exit_now:
                    signal.signal(number, handler)
    if arguments is None:
        _leave_quietly()
    return code


def _run(arguments: Sequence[str]) -> int:
    from cyclopts import CycloptsError

    from metta_sweep.cli.app import app
    from metta_sweep.cli.exits import ERROR, WRONG_USE, UsageError
    from metta_sweep.errors import MettaSweepError

    try:
        code = app(list(arguments), exit_on_error=False, print_error=False, result_action="return_value")
    except CycloptsError as error:
        return _told(f"{error}\nmetta-sweep --help tells what there is.", WRONG_USE)
    except MettaSweepError as error:
        if os.environ.get("METTA_SWEEP_DEBUG", "0") not in ("", "0"):
            raise
        return _told(str(error), WRONG_USE if isinstance(error, UsageError) else ERROR)
    return code if isinstance(code, int) else 0


def _told(message: str, code: int) -> int:
    from metta_sweep.cli.text import plain

    print(f"metta-sweep: {plain(message)}", file=sys.stderr)  # noqa: T201
    return code


def _leave_quietly() -> None:
    """All is told: a signal that comes while the interpreter closes down ends the process, and prints nothing."""
    from metta_sweep.cli.exits import CAUGHT, exit_now

    for number in CAUGHT:
        if signal.getsignal(number) in (signal.default_int_handler, signal.SIG_DFL):
            signal.signal(number, exit_now)
