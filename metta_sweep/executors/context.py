"""What a running trial function may ask for: the trial's parameters, seed and place, and the way to report."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any, Final

from metta_sweep.core.metrics import as_metrics
from metta_sweep.core.resources import Resources
from metta_sweep.core.trial import Metric
from metta_sweep.errors import MetricError
from metta_sweep.executors.executor import TrialTask

if TYPE_CHECKING:
    from structlog.stdlib import BoundLogger

__all__ = ["TrialContext"]

_SCALARS: Final = frozenset({str, int, float, bool, type(None)})


class TrialContext:
    """One attempt of one trial, as its function sees it. Made by executors; safe to use from threads of the trial."""

    __slots__ = ("_directory", "_goes_on", "_looked", "_metadata", "_noticed", "_params", "_rng", "_send", "_stopping", "_task")

    def __init__(
        self,
        task: TrialTask,
        send: Callable[[int, dict[str, Metric]], None],
        directory: Callable[[], Path],
    ) -> None:
        self._task = task
        self._send = send
        self._directory = directory
        self._params: dict[str, Any] | None = None
        self._rng: Random | None = None
        self._metadata: dict[str, Any] | None = None
        self._stopping = False
        self._noticed = False
        self._goes_on = False
        self._looked = False

    @property
    def should_stop(self) -> bool:
        """Whether the trial is asked to end: by the scheduler's verdict, its time limit, the deadline or an interrupt.

        Code that runs long looks here now and then, and returns (what it has, or nothing). What does not return in time is cut.
        """
        if self._stopping:
            self._noticed = True
        return self._stopping

    @property
    def id(self) -> str:
        """The trial's id: its suggestion's own, else its number."""
        return self._task.trial.id

    @property
    def number(self) -> int:
        """The order of its pick, from 0."""
        return self._task.trial.number

    @property
    def address(self) -> str:
        """The name of this attempt in journal, logs and errors: ``trial[5]#2``."""
        return self._task.address

    @property
    def place(self) -> str:
        """What the addresses of experiments begin with that run inside this trial: ``trial[5]``, the same on every attempt."""
        return f"trial[{self._task.trial.id}]"

    @property
    def params(self) -> dict[str, Any]:
        """The parameters to evaluate: a dict of this attempt's own, which may be changed."""
        if self._params is None:
            given = self._task.trial.params
            self._params = {name: value if type(value) in _SCALARS else copy.deepcopy(value) for name, value in given.items()}
        return self._params

    @property
    def branch(self) -> str | None:
        """The research direction it belongs to."""
        return self._task.trial.branch

    @property
    def seed(self) -> int:
        """32 bits, as numpy and scikit-learn take them, that depend on the experiment's seed and the suggestion's number alone.

        The same on every attempt.
        """
        return self._task.seed

    @property
    def rng(self) -> Random:
        """A generator seeded with ``seed``."""
        if self._rng is None:
            self._rng = Random(self._task.seed)  # noqa: S311  # for experiments, not for secrets
        return self._rng

    @property
    def attempt(self) -> int:
        """1 for the first attempt."""
        return self._task.trial.attempt

    @property
    def resources(self) -> Resources:
        """What this attempt may use."""
        return self._task.resources

    @property
    def devices(self) -> tuple[int, ...]:
        """The numbers of the GPUs that are its own, from 0, or of the one that it has a share of.

        Empty where it asked for none, or where the executor was not told how many there are: ``LocalExecutor(gpus=2)``.
        """
        return self._task.devices

    @property
    def resume_step(self) -> int:
        """The step after which this attempt goes on: what it kept in ``checkpoint_dir`` then is there. 0: it begins anew.

        ``for epoch in range(trial.resume_step + 1, 101)`` serves both.
        """
        self._goes_on = True
        return self._task.resume_step or 0

    @property
    def checkpoint_dir(self) -> Path:
        """A directory of this trial, the same on every attempt; made when it is first asked for.

        What it holds when the trial is paused is its checkpoint: there again, exactly, when it goes on after ``resume_step``, on
        every attempt; it may be the checkpoint of another trial then, whose place it takes.
        """
        self._looked = True
        return self._directory()

    @property
    def metadata(self) -> dict[str, Any]:
        """Facts to keep beside the metrics: JSON values under string keys. Never compared, never optimized."""
        if self._metadata is None:
            self._metadata = {}
        return self._metadata

    @property
    def logger(self) -> BoundLogger:
        """A structlog logger that tells the address, over the standard logger ``metta_sweep``."""
        from metta_sweep.executors.logs import bound_logger  # structlog is slow to import, and seldom asked for

        return bound_logger(self._task.address)

    def report(self, step: int, metrics: Any = None, /, **named: Any) -> None:
        """Report metrics at a step: ``trial.report(3, loss=0.2)``, ``trial.report(3, {"loss": 0.2})`` or ``trial.report(3, 0.2)``.

        Never blocks. The scheduler's verdict shows in ``should_stop`` soon after.

        Args:
            step: the epoch, or what else counts the progress; a whole number, from 0.
            metrics: a metric (kept as ``score``) or a mapping of metrics.
            named: further metrics by name.

        Raises:
            MetricError: the step or a metric is none; nothing was reported.
        """
        where = f"report({step!r}) of {self._task.address}"
        checked = as_metrics(metrics, where) if metrics is not None else {}
        if named or not checked:
            checked = {**checked, **as_metrics(named, where)}
        self._send(checked_step(step, where), checked)

    def __repr__(self) -> str:
        return f"TrialContext({self._task.address!r}, params={self._task.trial.params!r})"


def ask_to_stop(context: TrialContext) -> None:
    """Let ``should_stop`` show it."""
    context._stopping = True  # noqa: SLF001  # for executors, not for trial functions


def renew(context: TrialContext, task: TrialTask) -> None:
    """The trial function goes on with another attempt, where it was; that it was asked to stop there is over."""
    context._task = task  # noqa: SLF001
    context._stopping = context._noticed = False  # noqa: SLF001


def first_step(context: TrialContext) -> int:
    """The number of the first report that brings none: after ``resume_step``, for a trial that knows that it goes on.

    It knows when it has asked for ``resume_step``, or for its directory, when a checkpoint was restored there.
    """
    task = context._task  # noqa: SLF001
    knows = context._goes_on or (context._looked and task.checkpoint is not None)  # noqa: SLF001
    return (task.resume_step or 0) + 1 if knows else 1


def has_noticed(context: TrialContext) -> bool:
    """Whether the trial has seen that it should stop. What returns without having seen it has run to its end."""
    return context._noticed  # noqa: SLF001


def checked_step(step: Any, where: str) -> int:
    """The step as a plain int. Raises ``MetricError`` when it is no whole number from 0."""
    if type(step) is not int:
        given = step
        step = step.__index__() if hasattr(step, "__index__") and not isinstance(step, bool) else None
        if step is None:
            raise MetricError(
                f"{where}: a step must be a whole number; found {given!r}. Report the epoch, such as report(3, loss=0.2)."
            )
    if step < 0:
        raise MetricError(f"{where}: a step must not be negative; found {step!r}. Count from 0 or 1.")
    return int(step)


def kept_metadata(context: TrialContext) -> dict[str, Any] | None:
    """The metadata as plain JSON, detached from the trial; None when there is none. ``MetricError`` names what is not JSON."""
    metadata = context._metadata  # noqa: SLF001  # so that reading does not make one
    if not metadata:
        return None
    kept: dict[str, Any] = {}
    for key, value in dict(metadata).items():
        try:
            if not isinstance(key, str):
                raise TypeError("keys are strings")
            key.encode()  # raises for what UTF-8 cannot hold, as does the next line
            kept[key] = json.loads(json.dumps(value, allow_nan=False, ensure_ascii=False).encode())
        except (TypeError, ValueError, RecursionError) as error:
            raise MetricError(
                f"trial.metadata[{key!r}] of {context.address}: not JSON ({error}); found a {type(value).__name__}. "
                "Keep text, numbers, lists and dicts there, and files in trial.checkpoint_dir."
            ) from error
    return kept


def merged_mapping(value: Any) -> tuple[Any, Any]:
    """What a generator yielded, as (step or None, metrics): ``{"step": 3, "loss": 0.2}`` brings its own step."""
    if isinstance(value, Mapping) and "step" in value:
        return value["step"], {name: metric for name, metric in value.items() if name != "step"}
    return None, value
