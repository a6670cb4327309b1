"""Asynchronous successive halving: settings, promotion, stopping, crashes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
from asha_kit import climbs, run

from metta_sweep.core.events import Paused, Reported, Resume
from metta_sweep.core.trial import TrialState
from metta_sweep.errors import ExecutorError, SchedulerError, UnknownOption
from metta_sweep.executors import Capabilities, LocalExecutor
from metta_sweep.executors.context import TrialContext
from metta_sweep.experiments import SweepExperiment
from metta_sweep.optimizers import SuggestionQueue
from metta_sweep.schedulers import ASHAScheduler
from metta_sweep.schedulers.asha_rules import quantile
from metta_sweep.schedulers.rungs import rung_levels
from metta_sweep.store import MemoryStore
from metta_sweep.testing.scheduler_sweeps import Curve, SchedulerSweep

# -- levels and settings -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "levels"),
    [
        ((1, 3, 243), (1, 3, 9, 27, 81)),
        ((1, 10, 1000), (1, 10, 100)),
        ((10, 3, 100), (10, 30, 90)),
        ((1, 2, 1), ()),
        ((7, 2, 57), (7, 14, 28, 56)),
        ((1, 3, 3**40 + 1), tuple(3**power for power in range(41))),
    ],
)
def test_levels_are_whole_numbers_and_none_is_lost_by_rounding(settings: tuple[int, int, int], levels: tuple[int, ...]) -> None:
    """Logarithms of floats would lose some; the last one is below the last epoch, where trials complete."""
    assert rung_levels(*settings) == levels


def test_the_documented_example_has_its_defaults() -> None:
    """A hundred epochs, a third of the trials, at least ten epochs; promotion by the paper's rule, in one bracket."""
    scheduler = ASHAScheduler(max_epochs=100, reduction_factor=3, grace_period=10)
    assert scheduler.describe() == ASHAScheduler().describe()
    assert scheduler.describe() == {
        "class": "ASHAScheduler",
        "max_epochs": 100,
        "reduction_factor": 3,
        "grace_period": 10,
        "mode": "promotion",
        "rule": "paper",
        "brackets": 1,
    }


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_epochs": 0}, "max_epochs"),
        ({"max_epochs": 9.5}, "no whole number"),
        ({"reduction_factor": 1}, "at least 2"),
        ({"grace_period": 0}, "grace_period"),
        ({"grace_period": 101}, "past the last epoch"),
        ({"mode": "stoping"}, "Did you mean 'stopping'"),
        ({"rule": "syne-tune"}, "Did you mean 'syne_tune'"),
        ({"brackets": 5}, "at most 4"),
        ({"mode": "promotion", "rule": "ray"}, "stops trials, and promotes none"),
    ],
)
def test_settings_that_cannot_be_are_refused(options: dict[str, Any], message: str) -> None:
    """When the scheduler is made, with what to write."""
    with pytest.raises(SchedulerError, match=message):
        ASHAScheduler(**options)


@pytest.mark.parametrize(
    ("name", "ours"),
    [("max_t", "max_epochs"), ("eta", "reduction_factor"), ("min_resource", "grace_period"), ("bracket", "brackets")],
)
def test_unknown_options_are_refused_with_the_right_name(name: str, ours: str) -> None:
    """A misspelt one, or what it is called elsewhere."""
    with pytest.raises(UnknownOption, match=f"Did you mean '{ours}'"):
        ASHAScheduler(**{name: 3})  # type: ignore[arg-type]


def test_rules_of_other_systems_stop_and_need_no_checkpoints() -> None:
    """Their mode is stopping unless it is said; only promotion pauses."""
    assert [ASHAScheduler(rule=rule).mode for rule in ("paper", "optuna", "ray", "syne_tune")] == ["promotion"] + ["stopping"] * 3
    assert ASHAScheduler().needs_pauses
    assert not ASHAScheduler(mode="stopping").needs_pauses


def test_executors_that_cannot_stop_or_pause_are_refused() -> None:
    """When the sweep is made."""

    class CannotPause(LocalExecutor):
        capabilities = Capabilities(streams=True, stops=True, isolates=False, survives_driver=False)

    class CannotStop(LocalExecutor):
        capabilities = Capabilities(streams=True, stops=False, isolates=False, survives_driver=False)

    for executor, scheduler in ((CannotPause(), ASHAScheduler()), (CannotStop(), ASHAScheduler(mode="stopping"))):
        with pytest.raises(ExecutorError, match="ASHAScheduler"):
            SweepExperiment(objective=climbs, optimizer=SuggestionQueue([]), scheduler=scheduler, executor=executor)


# -- promotion ---------------------------------------------------------------------------------------------------------------------


def jobs_of_the_paper(values: dict[tuple[int, int], float], trials: int, levels: tuple[int, ...], factor: int) -> list[Any]:
    """Algorithm 2 of the paper with one worker, as plainly as can be: which trial is trained to which level, in order."""
    rungs: list[list[int]] = [[] for _ in levels]
    promoted: list[set[int]] = [set() for _ in levels]
    jobs: list[Any] = []
    started = 0
    while True:
        job = None
        for rung in reversed(range(len(levels))):
            ranked = sorted(rungs[rung], key=lambda trial, rung=rung: -values[trial, levels[rung]])  # type: ignore[misc]
            free = [trial for trial in ranked[: len(ranked) // factor] if trial not in promoted[rung]]
            if free:
                promoted[rung].add(free[0])
                job = (free[0], rung + 1)
                break
        if job is None:
            if started == trials:
                return jobs
            job = (started, 0)
            started += 1
        trial, rung = job
        jobs.append((trial, levels[rung] if rung < len(levels) else None))
        if rung < len(levels):
            rungs[rung].append(trial)


@pytest.mark.parametrize("goal", ["maximize", "minimize"])
@pytest.mark.parametrize("seed", range(4))
def test_promotions_are_those_of_the_paper(seed: int, goal: str) -> None:
    """With one slot: the same trials are trained to the same levels in the same order, with ties."""
    random = Random(seed)
    factor, levels, last = (2, (1, 2, 4), 8) if seed % 2 else (3, (1, 3), 9)
    trials = 40
    values = {(trial, level): random.randint(0, 12) / 4 for trial in range(trials) for level in (*levels, last)}
    sign = 1 if goal == "maximize" else -1

    def objective(trial: TrialContext) -> Iterator[dict[str, Any]]:
        for level in (*levels, last):
            if level > trial.resume_step:
                yield {"step": level, "score": sign * values[trial.number, level]}

    results = run(ASHAScheduler(last, factor, levels[0]), [0.0] * trials, objective, goal=goal)

    trained = [(int(event.trial_id), event.step) for event in results.trace if isinstance(event, Reported)]
    expected = [(trial, last if level is None else level) for trial, level in jobs_of_the_paper(values, trials, levels, factor)]
    assert trained == expected
    assert any(isinstance(event, Resume) for event in results.trace)


def test_who_would_be_promoted_at_once_goes_on_without_a_pause() -> None:
    """The third of three trials is the best of them: it runs on from its rung, and is never restarted."""
    results = run(ASHAScheduler(9, 3, 1), [0.1, 0.2, 0.9])

    best = [event for event in results.trace if event.trial_id == "2"]
    assert [event.step for event in best if isinstance(event, Paused)] == [3]
    assert results.trials[2].attempt == 1


def test_trials_complete_at_the_last_epoch() -> None:
    """With the metrics of that report, though their function would go on for ever; the others stay paused."""
    results = run(ASHAScheduler(4, 2, 2), [0.5, 0.9, 0.1, 0.7])

    assert Counter(trial.state for trial in results.trials) == {TrialState.COMPLETED: 2, TrialState.PAUSED: 2}
    assert results.best is not None
    assert (results.best.id, results.best.reason) == ("1", "complete")
    assert results.best_score == pytest.approx(0.9 * (1 - 0.5**4))


def test_promotions_go_on_when_the_budget_of_trials_is_spent() -> None:
    """The budget bounds new trials; those that are paused climb as far as the rule lets them."""
    results = run(ASHAScheduler(9, 3, 1), [x / 20 for x in range(20)][::-1], budget=9)

    assert len(results.trials) == 9
    steps = Counter(trial.last_report.step for trial in results.trials if trial.last_report is not None)
    assert steps == {1: 6, 3: 2, 9: 1}


def test_a_larger_budget_goes_on_with_those_that_were_left_paused() -> None:
    """Trial 0 alone is not enough to be promoted; with two more it is."""
    store = MemoryStore()
    xs = [0.9, 0.1, 0.2, 0.3, 0.4, 0.5]
    options: dict[str, Any] = {"name": "asha", "store": store}
    first = [trial.state for trial in run(ASHAScheduler(3, 3, 1), xs, budget=1, **options).trials]
    second = run(ASHAScheduler(3, 3, 1), xs, budget=3, **options)

    assert first == [TrialState.PAUSED]
    assert [trial.state for trial in second.trials] == [TrialState.COMPLETED, TrialState.PAUSED, TrialState.PAUSED]
    assert second.trials[0].attempt == 2


def test_a_failed_trial_is_promoted_no_more() -> None:
    """It counts among those that came to its rung, as in the paper, and the next best goes on."""

    def fails_later(trial: TrialContext) -> Iterator[dict[str, Any]]:
        for step in range(trial.resume_step + 1, 10):
            if trial.params["x"] == 0.9 and step > 1:
                raise ValueError("diverged")
            yield {"step": step, "score": trial.params["x"]}

    results = run(ASHAScheduler(2, 2, 1), [0.9, 0.5, 0.4, 0.3], fails_later)

    assert [trial.state.value for trial in results.trials] == ["failed", "completed", "paused", "paused"]


def test_the_reason_of_a_promotion_is_told() -> None:
    """Rank, how many came, the level, and how many go on."""
    results = run(ASHAScheduler(9, 3, 1), [0.9, 0.1, 0.2])

    assert [event.explanation for event in results.trace if isinstance(event, Resume)] == [
        "goes on after step 1: number 1 of 3 after 1 epochs, 1 go on"
    ]


# -- stopping ----------------------------------------------------------------------------------------------------------------------


def test_stopped_trials_are_stopped_for_good() -> None:
    """They end as STOPPED with their last report; the first one always runs to its end."""
    results = run(ASHAScheduler(9, 3, 1, mode="stopping"), [0.5, 0.4, 0.9, 0.3])

    assert [trial.state.value for trial in results.trials] == ["completed", "stopped", "completed", "stopped"]
    assert [trial.last_report.step for trial in results.trials if trial.last_report] == [9, 1, 9, 1]


@pytest.mark.parametrize("seed", range(20))
def test_the_quantile_is_that_of_numpy(seed: int) -> None:
    """To the last bit, as Ray's rule takes it."""
    numpy = pytest.importorskip("numpy")
    random = Random(seed)
    values = sorted(random.gauss(0, 1) for _ in range(random.randint(1, 40)))
    for factor in (2, 3, 4, 5, 7):
        assert quantile(values, (1 - 1 / factor) * 100 / 100) == numpy.nanpercentile(values, (1 - 1 / factor) * 100)


# -- crashes -----------------------------------------------------------------------------------------------------------------------

_SCRIPT = """
import json, sys, time
from metta_sweep import SweepExperiment, Uniform
from metta_sweep.schedulers import ASHAScheduler

def curve(trial):
    for step in range(trial.resume_step + 1, 10):
        time.sleep(0.002)
        yield {"step": step, "score": trial.params["x"] * (1 - 0.7**step)}

results = SweepExperiment(
    name="killed", objective=curve, search_space={"x": Uniform(0.0, 1.0)}, scheduler=ASHAScheduler(9, 3, 1),
    slots=1, seed=5, store=sys.argv[1],
).run(24)
print(json.dumps([[t.id, t.state, t.params, t.score, t.last_report.step if t.last_report else None] for t in results.trials]))
"""


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_a_run_that_is_killed_again_and_again_decides_as_one_that_was_not(tmp_path: Path) -> None:
    """At least 30 SIGKILLs at any moment, each time run again: the same trials, states and scores."""
    command = [sys.executable, "-c", _SCRIPT]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    whole = subprocess.run(  # our own script
        [*command, str(tmp_path / "whole.db")], check=True, capture_output=True, env=environment, timeout=60
    )
    random, kills, output = Random(1), 0, b""
    for _ in range(200):
        child = subprocess.Popen(  # our own script
            [*command, str(tmp_path / "killed.db")], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment
        )
        try:
            output, _ = child.communicate(timeout=random.uniform(0.4, 0.75) if kills < 30 else 60)
        except subprocess.TimeoutExpired:
            child.send_signal(signal.SIGKILL)
            child.communicate()
            kills += 1
        else:
            if kills >= 30:
                break
            (tmp_path / "killed.db").unlink()
    assert kills >= 30
    assert json.loads(output.splitlines()[-1]) == json.loads(whole.stdout.splitlines()[-1])


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.parametrize("slots", [1, 8])
def test_many_trials_keep_the_shares_of_their_rungs(slots: int) -> None:
    """Of 300 trials about a third came to each further rung, and some more that were promoted early; one of the best completed."""
    sweep = SchedulerSweep(lambda: ASHAScheduler(27, 3, 1), trials=300, epochs=27)
    results = sweep.run(Curve(27), slots=slots)
    reached = [sum(1 for trial in results.trials if trial.last_report and trial.last_report.step >= level) for level in (3, 9, 27)]
    assert reached[0] == pytest.approx(105, abs=20)
    assert reached[1] == pytest.approx(36, abs=12)
    assert reached[2] == pytest.approx(15, abs=8)
    best = sorted(results.trials, key=lambda trial: -trial.params["x"])[:15]
    assert TrialState.COMPLETED in {trial.state for trial in best}
