"""Random streams of reports: several trials interleaved, with ties and skipped steps, that stop or go on as a scheduler says.

The same seed gives the same stream as long as the same is decided: so a table of decisions needs no more than seeds and bits.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

STREAMS = 360
"""How many streams there are for each rule; their seeds are 0, 1, ..."""
DECIMAL = 240
"""From this seed on values are decimal fractions, of which sums and means are rounded: what is equal hangs on the last bit."""


@dataclass(frozen=True)
class Stream:
    """The settings of one stream."""

    seed: int
    max_epochs: int
    grace_period: int
    reduction_factor: int
    minimize: bool
    trials: int
    slots: int
    grid: int
    """Values are multiples of ``1 / grid``: a coarse one has many ties."""
    skips: bool
    """Whether trials report only some of their steps."""
    min_trials: int
    """For rules that wait for so many others."""


class Decides:
    """What a scheduler, a peer's or ours, is to this: told of a trial's start, its reports and its end."""

    def start(self, trial: int) -> None:
        """A trial starts."""

    def stops(self, trial: int, step: int, value: float) -> bool:
        """A trial reports; whether it is stopped."""
        raise NotImplementedError

    def end(self, trial: int, value: float, *, stopped: bool) -> None:
        """A trial has been stopped, or is complete."""


def stream(seed: int) -> Stream:
    """The settings of the stream of that seed."""
    random = Random(seed)
    max_epochs = random.choice([9, 16, 27, 32, 50, 81])
    return Stream(
        seed=seed,
        max_epochs=max_epochs,
        grace_period=random.choice([1, 1, 2, 3, 5]),
        reduction_factor=random.choice([2, 3, 4]),
        minimize=random.random() < 0.5,
        trials=random.randint(6, 24),
        slots=random.randint(1, 8),
        grid=random.choice([4, 16, 1024] if seed < DECIMAL else [5, 10, 20, 100]),
        skips=random.random() < 0.3,
        min_trials=random.randint(1, 4),
    )


class OptunaPruner(Decides):
    """A pruner of Optuna, asked through a study."""

    def __init__(self, settings: Stream, pruner: Any) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self.state = optuna.trial.TrialState
        self.study: Any = optuna.create_study(direction="minimize" if settings.minimize else "maximize", pruner=pruner)
        self.trials: dict[int, Any] = {}

    def start(self, trial: int) -> None:
        """Ask for it."""
        self.trials[trial] = self.study.ask()

    def stops(self, trial: int, step: int, value: float) -> bool:
        """Report, and ask whether to prune."""
        self.trials[trial].report(value, step)
        return bool(self.trials[trial].should_prune())

    def end(self, trial: int, value: float, *, stopped: bool) -> None:
        """Tell how it ended."""
        if stopped:
            self.study.tell(self.trials[trial], state=self.state.PRUNED)
        else:
            self.study.tell(self.trials[trial], value)


def decisions(settings: Stream, make: Callable[[Stream], Decides]) -> str:
    """Run a stream: one bit for each report before ``max_epochs``, in order; 1 is a stop."""
    random = Random(f"stream {settings.seed}")
    decides = make(settings)
    bits: list[str] = []
    running: dict[int, int] = {}
    started = 0
    while True:
        while started < settings.trials and len(running) < settings.slots:
            decides.start(started)
            running[started] = 0
            started += 1
        if not running:
            return "".join(bits)
        trial = random.choice(list(running))
        step = running[trial] + (random.randint(1, 5) if settings.skips else 1)
        running[trial] = step
        level = (trial * 37 % 11) / 11 * (1 - 0.8**step) + random.random() * 0.4
        value = round((1 - level if settings.minimize else level) * settings.grid) / settings.grid
        stopped = decides.stops(trial, step, value)
        if step < settings.max_epochs:
            bits.append("1" if stopped else "0")
        if stopped or step >= settings.max_epochs:
            del running[trial]
            decides.end(trial, value, stopped=stopped and step < settings.max_epochs)


def packed(bits: str) -> str:
    """Bits as hexadecimal digits, which keep their number."""
    return f"{int('1' + bits, 2):x}"
