"""The iteration scheduler against a model that looks at all events before each pick, over random sweeps."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest
from scheduler_driver import Driver, setup_for

from metta_sweep.core.bandit import ArmState, PendingRule
from metta_sweep.core.events import Draw, Event, Pick, Prune, Score
from metta_sweep.core.trial import Suggestion, Trial
from metta_sweep.schedulers import IterationScheduler
from metta_sweep.testing.bandits import naive_best


def model_states(events: Sequence[Event]) -> tuple[dict[str, ArmState], tuple[float, float] | None]:
    """The arms as the events say, and the range of rewards."""
    waiting: dict[str, list[int]] = {}
    runs: dict[str, list[float]] = {}
    pending: dict[str, int] = {}
    pruned: set[str] = set()
    for event in events:
        name = str(getattr(event, "branch", None))
        if isinstance(event, Draw):
            waiting.setdefault(name, []).append(event.suggestion)
        elif isinstance(event, Pick):
            waiting[name].remove(event.suggestion)
            pending[name] = pending.get(name, 0) + 1
        elif isinstance(event, Score):
            pending[name] -= 1
            if event.counts and event.reward is not None:
                runs.setdefault(name, []).append(event.reward)
        elif isinstance(event, Prune):
            pruned.add(name)
    states = {}
    for name, queue in waiting.items():
        rewards = runs.get(name, [])
        is_open = bool(queue) and name not in pruned
        states[name] = ArmState(len(rewards), pending.get(name, 0), sum(rewards), queue[0] if queue else 0, is_open)
    seen = [reward for rewards in runs.values() for reward in rewards]
    return states, (min(seen), max(seen)) if seen else None


def follow_ups(trial: Trial) -> list[Suggestion]:
    """One follow-up, now and then on another branch."""
    return [Suggestion(params={}, branch="abcdef"[trial.number % 6] if trial.number % 3 == 0 else trial.branch)]


@pytest.mark.parametrize("pending", ["mean", "pessimistic"])
@pytest.mark.parametrize("goal", ["maximize", "minimize"])
@pytest.mark.parametrize("seed", range(8))
def test_every_pick_is_the_models(seed: int, goal: str, pending: PendingRule) -> None:
    """Whatever was drawn, cut, failed, pruned or followed up, each pick is that of a plain scan over what has happened."""
    rng = random.Random(f"{seed}{goal}{pending}")
    branches = "abcdef"[: rng.randrange(1, 7)]
    c = rng.choice((0.0, 0.3, 2**0.5))
    slots = rng.randrange(1, 8)
    scheduler = IterationScheduler(c, pending=pending, expander=follow_ups, prune_floor=0.25, failure_reward=-1.0)
    suggestions = [Suggestion(params={}, branch=rng.choice(branches)) for _ in range(40)]
    driver = Driver(scheduler, suggestions, slots=slots, setup=setup_for(goal=goal))
    checked = 0
    for _ in range(100):
        before = len(driver.events)
        driver.pick()
        for position in range(before, len(driver.events)):
            event = driver.events[position]
            if not isinstance(event, Pick):
                continue
            # Draws of the same stage come first; picks of it see each other.
            states, observed = model_states(driver.events[:position])
            scaled = observed if goal == "minimize" else None
            assert naive_best(states, c=c, pending=pending, observed=scaled) == (event.branch, event.score)
            assert event.compared == sum(state.open for state in states.values())
            checked += 1
        if not driver.running:
            break
        for trial in rng.sample(driver.running, rng.randrange(1, len(driver.running) + 1)):
            # Dyadic rewards: sums in any order are exact.
            value = rng.randrange(65) / 64
            fate = rng.random()
            driver.finish(trial, None if fate < 0.2 else value, counts=fate > 0.1)
    assert checked >= min(3, len(branches))
