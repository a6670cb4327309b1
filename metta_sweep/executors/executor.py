"""What an executor is: it says where trials run."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple, Protocol, Self, TypeGuard, runtime_checkable

from metta_sweep.core.resources import Resources
from metta_sweep.core.trial import Metric, Trial, TrialError

__all__ = [
    "Capabilities",
    "Ended",
    "Executor",
    "HandsOutGpus",
    "KeepsCheckpoints",
    "OwnTime",
    "ReportMade",
    "StopCause",
    "TrialEvent",
    "TrialTask",
    "hands_out_gpus",
    "has_own_time",
    "keeps_checkpoints",
]

StopCause = Literal["verdict", "pause", "complete", "deadline", "interrupt"]
"""Why a trial is stopped: by the verdict to stop, to pause or that it is complete; at the deadline; because the run is to end."""


class Capabilities(NamedTuple):
    """What an executor can do; checked when a sweep is built."""

    streams: bool
    """Reports arrive while the trial runs."""
    stops: bool
    """A running trial can be stopped."""
    isolates: bool
    """A crash of a trial's interpreter does not end the driver's."""
    survives_driver: bool
    """Trials run on when the driver dies, and can be found again."""
    pauses: bool = False
    """What a paused trial kept in its directory is there again when it goes on, or when another one goes on in its place."""


class TrialTask(NamedTuple):
    """One attempt to run."""

    trial: Trial
    seed: int
    """The same on every attempt of the trial."""
    resources: Resources
    address: str
    """``trial[5]#2``, under the address of the experiment."""
    resume_step: int | None = None
    """The step after which it goes on; None: it begins anew."""
    checkpoint: str | None = None
    """What its directory must hold when it starts, as a digest of ``Ended.checkpoint``; None: nothing, where it goes on after a
    step, since it held nothing then; else it is left as it is."""
    devices: tuple[int, ...] = ()
    """The GPUs that the executor gave it, by number."""


class ReportMade(NamedTuple):
    """A running trial reported."""

    trial_id: str
    attempt: int
    step: int
    metrics: dict[str, Metric]


class Ended(NamedTuple):
    """The one terminal event of an attempt: one of ``metrics``, ``error`` and ``stopped`` is set, or ``stopped`` and metrics."""

    trial_id: str
    attempt: int
    seconds: float
    metrics: dict[str, Metric] | None = None
    error: TrialError | None = None
    stopped: StopCause | None = None
    metadata: dict[str, Any] | None = None
    checkpoint: str | None = None
    """Of an attempt that was paused: what its directory held, as a digest; None when it held nothing."""


TrialEvent = ReportMade | Ended


class Executor(Protocol):
    """Runs trial functions. An async context: what it started has ended, or been reported as leaked, when the context ends."""

    @property
    def slots(self) -> int | None:
        """How many attempts it can run at once; None: any number."""
        ...

    @property
    def capabilities(self) -> Capabilities:
        """What it can do."""
        ...

    @property
    def leaked_slots(self) -> int:
        """How many attempts were reported as ended, could not be ended, and still hold their slot."""
        ...

    def check(self, objective: Any, search_space: Any) -> None:
        """Raise ``ObjectiveError`` when the trial function cannot be called. Changes nothing: another run may be using this."""

    def prepare(self, objective: Any, search_space: Any, *, run_id: str | None = None, root: Path | None = None) -> None:
        """Take what the next run needs; called once before each ``__aenter__``.

        Args:
            objective: the trial function.
            search_space: what it is checked against.
            run_id: whose trials they are: those of different runs share no directory.
            root: where directories of runs lie, unless this was told another place; None: among the temporary files.

        Raises:
            ObjectiveError: the trial function cannot be called.
            ExecutorError: another run is using this; nothing was changed.
        """

    async def __aenter__(self) -> Self: ...

    async def __aexit__(self, *exc: object) -> None: ...

    def start(self, task: TrialTask) -> None:
        """Start an attempt. Starting one that was started already does nothing, until its terminal event is acknowledged."""

    def stop(self, trial_id: str, cause: StopCause, grace: float) -> None:
        """Ask a running trial to stop, and stop it after ``grace`` seconds. Its terminal event comes all the same."""

    def answer(self, trial_id: str, step: int) -> None:
        """The verdict on the report of that step is to go on: wakes a generator that waits for it."""

    def peek(self) -> Sequence[TrialEvent]:
        """What has happened and is not acknowledged; does not wait.

        In the order of dispatch, those of one attempt as they happened; one that has its own time gives all in the order of time.
        """
        ...

    async def wait(self, until: float | None = None) -> None:
        """Return as soon as something is unacknowledged, or at ``until`` (seconds on the event loop's clock, or its own)."""

    def wake(self) -> None:
        """Make a running ``wait`` return. Safe from any thread."""

    def acknowledge(self, count: int) -> None:
        """Forget the first ``count`` events of the last ``peek``: they are in the journal."""

    def exhausted(self) -> str | None:
        """A reason in words when it can start nothing more, ever; None otherwise."""


@runtime_checkable
class HandsOutGpus(Protocol):
    """What an executor has beside the rest that hands out GPUs. Without it, requests for GPUs are advisory."""

    @property
    def gpus(self) -> int | None:
        """How many it hands out; None: none, and requests are advisory."""
        ...

    def admits(self, resources: Resources, trial_id: str | None = None) -> bool:
        """Whether an attempt with these resources could start now; that of ``trial_id`` which was started already counts as well.

        Raises:
            ExecutorError: it never could: it asks for more than there is.
        """
        ...


@runtime_checkable
class KeepsCheckpoints(Protocol):
    """What an executor has beside the rest that keeps the directories of paused trials, and can remove what is kept."""

    def keep_only(self, checkpoints: Collection[str]) -> None:
        """Remove checkpoints that are not among these, by digest; not those of events that were not acknowledged yet.

        Called when the journal that made the others unneeded has been committed: what a journal names is there.
        """


@runtime_checkable
class OwnTime(Protocol):
    """What an executor has beside the rest whose time is not the event loop's: budgets, back-offs and limits are in its seconds.

    Its ``wait`` lets its own time pass, and returns without waiting. Nothing else makes time pass: deciding takes none.
    """

    def clock(self) -> float:
        """Seconds since it was entered; 0.0 before and afterwards."""
        ...

    def judge_by(self, next_judged: Callable[[str, int], int | None] | None) -> None:
        """Take what tells, of a trial and the step that it reported last, the first later step that is judged (None: no later one).

        Called once after it was entered, with None where every report is judged. Reports that are not judged need not be delivered
        at once: they may come with the next event of any trial that counts, in the order of time.
        """


_known: Final[dict[tuple[type, str], bool]] = {}


def _has(executor: object, protocol: type) -> bool:
    """Whether it has what a protocol asks for. Looked up once per class: Python's own check takes longer than a trial."""
    kind = type(executor)
    known = _known.get((kind, protocol.__name__))
    if known is None:
        known = all(hasattr(kind, name) for name in vars(protocol) if not name.startswith("_"))
        _known[kind, protocol.__name__] = known
    return known


def hands_out_gpus(executor: object) -> TypeGuard[HandsOutGpus]:
    """Whether an executor hands out GPUs."""
    return _has(executor, HandsOutGpus)


def keeps_checkpoints(executor: object) -> TypeGuard[KeepsCheckpoints]:
    """Whether an executor keeps the directories of paused trials."""
    return _has(executor, KeepsCheckpoints)


def has_own_time(executor: object) -> TypeGuard[OwnTime]:
    """Whether an executor has a time of its own."""
    return _has(executor, OwnTime)
