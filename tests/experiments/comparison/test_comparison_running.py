"""Comparisons run pairs: on the same problem, with random streams of their own, and count what has no score as the worst."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from comparison_kit import SPACE, comparison, essence, failing, identity, side, template, two

from metta_sweep import Experiment, MemoryStore, Optimizer, Pipeline, SweepExperiment, TrialContext, Uniform, compare
from metta_sweep.core.seeds import unit_floats
from metta_sweep.errors import FailureRateExceeded
from metta_sweep.experiments import Comparison, ComparisonExperiment, MetaExperiment
from metta_sweep.optimizers import EvolutionOptimizer, GridOptimizer


class Highest(Optimizer):
    """Tries what is best."""

    def suggest(self, n: int) -> list[dict[str, Any]]:
        """The upper end of the range."""
        return [{"x": 1.0} for _ in range(n)]


def test_every_run_has_a_random_stream_of_its_own() -> None:
    """No seed is shared, and no two runs of one optimizer on one problem try the same parameters."""
    seen: list[tuple[int, float]] = []

    async def watched(trial: TrialContext) -> float:
        seen.append((trial.seed, trial.params["x"]))
        return float(trial.params["x"])

    found = comparison({name: side(objective=watched) for name in "ab"}, repeats=8, budget=4)
    assert len({run.seed for run in found.runs}) == 16
    assert len(seen) == len({seed for seed, _ in seen}) == len({x for _, x in seen}) == 64


def test_the_same_seed_gives_the_same_comparison() -> None:
    """With a seed, all scores and curves are repeatable; with another one they are others."""
    assert essence(comparison(name="c")) == essence(comparison(name="c"))
    scores = {run.score for run in comparison().runs}
    assert not scores & {run.score for run in comparison(seed=1).runs}
    assert comparison(seed=None).seed != comparison(seed=None).seed


def test_a_side_draws_the_same_whatever_it_is_compared_with() -> None:
    """Another side, or another problem beside, changes nothing of the runs that there were."""
    problems = {"plain": identity, "turned": (identity, {"x": Uniform(-1.0, 0.0)})}
    few = comparison({"a": side(), "b": side()}).runs
    more = comparison({"c": side(), "a": side(), "b": side()}, repeats=7).runs
    assert {(run.repeat, run.side, run.score) for run in few} <= {(run.repeat, run.side, run.score) for run in more}
    sides = {name: SweepExperiment(slots=1) for name in "ab"}
    both = comparison(sides, problems={name: (identity, SPACE) if name == "plain" else given for name, given in problems.items()})
    alone = comparison(sides, problems={"plain": (identity, SPACE)})
    assert next(run for run in both.runs if run.problem == "plain").score == alone.runs[0].score


def test_both_sides_of_a_pair_get_the_same_problem() -> None:
    """A problem that asks for a seed is made anew for each repeat, and is the same for both sides."""
    made: list[int] = []

    def shifted(seed: int) -> Callable[..., Any]:
        made.append(seed)
        shift = round(100 * unit_floats(seed, 0, 1)[0])

        async def objective(x: float) -> float:
            return shift + 0.5 * x

        return objective

    found = comparison({"a": template(), "b": template()}, repeats=10, problems={"shifted": shifted})
    pairs = [(int(one.score or -1), int(other.score or -2)) for one, other in zip(found.runs[::2], found.runs[1::2], strict=True)]
    assert all(one == other for one, other in pairs)
    assert len(set(pairs)) > 5
    assert made[0] == 0
    assert made[1::2] == made[2::2]


def test_an_objective_may_have_a_parameter_called_seed() -> None:
    """A searched parameter of that name is a parameter, and no wish for the seed of a problem."""

    async def objective(seed: float) -> float:
        return seed

    sides = {name: SweepExperiment(search_space={"seed": Uniform(0.0, 1.0)}, slots=1) for name in "ab"}
    assert all(run.score is not None for run in comparison(sides, problems={"one": objective}).runs)


def test_a_clearly_better_optimizer_is_found_better() -> None:
    """Whoever knows the best parameters wins every pair, whichever way the goal goes and whoever is named first."""
    for goal, better, worse in (("maximize", "high", "random"), ("minimize", "random", "high")):
        sides = {"random": side(goal=goal), "high": side(Highest(), goal=goal)}
        found = comparison(sides)
        pair = found.between(better, worse)
        assert (pair.better, pair.wins, pair.losses) == (better, 6, 0)
        assert found.winner == better
        assert 0 < pair.interval[0] <= pair.difference <= pair.interval[1]
        turned = found.between(worse, better)
        assert (turned.difference, turned.interval) == (-pair.difference, (-pair.interval[1], -pair.interval[0]))
        assert turned.p_value == pair.p_value < 0.05


def test_more_than_two_sides_are_corrected_for() -> None:
    """With three sides each p-value is Holm's, and the winner beats all others."""
    found = comparison({"a": side(), "b": side(), "high": side(Highest())}, repeats=8)
    assert [(pair.first, pair.second) for pair in found.pairs] == [("a", "b"), ("a", "high"), ("b", "high")]
    assert all(pair.p_value == pytest.approx(3 * pair.uncorrected) for pair in found.pairs[1:2])
    assert found.winner == "high"
    assert found.pairs[0].better is None


def test_runs_without_a_completed_trial_are_the_worst() -> None:
    """A side none of whose trials completes loses to any score, in both directions, and is a tie with its like."""
    for goal in ("maximize", "minimize"):
        found = comparison({"sound": side(goal=goal), "failing": side(objective=failing, goal=goal)})
        assert found.winner == "sound"
        pair = found.between("sound", "failing")
        assert (pair.wins, pair.difference) == (6, float("inf"))
        assert found.scores["failing"].failed == 6
        assert {run.score for run in found.runs if run.side == "failing"} == {None}
        assert "ArithmeticError" in str(found.runs[1].error)
    both = comparison({name: side(objective=failing) for name in "ab"})
    assert (both.pairs[0].ties, both.pairs[0].p_value, both.winner) == (6, 1.0, None)


def test_a_side_that_cannot_run_ends_the_comparison() -> None:
    """Errors outside of trials are no scores: after three of them, and nothing else, the comparison stops and says which."""
    calls = []

    class Broken(Optimizer):
        def suggest(self, n: int) -> list[dict[str, Any]]:
            calls.append(n)
            raise OSError("no licence")

    with pytest.raises(FailureRateExceeded, match=r"all 3 runs of 'broken' raised an error.*OSError: no licence.*fresh=True"):
        comparison({"sound": side(), "broken": side(Broken())}, repeats=30)
    assert len(calls) == 3


def test_scores_may_be_any_number_of_a_result() -> None:
    """A function of the result, or an attribute within it, is compared; less may be better."""
    found = comparison(score=lambda result: len(result.trials), goal="minimize")
    assert {run.score for run in found.runs} == {3.0}
    assert found.direction == "minimize"
    assert {run.score for run in comparison(score="spend.trials", goal="minimize").runs} == {3.0}


def test_several_objectives_are_compared_by_a_function_of_them() -> None:
    """With several objectives, a hypervolume serves as score."""

    async def both(x: float) -> dict[str, float]:
        return {"gain": x, "loss": x}

    sides = {name: side(objective=both, goal={"gain": "maximize", "loss": "minimize"}) for name in "ab"}
    found = comparison(sides, score=lambda result: result.hypervolume({"gain": 0.0, "loss": 1.0}))
    assert all(0 < (run.score or 0) < 0.5 for run in found.runs)
    assert found.runs[0].curve == ()


def test_experiments_may_be_made_by_functions_of_the_problem() -> None:
    """A factory is called for each run, with the problem where it takes that."""
    seen: list[Any] = []

    def made(problem: Any) -> SweepExperiment:
        seen.append(problem)
        return side(objective=problem)

    found = comparison({"made": made, "plain": lambda: template()}, problems={"one": identity})
    assert seen == [identity] * 7
    assert len(found.runs) == 12


def test_any_experiment_can_be_a_side() -> None:
    """A pipeline is compared by what it gives."""

    class Flow(Experiment):
        async def draw(self, stage_seed: int = 0) -> float:
            return (await side().run(budget=2)).best_score or 0.0

        def pipeline(self) -> Pipeline:
            return Pipeline().stage("draw", self.draw).through(found=float)

    found = comparison({"flow": Flow, "sweep": side()}, budget=None, score=score_of_either)
    assert len({run.score for run in found.runs}) == 12
    assert [(run.trials, run.leaf_trials) for run in found.runs][:2] == [(2, 2), (100, 100)]


def test_the_work_inside_counts() -> None:
    """A search over searches is compared with another search by the trials that were run in the end, and the summary says so."""

    def over(problem: Any) -> MetaExperiment:
        space = {"optimizer.mutation_scale": Uniform(0.1, 0.5)}
        base = side(EvolutionOptimizer(), objective=None)
        return MetaExperiment(base=base, objective=problem, search_space=space, base_budget=2, slots=1)

    found = comparison({"over": over, "plain": template()}, problems={"one": identity})
    assert [(run.trials, run.leaf_trials) for run in found.runs][:2] == [(3, 6), (3, 3)]
    assert "they did not take the same number of trials: over 6, plain 3" in found.summary()


def score_of_either(result: Any) -> Any:
    """What either kind of experiment found."""
    return result.best_score if hasattr(result, "best_score") else result.output


def test_an_objective_may_be_a_method_of_the_experiment() -> None:
    """Each copy calls its own method: what one run remembers, another one does not know."""

    class Remembering(SweepExperiment):
        calls = 0

        async def objective(self, x: float) -> float:
            object.__setattr__(self, "calls", self.calls + 1)
            return float(self.calls)

    made = Remembering(search_space=SPACE, slots=1)
    found = comparison({"one": made, "two": Remembering(search_space=SPACE, slots=1)})
    assert {run.score for run in found.runs} == {3.0}
    assert made.calls == 0


def test_experiments_are_copied_and_stay_as_they_are() -> None:
    """What is compared is a copy: the template has neither objective, name nor seed afterwards, and runs on its own."""
    made = template(seed=7)
    comparison({"made": made, "other": template()}, problems={"one": identity})
    assert (made.objective, made.name, made.seed) == (None, None, 7)


def test_a_comparison_is_awaited_inside_an_event_loop() -> None:
    """In a loop compare() is awaitable, and a comparison that is there may be awaited again."""

    async def main() -> Comparison:
        return await (await compare(two(), repeats=6, budget=1))

    assert len(asyncio.run(main()).runs) == 12


def test_curves_tell_where_a_run_became_better() -> None:
    """The curve of a run has each trial that was better than all before it; the last point is the score."""
    found = comparison({"grid": side(GridOptimizer(resolution=4), goal="minimize"), "a": side(goal="minimize")}, budget=4)
    assert found.runs[0].curve == ((1, 0.0),)
    for run in found.runs:
        numbers, scores = zip(*run.curve, strict=True)
        assert list(numbers) == sorted(set(numbers))
        assert list(scores) == sorted(scores, reverse=True)
        assert scores[-1] == run.score


@pytest.mark.parametrize(("slots", "at_once"), [(None, 1), (2, 1), (5, 2), (8, 4)])
def test_slots_bound_the_trials_of_all_runs(slots: int | None, at_once: int) -> None:
    """As many runs as the slots suffice for run at once, one by default; trials never take more slots than there are."""
    running: dict[str, int] = {}
    most_trials = most_runs = 0

    async def objective(trial: TrialContext) -> float:
        nonlocal most_trials, most_runs
        run = trial.address.rsplit("/", 1)[0]
        running[run] = running.get(run, 0) + 1
        most_trials, most_runs = max(most_trials, sum(running.values())), max(most_runs, sum(map(bool, running.values())))
        await asyncio.sleep(0)
        running[run] -= 1
        return 0.5

    comparison({name: side(objective=objective, slots=2) for name in "ab"}, budget=4, slots=slots)
    assert most_trials <= (slots or 2)
    assert most_runs == at_once


def test_the_experiment_is_made_once_and_run_often() -> None:
    """A named comparison that is run again does nothing; its result is the same."""
    experiment = ComparisonExperiment(experiments=two(), repeats=6, budget=2, name="c", store=MemoryStore(), seed=0)
    first = experiment.run()
    assert essence(experiment.run()) == essence(first)
    assert experiment.run().results.added == 0  # type: ignore[union-attr]
    assert first.run_id != experiment.run(fresh=True).run_id
