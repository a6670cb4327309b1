"""Settings of the iteration scheduler: what is accepted, what is refused, what is copied."""

from __future__ import annotations

import inspect
import json
from math import inf, nan
from typing import Any

import pytest
from scheduler_driver import Driver, queue, setup_for

from metta_sweep.core.distributions import Choice, Uniform
from metta_sweep.core.trial import Trial
from metta_sweep.errors import SchedulerError, UnknownOption
from metta_sweep.schedulers import IterationScheduler


async def coroutine(trial: Trial) -> list[Any]:
    """A coroutine function, which no decision waits for."""
    return []


MALFORMED: list[tuple[dict[str, Any], str, str]] = [
    ({"c": -1}, "found -1; expected a finite number, at least 0", "Write 1.41421, say"),
    ({"c": nan}, "found nan; expected a finite number, at least 0", "Write 1.41421, say"),
    ({"c": True}, "a bool is no number; found True", "Write 1.41421, say"),
    ({"c": "1.4"}, "a str is no number; found '1.4'", "Write 1.41421, say"),
    ({"c": None}, "a NoneType is no number; found None", "Write 1.41421, say"),
    ({"paper_threshold": inf}, "not finite; found inf", "Write 0.7, say"),
    ({"paper_threshold": "high"}, "found 'high'; expected a finite number", "Write 0.7, say"),
    ({"prune_floor": [0.2]}, "a list is no number; found [0.2]", "Write 0.2, say"),
    ({"expand_threshold": False}, "a bool is no number; found False", "Write 0.7, say"),
    ({"failure_reward": -inf}, "not finite; found -inf", "Write 0, say"),
    ({"prune_after_runs": 0}, "too small; found 0; expected a whole number, at least 1", "Write 3, say"),
    ({"prune_after_runs": 2.5}, "a float is no whole number; found 2.5", "Write 3, say"),
    ({"pending": "optimistic"}, "found 'optimistic'; expected 'mean' or 'pessimistic'", "Did you mean 'pessimistic'?"),
    ({"pending": None}, "found None; expected 'mean' or 'pessimistic'", "Write 'mean'"),
    ({"branch_by": 3}, "found 3; expected a non-empty string", "Write the name of the Choice"),
    ({"branch_by": ""}, "found ''; expected a non-empty string", "Write the name of the Choice"),
    ({"expander": "twice"}, "a str cannot be called; found 'twice'", "Pass the function itself"),
    ({"expander": coroutine}, "a coroutine function", "Write it without 'async'"),
    ({"reward": 0.5}, "a float cannot be called; found 0.5", "Pass the function itself"),
    ({"reward": "observed"}, "found 'observed'; expected a function (trial) -> float, or 'observed_range'", "Pass the function"),
    ({"on_trigger": []}, "a list cannot be called; found []", "Pass the function itself"),
]


@pytest.mark.parametrize(("settings", "found", "remedy"), MALFORMED, ids=lambda value: str(value)[:40])
def test_malformed_settings_are_refused(settings: dict[str, Any], found: str, remedy: str) -> None:
    """A bad setting is one error that names the parameter, the value, what is allowed and the remedy."""
    with pytest.raises(SchedulerError) as caught:
        IterationScheduler(**settings)
    message = str(caught.value)
    assert message.startswith(f"IterationScheduler({next(iter(settings))}=): ")
    assert found in message
    assert remedy in message


@pytest.mark.parametrize(
    ("name", "meant"), [("exploration_weight", "c"), ("kappa", "c"), ("prune_flor", "prune_floor"), ("branchby", "branch_by")]
)
def test_unknown_settings_are_refused(name: str, meant: str) -> None:
    """A keyword that nothing takes is refused, with what was probably meant."""
    unknown: dict[str, Any] = {name: 1}
    with pytest.raises(UnknownOption, match=rf"IterationScheduler: unknown option '{name}'.*Did you mean '{meant}'\?"):
        IterationScheduler(**unknown)


@pytest.mark.parametrize(
    ("space", "branch_by", "found"),
    [
        (None, "model", "the sweep has no search space"),
        ({"model": Choice(["a"]), "lr": Uniform(0, 1)}, "lr", "found 'lr'; expected one of model"),
        ({"model": Choice(["a"])}, "modle", "Did you mean 'model'?"),
        ({"lr": Uniform(0, 1)}, "model", "expected one of no names: it has no Choice"),
        ({"m": Choice({"a": {"inner": Choice([1, 2])}, "b": {}})}, "inner", "a choice at the top of the search space"),
        ({"m": Choice([1, "1"])}, "m", "read the same"),
    ],
)
def test_branch_by_must_name_a_choice_of_the_search_space(space: dict[str, Any] | None, branch_by: str, found: str) -> None:
    """A sweep whose search space does not have that choice is refused before it runs."""
    with pytest.raises(SchedulerError) as caught:
        IterationScheduler(branch_by=branch_by).for_run(setup_for(space))
    message = str(caught.value)
    assert message.startswith("IterationScheduler(branch_by=): ")
    assert repr(branch_by) in message
    assert found in message


def test_the_signature_shows_the_defaults() -> None:
    """Names, order and defaults are the documented ones."""
    parameters = [item for item in inspect.signature(IterationScheduler).parameters.values() if item.kind is not item.VAR_KEYWORD]
    assert [(item.name, item.default) for item in parameters] == [
        ("c", 2**0.5),
        ("paper_threshold", 0.7),
        ("prune_floor", 0.2),
        ("prune_after_runs", 3),
        ("expander", None),
        ("expand_threshold", None),
        ("branch_by", None),
        ("pending", "mean"),
        ("reward", None),
        ("failure_reward", None),
        ("on_trigger", None),
        ("picker", None),
    ]
    assert "paper_threshold: 'float | None' = 0.7" in str(inspect.signature(IterationScheduler))


def test_a_threshold_of_none_turns_off() -> None:
    """Without thresholds nothing is pruned, triggered or followed up."""
    scheduler = IterationScheduler(paper_threshold=None, prune_floor=None, expander=lambda trial: [{}])
    driver = Driver(scheduler, queue(*"aaaa"))
    driver.run(lambda trial: float(trial.number > 2), 9)
    assert {event.kind for event in driver.events} == {"draw", "pick", "score", "wait"}


def test_describe_is_json() -> None:
    """The settings that define a kept run are JSON; functions go by their qualified names."""
    described = IterationScheduler(c=1, expander=test_describe_is_json, prune_floor=None).describe()  # type: ignore[arg-type]
    assert json.loads(json.dumps(described)) == {
        "class": "IterationScheduler",
        "c": 1.0,
        "paper_threshold": 0.7,
        "prune_floor": None,
        "prune_after_runs": 3,
        "expander": "test_describe_is_json",
        "expand_threshold": None,
        "branch_by": None,
        "pending": "mean",
        "reward": None,
        "failure_reward": None,
        "on_trigger": None,
    }


def test_each_run_has_its_own_state() -> None:
    """The scheduler that a user made is a recipe: runs neither see each other nor change it."""
    scheduler = IterationScheduler()
    first = Driver(scheduler, queue("a", "b"))
    first.run(lambda trial: 0.9, 2)
    second = Driver(scheduler, queue("a", "b"))
    (pick,) = second.pick()
    assert (pick.branch, pick.compared) == ("a", 2)
    assert Driver(first.scheduler, queue("a")).pick()[0].compared == 1


def test_functions_of_the_user_are_not_copied() -> None:
    """What an expander closes over stays one object over all runs."""
    seen: list[str] = []

    class Expander:
        def __call__(self, trial: Trial) -> list[Any]:
            seen.append(trial.id)
            return []

        def __deepcopy__(self, memo: object) -> Expander:
            raise AssertionError

    driver = Driver(IterationScheduler(expander=Expander()), queue("a"))
    driver.run(lambda trial: 0.9, 1)
    assert seen == ["0"]


def test_a_subclass_keeps_its_own_attributes_apart() -> None:
    """What a subclass adds is copied for each run."""

    class Mine(IterationScheduler):
        def __init__(self) -> None:
            self.before: list[str] = []
            super().__init__(c=0.5)
            self.after: list[str] = []

    mine = Mine()
    fresh = mine.for_run(setup_for())
    assert isinstance(fresh, Mine)
    assert fresh.c == 0.5
    assert fresh.before is not mine.before
    assert fresh.after is not mine.after
