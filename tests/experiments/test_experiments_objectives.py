"""Sweeps with several objectives: what leads, what is best, and what no trial dominates."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from sweep_kit import SPACE, essence, events, kinds, queue, run, sweep

from metta_sweep import MemoryStore, Suggestion, SweepExperiment, SweepResult, Trial, TrialContext, TrialState, Uniform
from metta_sweep.cli import main
from metta_sweep.cli.display import shown, trial_line
from metta_sweep.core.events import Paused, Reported, Score, Stop
from metta_sweep.core.goal import Goal
from metta_sweep.core.pareto import Front, dominates, hypervolume
from metta_sweep.core.trial import Report, Verdict
from metta_sweep.errors import DefinitionChanged, GoalError, MetricError, OptimizerError
from metta_sweep.optimizers import Optimizer, RandomOptimizer, SuggestionQueue, Supports
from metta_sweep.schedulers import IterationScheduler, Scheduler
from metta_sweep.testing.virtual import run_virtual

GOAL = {"accuracy": "maximize", "latency": "minimize"}
TABLE = [(0.9, 10.0), (0.5, 1.0), (0.9, 10.0), (0.8, 20.0), (0.95, 30.0), (0.5, 2.0)]
"""Accuracy and latency; trials 0, 1, 2 and 4 are the front."""
FRONT = ["0", "1", "2", "4"]


async def two_metrics(trial: TrialContext) -> dict[str, Any]:
    """A trade-off along x, with a third metric that does not count."""
    x = float(trial.params["x"])
    return {"latency": 10 * x * x, "noise": 1.0, "accuracy": (x if trial.number % 3 else x / 2, 0.01)}


def looked_up(trial: TrialContext) -> dict[str, float]:
    """The metrics of the table's row."""
    accuracy, latency = TABLE[trial.params["i"]]
    return {"accuracy": accuracy, "latency": latency}


def tabled(**settings: Any) -> SweepExperiment:
    """A sweep over the rows of the table, in their order."""
    rows = SuggestionQueue([{"i": number} for number in range(len(TABLE))])
    return sweep(**{"objective": looked_up, "optimizer": rows, "goal": GOAL, **settings})


def points_of(result: SweepResult) -> dict[str, tuple[float, ...]]:
    """The objectives of all completed trials."""
    return {trial.id: tuple(result.goal.scores(trial.metrics).values()) for trial in result.trials if trial.score is not None}


def test_the_front_is_what_no_other_trial_dominates() -> None:
    """As comparing each with each finds it, in the order of picks."""
    result = run(sweep(two_metrics, goal=GOAL, slots=4), 40)
    points = points_of(result)
    assert len(points) == 40
    front = [name for name, point in points.items() if not any(dominates(other, point, (1, -1)) for other in points.values())]
    assert [trial.id for trial in result.pareto_front] == front
    assert 1 < len(front) < 40


def test_equal_trials_are_all_in_the_front() -> None:
    """Two trials with the same objectives do not dominate each other."""
    assert [trial.id for trial in run(tabled()).pareto_front] == FRONT


def test_the_first_metric_leads() -> None:
    """Scores, rewards and the best score of a branch are those of the first metric; no score is ever called the best."""
    result = run(sweep(two_metrics, goal=GOAL), 6)
    for trial, score in zip(result.trials, events(result, Score), strict=True):
        assert trial.score == score.score == score.reward == trial.value("accuracy")
        assert not score.best
    down = run(tabled(goal={"latency": "minimize", "accuracy": "maximize"}))
    assert [trial.score for trial in down.trials] == [latency for _, latency in TABLE]
    assert [score.reward for score in events(down, Score)] == [-latency for _, latency in TABLE]
    assert [trial.id for trial in down.pareto_front] == FRONT


@pytest.mark.parametrize("name", ["best", "best_params", "best_score"])
def test_there_is_no_single_best(name: str) -> None:
    """Asking for it says what to ask for."""
    result = run(tabled())
    with pytest.raises(GoalError, match=rf"results\.{name}: .*no single best.*'accuracy', 'latency'.*results\.pareto_front"):
        getattr(result, name)


def test_with_one_objective_the_front_is_the_best_score() -> None:
    """All trials that have it, in the order of picks; nothing before any trial completed."""
    result = run(tabled(goal={"accuracy": "minimize"}))
    assert [trial.id for trial in result.pareto_front] == ["1", "5"]
    assert result.best is not None
    assert result.best.id == "1"
    assert result.to_dict()["pareto_front"] == ["1", "5"]

    def fails() -> float:
        raise ValueError("never")

    assert run(sweep(fails, search_space=SPACE), 2).pareto_front == []


def test_the_hypervolume_is_that_of_the_front() -> None:
    """What is beyond the reference counts nothing."""
    result = run(tabled())
    expected = hypervolume(TABLE, (0.0, 25.0), (1, -1))
    assert result.hypervolume({"latency": 25.0, "accuracy": 0.0}) == pytest.approx(expected)
    assert expected == pytest.approx(0.5 * 24 + 0.4 * 15)
    assert result.hypervolume({"accuracy": 1.0, "latency": 100.0}) == 0.0


@pytest.mark.parametrize(
    ("reference", "text"),
    [
        ({"accuracy": 0.0}, "it lacks 'latency'.*Write {'accuracy': 0.0, 'latency': 100.0}"),
        ({"accuracy": 0.0, "latency": 1.0, "size": 1.0}, "no metric 'size'.*for each of 'accuracy', 'latency'"),
        ({"accuracy": 0.0, "latencies": 1.0}, "Did you mean 'latency'"),
        ({"accuracy": 0.0, "latency": float("inf")}, "not finite"),
        ({"accuracy": 0.0, "latency": "1"}, "not a number"),
        ([0.0, 100.0], "a list is no reference point"),
    ],
)
def test_wrong_references_are_refused(reference: Any, text: str) -> None:
    """A reference names each objective, with a finite number."""
    with pytest.raises(GoalError, match=text):
        run(tabled()).hypervolume(reference)


def test_one_objective_has_no_hypervolume() -> None:
    """It says what there is."""
    with pytest.raises(GoalError, match=r"results\.best_score"):
        run(tabled(goal={"accuracy": "maximize"})).hypervolume({"accuracy": 0.0})


def test_a_run_that_goes_on_has_the_front_of_one_that_did_not_stop() -> None:
    """Taken up twice, in new objects."""
    store = MemoryStore()
    for budget in (5, 11):
        run(sweep(two_metrics, goal=GOAL, name="it", store=store), budget)
    result = run(sweep(two_metrics, goal=GOAL, name="it", store=store), 20)
    whole = run(sweep(two_metrics, goal=GOAL), 20)
    assert essence(result) == essence(whole)
    assert [trial.id for trial in result.pareto_front] == [trial.id for trial in whole.pareto_front]


def test_another_set_of_objectives_is_another_experiment() -> None:
    """A kept run is not gone on with when an objective has been added, dropped or turned round."""
    store = MemoryStore()
    run(tabled(name="it", store=store), 2)
    others: list[Mapping[str, str]] = [
        {"accuracy": "maximize"},
        {"accuracy": "maximize", "latency": "maximize"},
        {"latency": "minimize", "accuracy": "maximize"},
    ]
    for goal in others:
        with pytest.raises(DefinitionChanged, match="goal"):
            run(tabled(name="it", store=store, goal=goal), 4)
    assert (
        len(run(tabled(name="it", store=store, goal=Goal("maximize", "accuracy", (Goal("minimize", "latency"),))), 4).trials) == 4
    )


def test_optimizers_are_told_all_objectives() -> None:
    """A mapping of the goal's metrics, in the user's units and without standard errors."""
    told: list[Any] = []

    class Listening(RandomOptimizer):
        def observe(self, trial: Trial, result: Any) -> None:
            told.append((trial.score, result))

    run(sweep(two_metrics, goal=GOAL, optimizer=Listening(SPACE)), 3)
    for score, result in told:
        assert list(result) == ["accuracy", "latency"]
        assert result["accuracy"] == score
    assert len(told) == 3


def test_an_optimizer_for_one_objective_is_refused() -> None:
    """When the sweep is made, with those that search several."""

    class Narrow(Optimizer):
        supports = Supports(several_objectives=False)

        def suggest(self, n: int) -> list[dict[str, Any]]:
            return [{"x": 0.5}] * n

    with pytest.raises(OptimizerError, match=r"several objectives \(accuracy, latency\).*RandomOptimizer"):
        sweep(two_metrics, goal=GOAL, optimizer=Narrow(), search_space=SPACE)


@pytest.mark.parametrize(
    ("returned", "text"),
    [
        ({"accuracy": 0.5}, r"no metric 'latency'.*found 'accuracy'.*Return {'accuracy': ..., 'latency': ...}"),
        ({"size": 0.5}, "no metrics 'accuracy' and 'latency'.*found 'size'"),
        (0.5, "no metrics 'accuracy' and 'latency'.*Return {'accuracy': ..., 'latency': ...}"),
        ((0.5, 12.0), r"a pair, which is \(mean, sem\) of one metric.*Return {'accuracy': ..., 'latency': ...}"),
    ],
)
def test_trials_that_lack_an_objective_end_the_run(returned: Any, text: str) -> None:
    """Each missing metric is named, at the first trial."""

    def objective(x: float) -> Any:
        return returned

    with pytest.raises(MetricError, match=text):
        run(sweep(objective, goal=GOAL), 5)


@pytest.mark.parametrize("returned", [(0.5, 12.0, 3.0), (0.5, -12.0)])
def test_tuples_of_several_metrics_fail_with_what_to_write(returned: Any) -> None:
    """A tuple is one metric with its error."""

    def objective(x: float) -> Any:
        return returned

    trial = run(sweep(objective, goal=GOAL), 1).trials[0]
    assert trial.error is not None
    assert "Return several metrics by name: {'accuracy': 0.9, 'latency': 12.0}" in trial.error.message


def test_one_trial_without_an_objective_fails_alone() -> None:
    """Once a trial had all of them, one without is a failure like any other, and is in no front."""

    def objective(trial: TrialContext) -> dict[str, float]:
        return {"accuracy": 0.5} if trial.number == 1 else {"accuracy": 0.1, "latency": 1.0}

    result = run(sweep(objective, goal=GOAL), 3)
    assert [trial.state for trial in result.trials] == [TrialState.COMPLETED, TrialState.FAILED, TrialState.COMPLETED]
    assert [trial.id for trial in result.pareto_front] == ["0", "2"]


def test_stopped_trials_are_in_no_front() -> None:
    """However good what they reported was; verdicts go by the leading metric's reports."""

    class StopsLow(Scheduler):
        def judge(self, trial: Trial, report: Report) -> Verdict:
            return Verdict.STOP if report.value("accuracy") < 0.6 else Verdict.CONTINUE

    async def reporting(trial: TrialContext) -> Any:
        accuracy, latency = TABLE[trial.params["i"]]
        yield {"accuracy": accuracy, "latency": latency}
        yield {"accuracy": accuracy, "latency": latency}

    result = run(tabled(objective=reporting, scheduler=StopsLow()))
    assert [stop.trial_id for stop in events(result, Stop) if stop.trial_id is not None] == ["1", "5"]
    assert [trial.id for trial in result.pareto_front] == ["0", "2", "4"]
    assert len(events(result, Reported)) == 10


def test_the_reward_of_a_stopped_trial_follows_the_direction() -> None:
    """Where less is better, a reward is the opposite of what was reported last, as it is of a score."""

    class StopsHigh(Scheduler):
        def judge(self, trial: Trial, report: Report) -> Verdict:
            return Verdict.STOP if report.value("loss") > 2.0 else Verdict.CONTINUE

    async def losing(trial: TrialContext) -> Any:
        for _ in range(2):
            yield {"loss": float(trial.number), "size": 1.0}

    result = run(tabled(objective=losing, scheduler=StopsHigh(), goal={"loss": "minimize", "size": "minimize"}))
    assert [(trial.state, trial.score) for trial in result.trials][2:4] == [(TrialState.COMPLETED, 2.0), (TrialState.STOPPED, None)]
    assert [event.reward for event in events(result, Score)] == [-0.0, -1.0, -2.0, -3.0, -4.0, -5.0]


def test_paused_trials_are_completed_with_all_objectives_or_not_at_all() -> None:
    """A last report that lacks one is refused before it is recorded, with the name of the metric."""

    class Pauses(Scheduler):
        needs_pauses = True
        complete = True

        def pick(self, offer: Any) -> None:
            for trial in self.paused:
                offer.end(trial, complete=self.complete)
            super().pick(offer)

        def __init__(self) -> None:
            self.paused: list[str] = []

        def apply(self, event: Any) -> None:
            if isinstance(event, Paused):
                self.paused.append(event.trial_id)
            elif isinstance(event, Stop) and event.trial_id in self.paused:
                self.paused.remove(event.trial_id)

        def judge(self, trial: Trial, report: Report) -> Verdict:
            return Verdict.PAUSE

    async def whole(trial: TrialContext) -> Any:
        yield {"accuracy": 0.5, "latency": float(trial.number)}

    async def lacking(trial: TrialContext) -> Any:
        yield {"accuracy": 0.5}

    result = run(sweep(whole, scheduler=Pauses(), goal=GOAL), 3)
    assert [trial.id for trial in result.pareto_front] == ["0"]
    assert [trial.state for trial in result.trials] == [TrialState.COMPLETED] * 3
    with pytest.raises(MetricError, match=r"trial\[0\] cannot be completed with its last report: it has no metric 'latency'"):
        run(sweep(lacking, scheduler=Pauses(), goal=GOAL), 3)


def test_branches_follow_the_leading_metric() -> None:
    """A bandit over research directions prunes by it."""
    branches = {"good": 0.9, "bad": 0.1}

    def objective(trial: TrialContext) -> dict[str, float]:
        return {"accuracy": branches[trial.branch or ""], "latency": 1.0}

    result = run(sweep(objective, optimizer=queue(*["good", "bad"] * 6), goal=GOAL, scheduler=IterationScheduler()))
    assert result.branches["bad"].pruned
    assert result.branches["good"].best_score == 0.9
    assert "paper.trigger" in kinds(result)


def test_updates_of_a_stream_tell_how_large_the_front_is() -> None:
    """Instead of a best trial, which there is none of; with one objective it is the other way round."""

    async def updates(goal: Any) -> list[tuple[str | None, int | None]]:
        stream = tabled(goal=goal).stream()
        return [(None if update.best is None else update.best.id, update.front) async for update in stream]

    assert run_virtual(updates(GOAL)) == [(None, size) for size in (1, 2, 3, 3, 4, 4, 4)]
    assert run_virtual(updates({"latency": "minimize"}))[-1] == ("1", None)


def test_results_as_json_tell_the_front() -> None:
    """All metrics, and the ids of the front; there is no best."""
    told = json.loads(run(tabled()).to_json())
    assert told["pareto_front"] == FRONT
    assert (told["best"], told["best_params"], told["best_score"]) == (None, None, None)
    assert [trial["metrics"] for trial in told["trials"]] == [{"accuracy": a, "latency": b} for a, b in TABLE]
    assert Goal.from_description(told["goal"]) == Goal.of(GOAL)


@pytest.mark.parametrize("library", ["polars", "pandas"])
def test_frames_tell_the_front(library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A column of their own, with several objectives only."""
    pytest.importorskip(library)
    if library == "pandas":
        monkeypatch.setitem(sys.modules, "polars", None)
    assert list(run(tabled()).to_frame()["front"]) == [True, True, True, False, True, False]
    assert "front" not in run(tabled(goal={"accuracy": "maximize"})).to_frame().columns


def test_the_summary_shows_the_front() -> None:
    """A column for each objective and the best leading metric first; with branches, under their table."""
    lines = run(tabled()).summary().splitlines()
    assert lines[1].split() == ["trial", "state", "accuracy", "latency", "params"]
    assert [line.split()[0] for line in lines[3:7]] == ["4", "0", "2", "1"]
    assert "front   4 of 6 trials, which no other dominates" in lines
    assert not any(line.startswith("best") for line in lines)
    assert "4 in the Pareto front" in repr(run(tabled()))

    branched = run(sweep(looked_up, optimizer=SuggestionQueue(_branched()), goal=GOAL)).summary()
    assert "        accuracy 0.95, latency 30 by trial 4: i=4" in branched.splitlines()


def _branched() -> list[Any]:
    return [Suggestion(params={"i": number}, branch="ab"[number % 2]) for number in range(len(TABLE))]


def test_the_summary_of_a_run_without_completed_trials() -> None:
    """Its front is empty."""

    def fails() -> float:
        raise ValueError("never")

    assert "front   empty: no trial completed" in run(sweep(fails, search_space=SPACE, goal=GOAL), 2).summary()


def test_a_line_for_each_trial_tells_its_objectives() -> None:
    """And whether it is in the front, and how large that is."""
    goal, front = Goal.of(GOAL), Front((1, -1))
    front.add(0, (0.5, 1.0))
    trial = Trial(id="0", number=0, params={}, state=TrialState.COMPLETED, metrics={"accuracy": 0.5, "latency": 1.0}, score=0.5)
    assert "accuracy 0.5  latency 1  in the front of 1" in trial_line(trial, 1, 9, None, (goal, front))
    front.add(1, (0.6, 0.5))
    assert "  front of 1" in trial_line(trial, 1, 9, None, (goal, front))


async def test_the_live_table_shows_how_large_the_front_is() -> None:
    """Where the best trial stands with one objective."""
    out = io.StringIO()
    experiment = tabled()
    plan = experiment.build()
    async with experiment.open() as opened, shown(opened, Console(file=out, force_terminal=True, width=120, _environ={})):
        await plan.run(recorder=opened.recorder, seed=opened.seed, inputs={"sweep": opened})
    assert "trials that no other dominates" in out.getvalue()


def test_the_command_line_shows_the_front_of_a_kept_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """``list`` its size, ``show`` its trials."""
    store = str(tmp_path / "kept.db")
    run(tabled(name="it", store=store))

    def said(*arguments: str) -> str:
        capsys.readouterr()
        assert main([*arguments, "--store", store]) == 0
        return capsys.readouterr().out

    assert "front of 4" in said("list")
    assert json.loads(said("list", "--json"))[0]["front"] == 4
    assert "front   4 of 6 trials" in said("show", "it")
    assert json.loads(said("show", "it", "--json"))["pareto_front"] == FRONT


def test_a_sweep_of_three_objectives() -> None:
    """Any number of them."""
    objective: Callable[..., Any] = lambda x, y: {"a": x, "b": y, "c": -(x + y)}  # noqa: E731 - a user's lambda
    goal = {"a": "maximize", "b": "maximize", "c": "minimize"}
    result = run(sweep(objective, goal=goal, search_space={"x": Uniform(0, 1), "y": Uniform(0, 1)}), 12)
    points = points_of(result)
    assert result.hypervolume({"a": 0, "b": 0, "c": 0}) == pytest.approx(hypervolume(points.values(), (0, 0, 0), (1, 1, -1)))
