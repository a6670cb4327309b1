"""What a meta-experiment takes that every sweep takes, for type checkers."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

from metta_sweep.core.failures import FailurePolicy
from metta_sweep.core.resources import Resources
from metta_sweep.executors.executor import Executor
from metta_sweep.records import Store

__all__ = ["SweepOptions"]


class SweepOptions(TypedDict, total=False):
    """Options of ``SweepExperiment`` that mean the same here."""

    name: str | None
    metric: str | None
    slots: int | None
    executor: Executor | None
    failures: FailurePolicy | None
    hooks: Mapping[str, Mapping[str, Any]] | None
    seed: int | None
    store: Store | str | os.PathLike[str] | None
    resources: Resources | None
    grace: float | None
    tags: Sequence[str] | None
    warm_start: Any
