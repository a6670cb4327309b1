"""Which runs a comparison has, in which order, and how many of them at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from metta_sweep.core.events import Error, Event, Result
from metta_sweep.core.seeds import derive_seed, seed_of_32_bits
from metta_sweep.core.setup import Setup
from metta_sweep.core.trial import Suggestion
from metta_sweep.experiments.comparison.scoring import NO_SCORE
from metta_sweep.optimizers.optimizer import Optimizer
from metta_sweep.schedulers.scheduler import Offer, Scheduler

__all__ = ["InPairs", "RunsAtOnce"]

BROKEN_AFTER: Final = 3
"""So many runs of a side that raise an error, and none that does not, end the comparison."""


class InPairs(Optimizer):
    """Suggests the runs of a comparison: repeat by repeat, problem by problem, all sides of a pair after each other.

    It never ends: so a comparison can be given more repeats later. Each run has a seed of its own, which depends on the seed of the
    comparison, its problem, repeat and side alone: no two sides share a random stream, and a side draws the same whatever it is
    compared with. ``problem_seed`` is the pair's, with 32 bits, as numpy and scikit-learn
    take them: both sides get the same problem.

    Args:
        problems: their names.
        sides: their names.
        definition: what else makes the comparison what it is.
    """

    stays_inside = True

    def __init__(self, problems: Sequence[str], sides: Sequence[str], definition: Mapping[str, Any]) -> None:
        # in one order, however they are written down: a comparison that goes on must go on with the runs that are left
        self._problems = tuple(sorted(problems))
        self._sides = tuple(sorted(sides))
        self._definition = dict(definition)

    def suggest(self, n: int, index: int = 0) -> list[Suggestion]:
        """The runs from this number on."""
        return [self._run(number) for number in range(index, index + n)]

    def for_run(self, setup: Setup) -> InPairs:
        """A new one with the seed of the comparison."""
        fresh = InPairs(self._problems, self._sides, self._definition)
        fresh.seed = setup.seed
        return fresh

    def describe(self) -> dict[str, Any]:
        """Sides and problems, and how they are scored."""
        return self._definition

    def _run(self, number: int) -> Suggestion:
        pair, place = divmod(number, len(self._sides))
        repeat, which = divmod(pair, len(self._problems))
        problem, side = self._problems[which], self._sides[place]
        seed = self.seed or 0
        params = {
            "problem": problem,
            "repeat": repeat,
            "side": side,
            "seed": derive_seed(seed, "run", problem, repeat, side),
            "problem_seed": seed_of_32_bits(seed, "problem", problem, repeat),
        }
        return Suggestion(params=params, branch=side, id=f"{problem}:{repeat}:{side}")


class RunsAtOnce(Scheduler):
    """Starts so many runs at once, in their order; the other slots are for the trials within them.

    It starts nothing more when the first runs of a side have all raised an error: that says nothing of the side but that it is
    broken.

    Args:
        at_once: how many, at least 1.
    """

    def __init__(self, at_once: int) -> None:
        self.at_once = at_once
        self._broken: dict[str | None, list[str]] = {}
        self._sound: set[str | None] = set()

    def pick(self, offer: Offer) -> None:
        """Start the next runs, until so many are running."""
        while offer.free:
            if offer.busy >= self.at_once:
                offer.wait("the other slots are for the trials of the runs")
                return
            waiting = offer.next()
            if waiting is None:
                offer.wait(offer.why)
                return
            offer.pick(waiting)

    def apply(self, event: Event) -> None:
        """Take note of one event: how runs end matters."""
        if isinstance(event, Result) or (isinstance(event, Error) and event.type == NO_SCORE):
            self._sound.add(event.branch)
        elif isinstance(event, Error):
            self._broken.setdefault(event.branch, []).append(f"{event.type}: {event.message}")

    def finished(self) -> str | None:
        """Which side is broken, and how."""
        for side, errors in self._broken.items():
            if side not in self._sound and len(errors) >= BROKEN_AFTER:
                return f"the first {len(errors)} runs of {side!r} all raised an error, the last of them {errors[-1]}"
        return None

    def describe(self) -> dict[str, Any]:
        """Its class: how many run at once changes nothing of what is found."""
        return {"class": type(self).__qualname__}
