"""Population based training on the toy problem of its paper, beside fixed schedules from the same populations.

SOURCE: Jaderberg et al. 2017, section 3 and figure 2: maximize ``Q(theta) = 1.2 - theta_0^2 - theta_1^2`` where only the gradient
of a surrogate ``1.2 - h_0 theta_0^2 - h_1 theta_1^2`` is seen, from ``theta = (0.9, 0.9)``. The parameters are ``h``; members begin
with (1, 0) or (0, 1), as in the paper, and whoever keeps that cannot pass 0.4. Here: 200 steps of 0.01 along the gradient.

Run it with ``python benchmarks/pbt_toy.py``; a few minutes.
"""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Iterator
from typing import Any

from metta_sweep import SweepExperiment, SweepResult, Uniform
from metta_sweep.executors import TrialContext
from metta_sweep.optimizers import SuggestionQueue
from metta_sweep.schedulers import ParameterSchedule, PBTScheduler

SPACE = {"h0": Uniform(0.0, 1.0), "h1": Uniform(0.0, 1.0)}
START = (0.9, 0.9)
BEST = 1.2
RATE = 0.01
STEPS = 200
GENERATION = 4
PAPER = ({"h0": 1.0, "h1": 0.0}, {"h0": 0.0, "h1": 1.0})


def value(theta: tuple[float, float]) -> float:
    """What is to be maximized."""
    return BEST - theta[0] ** 2 - theta[1] ** 2


def step(theta: tuple[float, float], params: dict[str, Any]) -> tuple[float, float]:
    """One step up the gradient of the surrogate."""
    return theta[0] * (1 - 2 * RATE * params["h0"]), theta[1] * (1 - 2 * RATE * params["h1"])


def train(trial: TrialContext) -> Iterator[float]:
    """Keeps theta in its directory; yields its value after each step."""
    kept = trial.checkpoint_dir / "theta.json"
    theta = tuple(json.loads(kept.read_text())) if trial.resume_step else START
    for number in range(trial.resume_step + 1, STEPS + 1):
        theta = step(theta, trial.params)
        if number % GENERATION == 0:
            kept.write_text(json.dumps(theta))
        yield value(theta)


def fixed(params: dict[str, Any]) -> float:
    """The value after training with the same parameters all the time."""
    return replay(ParameterSchedule(((0, params),)))


def replay(schedule: ParameterSchedule) -> float:
    """The value after training by a schedule of parameters, without a population."""
    theta = START
    for number in range(1, STEPS + 1):
        theta = step(theta, schedule.at(number))
    return value(theta)


def train_population(members: int, seed: int, *, slots: int = 1, **options: Any) -> SweepResult:
    """Half of the members begin with each of the two parameters of the paper."""
    scheduler = PBTScheduler(members, STEPS // GENERATION, epochs_per_generation=GENERATION, **options)
    optimizer = SuggestionQueue([PAPER[number % 2] for number in range(members)])
    experiment = SweepExperiment(
        objective=train, search_space=SPACE, optimizer=optimizer, scheduler=scheduler, slots=slots, seed=seed, store="memory"
    )
    return experiment.run()


def main(seeds: int = 10) -> None:
    """A row for each population."""
    print(f"Best value, of at most {BEST}, after {STEPS} steps in generations of {GENERATION}; {seeds} seeds.\n")
    print("| population | one slot: median (worst to best) | of the optimum | as many slots as members | schedule, replayed |")
    print("| --- | --- | --- | --- | --- |")
    print(f"| fixed parameters | {max(map(fixed, PAPER)):.4f} | {max(map(fixed, PAPER)) / BEST:.1%} | | |")
    kinds: list[tuple[int, dict[str, Any]]] = [
        (2, {}),
        (10, {}),
        (10, {"exploit_method": "tournament"}),
        (10, {"explore_method": "resample"}),
    ]
    for members, options in kinds:
        one = [train_population(members, seed, **options) for seed in range(seeds)]
        many = [train_population(members, seed, slots=members, **options) for seed in range(seeds)]
        apart = max(abs(replay(PBTScheduler.schedule(results)) - (results.best_score or 0.0)) for results in one)
        named = ", ".join([str(members), *map(str, options.values())])
        share = statistics.median(results.best_score or 0.0 for results in one) / BEST
        print(f"| {named} | {_spread(one)} | {share:.2%} | {_spread(many)} | differs by at most {apart:.1g} |", flush=True)


def _spread(runs: list[SweepResult]) -> str:
    values = [results.best_score or 0.0 for results in runs]
    return f"{statistics.median(values):.4f} ({min(values):.4f} to {max(values):.4f})"


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10)
