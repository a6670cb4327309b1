"""What a comparison gives back."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import combinations
from typing import TYPE_CHECKING, Any, ClassVar, Self

from metta_sweep.core.budget import Spend, StopReason
from metta_sweep.core.goal import Direction, Goal
from metta_sweep.core.paired import holm, quantile
from metta_sweep.core.seeds import derive_seed
from metta_sweep.errors import Interrupted, InvalidInput, MetricError, did_you_mean
from metta_sweep.experiments.comparison.pairs import Pair, finite

if TYPE_CHECKING:
    from metta_sweep.experiments.result import SweepResult

__all__ = ["ComparedRun", "Comparison", "SideScores"]


@dataclass(frozen=True, slots=True)
class ComparedRun:
    """One run of one side, as it ended."""

    problem: str
    repeat: int
    """From 0."""
    side: str
    score: float | None
    """In the user's units; None where no trial completed or the run failed: it counts as worse than any score."""
    trials: int
    """How many trials it took."""
    leaf_trials: int
    """How many trials it and all experiments inside it took that have no experiment inside them: the work that was done."""
    seconds: float
    """How long it was active."""
    cost: float
    """The sum of its cost metric."""
    seed: int
    """Its own, which no other run has."""
    run: str | None
    """What it is kept under: its name in the store, or its id."""
    stop_reason: str | None
    """Why it ended."""
    error: str | None
    """Why it has no score."""
    curve: tuple[tuple[int, float], ...] = ()
    """Each trial, counted from 1, whose score was better than all before it, and that score."""


@dataclass(frozen=True, slots=True)
class SideScores:
    """The scores of one side over all its runs. Runs without a score count as worse than any: infinite, where they decide."""

    name: str
    runs: int
    failed: int
    """How many of them have no score."""
    median: float
    lower_quartile: float
    """A quarter of the scores are smaller."""
    upper_quartile: float
    mean: float | None
    """Of the scores that there are; None without any."""
    trials: float
    """Mean leaf trials of a run."""
    seconds: float
    """Mean active seconds of a run."""
    cost: float
    """Mean cost of a run."""


@dataclass(frozen=True)
class Comparison:
    """How experiments compare: plain data, which may be the output of a stage.

    Awaiting it gives itself, so that ``await compare(...)`` and ``compare(...)`` have one type.
    """

    name: str | None
    run_id: str
    score: str
    """What is compared, by name."""
    direction: Direction
    sides: tuple[str, ...]
    problems: tuple[str, ...]
    repeats: int
    """How many were asked for."""
    seed: int
    runs: tuple[ComparedRun, ...]
    """All runs that ended, repeat by repeat."""
    spend: Spend
    """Runs, active seconds and cost of the whole comparison."""
    stop_reason: StopReason | None
    stop_detail: str

    @property
    def results(self) -> SweepResult | None:
        """The sweep whose trials the runs are, with its trace and its children; None for one that was read back from a stage."""
        found: SweepResult | None = vars(self).get("_results")
        return found

    def of_sweep(self, results: SweepResult) -> Self:
        """This one, which knows the sweep that it was made of."""
        vars(self)["_results"] = results
        return self

    @property
    def goal(self) -> Goal:
        """The direction in which scores count."""
        return Goal(self.direction, "score")

    @cached_property
    def _scores(self) -> dict[tuple[str, int, str], float]:
        """The score of each run in the goal's direction: higher is better, and minus infinity has none."""
        sign = self.goal.sign
        worst = float("-inf")
        return {(run.problem, run.repeat, run.side): worst if run.score is None else sign * run.score for run in self.runs}

    @cached_property
    def scores(self) -> dict[str, SideScores]:
        """Medians, quartiles and means of each side, over all problems."""
        return {side: self._side(side) for side in self.sides}

    @cached_property
    def pairs(self) -> tuple[Pair, ...]:
        """Each two sides against each other. With more than two sides, p-values are corrected by Holm's method."""
        found = [Pair(first, second, self._differences(first, second)) for first, second in combinations(self.sides, 2)]
        corrected = holm([pair.uncorrected for pair in found])
        return tuple(
            Pair(pair.first, pair.second, pair.differences, p_value, derive_seed(self.seed, "interval"))
            for pair, p_value in zip(found, corrected, strict=True)
        )

    def between(self, first: str, second: str) -> Pair:
        """Two sides against each other; differences are positive where the first is better.

        Raises:
            InvalidInput: there is no side of a name, or it is twice the same.
        """
        for name in (first, second):
            if name not in self.sides:
                guess = did_you_mean(str(name), self.sides)
                known = ", ".join(map(repr, self.sides))
                remedy = f"Did you mean {guess!r}?" if guess else "Name two of these"
                raise InvalidInput("comparison.between()", "there is no such side", found=name, expected=known, remedy=remedy)
        for pair in self.pairs:
            if (pair.first, pair.second) == (first, second):
                return pair
            if (pair.first, pair.second) == (second, first):
                return pair.turned()
        raise InvalidInput(
            "comparison.between()", "it is one side, twice", found=first, expected="two sides", remedy="Name two sides"
        )

    @property
    def winner(self) -> str | None:
        """The side that is significantly better than every other; None where there is none."""
        for side in self.sides:
            if all(pair.better == side for pair in self.pairs if side in (pair.first, pair.second)):
                return side
        return None

    def raise_for_stop(self) -> Self:
        """Raise when it was interrupted. Returns itself otherwise.

        Raises:
            Interrupted: there are runs to come.
        """
        if self.stop_reason is StopReason.INTERRUPTED:
            raise Interrupted(f"the comparison {self.name or self.run_id!r} stopped by {self.stop_reason}: {self.stop_detail}.")
        return self

    def __as_metrics__(self, where: str) -> dict[str, float]:
        """What a trial is worth that returns a comparison of two sides: how much better the first one is.

        Its metrics are ``difference`` (the median), ``wins`` (the share of pairs in which the first side is better, ties as half of
        one) and ``p_value``. Raises ``MetricError`` for more sides, and without a pair.
        """
        pair = self.pairs[0]
        if len(self.pairs) > 1 or not pair.pairs:
            what = f"a comparison of {len(self.sides)} sides" if pair.pairs else "a comparison without a pair of runs"
            raise MetricError(f"{where}: {what} is no metric. Return a number of it, such as result.between('a', 'b').difference.")
        wins = (pair.wins + 0.5 * pair.ties) / pair.pairs
        return {"difference": pair.difference, "wins": wins, "p_value": pair.p_value}

    def summary(self) -> str:
        """The answer in words, with a table of the sides before it."""
        from metta_sweep.experiments.comparison.summary import summary_of

        return summary_of(self)

    def to_frame(self) -> Any:
        """The runs as a data frame, one to a row: polars where it is installed, else pandas.

        Columns: problem, repeat, side, score, trials, leaf_trials, seconds, cost, seed, run, stop_reason, error.

        Raises:
            MissingExtra: neither is installed.
        """
        from metta_sweep.experiments.comparison.frames import runs_frame

        return runs_frame(self.runs)

    def curves_frame(self) -> Any:
        """How each run went on, as a data frame: one row for each of its trials, with the best score so far.

        Columns: problem, repeat, side, trial (from 1), best (none, until a trial completed). Raises ``MissingExtra`` as
        ``to_frame``.
        """
        from metta_sweep.experiments.comparison.frames import curves_frame

        return curves_frame(self.runs)

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON values; an infinite number is None."""
        return {
            "name": self.name,
            "run_id": self.run_id,
            "score": self.score,
            "direction": self.direction,
            "problems": list(self.problems),
            "repeats": self.repeats,
            "seed": self.seed,
            "sides": {
                name: {key: finite(value) if isinstance(value, float) else value for key, value in asdict(one).items()}
                for name, one in self.scores.items()
            },
            "pairs": [pair.to_dict() for pair in self.pairs],
            "winner": self.winner,
            "spend": self.spend._asdict(),
            "stop_reason": None if self.stop_reason is None else self.stop_reason.value,
            "stop_detail": self.stop_detail,
            "runs": [{**asdict(run), "curve": [list(point) for point in run.curve]} for run in self.runs],
        }

    def to_json(self) -> str:
        """``to_dict()`` as JSON text."""
        from pydantic_core import to_json

        return to_json(self.to_dict()).decode()

    def _differences(self, first: str, second: str) -> dict[str, tuple[float, ...]]:
        """How much better the first side is in each pair whose runs have both ended."""
        scores = self._scores
        found: dict[str, tuple[float, ...]] = {}
        for problem in self.problems:
            keys = ((problem, repeat) for repeat in range(self.repeats))
            both = [(scores.get((*key, first)), scores.get((*key, second))) for key in keys]
            found[problem] = tuple(0.0 if a == b else a - b for a, b in both if a is not None and b is not None)
        return found

    def _side(self, side: str) -> SideScores:
        runs = [run for run in self.runs if run.side == side]
        sign = self.goal.sign
        ordered = sorted(sign * self._scores[run.problem, run.repeat, run.side] for run in runs)
        scored = [run.score for run in runs if run.score is not None]
        return SideScores(
            name=side,
            runs=len(runs),
            failed=len(runs) - len(scored),
            median=quantile(ordered, 0.5),
            lower_quartile=quantile(ordered, 0.25),
            upper_quartile=quantile(ordered, 0.75),
            mean=_mean(scored) if scored else None,
            trials=_mean([run.leaf_trials for run in runs]),
            seconds=_mean([run.seconds for run in runs]),
            cost=_mean([run.cost for run in runs]),
        )

    _is_result: ClassVar = True
    """It may be awaited, for type checkers, and is there all the same: contracts take it."""

    def __await__(self) -> Generator[Any, None, Comparison]:
        yield from ()
        return self

    def __repr__(self) -> str:
        said = "no winner" if self.winner is None else f"{self.winner} wins"
        return f"<Comparison of {' and '.join(self.sides)}: {len(self.runs)} runs, {said}>"


def _mean(values: Sequence[float] | Iterable[float]) -> float:
    found = list(values)
    return sum(found) / len(found) if found else 0.0
