"""Portfolios: members that take turns, or that a scheduler picks between."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import pytest

from metta_sweep import Budget, Choice, MemoryStore, Suggestion, SweepExperiment, SweepResult, Trial, TrialContext, Uniform
from metta_sweep.clock import crash_points
from metta_sweep.core.events import Draw, Pick, Wait
from metta_sweep.core.goal import Goal
from metta_sweep.core.search_space import SearchSpace
from metta_sweep.core.setup import Setup
from metta_sweep.core.trial import Report, TrialError, TrialState
from metta_sweep.errors import DefinitionChanged, InvalidName, OptimizerError, SuggestionError, UnknownOption
from metta_sweep.experiments.codec import decode_facts
from metta_sweep.optimizers import (
    GridOptimizer,
    Optimizer,
    Phase,
    Phases,
    PortfolioOptimizer,
    RandomOptimizer,
    SuggestionQueue,
    Supports,
)
from metta_sweep.records import Record
from metta_sweep.schedulers import DiscountedUCB, FIFOScheduler, IterationScheduler, Offer, ParetoUCB, RoundRobin
from metta_sweep.testing.crashes import Crashed
from metta_sweep.testing.virtual import run_virtual

SPACE = {"x": Uniform(0.0, 1.0)}


class Constant(Optimizer):
    """Suggests points beside one place, and notes what it is told."""

    def __init__(self, at: float, most: int | None = None) -> None:
        self.at = at
        self.most = most
        self.told: list[tuple[str, str, str | None]] = []
        self.asked: list[tuple[int, list[str]]] = []

    @property
    def remaining(self) -> int | None:
        """How many it has left."""
        return None if self.most is None else self.most - len(self.asked)

    def suggest(self, n: int, pending: Sequence[Trial] = (), index: int = 0) -> list[Suggestion]:
        """One at a time."""
        if self.most is not None and len(self.asked) >= self.most:
            return []
        self.asked.append((n, [f"{trial.id}:{trial.origin}" for trial in pending]))
        return [Suggestion(params={"x": self.at + index / 1000}, origin="beside")]

    def observe(self, trial: Trial, result: Any) -> None:
        """Note it."""
        self.told.append(("observe", trial.id, trial.origin))

    def failed(self, trial: Trial) -> None:
        """Note it."""
        self.told.append(("failed", trial.id, trial.origin))

    def stopped(self, trial: Trial) -> None:
        """Note it."""
        self.told.append(("stopped", trial.id, trial.origin))

    def reported(self, trial: Trial, report: Report) -> None:
        """Note it."""
        self.told.append(("reported", trial.id, trial.origin))


class Warm(Constant):
    """Takes trials of others as ``warm_start``."""

    def warm_start(self, trials: Iterable[Trial]) -> None:
        """Note them."""
        self.told += [("warm", trial.id, trial.origin) for trial in trials]


async def score_x(trial: TrialContext) -> float:
    """The parameter, after one second."""
    await asyncio.sleep(1.0)
    return float(trial.params["x"])


def sweep(optimizer: Optimizer, **settings: Any) -> SweepExperiment:
    """A sweep of ``x`` with one slot and seed 0, in memory, unless said otherwise."""
    return SweepExperiment(
        **{
            "objective": score_x,
            "optimizer": optimizer,
            "search_space": SPACE,
            "slots": 1,
            "seed": 0,
            "store": "memory",
            **settings,
        }
    )


def run(experiment: SweepExperiment, budget: int | Budget | None = None) -> SweepResult:
    """Run it on a virtual clock."""
    return run_virtual(experiment.arun(budget))


def setup(seed: int = 0, slots: int = 3) -> Setup:
    """A sweep that an optimizer may serve."""
    return Setup(SearchSpace.of(SPACE), Goal(), seed, slots)


def trials_of(suggestions: Sequence[Suggestion], **fields: Any) -> list[Trial]:
    """Suggestions as trials."""
    return [
        Trial(id=str(number), number=number, params=item.params, branch=item.branch, origin=item.origin, **fields)
        for number, item in enumerate(suggestions)
    ]


def two(**settings: Any) -> PortfolioOptimizer:
    """A good and a bad member."""
    return PortfolioOptimizer({"good": Constant(0.6), "bad": Constant(0.1)}, **settings)


# -- who is asked ------------------------------------------------------------------------------------------------------------------


def test_members_take_turns() -> None:
    """One of each in their order, however many are asked for at once."""
    names = [suggestion.branch for suggestion in two().for_run(setup()).suggest(1)]
    portfolio = PortfolioOptimizer({"a": RandomOptimizer(), "b": RandomOptimizer(), "c": RandomOptimizer()}, SPACE)
    fresh = portfolio.for_run(setup())
    names = [suggestion.branch for n in (1, 1, 3, 2, 5) for suggestion in fresh.suggest(n)]
    assert names == list("abcabcabcabc")


def test_the_same_members_differ_by_their_names() -> None:
    """Each has a seed of its own, which its name and the portfolio's seed decide."""
    members = {"a": RandomOptimizer(), "b": RandomOptimizer()}
    first = [item.params for item in PortfolioOptimizer(members).for_run(setup()).suggest(6)]
    assert len({item["x"] for item in first}) == 6
    assert [item.params for item in PortfolioOptimizer(members).for_run(setup()).suggest(6)] == first
    assert [item.params for item in PortfolioOptimizer(members).for_run(setup(seed=1)).suggest(6)] != first
    assert [item.params for item in PortfolioOptimizer(members, seed=1).for_run(setup()).suggest(6)] != first
    turned = PortfolioOptimizer(dict(reversed(members.items()))).for_run(setup()).suggest(6)
    assert {item.params["x"] for item in turned} == {item["x"] for item in first}


def test_suggestions_tell_their_member() -> None:
    """By branch and origin, at any depth."""
    inner = PortfolioOptimizer({"x": RandomOptimizer(), "y": Constant(0.5)})
    fresh = PortfolioOptimizer({"inner": inner, "random": RandomOptimizer()}).for_run(setup())
    told = [(item.branch, item.origin) for item in fresh.suggest(4)]
    assert told == [
        ("inner", "inner/x/random"),
        ("random", "random/random"),
        ("inner", "inner/y/beside"),
        ("random", "random/random"),
    ]


def test_a_member_that_is_used_up_is_passed_over() -> None:
    """The others go on; when all are used up there is nothing more."""
    queue = SuggestionQueue([{"x": 0.1}, {"x": 0.2}])
    fresh = PortfolioOptimizer({"queue": queue, "random": RandomOptimizer()}).for_run(setup())
    assert [item.branch for item in fresh.suggest(7)] == ["queue", "random", "queue", "random", "random", "random", "random"]
    assert fresh.remaining is None
    finite = PortfolioOptimizer({"queue": queue, "grid": Constant(0.5, most=1)}).for_run(setup())
    assert finite.remaining == 3
    assert len(finite.suggest(9)) == 3
    assert finite.remaining == 0
    assert finite.suggest(1) == []


def test_asked_within_a_branch_it_asks_that_member_only() -> None:
    """All suggestions are that member's, and its turn is not used up by it."""
    fresh = two().for_run(setup())
    assert [item.branch for _ in range(3) for item in fresh.suggest(1, branch="bad")] == ["bad"] * 3
    assert [item.branch for item in fresh.suggest(1)] == ["good"]
    with pytest.raises(OptimizerError, match=r"it has no member 'goo'; .*Did you mean 'good'"):
        fresh.suggest(1, branch="goo")


def test_what_is_fixed_is_passed_on() -> None:
    """To members that take it; the others are passed over, unless there are no others."""
    space = {"model": Choice(["a", "b"]), "x": Uniform(0, 1)}
    fresh = PortfolioOptimizer({"r": RandomOptimizer(), "s": RandomOptimizer()}, space).for_run(setup())
    assert {item.params["model"] for item in fresh.suggest(8, fixed={"model": "b"})} == {"b"}
    mixed = PortfolioOptimizer({"cannot": Constant(0.5), "can": RandomOptimizer()}).for_run(setup())
    assert [item.branch for item in mixed.suggest(3, fixed={"x": 0.5})] == ["can"]
    assert [item.branch for item in mixed.suggest(2)] == ["cannot", "can"]
    assert len(two().for_run(setup()).suggest(2, fixed={"x": 0.5})) == 2


def test_no_point_is_suggested_twice_by_two_members() -> None:
    """Of a finite space each point comes once, whoever has it; then there is nothing more."""
    space = SearchSpace.of({"a": Choice([1, 2, 3]), "b": Choice(["x", "y", "z"])})
    members = {"grid": GridOptimizer(), "shuffled": GridOptimizer(order="shuffled"), "random": RandomOptimizer()}
    once = PortfolioOptimizer(members).for_run(Setup(space, Goal(), 0, 1))
    found: list[Suggestion] = []
    while given := once.suggest(2):
        found += given
    assert len({tuple(item.params.items()) for item in found}) == len(found) == 9
    assert once.remaining == 0
    again = PortfolioOptimizer(members, duplicates=True).for_run(Setup(space, Goal(), 0, 1))
    assert len(again.suggest(27)) == 27


def test_a_member_that_only_repeats_gives_random_points() -> None:
    """So that a portfolio whose members have run into each other goes on, and says whose they are."""

    class Stubborn(Optimizer):
        def suggest(self, n: int) -> list[dict[str, Any]]:
            return [{"x": 0.5}] * n

    fresh = PortfolioOptimizer({"a": Stubborn(), "b": Stubborn()}).for_run(setup())
    found = [item for _ in range(4) for item in fresh.suggest(1)]
    assert [item.origin for item in found] == ["a/Stubborn", "b/random", "a/random", "b/random"]
    assert len({item.params["x"] for item in found}) == 4


# -- who is told -------------------------------------------------------------------------------------------------------------------


def members_told(share: bool) -> tuple[Constant, Warm, list[Trial]]:
    """A portfolio of two members that was told of one trial each, of each kind."""
    portfolio = PortfolioOptimizer({"a": Constant(0.1), "b": Warm(0.6)}, share=share).for_run(setup())
    trials = trials_of(portfolio.suggest(2))
    error = TrialError("ValueError", "no", "")
    for trial in trials:
        portfolio.observe(trial, 1.0)
        portfolio.reported(trial, Report(1, {"score": 1.0}))
        portfolio.stopped(trial)
        portfolio.failed(Trial(**{**_fields(trial), "state": TrialState.FAILED, "error": error}))
    first, second = portfolio.optimizers["a"], portfolio.optimizers["b"]
    assert isinstance(first, Constant)
    assert isinstance(second, Warm)
    return first, second, trials


def _fields(trial: Trial) -> dict[str, Any]:
    return {name: getattr(trial, name) for name in ("id", "number", "params", "branch", "origin")}


def test_members_learn_from_each_other() -> None:
    """Completed trials go to all: of others by ``warm_start`` where there is one; all else to the member that suggested them."""
    first, second, _ = members_told(share=True)
    own = [("observe", "beside"), ("reported", "beside"), ("stopped", "beside"), ("failed", "beside")]
    assert [(call, origin) for call, trial, origin in first.told if trial == "0"] == own
    assert [told for told in first.told if told[1] == "1"] == [("observe", "1", "/b/beside")]
    assert [(call, origin) for call, trial, origin in second.told if trial == "1"] == own
    assert [told for told in second.told if told[1] == "0"] == [("warm", "0", "/a/beside")]


def test_members_may_be_kept_apart() -> None:
    """With ``share=False`` each is told of its own trials only, pending ones too."""
    first, second, trials = members_told(share=False)
    assert {trial for _, trial, _ in first.told} == {"0"}
    assert {trial for _, trial, _ in second.told} == {"1"}
    portfolio = two(share=False).for_run(setup())
    portfolio.suggest(2, pending=trials)
    good = portfolio.optimizers["good"]
    assert isinstance(good, Constant)
    assert good.asked == [(1, [])]


def test_pending_trials_are_shown_as_ones_own_or_anothers() -> None:
    """At any depth: those of another begin with a slash."""
    inner = PortfolioOptimizer({"x": Constant(0.1), "y": Constant(0.3)})
    fresh = PortfolioOptimizer({"in": inner, "y": Constant(0.6)}).for_run(setup())
    trials = trials_of(fresh.suggest(4))
    assert [trial.origin for trial in trials] == ["in/x/beside", "y/beside", "in/y/beside", "y/beside"]
    fresh.suggest(1, pending=trials, branch="in")
    deep = fresh.optimizers["in"]
    assert isinstance(deep, PortfolioOptimizer)
    x = deep.optimizers["x"]
    assert isinstance(x, Constant)
    assert x.asked[-1] == (1, ["0:beside", "1://y/beside", "2:/y/beside", "3://y/beside"])


def test_trials_of_earlier_experiments_belong_to_nobody() -> None:
    """Whatever their origin is, every member is told of them as of those of another."""
    portfolio = PortfolioOptimizer({"a": Warm(0.1), "b": Warm(0.6)}).for_run(setup())
    earlier = Trial(id="e", number=0, params={"x": 0.5}, origin="a/beside", score=1.0, state=TrialState.COMPLETED)
    portfolio.warm_start([earlier])
    for member in portfolio.optimizers.values():
        assert isinstance(member, Warm)
        assert member.told == [("warm", "e", "/a/beside")]


def test_trials_of_earlier_experiments_have_all_objectives() -> None:
    """As completed ones of the run have them: a mapping, where the goal has several."""
    told: list[Any] = []

    class Listening(RandomOptimizer):
        def observe(self, trial: Trial, result: Any) -> None:
            told.append(result)

    goal = Goal.of({"accuracy": "maximize", "latency": "minimize"})
    metrics: dict[str, Any] = {"accuracy": (0.5, 0.1), "latency": 3.0, "size": 1.0}
    earlier = Trial(id="e", number=0, params={"x": 0.5}, score=0.5, metrics=metrics, state=TrialState.COMPLETED)
    portfolio = PortfolioOptimizer({"a": Listening(), "b": Listening()})
    portfolio.for_run(Setup(SearchSpace.of(SPACE), goal, 0, 1)).warm_start([earlier])
    portfolio.for_run(Setup(SearchSpace.of(SPACE), Goal("maximize", "accuracy"), 0, 1)).warm_start([earlier])
    assert told == [{"accuracy": 0.5, "latency": 3.0}] * 2 + [0.5] * 2


# -- in a sweep --------------------------------------------------------------------------------------------------------------------


def test_an_iteration_scheduler_picks_members_as_branches() -> None:
    """Untried ones first, and then mostly the one whose trials are better; each pick tells what it compared."""
    result = run(sweep(two(), scheduler=IterationScheduler(c=0.1, prune_floor=None)), 20)
    counts = Counter(trial.branch for trial in result.trials)
    assert [trial.branch for trial in result.trials[:2]] == ["good", "bad"]
    assert counts["good"] > 15
    assert counts["bad"] >= 1
    picks = [event for event in result.trace if isinstance(event, Pick)]
    assert {pick.compared for pick in picks} == {2}
    draws = [event for event in result.trace if isinstance(event, Draw)]
    assert all(draw.within == draw.branch for draw in draws)
    assert "asked for 1 within 'good'" in draws[0].explanation
    assert list(result.branches) == ["good", "bad"]


@pytest.mark.parametrize("picker", [DiscountedUCB(), RoundRobin(), ParetoUCB({"score": "maximize", "cost": "minimize"})])
def test_other_pickers_pick_members_too(picker: Any) -> None:
    """Whatever chooses between branches chooses between members."""

    def objective(trial: TrialContext) -> dict[str, float]:
        return {"score": trial.params["x"], "cost": 1.0}

    scheduler = IterationScheduler(picker=picker, prune_floor=None)
    result = run(sweep(two(), objective=objective, scheduler=scheduler, goal={"score": "maximize"}), 12)
    counts = Counter(trial.branch for trial in result.trials)
    assert sum(counts.values()) == 12
    assert counts["good"] >= counts["bad"] > 0


def test_a_poor_member_is_pruned() -> None:
    """As any branch; the run goes on with the others, and ends when none is left."""
    result = run(sweep(two(), scheduler=IterationScheduler()), 20)
    assert result.branches["bad"].pruned
    assert Counter(trial.branch for trial in result.trials)["bad"] < 5
    worse = PortfolioOptimizer({"a": Constant(0.0), "b": Constant(0.1)})
    assert run(sweep(worse, scheduler=IterationScheduler()), 50).stop_reason == "all_branches_pruned"


def test_members_that_are_not_picked_are_among_the_branches() -> None:
    """Results compare all members, tried or not, whatever the scheduler."""
    result = run(sweep(two(), scheduler=FIFOScheduler()), 1)
    assert [(name, stats.runs) for name, stats in result.branches.items()] == [("good", 1), ("bad", 0)]


def test_a_member_that_has_ended_is_no_branch_any_more() -> None:
    """The scheduler goes on with the others; when all have ended, the run does."""
    portfolio = PortfolioOptimizer({"short": SuggestionQueue([{"x": 0.9}, {"x": 0.8}]), "bad": Constant(0.1)})
    result = run(sweep(portfolio, scheduler=IterationScheduler(prune_floor=None)), 8)
    assert Counter(trial.branch for trial in result.trials) == {"short": 2, "bad": 6}
    queues = PortfolioOptimizer({"a": SuggestionQueue([{"x": 0.9}]), "b": SuggestionQueue([{"x": 0.1}, {"x": 0.2}])})
    ended = run(sweep(queues, scheduler=IterationScheduler(prune_floor=None)))
    assert (len(ended.trials), ended.stop_reason) == (3, "optimizer_exhausted")
    assert ended.stop_detail == "nothing is left to suggest"
    assert Counter(trial.branch for trial in ended.trials) == {"a": 1, "b": 2}


def test_branches_of_the_search_space_come_before_those_of_the_portfolio() -> None:
    """With ``branch_by`` the alternatives of the choice are the branches, and the members take turns within them."""
    space = {"model": Choice(["a", "b"]), "x": Uniform(0, 1)}
    members = {"r": RandomOptimizer(), "s": RandomOptimizer()}
    scheduler = IterationScheduler(branch_by="model", prune_floor=None)
    result = run(sweep(PortfolioOptimizer(members), scheduler=scheduler, search_space=space), 10)
    assert list(result.branches) == ["a", "b"]
    assert all(trial.branch == trial.params["model"] for trial in result.trials)
    assert Counter(str(trial.origin) for trial in result.trials) == {"r/random": 5, "s/random": 5}


def test_follow_ups_wait_in_the_branch_of_their_member() -> None:
    """An expander's suggestions belong to the member whose trial they follow, and are told to all as another's."""

    def expand(trial: Trial) -> list[dict[str, Any]]:
        return [{"x": 0.9}]

    scheduler = IterationScheduler(expander=expand, expand_threshold=0.5, paper_threshold=None, prune_floor=None, c=0.0)
    result = run(sweep(two(), scheduler=scheduler), 6)
    follow_ups = [trial for trial in result.trials if trial.origin == "expander"]
    assert follow_ups
    assert {trial.branch for trial in follow_ups} == {"good"}
    told = result.optimizer.optimizers["bad"].told  # type: ignore[attr-defined]
    assert ("observe", follow_ups[0].id, "/expander") in told


@pytest.mark.parametrize("scheduler", [FIFOScheduler, partial(IterationScheduler, prune_floor=None)], ids=["turns", "ucb"])
@pytest.mark.parametrize("slots", [1, 3])
def test_a_run_that_goes_on_asks_the_same_members_again(scheduler: Any, slots: int) -> None:
    """Taken up again after every trial, in new objects, it has the trials and the trace of one that did not stop."""

    def members() -> PortfolioOptimizer:
        pytest.importorskip("optuna")
        from metta_sweep.optimizers import OptunaOptimizer

        inner = PortfolioOptimizer({"grid": GridOptimizer(), "random": RandomOptimizer()})
        return PortfolioOptimizer({"tpe": OptunaOptimizer(n_startup_trials=2), "inner": inner, "constant": Constant(0.5)})

    def decided(result: SweepResult) -> list[tuple[Any, ...]]:
        return [(trial.id, trial.branch, trial.origin, trial.params, trial.score) for trial in result.trials]

    def plan(**settings: Any) -> SweepExperiment:
        return sweep(members(), scheduler=scheduler(), slots=slots, **settings)

    store = MemoryStore()
    result = run(plan(name="it", store=store), slots)
    for budget in range(2 * slots, 16, slots):
        result = run(plan(name="it", store=store), budget)
    whole = run(plan(), len(result.trials))
    assert decided(result) == decided(whole)
    assert len({str(trial.params) for trial in result.trials}) == len(result.trials)


def test_journals_of_before_tell_no_branch() -> None:
    """A draw that was kept without the name of a branch is read as one that was asked for without."""
    record = Record(0, 1, "sweep[0]/pick", "events", 0.0, 0.0, b'[["draw",3,{"x":0.5},null,null,"random",null,1,null]]')
    assert decode_facts(record) == [Draw(3, {"x": 0.5}, origin="random", asked=1)]


def test_another_portfolio_is_another_experiment() -> None:
    """Members, their names, order and settings are part of a kept run's definition."""
    store = MemoryStore()

    def kept(members: Mapping[str, Optimizer], **settings: Any) -> None:
        run(sweep(PortfolioOptimizer(members, **settings), name="it", store=store), 1)

    kept({"a": RandomOptimizer(), "b": GridOptimizer()})
    kept({"a": RandomOptimizer(), "b": GridOptimizer()})
    others: list[tuple[Mapping[str, Optimizer], dict[str, Any]]] = [
        ({"b": GridOptimizer(), "a": RandomOptimizer()}, {}),
        ({"a": RandomOptimizer(seed=1), "b": GridOptimizer()}, {}),
        ({"a": RandomOptimizer(), "c": GridOptimizer()}, {}),
        ({"a": RandomOptimizer(), "b": GridOptimizer()}, {"share": False}),
        ({"a": RandomOptimizer(), "b": GridOptimizer()}, {"seed": 3}),
        ({"a": RandomOptimizer(), "b": GridOptimizer()}, {"duplicates": True}),
    ]
    for members, settings in others:
        with pytest.raises(DefinitionChanged, match="optimizer"):
            kept(members, **settings)


# -- what is refused ---------------------------------------------------------------------------------------------------------------


class Narrow(Constant):
    """Searches up to three continuous parameters."""

    supports = Supports(conditional=False, categorical=False, most_parameters=3)
    slow = True


def test_it_supports_what_all_members_do() -> None:
    """And is slow when one of them is."""
    portfolio = PortfolioOptimizer({"a": Narrow(0.5), "b": RandomOptimizer()})
    assert portfolio.supports == Supports(conditional=False, categorical=False, most_parameters=3)
    assert portfolio.slow
    assert not two().slow
    assert two().supports == Supports()
    with pytest.raises(OptimizerError, match=r"does not search choices, such as 'model'"):
        sweep(portfolio, search_space={"model": Choice(["a", "b"])})


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: PortfolioOptimizer({}), OptimizerError, "it has no members"),
        (lambda: PortfolioOptimizer([RandomOptimizer()]), OptimizerError, "a list is no mapping of names to optimizers"),  # type: ignore[arg-type]
        (lambda: PortfolioOptimizer({"a": RandomOptimizer}), OptimizerError, r"a class is no optimizer.*Write RandomOptimizer\(\)"),  # type: ignore[dict-item]
        (lambda: PortfolioOptimizer({"a": 3}), OptimizerError, "an int is no optimizer"),  # type: ignore[dict-item]
        (lambda: PortfolioOptimizer({"a/b": RandomOptimizer()}), InvalidName, "which has a meaning in addresses"),
        (lambda: PortfolioOptimizer({3: RandomOptimizer()}), InvalidName, "a name must be a string"),  # type: ignore[dict-item]
        (lambda: two(seed="1"), OptimizerError, r"PortfolioOptimizer\(seed=\)"),
        (lambda: two(share=1), OptimizerError, r"PortfolioOptimizer\(share=\): an int is neither True nor False"),
        (lambda: two(shared=True), UnknownOption, "Did you mean 'share'"),
        (
            lambda: PortfolioOptimizer({"a": RandomOptimizer(SPACE), "b": RandomOptimizer({"y": Uniform(0, 1)})}),
            OptimizerError,
            "'a' and 'b' have different search spaces; found 'y'; expected that of 'a': x",
        ),
        (lambda: two(search_space={"y": 3}), Exception, r"search_space\['y'\]"),
    ],
)
def test_malformed_portfolios_are_refused(make: Any, error: type[Exception], text: str) -> None:
    """When they are made, with what was found and what to write."""
    with pytest.raises(error, match=text):
        make()


def test_a_portfolio_without_a_search_space_is_refused_where_a_member_needs_one() -> None:
    """When the sweep is made; members that bring their suggestions need none."""
    with pytest.raises(OptimizerError, match=r"search_space=\): PortfolioOptimizer has nothing to search"):
        sweep(PortfolioOptimizer({"a": RandomOptimizer(), "b": Constant(0.5)}), search_space=None)
    queues = PortfolioOptimizer({"a": SuggestionQueue([{"x": 0.5}]), "b": SuggestionQueue([{"x": 0.25}])})
    assert [trial.score for trial in run(sweep(queues, search_space=None)).trials] == [0.5, 0.25]


def test_a_search_space_of_a_member_is_that_of_the_portfolio() -> None:
    """So that the sweep needs none, and refuses another."""
    portfolio = PortfolioOptimizer({"a": RandomOptimizer(SPACE), "b": Constant(0.5)})
    assert portfolio.search_space == SearchSpace.of(SPACE)
    assert len(run(sweep(portfolio, search_space=None), 4).trials) == 4
    with pytest.raises(OptimizerError, match="another search space"):
        sweep(portfolio, search_space={"y": Uniform(0, 1)})


@pytest.mark.parametrize("answer", [None, {"x": 0.5}, "x"])
def test_a_member_that_returns_no_list_is_named(answer: Any) -> None:
    """With what it returned."""

    class Wrong(Optimizer):
        def suggest(self, n: int) -> Any:
            return answer

    with pytest.raises(SuggestionError, match=r"Wrong 'odd'\.suggest\(1\): it returned no sequence"):
        PortfolioOptimizer({"odd": Wrong()}).for_run(setup()).suggest(1)


# -- the seam, for optimizers and schedulers of one's own --------------------------------------------------------------------------


class Wishing(FIFOScheduler):
    """Wants suggestions of one branch, then of the other."""

    def pick(self, offer: Offer) -> None:
        """One of the branch whose turn it is."""
        while offer.free:
            waiting = offer.next(branch="ab"[offer.busy % 2])
            if waiting is None:
                offer.wait(offer.why)
                return
            offer.pick(waiting)


class Mixed(Optimizer):
    """Mostly of branch a, and cannot be asked within one."""

    def __init__(self, every: int) -> None:
        self.every = every
        self.made = 0

    def suggest(self, n: int) -> list[Suggestion]:
        """Every so many of branch b."""
        self.made += n
        numbers = range(self.made - n, self.made)
        return [Suggestion(params={"x": number / 1e4}, branch="b" if number % self.every == 1 else "a") for number in numbers]


def test_a_branch_may_be_wished_for_of_any_optimizer() -> None:
    """Of one that cannot be asked within branches more is drawn, and what is not of the branch waits in the pool."""
    result = run(sweep(Mixed(4), scheduler=Wishing(), slots=2), 6)
    assert [trial.branch for trial in result.trials] == ["a", "b"] * 3
    assert all(draw.within is None for draw in result.trace if isinstance(draw, Draw))
    rare = run(sweep(Mixed(10**6), scheduler=Wishing(), slots=4), 6)
    waits = [event.why for event in rare.trace if isinstance(event, Wait)]
    assert waits[:2] == [
        "32 suggestions were drawn and none had the branch 'b'",
        "32 suggestions wait, and none has the branch 'b'",
    ]


def test_any_optimizer_may_have_branches() -> None:
    """A class of one's own that takes ``branch`` is asked within those that it names; what it waits for is why slots are idle."""

    class Directions(Optimizer):
        branches = ("left", "right")

        def suggest(self, n: int, branch: str | None = None, pending: Sequence[Trial] = ()) -> list[Suggestion]:
            self.waiting_for = None
            if len(pending) == 2:
                self.waiting_for = "a hand that is free"
                return []
            return [Suggestion(params={"x": 0.2 if branch == "left" else 0.9}, branch=branch)]

    result = run(sweep(Directions(), scheduler=IterationScheduler(c=0.0, prune_floor=None), slots=3), 9)
    assert list(result.branches) == ["left", "right"]
    assert Counter(trial.branch for trial in result.trials)["right"] == 8
    assert {event.why for event in result.trace if isinstance(event, Wait)} >= {"a hand that is free"}


def test_branches_that_cannot_be_asked_for_are_none() -> None:
    """A class that names branches, but whose ``suggest`` takes none, is asked as any other."""

    class Confused(RandomOptimizer):
        branches = ("left", "right")

    assert run(sweep(Confused(), scheduler=IterationScheduler()), 3).branches == {}


class DiesAt:
    """Ends a run at the crash point of this number; a dead process does nothing more."""

    def __init__(self, number: int) -> None:
        self.left = number

    def __call__(self, point: str) -> None:
        """Count a point."""
        self.left -= 1
        if self.left <= 0:
            raise Crashed(f"the run ends at {point}")


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_killed_anywhere_it_goes_on_as_if_it_had_not_been() -> None:
    """At each crash point of a run of UCB over members, phases among them: the same picks, for the same reasons."""

    def made(store: Any) -> tuple[list[Any], list[Any]]:
        phases = Phases([Phase(GridOptimizer(order="shuffled"), trials=2, min_observed=1), Phase(RandomOptimizer())])
        portfolio = PortfolioOptimizer({"phases": phases, "random": RandomOptimizer(), "steady": Constant(0.4)})
        scheduler = IterationScheduler(prune_floor=None, c=0.5)
        result = run(sweep(portfolio, scheduler=scheduler, name="it", store=store), 6)
        trials = [(trial.id, trial.branch, trial.origin, trial.params, trial.score) for trial in result.trials]
        return trials, [event.explanation for event in result.trace if isinstance(event, Pick)]

    expected = made(MemoryStore())
    number, whole = 0, False
    while not whole:
        number += 1
        store = MemoryStore()
        try:
            with crash_points(DiesAt(number)):
                made(store)
            whole = True
        except Crashed:
            assert made(store) == expected, f"killed at crash point {number}"
    assert number > 40
