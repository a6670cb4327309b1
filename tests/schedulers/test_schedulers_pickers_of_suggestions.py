"""Pickers that look at suggestions: LinUCB over features, and a bandit for each bucket."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Mapping
from itertools import count
from math import log10, sqrt
from typing import Any

import pytest
from dying import DieAt, Died
from scheduler_driver import Driver, setup_for

from metta_sweep import (
    Choice,
    LogUniform,
    MemoryStore,
    Permutation,
    Suggestion,
    SweepExperiment,
    SweepResult,
    TrialContext,
    Uniform,
)
from metta_sweep.clock import crash_points
from metta_sweep.core.discounted import DiscountedArms
from metta_sweep.core.events import Pick, Score
from metta_sweep.core.reasons import reason_of
from metta_sweep.core.ridge import RidgeModel
from metta_sweep.errors import SchedulerError, UnknownOption
from metta_sweep.optimizers import SuggestionQueue
from metta_sweep.schedulers import ContextualUCB, IterationScheduler, LinearUCB, SuggestionPicker
from metta_sweep.testing import run_virtual

SPACE: dict[str, Any] = {"x": Uniform(0.0, 1.0), "lr": LogUniform(1e-4, 1e-1), "kind": Choice(["a", "b"])}


def free(picker: SuggestionPicker, **settings: Any) -> IterationScheduler:
    """A scheduler that prunes and triggers nothing."""
    return IterationScheduler(**{"paper_threshold": None, "prune_floor": None, "picker": picker, **settings})


def points(total: int = 60) -> list[Suggestion]:
    """Suggestions over the unit interval, in random order, of two branches."""
    rng = random.Random(7)
    return [Suggestion(params={"x": rng.random(), "big": number % 2 == 0}, branch="ab"[number // 2 % 2]) for number in range(total)]


def line(params: Mapping[str, Any]) -> list[float]:
    """A straight line."""
    return [1.0, params["x"]]


# -- ridge regression --------------------------------------------------------------------------------------------------------------


def solve(matrix: list[list[float]], right: list[float]) -> list[float]:
    """Gaussian elimination, as a check."""
    rows = [[*row, value] for row, value in zip(matrix, right, strict=True)]
    for place in range(len(rows)):
        pivot = max(range(place, len(rows)), key=lambda row: abs(rows[row][place]))
        rows[place], rows[pivot] = rows[pivot], rows[place]
        rows[place] = [value / rows[place][place] for value in rows[place]]
        for other in range(len(rows)):
            if other != place:
                factor = rows[other][place]
                rows[other] = [one - factor * two for one, two in zip(rows[other], rows[place], strict=True)]
    return [row[-1] for row in rows]


def test_the_model_is_ridge_regression() -> None:
    """Coefficients and bonus after 200 observations are those of the normal equations, solved anew."""
    rng = random.Random(0)
    model = RidgeModel(4, ridge=0.5)
    matrix = [[0.5 * (row == column) for column in range(4)] for row in range(4)]
    right = [0.0] * 4
    for _ in range(200):
        x = tuple(rng.gauss(0, 1) for _ in range(4))
        reward = 0.3 * x[0] - 0.7 * x[2] + rng.gauss(0, 0.1)
        model.pull(x)
        model.learn(x, reward)
        for row in range(4):
            right[row] += reward * x[row]
            for column in range(4):
                matrix[row][column] += x[row] * x[column]
    probe = (0.2, -1.0, 0.5, 2.0)
    assert model.coefficients() == pytest.approx(solve(matrix, right), abs=1e-9)
    spread = sum(one * two for one, two in zip(probe, solve(matrix, list(probe)), strict=True))
    assert RidgeModel.bonus(model.narrowed(), probe) == pytest.approx(sqrt(spread))


def test_the_smallest_prior_still_gives_exact_coefficients() -> None:
    """Features that always agree share the coefficient: half each, after 2,000 observations."""
    model = RidgeModel(2, ridge=1e-6)
    for _ in range(2000):
        model.pull((1.0, 1.0))
        model.learn((1.0, 1.0), 0.5)
    assert model.coefficients() == pytest.approx([0.25, 0.25], rel=1e-3)


def test_pending_pulls_narrow_the_bonus_and_not_the_prediction() -> None:
    """And one that is given up leaves no trace."""
    model = RidgeModel(2)
    model.pull((1.0, 0.5))
    model.learn((1.0, 0.5), 0.8)
    before, theta = model.narrowed(), model.coefficients()
    model.pull((1.0, 0.2))
    assert RidgeModel.bonus(model.narrowed(), (1.0, 0.2)) < RidgeModel.bonus(before, (1.0, 0.2))
    assert model.coefficients() == theta
    model.give_up((1.0, 0.2))
    assert model.narrowed() == before


def test_rewards_may_be_moved_to_another_scale() -> None:
    """Coefficients for ``(reward - low) / width`` are those of a model that learned such rewards."""
    plain, moved = RidgeModel(2), RidgeModel(2)
    for x, reward in (((1.0, 0.1), -30.0), ((1.0, 0.9), -10.0), ((1.0, 0.4), -22.0)):
        for model, value in ((plain, reward), (moved, (reward + 30.0) / 20.0)):
            model.pull(x)
            model.learn(x, value)
    assert plain.coefficients(-30.0, 20.0) == pytest.approx(moved.coefficients())


# -- linear ------------------------------------------------------------------------------------------------------------------------


def test_similar_suggestions_share_what_was_learned() -> None:
    """Rewards rise with x: nearly all of 25 picks are among the 30 points of highest x, which nobody had tried before."""
    driver = Driver(free(LinearUCB(line, alpha=0.3)), points())
    picks = driver.run(lambda trial: float(trial.params["x"]), 30)
    chosen = [driver_params(driver, pick)["x"] for pick in picks]
    left = sorted((point.params["x"] for point in points()), reverse=True)
    assert sum(x >= left[29] for x in chosen[:25]) >= 23


def driver_params(driver: Driver, pick: Pick) -> dict[str, Any]:
    """What was picked."""
    return next(draw.params for draw in driver.of("draw") if draw.suggestion == pick.suggestion)


def test_the_score_is_that_of_linucb() -> None:
    """Prediction plus ``alpha`` times the root, in the trace as score, mean and bonus, with words."""
    driver = Driver(free(LinearUCB(line, alpha=0.5)), [Suggestion(params={"x": x}) for x in (0.0, 0.5, 1.0)])
    (first,) = driver.pick()
    assert driver_params(driver, first) == {"x": 1.0}
    assert first.mean == 0.0
    assert first.bonus == pytest.approx(0.5 * sqrt(2.0))
    driver.finish(driver.running[0], 0.9)
    (second,) = driver.pick()
    assert second.score == pytest.approx((second.mean or 0) + (second.bonus or 0))
    assert "highest of 2 suggestions" in reason_of(second)
    assert reason_of(second).startswith("ucb ")


def test_several_picks_of_one_turn_differ() -> None:
    """Each narrows the bonus of what is like it: three slots are filled with three unlike suggestions."""
    twins = [Suggestion(params={"a": 1.0, "b": 0.0}) for _ in range(5)] + [
        Suggestion(params={"a": 0.0, "b": 1.0}) for _ in range(5)
    ]
    driver = Driver(free(LinearUCB(lambda params: [params["a"], params["b"]])), twins, slots=2)
    assert sorted(driver_params(driver, pick)["a"] for pick in driver.pick()) == [0.0, 1.0]


def test_one_model_for_each_branch() -> None:
    """Disjoint: what was learned in one branch says nothing in the other."""
    suggestions = [Suggestion(params={"x": 1.0}, branch=branch) for branch in "aab"]

    def second(shared: bool) -> float:
        driver = Driver(free(LinearUCB(line, shared=shared)), suggestions)
        driver.run(lambda trial: 0.1, 1)
        (pick,) = driver.pick()
        return pick.bonus or 0.0

    assert second(shared=True) < second(shared=False) == pytest.approx(sqrt(2.0))


def test_an_unknown_scale_is_the_observed_range() -> None:
    """When minimizing, losses of about 1,000 are found as well as losses below 1."""

    def mean_of_picks(factor: float) -> Any:
        driver = Driver(free(LinearUCB(line, alpha=0.3)), points(), setup=setup_for(goal="minimize"))
        picks = driver.run(lambda trial: factor * (1.0 + trial.params["x"]), 20)
        return sum(driver_params(driver, pick)["x"] for pick in picks[5:20]) / 15

    assert mean_of_picks(0.5) < 0.35
    assert mean_of_picks(1000.0) == pytest.approx(mean_of_picks(0.5))


def test_failures_count_as_the_worst_and_cut_trials_as_nothing() -> None:
    """On an unknown scale a failure waits for the first reward; a trial that was cut leaves the model as it was."""
    driver = Driver(free(LinearUCB(line), reward="observed_range"), points(), slots=3)
    driver.pick()
    first, second, third = driver.running
    driver.finish(first, None)
    driver.finish(second, None, counts=False)
    driver.finish(third, 5.0)
    assert len(driver.pick()) == 3


def test_the_parameters_are_features() -> None:
    """By their place in the search space, log scales straight and choices apart: the better kind and higher lr are found."""

    async def objective(kind: str, lr: float) -> float:
        await asyncio.sleep(1.0)
        return (0.5 if kind == "b" else 0.0) + 0.1 * (log10(lr) + 4)

    experiment = SweepExperiment(
        objective=objective,
        search_space={"lr": SPACE["lr"], "kind": SPACE["kind"]},
        scheduler=free(LinearUCB(candidates=200)),
        seed=0,
    )
    result = run_virtual(experiment.arun(60))
    late = [trial for trial in result.trials if trial.number >= 30]
    assert sum(trial.params["kind"] == "b" for trial in late) > 24
    assert sum(trial.params["lr"] > 1e-2 for trial in late) > 15


def test_places_in_an_order_are_features() -> None:
    """One per item, so that what is better early or late is found."""

    async def objective(order: list[str]) -> float:
        await asyncio.sleep(1.0)
        return order.index("c") / 3

    experiment = SweepExperiment(
        objective=objective,
        search_space={"order": Permutation(["a", "b", "c", "d"])},
        scheduler=free(LinearUCB(candidates=100)),
        seed=0,
    )
    result = run_virtual(experiment.arun(40))
    assert sum(trial.score or 0 for trial in result.trials if trial.number >= 20) / 20 > 0.9


def test_it_has_suggestions_to_choose_from() -> None:
    """An optimizer without end is asked for as many as ``candidates``, and for what is missing after each pick."""

    async def objective(x: float) -> float:
        await asyncio.sleep(1.0)
        return x

    experiment = SweepExperiment(
        objective=objective, search_space={"x": SPACE["x"]}, slots=1, seed=0, scheduler=free(LinearUCB(candidates=90))
    )
    result = run_virtual(experiment.arun(20))
    asked = [event.asked for event in result.trace if event.kind == "draw"]
    assert asked[0] == 90
    assert set(asked[90:]) == {1}
    assert sum(trial.score or 0 for trial in result.trials) / 20 > 0.6


@pytest.mark.parametrize("picker", [LinearUCB(candidates=1), ContextualUCB("kind", candidates=1)])
def test_suggestions_of_pruned_branches_do_not_end_the_run(picker: SuggestionPicker) -> None:
    """Where those that come first belong to branches that were given up, more are drawn."""

    async def objective(kind: str) -> float:
        await asyncio.sleep(1.0)
        return 0.5 if kind == "good" else 0.0

    space = {"kind": Choice(["good", "bad", "worse", "worst"]), "x": SPACE["x"]}
    scheduler = IterationScheduler(branch_by="kind", picker=picker, prune_after_runs=1)
    experiment = SweepExperiment(objective=objective, search_space=space, slots=1, seed=0, scheduler=scheduler)
    result = run_virtual(experiment.arun(30))
    assert len(result.trials) == 30
    assert result.branches["bad"].runs == 1


def test_parameters_without_a_search_space_are_refused() -> None:
    """When the sweep is made."""
    with pytest.raises(SchedulerError, match=r"no search space.*features=lambda"):
        SweepExperiment(objective=lambda trial: 1.0, optimizer=SuggestionQueue([{"x": 1}]), scheduler=free(LinearUCB()))


# -- contextual --------------------------------------------------------------------------------------------------------------------


def test_each_bucket_learns_its_own_best_branch() -> None:
    """Branch a is good for big ones, b for small ones: after a while each bucket is run with its own."""
    numbers = count()

    def source(fixed: Mapping[str, Any] | None) -> Suggestion:
        number = next(numbers)
        return Suggestion(params={"big": number % 2 == 0}, branch="ab"[number // 2 % 2])

    scheduler = free(ContextualUCB("big", discount=1.0, c=0.3, candidates=200))
    driver = Driver(scheduler, source=source)
    picks = driver.run(lambda trial: 0.9 if (trial.branch == "a") == trial.params["big"] else 0.1, 120)
    late = Counter((pick.branch, driver_params(driver, pick)["big"]) for pick in picks[60:])
    assert late["a", True] + late["b", False] > 50


def test_a_bucket_begins_with_what_all_buckets_know() -> None:
    """The first pick in a new bucket is of the branch that was best in the others; after it the bucket has counts of its own."""
    scheduler = free(ContextualUCB("bucket", discount=1.0, c=0.1))
    old = [Suggestion(params={"bucket": 0}, branch=branch) for branch in "abab"]
    driver = Driver(scheduler, old)
    driver.run(lambda trial: 0.9 if trial.branch == "b" else 0.1, 4)
    driver.queue = [Suggestion(params={"bucket": 1}, branch=branch) for branch in "ab"]
    (pick,) = driver.pick()
    assert pick.branch == "b"
    assert pick.mean == pytest.approx(0.9)
    assert "bucket 1, highest of 2 branches in 1 buckets" in reason_of(pick)


def test_one_bucket_is_discounted_ucb() -> None:
    """With a single bucket the scores are those of the discounted arithmetic itself."""
    scheduler = free(ContextualUCB(lambda params: "all", discount=0.8, c=0.7))
    driver = Driver(scheduler, [Suggestion(params={"i": number}, branch="abc"[number % 3]) for number in range(90)])
    arms: DiscountedArms[str] = DiscountedArms(0.8, 0.7, 1)
    rng = random.Random(1)
    for _ in range(25):
        (pick,) = driver.pick()
        scores = arms.scores(list("abc"), {})
        assert pick.branch in arms.tied(list("abc"), scores, {})
        if pick.mean is not None:
            assert pick.score == pytest.approx(max(score.score for score in scores))
        reward = rng.random()
        driver.finish(driver.running[0], reward)
        arms.learn(str(pick.branch), reward)


def test_pending_trials_of_a_bucket_are_seen() -> None:
    """Four slots warm four branches of one bucket."""
    suggestions = [Suggestion(params={"i": 0}, branch=branch) for branch in "aaaabcd"]
    driver = Driver(free(ContextualUCB("i")), suggestions, slots=4)
    assert sorted(str(pick.branch) for pick in driver.pick()) == ["a", "b", "c", "d"]


# -- both --------------------------------------------------------------------------------------------------------------------------

MAKERS: dict[str, Callable[[], SuggestionPicker]] = {
    "linear": lambda: LinearUCB(line),
    "one model per branch": lambda: LinearUCB(line, shared=False),
    "contextual": lambda: ContextualUCB("big"),
}


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_pruned_branches_are_dropped(make: Callable[[], SuggestionPicker]) -> None:
    """What waits of a pruned branch is not picked, whatever its score."""
    scheduler = IterationScheduler(picker=make(), prune_floor=0.2, prune_after_runs=2, paper_threshold=None)
    driver = Driver(scheduler, points())
    picks = driver.run(lambda trial: 0.0 if trial.branch == "a" else 0.5, 30)
    assert sum(pick.branch == "a" for pick in picks) == 2


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_a_restarted_run_picks_as_an_uninterrupted_one(make: Callable[[], SuggestionPicker]) -> None:
    """Killed after some of its records: the same picks with the same scores, and the same results."""
    kill_and_compare(make(), every=6)


@pytest.mark.slow
@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_killed_after_any_record_it_picks_the_same(make: Callable[[], SuggestionPicker]) -> None:
    """The same, after each of its records."""
    kill_and_compare(make(), every=1)


def kill_and_compare(picker: SuggestionPicker, every: int) -> None:
    """Kill a run after each so many records, go on, and compare with an uninterrupted one."""

    async def objective(trial: TrialContext) -> float:
        await asyncio.sleep(1.0)
        if trial.number == 2:
            raise ValueError("unlucky")
        return float(0.5 * trial.params["x"] + 0.5 * trial.rng.random())

    def begin(store: MemoryStore) -> SweepResult:
        queue = SuggestionQueue(points(30))
        experiment = SweepExperiment(
            name="it", objective=objective, optimizer=queue, scheduler=free(picker), slots=1, seed=3, store=store
        )
        return run_virtual(experiment.arun(8))

    def essence(result: SweepResult) -> list[Any]:
        picks = [event[:11] for event in result.trace if isinstance(event, Pick)]
        return [picks, [event[:8] for event in result.trace if isinstance(event, Score)]]

    never = DieAt(0)
    with crash_points(never):
        whole = essence(begin(MemoryStore()))
    assert len(whole[0]) == 8
    for occurrence in range(1, never.seen + 1, every):
        store = MemoryStore()
        with crash_points(DieAt(occurrence)), pytest.raises(Died):
            begin(store)
        assert essence(begin(store)) == whole


@pytest.mark.parametrize(("lr", "told"), [({}, "parameters are missing|missing"), ({"lr": -1.0}, "lr"), ({"lr": "high"}, "lr")])
def test_follow_ups_outside_the_search_space_have_no_place_in_it(lr: dict[str, Any], told: str) -> None:
    """With the parameters as features one that lacks some, or has others, is refused with what to write instead."""
    scheduler = IterationScheduler(
        picker=LinearUCB(candidates=3), expander=lambda trial: [{"x": 0.5, **lr}], paper_threshold=0.1, prune_floor=None
    )
    experiment = SweepExperiment(
        objective=lambda x: 0.5, search_space={"x": SPACE["x"], "lr": SPACE["lr"]}, slots=1, seed=0, scheduler=scheduler
    )
    with pytest.raises(SchedulerError, match=rf"features='params'.*({told}).*Keep follow-ups within the search space") as caught:
        experiment.run(budget=5)
    assert any("for suggestion " in note for note in caught.value.__notes__)


@pytest.mark.parametrize("picker", [LinearUCB(lambda params: [params["depth"]]), ContextualUCB(lambda params: params["depth"])])
def test_exceptions_of_functions_name_the_suggestion(picker: SuggestionPicker) -> None:
    """They pass, with a note."""
    with pytest.raises(KeyError, match="depth") as caught:
        Driver(free(picker), points()).pick()
    assert any(note.endswith("for suggestion 0") for note in caught.value.__notes__)


def test_a_bucket_of_a_parameter_that_is_none_is_refused() -> None:
    """When the sweep is made, with a guess."""
    with pytest.raises(SchedulerError, match=r"no such parameter; found 'knd'.*Did you mean 'kind'"):
        SweepExperiment(objective=lambda x: x, search_space=SPACE, scheduler=free(ContextualUCB("knd")))


WRONG: Any = {"features": "lr", "async": asyncio.sleep, "buckets": "", "number": 3, "unhashable": [1]}


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: LinearUCB(WRONG["features"]), "unknown option"),
        (lambda: LinearUCB(WRONG["number"]), "cannot be called"),
        (lambda: LinearUCB(WRONG["async"]), "coroutine function"),
        (lambda: LinearUCB(alpha=-1), "too small"),
        (lambda: LinearUCB(ridge=0), "too small"),
        (lambda: LinearUCB(ridge=1e-7), "too small"),
        (lambda: LinearUCB(candidates=0), "too small"),
        (lambda: LinearUCB(shared=WRONG["features"]), "neither True nor False"),
        (lambda: IterationScheduler(c=1.0, picker=LinearUCB()), "LinearUCB chooses.*Leave it out"),
        (lambda: ContextualUCB(WRONG["buckets"]), "no name"),
        (lambda: ContextualUCB(WRONG["number"]), "cannot be called"),
        (lambda: ContextualUCB("x", discount=2), "above 0, at most 1"),
        (lambda: ContextualUCB("x", candidates=0), "too small"),
    ],
)
def test_settings_that_cannot_be(make: Callable[[], object], told: str) -> None:
    """Each is refused at once."""
    with pytest.raises(SchedulerError, match=told):
        make()


def test_unknown_settings_are_refused() -> None:
    """With a guess."""
    with pytest.raises(UnknownOption, match="alpha"):
        LinearUCB(alfa=1)  # type: ignore[arg-type]
    with pytest.raises(UnknownOption, match="warm_up"):
        ContextualUCB("x", warmup=1)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("picker", "told"),
    [
        (LinearUCB(lambda params: [float("nan")]), "no finite number"),
        (LinearUCB(lambda params: [1.0] * (1 + int(params["big"]))), "2 features|1 features"),
        (LinearUCB(lambda params: WRONG["number"]), "returned an int"),
        (ContextualUCB("depth"), "has no parameter 'depth'"),
        (ContextualUCB(lambda params: WRONG["unhashable"]), "must be hashable"),
    ],
)
def test_functions_that_return_what_cannot_be(picker: SuggestionPicker, told: str) -> None:
    """The error names the suggestion."""
    driver = Driver(free(picker), points())
    with pytest.raises(SchedulerError, match=f"for suggestion.*({told})"):
        driver.pick()


def test_the_settings_are_part_of_the_definition() -> None:
    """Functions by their names."""
    assert LinearUCB(line).describe()["features"] == "line"
    assert ContextualUCB("big").describe() == {
        "class": "ContextualUCB",
        "buckets": "big",
        "discount": 0.95,
        "c": 1.0,
        "warm_up": 1,
        "candidates": 64,
    }
