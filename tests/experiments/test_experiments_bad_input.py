"""Bad input to sweeps: one clear error, with the name, the value and the remedy; nothing is written."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from sweep_kit import SPACE, queue, run

from metta_sweep import (
    Budget,
    Choice,
    FailurePolicy,
    Integer,
    LocalExecutor,
    LogUniform,
    MemoryStore,
    Optimizer,
    Suggestion,
    SweepExperiment,
    SweepResult,
    TrialContext,
    Uniform,
)
from metta_sweep.errors import (
    BudgetError,
    ExecutorError,
    GoalError,
    HookError,
    InvalidInput,
    InvalidName,
    ObjectiveError,
    OptimizerError,
    SchedulerError,
    SearchSpaceError,
    StoreError,
    SuggestionError,
    UnknownOption,
)
from metta_sweep.optimizers import RandomOptimizer, SuggestionQueue
from metta_sweep.schedulers import FIFOScheduler, IterationScheduler

MODELS = {"model": Choice({"a": {}, "b": {"x": Uniform(0, 1)}}), "x": Uniform(0, 1)}


async def good(trial: TrialContext) -> float:
    """Nothing is wrong with this one."""
    return 1.0


async def takes_x(x: float) -> float:
    """Needs x."""
    return x


class Case(NamedTuple):
    """Bad input, and what its error must say."""

    bad: Any
    error: type[InvalidInput]
    says: tuple[str, ...]
    """The offending name, the value found, and the remedy, as they must show."""


def case(bad: Any, error: type[InvalidInput], *says: str) -> Any:
    """A parameter of a test, called by its first words."""
    return pytest.param(Case(bad, error, says), id=says[0][:40].replace(" ", "_") + "-" + says[1][:20])


def check(case: Case, store: MemoryStore, attempt: Callable[[], Any]) -> None:
    """The attempt fails as the case says, before anything is written."""
    with pytest.raises(case.error) as caught:
        attempt()
    text = str(caught.value)
    for words in case.says:
        assert words in text, text
    assert caught.value.remedy, text
    assert store.runs() == []


def attempt(store: MemoryStore, budget: Any = 2, **settings: Any) -> Callable[[], Any]:
    """Make a sweep with these settings, and run it."""

    def make_and_run() -> None:
        if "optimizer" not in settings:
            settings.setdefault("search_space", SPACE)
        run(SweepExperiment(**{"objective": good, "name": "it", "seed": 0, "store": store, **settings}), budget)

    return make_and_run


# -- objectives --------------------------------------------------------------------------------------------------------------------


async def needs_y(y: float) -> float:
    """The space has no y."""
    return y


async def by_position(x: float, y: float, /) -> float:
    """Two by position."""
    return x + y


class Model:
    """Not a function."""


@pytest.mark.parametrize(
    "case",
    [
        case(42, ObjectiveError, "objective", "42", "trial"),
        case("train", ObjectiveError, "objective", "'train'", "trial"),
        case(Model, ObjectiveError, "objective", "Model", "instance"),
        case(Model(), ObjectiveError, "objective", "Model object", "trial"),
        case(needs_y, ObjectiveError, "needs_y", "'y'", "x"),
        case(by_position, ObjectiveError, "by_position", "'x'", "Take out the '/'"),
        case(lambda lr: lr, ObjectiveError, "lambda", "'lr'", "x"),
        case({"x": 1}, ObjectiveError, "objective", "{'x': 1}", "trial"),
    ],
)
def test_objectives(case: Case) -> None:
    """What is no trial function, or wants what a trial does not have, is refused when the sweep is made."""
    store = MemoryStore()
    space = {"lr_": Uniform(0, 1), "x": Uniform(0, 1)}
    check(case, store, attempt(store, objective=case.bad, search_space=space))


def test_an_objective_that_was_called_already() -> None:
    """A coroutine is no trial function: the remedy leaves out the parentheses."""
    store = MemoryStore()
    bad = Case(None, ObjectiveError, ("objective", "coroutine", "parentheses"))
    check(bad, store, attempt(store, objective=takes_x(1.0)))


def test_running_a_template() -> None:
    """A sweep without an objective can be made, and says what is missing when it is run."""
    store = MemoryStore()
    template = SweepExperiment(name="it", search_space=SPACE, store=store)
    check(Case(None, ObjectiveError, ("SweepExperiment", "no objective", "objective=")), store, lambda: run(template, 1))


# -- hooks -------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "case",
    [
        case({"scored": {}}, HookError, "'scored'", "pick, dispatch, score or fan_out", "Did you mean 'score'?"),
        case({"train": {}}, HookError, "'train'", "no stage", "one of the four"),
        case({"after": print}, HookError, "'after'", "print", "hooks={'score': hooks(after=...)}"),
        case([("score", {})], HookError, "hooks", "[('score', {})]", "Write"),
        case([], HookError, "hooks", "[]", "Write"),
        case({"score": print}, HookError, "'score'", "print", "hooks(after=...)"),
        case({"score": {"on_error": print}}, HookError, "'on_error'", "print", "Leave 'on_error' out"),
        case({"pick": {"cache": True}}, HookError, "'cache'", "True", "Leave 'cache' out"),
        case({"pick": {"checkpoint": False}}, HookError, "'checkpoint'", "False", "Leave 'checkpoint' out"),
        case({"pick": {"aftr": print}}, HookError, "'aftr'", "print", "Did you mean 'after'?"),
        case({"pick": {"after": 3}}, HookError, "'after'", "3", "after=lambda"),
        case({"pick": {"after": lambda: None}}, HookError, "'after'", "lambda", "after=lambda d"),
        case({"pick": {"retry": -1}}, HookError, "'retry'", "-1", "retry=3"),
        case({"pick": {"timeout": "5"}}, HookError, "'timeout'", "'5'", "timeout=300"),
        case({"pick": {"timeout": 0}}, HookError, "'timeout'", "0", "timeout=300"),
        case({3: {}}, HookError, "hooks", "3", "four stages"),
    ],
)
def test_hooks(case: Case) -> None:
    """Unknown stages and hooks, hooks of the wrong kind, and those that a sweep's stages must not have."""
    store = MemoryStore()
    check(case, store, attempt(store, hooks=case.bad))


# -- names -------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "case",
    [
        case("", InvalidName, "name", "''", "Give a short text"),
        case("a b", InvalidName, "name", "'a b'", "Use letters"),
        case("a/b", InvalidName, "name", "'/'", "Use letters"),
        case("a[0]", InvalidName, "name", "'['", "Use letters"),
        case("a>b", InvalidName, "name", "'>'", "Use letters"),
        case("a#2", InvalidName, "name", "'#'", "Use letters"),
        case("tab\there", InvalidName, "name", "'\\t'", "Use letters"),
        case("x" * 201, InvalidName, "name", "201 characters", "Shorten"),
        case(7, InvalidName, "name", "7", "Give a short text"),
        case(b"it", InvalidName, "name", "b'it'", "Give a short text"),
    ],
)
def test_names(case: Case) -> None:
    """What cannot be part of an address is no name of a sweep, nor a tag."""
    store = MemoryStore()
    check(case, store, attempt(store, name=case.bad))
    check(case._replace(says=("tags", *case.says[1:])), store, attempt(store, tags=[case.bad]))


def test_tags_that_are_no_list() -> None:
    """One word is taken for a list of one; a number is not."""
    store = MemoryStore()
    check(Case(None, InvalidName, ("tags", "5", "list")), store, attempt(store, tags=5))
    assert SweepExperiment(search_space=SPACE, tags="night").tags == ("night",)


# -- budgets -----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "case",
    [
        case(-1, BudgetError, "budget", "-1", "budget=100"),
        case(2.5, BudgetError, "budget", "2.5", "Budget(seconds=2.5)"),
        case("60", BudgetError, "budget", "'60'", "budget=100"),
        case(True, BudgetError, "budget", "True", "budget=100"),
        case({"trials": 3}, BudgetError, "budget", "{'trials': 3}", "budget=100"),
        case(float("nan"), BudgetError, "budget", "nan", "Budget(seconds="),
        case([10], BudgetError, "budget", "[10]", "budget=100"),
        case(Budget, BudgetError, "budget", "Budget", "budget=100"),
    ],
)
def test_budgets(case: Case) -> None:
    """What is no number of trials and no Budget."""
    store = MemoryStore()
    check(case, store, attempt(store, case.bad))


@pytest.mark.parametrize(
    ("make", "error", "says"),
    [
        (lambda: Budget(trials=-1), BudgetError, ("trials", "-1")),
        (lambda: Budget(trials=1.5), BudgetError, ("trials", "1.5")),  # type: ignore[arg-type]
        (lambda: Budget(seconds=float("inf")), BudgetError, ("seconds", "inf")),
        (lambda: Budget(cost=-0.5), BudgetError, ("cost", "-0.5")),
        (lambda: FailurePolicy(tolerated_rate=50), BudgetError, ("tolerated_rate", "50")),
        (lambda: FailurePolicy(retries=-1), BudgetError, ("retries", "-1")),
    ],
)
def test_budgets_and_policies_as_they_are_made(make: Callable[[], Any], error: type[InvalidInput], says: tuple[str, ...]) -> None:
    """Numbers outside of their range."""
    with pytest.raises(error) as caught:
        make()
    assert all(words in str(caught.value) for words in says)
    assert caught.value.remedy


@pytest.mark.parametrize(
    "case",
    [
        case({"slots": 0}, BudgetError, "slots", "0", "slots=3"),
        case({"slots": 2.0}, BudgetError, "slots", "2.0", "slots=3"),
        case({"slots": "3"}, BudgetError, "slots", "'3'", "slots=3"),
        case({"grace": -1}, BudgetError, "grace", "-1", "grace=5.0"),
        case({"grace": float("nan")}, BudgetError, "grace", "nan", "grace=5.0"),
        case({"seed": -1}, InvalidInput, "seed", "-1", "seed=0"),
        case({"seed": "7"}, InvalidInput, "seed", "'7'", "seed=0"),
        case({"failures": 3}, BudgetError, "failures", "3", "FailurePolicy("),
        case({"goal": "max"}, GoalError, "goal", "'max'", "Did you mean 'maximize'?"),
        case({"goal": {"a": "up"}}, GoalError, "'a'", "'up'", "Write"),
        case({"goal": {"a": "minimize", "b": "down"}}, GoalError, "'b'", "'down'", "Write"),
        case({"metric": 3}, GoalError, "metric", "3", "Write"),
        case({"optimizer": "tpe"}, OptimizerError, "optimizer", "'tpe'", "OptunaOptimizer(sampler='TPE')"),
        case({"optimizer": FIFOScheduler()}, OptimizerError, "optimizer", "FIFOScheduler", "write scheduler=FIFOScheduler(...)"),
        case({"scheduler": "asha"}, SchedulerError, "scheduler", "'asha'", "ASHAScheduler(max_epochs=100)"),
        case({"executor": "ray"}, ExecutorError, "executor", "'ray'", "Leave it out"),
        case({"executor": LocalExecutor}, ExecutorError, "executor", "LocalExecutor", "LocalExecutor()"),
        case({"store": "mysql://host/x"}, StoreError, "store", "'mysql://host/x'", "SQLite"),
        case({"store": 3}, StoreError, "store", "3", "MemoryStore()"),
    ],
)
def test_other_settings(case: Case) -> None:
    """Slots, grace, seed, failures, goal, metric, executor and store."""
    store = MemoryStore()
    check(case, store, attempt(**{"store": store, **case.bad}))


def test_more_and_budget_at_once() -> None:
    """They exclude each other; nothing is written."""
    store = MemoryStore()
    experiment = SweepExperiment(name="it", objective=good, search_space=SPACE, store=store)
    both = Case(None, BudgetError, ("more", "3", "Give one"))
    check(both, store, lambda: run(experiment, 2, more=3))
    for more in (0, -2, 1.5, "2"):
        check(Case(None, BudgetError, ("more", repr(more), "more=3")), store, lambda more=more: run(experiment, more=more))  # type: ignore[misc]


# -- schedulers and optimizers -----------------------------------------------------------------------------------------------------


class NoScheduler:
    """Has the right methods, and the wrong class."""

    def pick(self, offer: Any) -> None:
        """Nothing."""


class NoOptimizer:
    """The same."""

    def suggest(self, n: int) -> list[Any]:
        """Nothing."""
        return []


@pytest.mark.parametrize(
    "case",
    [
        case("ucb", SchedulerError, "scheduler", "'ucb'", "Scheduler"),
        case(IterationScheduler, SchedulerError, "a class is no scheduler", "IterationScheduler", "IterationScheduler()"),
        case(NoScheduler(), SchedulerError, "scheduler", "NoScheduler", "Derive"),
        case(RandomOptimizer(), SchedulerError, "scheduler", "RandomOptimizer", "write optimizer=RandomOptimizer(...)"),
        case(IterationScheduler(branch_by="modle"), SchedulerError, "branch_by", "'modle'", "Did you mean 'model'?"),
        case(IterationScheduler(branch_by="x"), SchedulerError, "branch_by", "'x'", ""),
        case(0, SchedulerError, "scheduler", "0", "Derive"),
        case([FIFOScheduler()], SchedulerError, "scheduler", "[<", "one scheduler"),
    ],
)
def test_schedulers(case: Case) -> None:
    """What is no scheduler, or one that does not fit the search space."""
    store = MemoryStore()
    check(case, store, attempt(store, scheduler=case.bad, search_space={"model": Choice(["a", "b"]), "x": Uniform(0, 1)}))


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: IterationScheduler(c=-1), ("c", "-1")),
        (lambda: IterationScheduler(c=float("nan")), ("c", "nan")),
        (lambda: IterationScheduler(prune_after_runs=0), ("prune_after_runs", "0")),
        (lambda: IterationScheduler(pending="optimistic"), ("pending", "'optimistic'")),  # type: ignore[arg-type]
        (lambda: IterationScheduler(expander=3), ("expander", "3")),  # type: ignore[arg-type]
        (lambda: IterationScheduler(paper_threshold="high"), ("paper_threshold", "'high'")),  # type: ignore[arg-type]
        (lambda: IterationScheduler(max_experiments=50), ("max_experiments", "run(budget=100)")),  # type: ignore[arg-type]
        (lambda: IterationScheduler(max_seconds=50), ("max_seconds", "run(budget=Budget(seconds=60))")),  # type: ignore[arg-type]
        (lambda: IterationScheduler(slots=3), ("slots", "SweepExperiment(slots=3)")),  # type: ignore[arg-type]
        (lambda: FIFOScheduler(slots=3), ("slots", "SweepExperiment(slots=3)")),  # type: ignore[arg-type]
        (lambda: FIFOScheduler(patience=3), ("'patience'", "no options", "Leave it out")),  # type: ignore[arg-type]
    ],
)
def test_settings_of_schedulers(make: Callable[[], Any], says: tuple[str, ...]) -> None:
    """Each bad setting is named with its value."""
    with pytest.raises((SchedulerError, UnknownOption)) as caught:
        make()
    assert all(words in str(caught.value) for words in says)


@pytest.mark.parametrize(
    "case",
    [
        case("random", OptimizerError, "optimizer", "'random'", "suggest"),
        case(RandomOptimizer, OptimizerError, "optimizer", "RandomOptimizer", "RandomOptimizer()"),
        case(NoOptimizer(), OptimizerError, "optimizer", "NoOptimizer", "(Optimizer)"),
        case(NoOptimizer, OptimizerError, "optimizer", "NoOptimizer", "NoOptimizer()"),
        case(FIFOScheduler(), OptimizerError, "optimizer", "FIFOScheduler", "suggest"),
        case({"x": 1}, OptimizerError, "optimizer", "{'x': 1}", "suggest"),
        case(RandomOptimizer({"y": Uniform(0, 1)}), OptimizerError, "search space", "y", "one of them only"),
        case(0, OptimizerError, "optimizer", "0", "suggest"),
    ],
)
def test_optimizers(case: Case) -> None:
    """What is no optimizer, or searches another space than the sweep."""
    store = MemoryStore()
    check(case, store, attempt(store, optimizer=case.bad, search_space=SPACE))


def test_random_search_of_nothing() -> None:
    """Random search without a search space says what to give, when it is to run."""
    store = MemoryStore()
    experiment = Case(None, OptimizerError, ("RandomOptimizer", "None", "search_space"))
    check(experiment, store, lambda: run(SweepExperiment(name="it", objective=good, store=store), 1))


# -- suggestions -------------------------------------------------------------------------------------------------------------------

BAD_SUGGESTIONS = [
    case(3, SuggestionError, "suggestion", "3", ""),
    case("x=1", SuggestionError, "suggestion", "'x=1'", ""),
    case(Suggestion(params=[1]), SuggestionError, "params", "[1]", "params={"),  # type: ignore[arg-type]
    case(Suggestion(params={"x": float("nan")}), SuggestionError, "['x']", "nan", "name or number"),
    case(Suggestion(params={"x": print}), SuggestionError, "['x']", "print", "name or number"),
    case(Suggestion(params={1: 2}), SuggestionError, "name of a parameter", "1", "Write '1'"),  # type: ignore[dict-item]
    case(Suggestion(params={}, branch="a/b"), InvalidName, "branch", "'a/b'", "Use letters"),
    case(Suggestion(params={}, id=""), InvalidName, "id", "''", "Give a short"),
    case(Suggestion(params={}, id=5), InvalidName, "id", "5", "Give a short"),  # type: ignore[arg-type]
    case(Suggestion(params={}, origin=5), SuggestionError, "origin", "5", "Leave it out"),  # type: ignore[arg-type]
]


@pytest.mark.parametrize("case", BAD_SUGGESTIONS)
def test_suggestions_of_a_queue(case: Case) -> None:
    """Refused when the queue is made, with their position."""
    store = MemoryStore()
    check(case._replace(says=("SuggestionQueue[1]", *case.says)), store, lambda: SuggestionQueue([{}, case.bad]))


@pytest.mark.parametrize("objective", [good, None])
def test_a_queue_outside_of_the_search_space(objective: Any) -> None:
    """Refused when the sweep is made, with the position; nothing is written."""
    store = MemoryStore()
    optimizer = SuggestionQueue([{"x": 0.5}, {"x": 5.0}])
    outside = Case(None, SuggestionError, ("SuggestionQueue[1]", "'x' = 5.0", "Uniform"))
    check(outside, store, attempt(store, objective=objective, optimizer=optimizer, search_space=SPACE))


class Suggests(Optimizer):
    """Suggests what it was given."""

    def __init__(self, suggestion: Any) -> None:
        self.suggestion = suggestion

    def suggest(self, n: int) -> list[Any]:
        """The one."""
        return [self.suggestion]


@pytest.mark.parametrize("case", BAD_SUGGESTIONS)
def test_suggestions_of_an_optimizer(case: Case) -> None:
    """Refused when it makes them: the run ends with the error, names the optimizer, and nothing of them is in the journal."""
    store = MemoryStore()
    experiment = SweepExperiment(name="it", objective=good, optimizer=Suggests(case.bad), store=store, slots=1)
    with pytest.raises(case.error) as caught:
        run(experiment, 2)
    assert all(words in str(caught.value) for words in ("Suggests", *case.says)), str(caught.value)
    assert [store.end_of(row.run_id) for row in store.runs()] == [0]


@pytest.mark.parametrize("answer", [None, "abc", {"x": 1}, Suggestion(params={}), 3])
def test_answers_of_an_optimizer(answer: Any) -> None:
    """suggest() returns a list; a lone suggestion or nothing is named with the remedy."""

    class Answers(Optimizer):
        def suggest(self, n: int) -> Any:
            return answer

    store = MemoryStore()
    with pytest.raises(SuggestionError, match=r"Answers\.suggest\(1\): .*Return \[\]"):
        run(SweepExperiment(name="it", objective=good, optimizer=Answers(), store=store, slots=1), 2)
    assert [store.end_of(row.run_id) for row in store.runs()] == [0]


@pytest.mark.parametrize("case", BAD_SUGGESTIONS)
def test_suggestions_of_an_expander(case: Case) -> None:
    """Refused when it returns them: the error names the trial; the result that was expanded is kept, the follow-ups are not."""
    store = MemoryStore()

    def go_on(*follow_ups: Any) -> SweepResult:
        scheduler = IterationScheduler(expander=lambda trial: list(follow_ups))
        return run(SweepExperiment(name="it", objective=good, optimizer=queue("a"), scheduler=scheduler, store=store, slots=1), 2)

    with pytest.raises(case.error) as caught:
        go_on({"fine": 1}, case.bad)
    assert all(words in str(caught.value) for words in ("trial '0'", *case.says)), str(caught.value)
    mended = go_on()
    assert [(trial.id, trial.attempt) for trial in mended.trials] == [("0", 1)]
    assert [event.kind for event in mended.trace].count("draw") == 1


@pytest.mark.parametrize(
    ("params", "says"),
    [
        ({"x": 2.0}, ("'x'", "2.0")),
        ({"x": "0.5"}, ("'x'", "'0.5'")),
        ({}, ("'x'",)),
        ({"x": 0.5, "y": 1}, ("'y'",)),
        ({"y": 1}, ("'x'",)),
    ],
)
def test_suggestions_outside_of_the_search_space(params: dict[str, Any], says: tuple[str, ...]) -> None:
    """Where the sweep has a space, what an optimizer suggests must lie in it."""
    store = MemoryStore()
    experiment = SweepExperiment(name="it", objective=good, optimizer=Suggests(params), search_space=SPACE, store=store, slots=1)
    with pytest.raises(SuggestionError) as caught:
        run(experiment, 2)
    assert all(words in str(caught.value) for words in ("Suggests", *says)), str(caught.value)
    assert [store.end_of(row.run_id) for row in store.runs()] == [0]


# -- spaces ------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "case",
    [
        case({"x": 1.0}, SearchSpaceError, "'x'", "1.0", "Constant(1.0)"),
        case({"x": (0, 1)}, SearchSpaceError, "'x'", "(0, 1)", ""),
        case({"x": Uniform}, SearchSpaceError, "'x'", "Uniform", ""),
        case({"": Uniform(0, 1)}, SearchSpaceError, "search_space", "''", ""),
        case({3: Uniform(0, 1)}, SearchSpaceError, "search_space", "3", ""),
        case([Uniform(0, 1)], SearchSpaceError, "search_space", "[Uniform", ""),
        case("x", SearchSpaceError, "search_space", "'x'", ""),
        case({}, SearchSpaceError, "search_space", "{}", ""),
        case(MODELS, SearchSpaceError, "'x'", "model", ""),
        case(int, SearchSpaceError, "search_space", "int", ""),
    ],
)
def test_spaces(case: Case) -> None:
    """What is no search space, or clashes with itself."""
    store = MemoryStore()
    check(case, store, attempt(store, search_space=case.bad))


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Uniform(1, 0), ("1", "0")),
        (lambda: Uniform(0, float("inf")), ("inf",)),
        (lambda: LogUniform(0, 1), ("0",)),
        (lambda: Integer(1, 2.5), ("2.5",)),  # type: ignore[arg-type]
        (lambda: Choice([]), ("[]",)),
        (lambda: Choice("abc"), ("'abc'",)),
        (lambda: Uniform("0", 1), ("'0'",)),  # type: ignore[arg-type]
        (lambda: Choice(["a", "a"]), ("'a'",)),
    ],
)
def test_distributions(make: Callable[[], Any], says: tuple[str, ...]) -> None:
    """Distributions that describe nothing."""
    with pytest.raises(SearchSpaceError) as caught:
        make()
    assert all(words in str(caught.value) for words in says)
    assert caught.value.remedy


# -- names that people bring from elsewhere ----------------------------------------------------------------------------------------


def make(**options: Any) -> SweepExperiment:
    """A sweep with one more option."""
    return SweepExperiment(objective=good, search_space=SPACE, **options)


@pytest.mark.parametrize(
    ("option", "ours"),
    [
        ("n_jobs", "slots"),
        ("max_concurrent", "slots"),
        ("direction", "goal"),
        ("mode", "goal"),
        ("sampler", "optimizer"),
        ("pruner", "scheduler"),
        ("storage", "store"),
        ("study_name", "name"),
        ("random_state", "seed"),
        ("space", "search_space"),
        ("trainable", "objective"),
        ("runner", "objective"),
        ("callbacks", "hooks"),
        ("shceduler", "scheduler"),
    ],
)
def test_options_from_elsewhere(option: str, ours: str) -> None:
    """An unknown option of a sweep says what it is called here."""
    with pytest.raises(UnknownOption, match=f"unknown option '{option}'.*Did you mean '{ours}'"):
        make(**{option: 1})


@pytest.mark.parametrize("option", ["max_experiments", "n_trials", "num_trials", "num_samples", "max_evals", "budgt"])
@pytest.mark.parametrize("method", ["run", "stream", "open"])
def test_options_of_a_run_from_elsewhere(option: str, method: str) -> None:
    """The same for run(), stream() and open()."""
    experiment = SweepExperiment(objective=good, search_space=SPACE)
    with pytest.raises(UnknownOption, match=f"unknown option '{option}'.*Did you mean 'budget'"):
        getattr(experiment, method)(**{option: 3})


@pytest.mark.parametrize("option", ["max_experiments", "n_trials"])
def test_a_budget_given_to_the_sweep(option: str) -> None:
    """A sweep takes no number of trials; the error names the option, and run()."""
    with pytest.raises(UnknownOption, match=rf"unknown option '{option}'.*run\(budget="):
        make(**{option: 3})


def test_options_without_their_names() -> None:
    """A sweep takes none by position; the error shows how to write it."""
    with pytest.raises(UnknownOption, match=r"by name; found <function good.*Write SweepExperiment\(objective=train, search_space"):
        SweepExperiment(good, SPACE)  # type: ignore[arg-type]


def test_a_time_given_to_the_budget() -> None:
    """Budget knows the names of other systems."""
    with pytest.raises(UnknownOption, match="Did you mean 'seconds'"):
        Budget(max_seconds=3)  # type: ignore[arg-type]
    with pytest.raises(UnknownOption, match="Did you mean 'trials'"):
        Budget(max_experiments=3)  # type: ignore[arg-type]
