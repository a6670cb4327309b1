"""Checks of executors' settings."""

from __future__ import annotations

import os
from typing import Any

from metta_sweep.core.numbers import check_int
from metta_sweep.errors import ExecutorError
from metta_sweep.executors.devices import Devices

__all__ = ["FilePath", "checked_directory", "checked_slots", "devices_of"]


FilePath = str | os.PathLike[str]


def checked_slots(slots: Any, kind: str) -> int | None:
    """How many attempts run at once; None: any number."""
    if slots is None:
        return None
    return check_int(slots, f"{kind}(slots=)", ExecutorError, at_least=1, remedy="Leave it out for any number")


def checked_directory(path: Any, kind: str) -> FilePath | None:
    """Where trials keep their files, as it was given."""
    if path is not None and not isinstance(path, str | os.PathLike):
        raise ExecutorError(f"{kind}(checkpoint_dir=)", "it is no path", found=path, remedy="Give a directory")
    return path


def devices_of(gpus: Any, kind: str) -> Devices | None:
    """So many GPUs to hand out; None where requests for them are advisory."""
    if gpus is None:
        return None
    remedy = "Write gpus=2 for two, or leave it out: requests are advisory then"
    return Devices(check_int(gpus, f"{kind}(gpus=)", ExecutorError, at_least=0, remedy=remedy), kind)
