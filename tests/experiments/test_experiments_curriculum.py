"""A curriculum: one task after the other, each a sweep, until it is mastered."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
from nesting_kit import bowl, check_deaths, finished_by_another_process, kept_runs

from metta_sweep import (
    Budget,
    Context,
    CurriculumExperiment,
    MemoryStore,
    Permutation,
    SqliteStore,
    SweepExperiment,
    Trial,
    Uniform,
)
from metta_sweep.errors import BudgetError, FailureRateExceeded, GoalError, InvalidInput, InvalidName, UnknownOption
from metta_sweep.experiments import TaskResults
from metta_sweep.optimizers import EvolutionOptimizer, RandomOptimizer
from metta_sweep.optimizers.optimizer import Optimizer

SPACE = {"x": Uniform(-1.0, 1.0)}


def make_sweep(task: str, **settings: Any) -> SweepExperiment:
    """The sweep of a task: its best x is a tenth of the length of its name."""
    return SweepExperiment(objective=partial(bowl, best=len(task) / 10), search_space=SPACE, slots=1, **settings)


def curriculum(**settings: Any) -> CurriculumExperiment:
    """Two tasks with sweeps of six trials, seeded, unless said otherwise."""
    return CurriculumExperiment(
        **{"tasks": ["a", "bbb"], "sweep": make_sweep, "budget_per_task": 6, "seed": 3, "store": "memory", **settings}
    )


def rounds(result: Any) -> list[tuple[str, int, bool]]:
    """Task, round and mastery of each sweep."""
    return [(done.task, done.round, done.mastered) for done in result.history]


def test_one_task_after_the_other() -> None:
    """Without a threshold each task has one sweep, and the result tells what came of the last one."""
    result = curriculum().run()
    assert rounds(result) == [("a", 1, True), ("bbb", 1, True)]
    assert [done.trials for done in result.history] == [6, 6]
    assert result.mastered_tasks == ["a", "bbb"]
    assert (result.best_score, result.best_params) == (result.history[-1].best_score, result.history[-1].best_params)
    assert result.best_score == -((result.best_params["x"] - 0.3) ** 2)
    assert result.spend.trials == 12


def test_each_sweep_is_a_child_with_the_address_of_its_round() -> None:
    """The runs lie under the name of the curriculum, in the order of the rounds."""
    store = MemoryStore()
    curriculum(name="c", store=store).run()
    assert kept_runs(store, "c") == ["c/tasks[0]/optimize_task>a-round-1", "c/tasks[1]/optimize_task>bbb-round-1"]


def test_a_task_that_is_not_mastered_gets_further_rounds_and_then_the_next_one_comes() -> None:
    """Each round is another sweep, at most ``max_rounds``; the first round of the next task begins with nothing."""
    store = MemoryStore()
    result = curriculum(mastered=1.0, max_rounds=2, name="c", store=store).run()
    assert rounds(result) == [("a", 1, False), ("a", 2, False), ("bbb", 1, False), ("bbb", 2, False)]
    assert result.mastered_tasks == []
    assert [sum(source.trials for source in sources) for sources in warm_starts(store)] == [0, 6, 0, 6]


def test_a_round_more_begins_with_all_trials_of_the_task() -> None:
    """The third round knows those of the first two."""
    store = MemoryStore()
    curriculum(tasks=["a"], mastered=1.0, max_rounds=3, name="c", store=store).run()
    assert [sum(source.trials for source in sources) for sources in warm_starts(store)] == [0, 6, 12]


def test_with_transfer_a_task_begins_with_the_trials_of_those_before_it() -> None:
    """All of them, in order."""
    store = MemoryStore()
    curriculum(tasks=["a", "bb", "ccc"], transfer=True, name="c", store=store).run()
    assert [sum(source.trials for source in sources) for sources in warm_starts(store)] == [0, 6, 12]


def test_the_curriculum_may_stop_at_a_task_that_is_not_mastered() -> None:
    """``on_failure="stop"``: what follows is not tried."""
    result = curriculum(mastered=1.0, max_rounds=2, on_failure="stop").run()
    assert rounds(result) == [("a", 1, False), ("a", 2, False)]
    assert result.task_idx == 1


def test_a_threshold_follows_the_goal_of_the_sweep() -> None:
    """Where scores are minimized a task is mastered at the threshold or below it."""

    def sweep(task: str) -> SweepExperiment:
        return SweepExperiment(objective=lambda x: x * x, search_space=SPACE, goal="minimize", slots=1)

    assert rounds(curriculum(tasks=["a"], sweep=sweep, mastered=1.0, max_rounds=1).run()) == [("a", 1, True)]
    assert rounds(curriculum(tasks=["a"], sweep=sweep, mastered=-0.1, max_rounds=1).run()) == [("a", 1, False)]


def test_mastery_may_be_a_function_of_the_results_and_the_task() -> None:
    """It gets what the sweep found, and the task itself."""
    seen: list[tuple[int, str]] = []

    def mastered(results: TaskResults, task: str) -> bool:
        seen.append((len(results.trials), task))
        return len(seen) % 2 == 0

    assert rounds(curriculum(mastered=mastered).run()) == [("a", 1, False), ("a", 2, True), ("bbb", 1, False), ("bbb", 2, True)]
    assert seen == [(6, "a"), (6, "a"), (6, "bbb"), (6, "bbb")]


def test_mastery_that_is_no_truth_value() -> None:
    """A function that forgets to return is told of."""
    with pytest.raises(InvalidInput, match=r"mastered=.*found None.*Return a bool"):
        curriculum(mastered=lambda results, task: None).run()


@dataclass
class Task:
    """A task that has no JSON form."""

    name: str
    best: float


def test_tasks_may_be_objects_with_names() -> None:
    """They flow through the pipeline by their names; the sweep, the mastery and the optimizer get the objects."""
    seen: list[object] = []

    def sweep(task: Task) -> SweepExperiment:
        return SweepExperiment(objective=partial(bowl, best=task.best), search_space=SPACE, slots=1)

    def mastered(results: TaskResults, task: Task) -> bool:
        seen.append(task)
        return True

    tasks = [Task("low", -0.5), Task("high", 0.5)]
    for given in (tasks, {task.name: task for task in tasks}):
        seen.clear()
        result = curriculum(tasks=given, sweep=sweep, mastered=mastered, name="c", store=MemoryStore()).run()
        assert result.tasks == ["low", "high"]
        assert seen == tasks


def test_a_task_may_be_a_dict() -> None:
    """Its item ``name`` is what it is called."""
    tasks = [{"name": "easy", "size": 2}, {"size": 3}]
    result = curriculum(tasks=tasks, sweep=lambda task: make_sweep("a" * task["size"])).run()
    assert result.tasks == tasks
    assert [done.task for done in result.history] == ["easy", '{"size": 3}']


def test_sweeps_are_named_after_their_tasks() -> None:
    """What cannot be a name is told apart by a digest; a name of the sweep's own stays."""
    store = MemoryStore()
    tasks = ["two words", "two-words", {"size": 3}, "a"]

    def sweep(task: Any) -> SweepExperiment:
        return make_sweep("a", name="mine") if task == "a" else make_sweep("a")

    curriculum(tasks=tasks, sweep=sweep, budget_per_task=1, name="c", store=store).run()
    names = [name.partition(">")[2] for name in kept_runs(store, "c")]
    assert names[1] == "two-words-round-1"
    assert re.fullmatch(r"two-words-[0-9a-f]{6}-round-1", names[0])
    assert re.fullmatch(r"size-3-[0-9a-f]{6}-round-1", names[2])
    assert names[3] == "mine"


def test_what_is_changed_counts_and_the_rest_stays() -> None:
    """More rounds, another threshold, a larger budget, further tasks: what follows is done, and what was done is not done again."""
    store = MemoryStore()

    def go(**settings: Any) -> tuple[list[tuple[str, int, bool]], list[int]]:
        given = {"mastered": 0.0, "max_rounds": 1, "budget_per_task": 4, **settings}
        result = curriculum(name="c", store=store, **given).run()
        return rounds(result), [done.trials for done in result.history]

    assert go() == ([("a", 1, False), ("bbb", 1, False)], [4, 4])
    before = [trials_of(store, name) for name in kept_runs(store, "c")]
    assert go(mastered=-1.0) == ([("a", 1, True), ("bbb", 1, True)], [4, 4])
    assert go(budget_per_task=6) == ([("a", 1, False), ("bbb", 1, False)], [6, 6])
    assert [trials_of(store, name)[:4] for name in kept_runs(store, "c")] == before
    assert go(tasks=["a", "bbb", "cc"])[0] == [("a", 1, False), ("bbb", 1, False), ("cc", 1, False)]
    assert len(kept_runs(store, "c")) == 3
    assert go(max_rounds=2)[0] == [("a", 1, False), ("a", 2, False), ("bbb", 1, False), ("bbb", 2, False)]
    assert [trials_of(store, name)[:4] for name in kept_runs(store, "c")[:1]] == before[:1]


def test_a_maker_of_sweeps_gets_what_it_asks_for() -> None:
    """The round, and the trials known before, where it has parameters for them; then it teaches them itself."""
    seen: list[tuple[str, int, int]] = []
    store = MemoryStore()

    def sweep(task: str, task_round: int, earlier: list[Trial]) -> SweepExperiment:
        seen.append((task, task_round, len(earlier)))
        return make_sweep(task)

    curriculum(tasks=["a"], sweep=sweep, mastered=1.0, max_rounds=2, name="c", store=store).run()
    assert seen == [("a", 1, 0), ("a", 1, 0), ("a", 2, 6)]  # the first one checks all tasks before any is run
    assert warm_starts(store) == [(), ()]


def test_the_optimizer_of_a_task_may_be_another() -> None:
    """``create_optimizer_for_task`` replaces the one of the sweep; None leaves it."""

    class Own(CurriculumExperiment):
        def create_optimizer_for_task(self, task: str) -> Optimizer | None:
            return EvolutionOptimizer() if task == "bbb" else None

    found: list[str | None] = []

    def mastered(results: TaskResults, task: str) -> bool:
        found.append(results.trials[0].origin)
        return True

    Own(tasks=["a", "bbb"], sweep=make_sweep, mastered=mastered, budget_per_task=2, store="memory").run()
    assert found == ["random", "evolution"]


def test_every_step_may_be_overridden() -> None:
    """As in the documentation: each gets the whole context, and a sweep's result is taken as it is."""

    class Own(CurriculumExperiment):
        def setup_curriculum(self) -> list[str]:
            return ["aa", "bb"]

        def get_next_task(self, context: Context) -> str:  # type: ignore[override]
            return str(context.tasks[context.task_idx]).upper()

        async def run_task_sweep(self, input):  # type: ignore[no-untyped-def, override]  # noqa: A002  # as written there
            return await make_sweep(input.current_task).run(budget=3)

        def evaluate_progress(self, input: Context) -> bool:  # type: ignore[override]  # noqa: A002
            return len(input.task_results.trials) == 3

    result = Own(store="memory", seed=1).run()
    assert rounds(result) == [("AA", 1, True), ("BB", 1, True)]


def test_a_further_budget_bounds_the_whole() -> None:
    """The trials of all tasks count: the sweep of the second one ends early."""
    result = curriculum().run(budget=9)
    assert [done.trials for done in result.history] == [6, 3]


def test_a_budget_of_seconds_per_task() -> None:
    """A ``Budget`` does as well."""
    assert [done.trials for done in curriculum(budget_per_task=Budget(trials=2)).run().history] == [2, 2]


def test_a_sweep_that_ends_badly_ends_the_curriculum() -> None:
    """Its error is raised, rather than a mastery being judged of half a sweep."""

    def fails(x: float) -> float:
        raise ArithmeticError(f"no {x}")

    def sweep(task: str) -> SweepExperiment:
        return SweepExperiment(objective=fails, search_space=SPACE, slots=1)

    with pytest.raises(FailureRateExceeded):
        curriculum(sweep=sweep).run()


@pytest.mark.parametrize(
    ("settings", "error", "says"),
    [
        ({"tasks": None}, InvalidInput, r"CurriculumExperiment\(tasks=\): tasks are a list.*Write tasks=\['easy', 'hard'\]"),
        ({"tasks": "easy"}, InvalidInput, "tasks are a list, or a mapping"),
        ({"tasks": []}, InvalidInput, "there are no tasks"),
        ({"tasks": ["a", object()]}, InvalidInput, r"tasks=\)\[1\]: an object has neither a JSON form nor a name.*Name it"),
        ({"tasks": [Task("a", 0.1), Task("a", 0.2)]}, InvalidName, "two tasks are called 'a'"),
        ({"tasks": ["a", Task("b", 0.1), "b"]}, InvalidName, r"\[2\]: two tasks are called 'b': a text, and an object"),
        ({"tasks": {"a b": 1}}, InvalidName, "white space"),
        ({"sweep": make_sweep("a")}, InvalidInput, r"all tasks would share one sweep.*sweep=lambda task"),
        ({"sweep": 3}, InvalidInput, "an int cannot be called"),
        ({"mastered": "all"}, InvalidInput, r"CurriculumExperiment\(mastered=\): a str is not a number.*Write mastered=0.9"),
        ({"max_rounds": 0}, BudgetError, r"max_rounds=\).*Write max_rounds=3"),
        ({"budget_per_task": 1.5}, BudgetError, "is no budget"),
        ({"on_failure": "stops"}, InvalidInput, "Did you mean 'stop'"),
        ({"transfer": 1}, InvalidInput, "neither True nor False"),
        ({"task": ["a"]}, UnknownOption, "Did you mean 'tasks'"),
    ],
)
def test_bad_settings(settings: dict[str, Any], error: type[InvalidInput], says: str) -> None:
    """Each is refused when the curriculum is made, with what to write."""
    with pytest.raises(error, match=says):
        curriculum(**settings)


@pytest.mark.parametrize(
    ("settings", "error", "says"),
    [
        ({"sweep": None}, InvalidInput, "nothing says how a task is optimized.*Give sweep=make_sweep"),
        ({"sweep": lambda task: make_sweep}, InvalidInput, "for task 'a' it made a function.*without .run"),
        (
            {
                "sweep": lambda task: SweepExperiment(
                    objective=lambda x: {"a": x, "b": x}, search_space=SPACE, goal={"a": "maximize", "b": "minimize"}
                ),
                "mastered": 0.5,
            },
            GoalError,
            "several objectives.*mastered=lambda results, task",
        ),
    ],
)
def test_sweeps_that_cannot_be_made_are_told_before_any_runs(
    settings: dict[str, Any], error: type[InvalidInput], says: str
) -> None:
    """The sweep of each task is made once at the beginning."""
    with pytest.raises(error, match=says):
        curriculum(**settings).run()


@pytest.mark.parametrize("places", [3, pytest.param(None, marks=[pytest.mark.slow, pytest.mark.timeout(300)])])
def test_killed_anywhere_it_goes_on_as_if_nothing_had_happened(places: int | None) -> None:
    """Died after any record of any sweep, it is resumed there: the same trials and rounds, no budget spent twice."""
    settings: dict[str, Any] = {"mastered": 1.0, "max_rounds": 2, "transfer": True, "budget_per_task": 4, "name": "c"}
    check_deaths(lambda store: curriculum(**settings, store=store).run(), places)


def test_a_process_that_is_killed_in_the_second_task_is_taken_up_there(tmp_path: Any) -> None:
    """Kill -9 within the second task's sweep: the first one is not run again, the second one goes on."""
    path = tmp_path / "runs.db"
    code = """
        from metta_sweep import CurriculumExperiment, SweepExperiment, TrialContext, Uniform

        def train(x: float, trial: TrialContext) -> float:
            ran(trial.id)
            return -x * x

        def make_sweep(task: str) -> SweepExperiment:
            return SweepExperiment(objective=train, search_space={"x": Uniform(-1.0, 1.0)}, slots=1)

        experiment = CurriculumExperiment(name="c", tasks=["a", "b"], sweep=make_sweep, budget_per_task=6, seed=3, store=store)
        result = experiment.run()
        told([[done.task, done.trials, done.best_score] for done in result.history])
    """
    first, again, told = finished_by_another_process(code, path, die_at_trial=10)
    assert first == [str(number) for number in (0, 1, 2, 3, 4, 5, 0, 1, 2, 3)]
    assert again in (["3", "4", "5"], ["2", "3", "4", "5"])  # the result of trial 2 may not have been committed yet
    assert [(task, trials) for task, trials, _ in told] == [("a", 6), ("b", 6)]
    store = SqliteStore(path)
    try:
        assert kept_runs(store, "c") == ["c/tasks[0]/optimize_task>a-round-1", "c/tasks[1]/optimize_task>b-round-1"]
    finally:
        store.close()


async def test_a_curriculum_inside_a_trial() -> None:
    """The trial of another sweep runs one per order of the tasks: its sweeps lie under the trial."""
    store = MemoryStore()

    async def score(order: list[str]) -> float:
        result = await curriculum(tasks=order, store=None, seed=None).run()
        return float(result.best_score)

    outer = SweepExperiment(
        name="orders", objective=score, search_space={"order": Permutation(["a", "bbb"])}, optimizer=RandomOptimizer(), store=store
    )
    result = await outer.run(budget=2)
    assert result.best_score is not None
    names = kept_runs(store, "orders")
    assert len([name for name in names if name.endswith("-round-1")]) == 4
    assert names[0] == "orders/trial[0]>CurriculumExperiment"


def test_the_population_of_a_task_is_filled_by_earlier_trials() -> None:
    """Evolution that begins with earlier trials has no random start: the second task's first trials have parents."""
    near: list[float] = []

    def mastered(results: TaskResults, task: str) -> bool:
        near.append(min(abs(trial.params["x"] - 0.1) for trial in results.trials[:3]))
        return True

    def sweep(task: str) -> SweepExperiment:
        return make_sweep("a", optimizer=EvolutionOptimizer(population_size=20, mutation_scale=0.05))

    curriculum(tasks=["first", "second"], sweep=sweep, mastered=mastered, transfer=True, budget_per_task=40).run()
    assert near[1] < 0.1


def trials_of(store: MemoryStore, name: str) -> list[float | None]:
    """The scores of a run's trials."""
    row = store.find_run(name)
    assert row is not None
    return [trial.score for trial in store.trial_rows(row.run_id)]


def warm_starts(store: MemoryStore) -> list[Any]:
    """What each sweep of the run ``c`` began with, in the order of their rounds."""
    from metta_sweep.experiments.warm_start import warm_sources

    rows = [row for name in kept_runs(store, "c") if (row := store.find_run(name)) is not None]
    return [warm_sources(store, row.run_id) for row in rows]
