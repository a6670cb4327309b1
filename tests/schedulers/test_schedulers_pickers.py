"""Pickers of branches: discounted UCB, Pareto UCB, round robin, greedy, and how they sit in the iteration scheduler."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Mapping
from math import inf, isclose, log, sqrt
from typing import Any

import pytest
from dying import DieAt, Died
from scheduler_driver import Driver, queue, setup_for

from metta_sweep import Choice, MemoryStore, SweepExperiment, SweepResult, TrialContext, Uniform
from metta_sweep.clock import crash_points
from metta_sweep.core.bandit import Best, Picker
from metta_sweep.core.discounted import DiscountedArms, DiscountedIndex
from metta_sweep.core.events import Event, Pick, Score
from metta_sweep.core.pareto_ucb import ParetoIndex
from metta_sweep.core.reasons import reason_of
from metta_sweep.core.round_robin import FewestPulls
from metta_sweep.core.setup import Setup
from metta_sweep.core.ucb import UcbIndex
from metta_sweep.errors import SchedulerError, UnknownOption
from metta_sweep.optimizers import RandomOptimizer
from metta_sweep.schedulers import BranchPicker, DiscountedUCB, IterationScheduler, ParetoUCB, RoundRobin
from metta_sweep.testing import run_virtual

BRANCHES: tuple[str, ...] = ("a", "b", "c", "d")


def free(**settings: Any) -> IterationScheduler:
    """A scheduler that prunes and triggers nothing."""
    return IterationScheduler(**{"paper_threshold": None, "prune_floor": None, **settings})


def long_queue(count: int = 200) -> list[Any]:
    """So many suggestions of the four branches, in turn."""
    return queue(*(BRANCHES[number % 4] for number in range(count)))


# -- discounted UCB ----------------------------------------------------------------------------------------------------------------


class Original:
    """The formulas of pulseopt 0.3 by the book: which arms it would choose between."""

    def __init__(self, discount: float, c: float, warm_up: int) -> None:
        self.discount, self.c, self.warm_up = discount, c, warm_up
        self.counts, self.sums, self.warmed = [0.0] * 4, [0.0] * 4, [0] * 4

    def tied(self) -> set[int]:
        """The arms of the highest score; those least warmed while one is in its warm-up."""
        cold = [arm for arm in range(4) if self.warmed[arm] < self.warm_up]
        if cold:
            least = min(self.warmed[arm] for arm in cold)
            return {arm for arm in cold if self.warmed[arm] == least}
        log_term = log(sum(self.counts) + 1.0)
        scores = [
            self.sums[arm] / max(self.counts[arm], 1e-12) + self.c * sqrt(log_term / max(self.counts[arm], 1e-12))
            for arm in range(4)
        ]
        return {arm for arm in range(4) if isclose(scores[arm], max(scores), rel_tol=0.0, abs_tol=1e-12)}

    def update(self, arm: int, reward: float) -> None:
        """Discount all, add one."""
        self.counts = [count * self.discount for count in self.counts]
        self.sums = [total * self.discount for total in self.sums]
        self.counts[arm] += 1.0
        self.sums[arm] += reward
        self.warmed[arm] += 1


@pytest.mark.parametrize(("discount", "c", "warm_up"), [(0.95, 1.0, 1), (0.5, 0.3, 2), (1.0, 2.0, 0), (0.99, 0.0, 1)])
def test_discounted_ucb_is_the_original_with_one_slot(discount: float, c: float, warm_up: int) -> None:
    """Over 300 random rewards of drifting branches, every pick is one that the original would choose between."""
    rng = random.Random(warm_up)
    original = Original(discount, c, warm_up)
    driver = Driver(free(picker=DiscountedUCB(discount, c, warm_up)), long_queue(1600))
    for step in range(300):
        (pick,) = driver.pick()
        arm = BRANCHES.index(pick.branch or "")
        assert arm in original.tied(), f"step {step}"
        reward = min(1.0, max(0.0, rng.random() * (0.3 + 0.2 * ((arm + step // 60) % 4))))
        original.update(arm, reward)
        driver.finish(driver.running[0], reward)


def test_discounted_ucb_notices_a_branch_that_gets_worse() -> None:
    """When the best branch turns bad after 280 results, the other has most picks 20 results later; UCB1 stays where it was."""

    def picks_of(index: DiscountedIndex[str] | UcbIndex[str]) -> Counter[str]:
        runs, sums, picks = Counter[str](), {"a": 0.0, "b": 0.0}, list[str]()
        for place, name in enumerate("ab"):
            index.set(name, 0, 0, 0.0, place)
        for step in range(360):
            best = index.best()
            assert best is not None
            reward = 0.5 if best.arm == "b" else 0.9 if step < 280 else 0.3
            runs[best.arm] += 1
            sums[best.arm] += reward
            picks.append(best.arm)
            if isinstance(index, DiscountedIndex):
                index.learn(best.arm, reward)
            index.set(best.arm, runs[best.arm], 0, sums[best.arm], 0)
        return Counter(picks[300:])

    assert picks_of(DiscountedIndex(DiscountedArms(0.95, 0.5)))["b"] > 40
    assert picks_of(UcbIndex(0.5))["b"] < 10


@pytest.mark.parametrize("others", [100, 700, 15_000])
def test_a_forgotten_branch_counts_on_any_scale_as_on_the_unit_scale(others: int) -> None:
    """However long ago its only result was: losses between 900 and 1,000, scaled, give the scores of rewards from 0 to 1."""

    def scores(low: float, width: float) -> list[float]:
        arms: DiscountedArms[str] = DiscountedArms(0.95, 0.0)
        arms.learn("bad", low + 0.1 * width)
        for _ in range(others):
            arms.learn("good", low + 0.9 * width)
        return [score.score for score in arms.scores(["good", "bad"], {}, lambda mean: (mean - low) / width)]

    assert scores(-1000.0, 100.0) == pytest.approx(scores(0.0, 1.0), abs=1e-9)
    assert scores(-1000.0, 100.0)[0] > scores(-1000.0, 100.0)[1]


def test_ties_are_drawn_by_the_seed_and_the_pick() -> None:
    """Equal scores: the same seed draws the same, another seed another order, and every branch is reached in the warm-up."""

    def order(seed: int) -> list[str]:
        index: DiscountedIndex[str] = DiscountedIndex(DiscountedArms(warm_up=1), seed)
        for place, name in enumerate("abcdefgh"):
            index.set(name, 0, 0, 0.0, place)
        found: list[str] = []
        for _ in range(8):
            best = index.best()
            assert best is not None
            found.append(best.arm)
            index.set(best.arm, 0, 1, 0.0, 0)
        return found

    assert order(1) == order(1)
    assert sorted(order(1)) == list("abcdefgh")
    assert len({tuple(order(seed)) for seed in range(5)}) > 1


def test_pending_trials_are_seen() -> None:
    """With four slots each branch is warmed once, and not one of them four times."""
    driver = Driver(free(picker=DiscountedUCB()), queue("a", "a", "a", "a", "b", "c", "d"), slots=4)
    assert sorted(str(pick.branch) for pick in driver.pick()) == ["a", "b", "c", "d"]


def test_failures_of_unknown_worth_count_when_the_first_reward_comes() -> None:
    """On an unknown scale a branch that only fails is not untried for ever, and counts as the worst reward that came."""
    driver = Driver(free(picker=DiscountedUCB(), reward="observed_range"), queue("a", "b", "a", "b", "a", "b"))
    first = driver.pick()[0].branch
    driver.finish(driver.running[0], None)
    second = driver.pick()[0].branch
    assert {first, second} == {"a", "b"}
    driver.finish(driver.running[0], -5.0)
    (pick,) = driver.pick()
    assert pick.mean is not None


def test_the_reason_of_a_discounted_pick() -> None:
    """It tells mean, bonus and how much is remembered."""
    driver = Driver(free(picker=DiscountedUCB(discount=0.5)), queue("a", "a", "a"))
    driver.run(lambda trial: 0.5, 2)
    (pick,) = driver.pick()
    assert pick.score is not None
    assert pick.mean == pytest.approx(0.5)
    assert "discount 0.5: 1.5 of 2 runs remembered" in reason_of(pick)


# -- Pareto UCB --------------------------------------------------------------------------------------------------------------------


def pareto(vectors: Mapping[str, tuple[float, ...]], pulls: int, c: float = 2**0.5, seed: int = 0) -> Counter[str]:
    """How often each arm is pulled, when arms give these vectors."""
    index: ParetoIndex[str] = ParetoIndex(["x", "y"], [1, -1], c, seed)
    runs: Counter[str] = Counter()
    for place, name in enumerate(vectors):
        index.set(name, 0, 0, 0.0, place)
    for _ in range(pulls):
        best = index.best()
        assert best is not None
        runs[best.arm] += 1
        index.learn_vector(best.arm, vectors[best.arm])
        index.set(best.arm, runs[best.arm], 0, 0.0, 0)
    return runs


def test_pareto_pulls_the_front() -> None:
    """Of four arms two are on the front: they share the pulls about equally, and the dominated ones get few."""
    runs = pareto({"fast": (0.2, 1.0), "good": (0.9, 9.0), "both worse": (0.1, 10.0), "middling, worse": (0.15, 9.5)}, 400, c=0.3)
    assert runs["fast"] + runs["good"] > 300
    assert 0.6 < runs["fast"] / runs["good"] < 1.7


def test_pareto_knows_directions() -> None:
    """The second metric is minimized: the arm that is a little better in the first and lower in the second wins."""
    runs = pareto({"high": (0.4, 9.0), "low": (0.6, 1.0)}, 100, c=0.1)
    assert runs["low"] > 80


def test_pareto_index_is_the_formula() -> None:
    """Mean plus ``c * sqrt(ln(total * (D * |A*|) ** (1/4)) / n)``: the bonus of the only arm, after three pulls."""
    index: ParetoIndex[str] = ParetoIndex(["x", "y"], [1, 1], 2**0.5)
    for _ in range(3):
        index.learn_vector("a", (0.5, 0.5))
    index.set("a", 3, 0, 0.0, 0)
    best = index.best()
    assert best is not None
    assert best.bonus == pytest.approx(sqrt(2 * log(3 * 2**0.25) / 3))


def test_failed_runs_are_the_worst_in_all_metrics() -> None:
    """A branch that fails is not untried, and its mean is 0 in each metric."""
    index: ParetoIndex[str] = ParetoIndex(["x", "y"], [1, 1], 0.0)
    index.set("ok", 0, 0, 0.0, 0)
    index.set("bad", 0, 0, 0.0, 1)
    for arm, vector in (("ok", (1.0, 1.0)), ("bad", None), ("ok", (2.0, 2.0))):
        index.learn_vector(arm, vector)
    index.set("ok", 2, 0, 0.0, 0)
    index.set("bad", 1, 0, 0.0, 1)
    best = index.best()
    assert best is not None
    assert best.arm == "ok"


async def two_metrics(trial: TrialContext) -> dict[str, float]:
    """Accuracy and latency by branch."""
    await asyncio.sleep(1.0)
    accuracy, latency = {"small": (0.5, 1.0), "large": (0.9, 5.0), "silly": (0.4, 6.0)}[trial.params["model"]]
    return {"accuracy": accuracy + 0.01 * trial.rng.random(), "latency": latency}


MODELS = {"model": Choice(["small", "large", "silly"]), "x": Uniform(0, 1)}


def test_pareto_in_a_sweep() -> None:
    """By the objectives of the goal: the dominated branch gets the fewest trials, and the trace tells of the front."""
    experiment = SweepExperiment(
        objective=two_metrics,
        search_space=MODELS,
        goal={"accuracy": "maximize", "latency": "minimize"},
        scheduler=free(branch_by="model", picker=ParetoUCB(c=0.3)),
        seed=0,
    )
    result = run_virtual(experiment.arun(60))
    runs = {name: stats.runs for name, stats in result.branches.items()}
    assert runs["silly"] < 10 < min(runs["small"], runs["large"])
    last = [event for event in result.trace if isinstance(event, Pick)][-1]
    assert "on the Pareto front of ucb vectors: means accuracy" in reason_of(last)


def test_pareto_names_metrics_of_its_own() -> None:
    """The goal may have one objective, and the picker name the metrics."""
    picker = ParetoUCB({"accuracy": "maximize", "latency": "minimize"}, c=0.3)
    experiment = SweepExperiment(
        objective=two_metrics,
        search_space=MODELS,
        goal={"accuracy": "maximize"},
        scheduler=free(branch_by="model", picker=picker),
        seed=0,
    )
    runs = {name: stats.runs for name, stats in run_virtual(experiment.arun(40)).branches.items()}
    assert runs["silly"] < min(runs["small"], runs["large"])


def test_pareto_with_a_metric_that_no_trial_has_is_refused() -> None:
    """When each branch has been run once and no result has all the metrics: with those that there were."""
    picker = ParetoUCB({"accuracy": "maximize", "latncy": "minimize"})
    experiment = SweepExperiment(
        objective=two_metrics,
        search_space=MODELS,
        goal={"accuracy": "maximize"},
        scheduler=free(branch_by="model", picker=picker),
        seed=0,
    )
    with pytest.raises(SchedulerError, match=r"'latncy'.*found \['accuracy', 'latency'\].*Did you mean 'latency'") as caught:
        run_virtual(experiment.arun(40))
    assert "ParetoUCB(metrics=)" in str(caught.value)


def test_pareto_goes_on_when_all_have_failed_so_far() -> None:
    """A failure has no metrics, and says nothing of their names."""
    driver = Driver(free(picker=ParetoUCB({"x": "maximize", "y": "minimize"})), queue("a", "b", "a", "b"))
    assert len(driver.run(lambda trial: None, 4)) == 4


def test_pareto_without_two_objectives_is_refused() -> None:
    """When the sweep is made, with what to write."""
    with pytest.raises(SchedulerError, match=r"one objective.*Name them"):
        SweepExperiment(objective=two_metrics, search_space=MODELS, scheduler=free(branch_by="model", picker=ParetoUCB()))


# -- UCB1 --------------------------------------------------------------------------------------------------------------------------


def test_with_one_slot_it_is_textbook_ucb1() -> None:
    """Over 250 random rewards, every pick is the branch of the highest ``mean + sqrt(2) * sqrt(ln(total) / runs)``."""
    rng = random.Random(3)
    driver = Driver(free(), long_queue(1100))
    runs, sums = dict.fromkeys(BRANCHES, 0), dict.fromkeys(BRANCHES, 0.0)
    for total in range(250):
        (pick,) = driver.pick()
        scores = {name: sums[name] / runs[name] + sqrt(2 * log(total) / runs[name]) if runs[name] else inf for name in BRANCHES}
        assert scores[str(pick.branch)] == pytest.approx(max(scores.values()))
        reward = rng.random() * (0.4 + 0.2 * BRANCHES.index(str(pick.branch)))
        runs[str(pick.branch)] += 1
        sums[str(pick.branch)] += reward
        driver.finish(driver.running[0], reward)


# -- the two ends ------------------------------------------------------------------------------------------------------------------


def test_round_robin_gives_equal_shares() -> None:
    """Whatever the rewards, each of four branches gets a quarter."""
    driver = Driver(free(picker=RoundRobin()), long_queue(), slots=3)
    picks = driver.run(lambda trial: 0.9 if trial.branch == "a" else 0.1, 40)
    assert set(Counter(pick.branch for pick in picks[:40]).values()) == {10}
    assert reason_of(picks[-1]).startswith("round robin: ")


def test_greedy_takes_the_best_mean() -> None:
    """``c=0`` is the other end: after each branch was tried once, the highest mean always."""
    driver = Driver(free(c=0), long_queue())
    picks = driver.run(lambda trial: {"a": 0.2, "b": 0.8, "c": 0.5, "d": 0.1}[trial.branch or ""], 20)
    assert [pick.branch for pick in picks[4:]] == ["b"] * 16


def test_fewest_pulls_undoes_an_overlay() -> None:
    """What was set within an overlay leaves no trace, new arms included."""
    index: FewestPulls[str] = FewestPulls()
    index.set("a", 3, 0, 1.0, 0)
    with index.overlay():
        index.set("a", 9, 9, 0.0, 7)
        index.set("new", 0, 0, 0.0, 1)
        with index.overlay():
            index.set("new", 5, 0, 0.0, 1)
        assert index.best() == Best("new", None, None, None, 0, 0, (), 2, "round robin: 0 pulls, the fewest of 2 branches")
    assert index.state("a") == (3, 0, 1.0, 0, True)
    assert index.pulls == 3


# -- in the scheduler --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("picker", [DiscountedUCB(), RoundRobin(), ParetoUCB({"x": "maximize", "y": "minimize"})])
def test_pruned_branches_are_not_picked(picker: BranchPicker) -> None:
    """Pruning goes by the mean reward, whatever picks."""
    scheduler = IterationScheduler(picker=picker, prune_floor=0.2, prune_after_runs=2, paper_threshold=None)
    driver = Driver(scheduler, long_queue())
    picks = driver.run(lambda trial: 0.0 if trial.branch == "a" else 0.5, 60)
    assert sum(pick.branch == "a" for pick in picks) == 2


def test_a_picker_of_ones_own() -> None:
    """A rule needs ``begin``, and what it returns needs four methods."""

    class Last(BranchPicker):
        """The branch that is last in the queue."""

        def begin(self, setup: Setup) -> Picker[str]:
            """A rule over the same table of arms."""

            class Rule(FewestPulls[str]):
                """Last comes first."""

                def best(self) -> Best[str] | None:
                    """The last."""
                    arms = self.open_arms()
                    return Best(arms[-1][0], None, None, None, 0, 0, (), len(arms), "the last") if arms else None

            return Rule()

    driver = Driver(free(picker=Last()), queue("a", "b", "c"))
    assert [pick.branch for pick in driver.run(lambda trial: 0.5, 3)] == ["c", "b", "a"]


class Stubborn(FewestPulls[str]):
    """Always the same branch, open or not."""

    def best(self) -> Best[str] | None:
        """It."""
        return Best("b", None, None, None, 0, 0, (), 1, "mine")


class Always(BranchPicker):
    """A picker with that fault."""

    def begin(self, setup: Setup) -> Picker[str]:
        """A rule without history."""
        return Stubborn()


def test_a_picker_that_chooses_a_branch_with_nothing_waiting_is_told() -> None:
    """By an error that names it and the branch."""
    with pytest.raises(SchedulerError, match=r"Stubborn\.best.*not open; found 'b'"):
        Driver(free(picker=Always()), queue("a", "b", "a")).run(lambda trial: 0.5, 3)


@pytest.mark.parametrize("names", [["a", "b"], ["a", "c"]])
def test_a_picker_that_chooses_a_pruned_or_unknown_branch_is_told(names: list[str]) -> None:
    """It does not ask for suggestions of it for ever."""
    experiment = SweepExperiment(
        objective=lambda kind: 0.0,
        search_space={"kind": Choice(names), "x": Uniform(0, 1)},
        scheduler=IterationScheduler(branch_by="kind", picker=Always(), prune_after_runs=1),
        slots=1,
        seed=0,
    )
    with pytest.raises(SchedulerError, match=r"Stubborn\.best.*not open; found 'b'.*Choose among those set with open=True"):
        experiment.run(budget=5)


def test_a_picker_may_learn_rewards_and_listen_to_events() -> None:
    """One that has both methods is told of both."""
    rewards: list[tuple[str, float]] = []
    events: list[Event] = []

    class Curious(FewestPulls[str]):
        """Learner and listener."""

        def learn(self, arm: str, reward: float) -> None:
            """A reward."""
            rewards.append((arm, reward))

        def apply(self, event: Event) -> None:
            """An event."""
            events.append(event)

    class Both(BranchPicker):
        """A picker of that kind."""

        def begin(self, setup: Setup) -> Picker[str]:
            """A rule without history."""
            return Curious()

    Driver(free(picker=Both()), queue("a", "b")).run(lambda trial: 0.5, 2)
    assert rewards == [("a", 0.5), ("b", 0.5)]
    assert sum(isinstance(event, Score) for event in events) == 2


def test_a_picker_is_part_of_the_definition() -> None:
    """With its settings; without one nothing is told, so that runs kept before go on."""
    described = IterationScheduler(picker=DiscountedUCB(discount=0.9)).describe()
    assert described["picker"] == {"class": "DiscountedUCB", "discount": 0.9, "c": 1.0, "warm_up": 1}
    assert "picker" not in IterationScheduler().describe()


WRONG: Any = {"class": DiscountedUCB, "text": "ucb", "list": ["x", "y"], "y": "down"}


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: IterationScheduler(picker=WRONG["class"]), r"a class is no picker.*picker=DiscountedUCB\(\)"),
        (lambda: IterationScheduler(picker=WRONG["text"]), "Leave it out for UCB1"),
        (lambda: IterationScheduler(c=1.0, picker=RoundRobin()), "a setting of UCB1, and RoundRobin chooses.*Leave it out"),
        (lambda: IterationScheduler(c=1.0, picker=DiscountedUCB()), r"Write picker=DiscountedUCB\(c=...\)"),
        (lambda: IterationScheduler(pending="pessimistic", picker=RoundRobin()), "pending or picker"),
        (lambda: DiscountedUCB(discount=0.0), "above 0, at most 1"),
        (lambda: DiscountedUCB(c=-1.0), "too small"),
        (lambda: DiscountedUCB(warm_up=-1), "too small"),
        (lambda: ParetoUCB({"x": "maximize"}), "one metric has no front"),
        (lambda: ParetoUCB(WRONG), "unknown option"),
        (lambda: ParetoUCB(WRONG["list"]), "a mapping of two metrics"),
    ],
)
def test_settings_that_cannot_be(make: Callable[[], object], told: str) -> None:
    """Each is refused at once, with a remedy."""
    with pytest.raises(SchedulerError, match=told):
        make()


def test_unknown_settings_are_refused() -> None:
    """With a guess."""
    with pytest.raises(UnknownOption, match="discount"):
        DiscountedUCB(discont=0.9)  # type: ignore[arg-type]
    with pytest.raises(UnknownOption):
        RoundRobin(c=1)  # type: ignore[arg-type]


# -- restarts ----------------------------------------------------------------------------------------------------------------------


RULES = [DiscountedUCB(), RoundRobin(), ParetoUCB({"accuracy": "maximize", "latency": "minimize"})]


@pytest.mark.parametrize("picker", RULES)
def test_a_restarted_run_picks_as_an_uninterrupted_one(picker: BranchPicker) -> None:
    """Killed after some of its records: the same picks with the same scores, and the same results."""
    kill_and_compare(picker, every=6)


@pytest.mark.slow
@pytest.mark.parametrize("picker", RULES)
def test_killed_after_any_record_it_picks_the_same(picker: BranchPicker) -> None:
    """The same, after each of its records."""
    kill_and_compare(picker, every=1)


def kill_and_compare(picker: BranchPicker, every: int) -> None:
    """Kill a run after each so many records, go on, and compare with an uninterrupted one."""

    def begin(store: MemoryStore) -> SweepResult:
        experiment = SweepExperiment(
            name="it",
            objective=two_metrics,
            search_space=MODELS,
            optimizer=RandomOptimizer(),
            goal={"accuracy": "maximize"},
            scheduler=free(branch_by="model", picker=picker),
            slots=1,
            seed=3,
            store=store,
        )
        return run_virtual(experiment.arun(8))

    def essence(result: SweepResult) -> list[Any]:
        picks = [event[:11] for event in result.trace if isinstance(event, Pick)]
        return [picks, [event[:8] for event in result.trace if isinstance(event, Score)]]

    never = DieAt(0)
    with crash_points(never):
        whole = essence(begin(MemoryStore()))
    assert any(pick[4] not in (None, inf) for pick in whole[0]) or not isinstance(picker, DiscountedUCB)
    for occurrence in range(1, never.seen + 1, every):
        store = MemoryStore()
        with crash_points(DieAt(occurrence)), pytest.raises(Died):
            begin(store)
        assert essence(begin(store)) == whole


def test_setup_is_what_rules_draw_by() -> None:
    """Two runs of one seed draw the same ties."""
    first, second = (DiscountedUCB().begin(setup_for()) for _ in range(2))
    for index in (first, second):
        for place, name in enumerate(BRANCHES):
            index.set(name, 0, 0, 0.0, place)
    assert first.best() == second.best()
