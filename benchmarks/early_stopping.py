"""What stopping early is worth: simulated time and epochs until a configuration of the true top has been trained to its end.

Noisy power laws, ``limit + scale * step**-rate``, each with its own limit, scale, rate, speed and noise, trained by
many workers in simulated time. Every contender gets the same configurations in the same order with the same noise, so seeds are
paired. A run ends when the first configuration whose true loss after all epochs is among the best share has completed.

The contenders: this package's schedulers; random search, which trains everything to its end; and two other systems, whose own code
decides in the same simulator, each where it is installed (Optuna's ``SuccessiveHalvingPruner``, Syne Tune's
``AsynchronousSuccessiveHalving``). All keep one in 3 at each rung.

Run it with ``python benchmarks/early_stopping.py [--quick] [--seeds 30] [--setting few] [--raw runs.jsonl]``; it prints Markdown.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import random
from collections.abc import Callable, Mapping
from functools import partial
from importlib.util import find_spec
from math import exp, log
from pathlib import Path
from statistics import fmean, median
from typing import Any, NamedTuple

from record_decisions import SyneTuneASHA, optuna_halving
from tables import machine

from metta_sweep import Budget, MemoryStore, SweepExperiment, Uniform
from metta_sweep.core.events import Event, Pick, Reported, Result, Score
from metta_sweep.core.trial import Report, Trial, Verdict
from metta_sweep.executors import PowerLaw, SimulatedExecutor, simulated
from metta_sweep.schedulers import ASHAScheduler, FIFOScheduler, HyperbandScheduler, Scheduler
from metta_sweep.schedulers.rungs import rung_levels
from metta_sweep.testing.scheduler_watch import WatchedScheduler

FACTOR = 3
SPACE = {"limit": Uniform(0.0, 1.0), "scale": Uniform(0.5, 2.0), "rate": Uniform(0.3, 1.2), "speed": Uniform(0.8, 1.2)}
NOISE = 0.03
MOST_TRIALS = 60_000


class Setting(NamedTuple):
    """How many workers, the first rung and the whole training in epochs, and how rare what they look for is."""

    workers: int
    grace: int
    epochs: int
    share: float

    @property
    def levels(self) -> tuple[int, ...]:
        """The rungs."""
        return rung_levels(self.grace, FACTOR, self.epochs)

    @property
    def name(self) -> str:
        """In words."""
        return f"{self.workers} workers, {self.grace} to {self.epochs} epochs, one configuration in {round(1 / self.share):,}"


SETTINGS = {"few": Setting(8, 1, 81, 0.01), "many": Setting(500, 1, 27, 0.01), "rare": Setting(500, 1, 27, 0.0005)}


class Reached(NamedTuple):
    """When the first configuration of the top had been trained."""

    seconds: float
    epochs: int
    trials: int


class UntilFound(WatchedScheduler):
    """Ends the run when a configuration of the top has completed. Counts on the way; remembers no events."""

    def __init__(self, inner: Scheduler, epochs_of_a_trial: int, below: float, executor: SimulatedExecutor) -> None:
        super().__init__(inner)
        self.epochs_of_a_trial = epochs_of_a_trial
        self.below = below
        self.executor = executor
        self.wanted: set[str] = set()
        self.epochs = self.trials = 0
        self.reached: Reached | None = None
        self.interrupt: Callable[[], None] = lambda: None

    def for_run(self, setup: Any) -> UntilFound:
        """A new one."""
        self.last = UntilFound(self.inner.for_run(setup), self.epochs_of_a_trial, self.below, self.executor)
        return self.last

    def apply(self, event: Event) -> None:
        """Count, look, and pass it on."""
        self.inner.apply(event)
        if isinstance(event, Reported):
            self.epochs += 1
        elif isinstance(event, Pick):
            self.trials += 1
        elif isinstance(event, Result) and event.trial_id in self.wanted and event.stopped in (None, "complete"):
            self.reached = self.reached or Reached(self.executor.clock(), self.epochs, self.trials)
            self.interrupt()

    def pick(self, offer: Any) -> None:
        """The other one's."""
        self.inner.pick(offer)

    def judge(self, trial: Trial, report: Report) -> Verdict:
        """The other one's."""
        return self.inner.judge(trial, report)

    def next_judged(self, trial_id: str, step: int) -> int | None:
        """The other one's: said here, or a class that overrides ``judge`` is asked of every report."""
        return self.inner.next_judged(trial_id, step)

    def fan_out(self, trial: Trial, score: Score, decided: Any) -> Any:
        """The other one's."""
        return self.inner.fan_out(trial, score, decided)

    def allocate_resources(self, trial: Trial) -> None:
        """Called at each start: remembers the trials that are wanted."""
        if true_loss(trial.params, self.epochs_of_a_trial) <= self.below:
            self.wanted.add(trial.id)


class Peer(Scheduler):
    """Another system's own code, asked at the rungs; between them it lets every trial run on."""

    needs_reports = True

    def __init__(self, make: Callable[[Any], Any], setting: Setting) -> None:
        self.make = make
        self.setting = setting
        self.levels = frozenset(setting.levels)
        self.stopped: set[str] = set()
        self.numbers: dict[str, int] = {}
        self.decides: Any = None

    def for_run(self, setup: Any) -> Peer:
        """A new study of theirs."""
        fresh = Peer(self.make, self.setting)
        fresh.decides = self.make(Settings(self.setting.epochs, self.setting.grace))
        return fresh

    def apply(self, event: Event) -> None:
        """Tell it of starts, of reports at rungs, and of ends."""
        if isinstance(event, Reported):
            if event.step in self.levels and self.decides.stops(self.numbers[event.trial_id], event.step, event.metrics["loss"]):
                self.stopped.add(event.trial_id)
        elif isinstance(event, Pick):
            self.numbers[event.trial_id] = event.number
            self.decides.start(event.number)
        elif isinstance(event, Score):
            self.decides.end(self.numbers.pop(event.trial_id), event.score or 0.0, stopped=event.score is None)
            self.stopped.discard(event.trial_id)

    def next_judged(self, trial_id: str, step: int) -> int | None:
        """At the rungs, and at the end."""
        return next((level for level in (*self.setting.levels, self.setting.epochs) if level > step), step + 1)

    def judge(self, trial: Trial, report: Report) -> Verdict:
        """As it decided."""
        if report.step >= self.setting.epochs:
            return Verdict.COMPLETE
        return Verdict.STOP if trial.id in self.stopped else Verdict.CONTINUE


class LetsAllRun(FIFOScheduler):
    """Random search: nothing is judged."""

    def next_judged(self, trial_id: str, step: int) -> int | None:
        """Nothing."""
        return None


class Settings(NamedTuple):
    """What the adapters of other systems read."""

    max_epochs: int
    grace_period: int
    reduction_factor: int = FACTOR
    minimize: bool = True


def contenders(setting: Setting) -> dict[str, Callable[[], Scheduler]]:
    """Those that are installed, ours first."""
    settings = (setting.epochs, FACTOR, setting.grace)
    found: dict[str, Callable[[], Scheduler]] = {
        "ASHA, promotion": lambda: ASHAScheduler(*settings),
        "ASHA, stopping": lambda: ASHAScheduler(*settings, mode="stopping"),
        "successive halving, synchronous": lambda: HyperbandScheduler(*settings, brackets=1),
        "random search": LetsAllRun,
    }
    if find_spec("optuna"):
        found["Optuna's own code"] = lambda: Peer(optuna_halving, setting)
    if find_spec("syne_tune"):
        found["Syne Tune's own code"] = lambda: Peer(SyneTuneASHA, setting)
    return found


def true_loss(params: Mapping[str, Any], epochs: int) -> float:
    """After all epochs, without noise."""
    return float(params["limit"] + params["scale"] * epochs ** -params["rate"])


def threshold(setting: Setting) -> float:
    """The true loss that only so large a share of configurations is below."""
    draw = random.Random(0)
    losses = sorted(
        true_loss({"limit": draw.random(), "scale": draw.uniform(0.5, 2.0), "rate": draw.uniform(0.3, 1.2)}, setting.epochs)
        for _ in range(400_000)
    )
    return losses[int(setting.share * len(losses))]


def run(scheduler: Scheduler, setting: Setting, below: float, seed: int) -> Reached:
    """One run, until it has found what it looks for."""
    executor = SimulatedExecutor(slots=setting.workers, seconds=lambda params, step: params["speed"])
    watched = UntilFound(scheduler, setting.epochs, below, executor)
    experiment = SweepExperiment(
        objective=simulated(
            PowerLaw(
                limit=lambda params: params["limit"],
                scale=lambda params: params["scale"],
                rate=lambda params: params["rate"],
                noise=NOISE,
            ),
            epochs=setting.epochs,
        ),
        search_space=SPACE,
        goal={"loss": "minimize"},
        scheduler=watched,
        executor=executor,
        slots=setting.workers,
        store=MemoryStore(),
        seed=seed,
    )

    async def go() -> Reached:
        async with experiment.open(Budget(trials=MOST_TRIALS)) as opened:
            last = watched.last
            if not isinstance(last, UntilFound):
                raise TypeError(last)
            last.interrupt = opened.interrupt
            await experiment.build().run(sweep=opened, recorder=opened.recorder)
            if last.reached is None:
                raise RuntimeError(f"nothing of the top among {last.trials} trials")
            return last.reached

    return asyncio.run(go())


def ratio(mine: list[float], theirs: list[float]) -> tuple[float, float, float]:
    """The geometric mean of paired ratios, and its 95 % interval by bootstrap over the seeds."""
    logs = [log(a / b) for a, b in zip(mine, theirs, strict=True)]
    draw = random.Random(1)
    means = sorted(fmean(draw.choices(logs, k=len(logs))) for _ in range(10_000))
    return exp(fmean(logs)), exp(means[250]), exp(means[9_749])


def report(setting: Setting, found: dict[str, list[Reached]]) -> None:
    """One table, and the ratios that matter."""
    print(f"\n### {setting.name}\n")
    print("| scheduler | simulated time, median | quartiles | epochs, median | trials, median |")
    print("|---|---:|---:|---:|---:|")
    for name, runs in sorted(found.items(), key=lambda item: median(run.seconds for run in item[1])):
        seconds = sorted(run.seconds for run in runs)
        low, high = seconds[len(seconds) // 4], seconds[3 * len(seconds) // 4]
        epochs, trials = (int(median(getattr(run, field) for run in runs)) for field in ("epochs", "trials"))
        print(f"| {name} | {median(seconds):,.0f} | {low:,.0f} to {high:,.0f} | {epochs:,} | {trials:,} |")
    print("\n| time of | over that of | ratio | 95 % interval |")
    print("|---|---|---:|---:|")
    pairs = [(mine, other) for mine in ("ASHA, promotion", "ASHA, stopping") for other in found if "own code" in other]
    pairs += [("random search", "ASHA, promotion"), ("random search", "ASHA, stopping")]
    for mine, other in pairs:
        if mine in found and other in found:
            times = [[run.seconds for run in found[name]] for name in (mine, other)]
            mean, low, high = ratio(times[0], times[1])
            print(f"| {mine} | {other} | {mean:.2f} | {low:.2f} to {high:.2f} |")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="3 seeds, 8 workers only")
    parser.add_argument("--seeds", type=int, default=30)
    parser.add_argument("--setting", choices=list(SETTINGS), action="append")
    parser.add_argument("--raw", type=Path, help="a file that keeps each run, and from which those that were made before are read")
    given = parser.parse_args()
    logging.disable(logging.WARNING)
    seeds = 3 if given.quick else given.seeds
    wanted = given.setting or (["few"] if given.quick else list(SETTINGS))
    print(f"{machine()}; {seeds} seeds, reduction factor {FACTOR}")
    for package in ("optuna", "syne_tune"):
        if not find_spec(package):
            print(f"{package} is not installed: left out")
    kept = Kept(given.raw)
    for key in wanted:
        setting = SETTINGS[key]
        below = threshold(setting)
        found: dict[str, list[Reached]] = {}
        for seed in range(seeds):
            for name, make in contenders(setting).items():
                again = partial(run, make(), setting, below, seed)
                found.setdefault(name, []).append(kept.reached(f"{setting.name}, {name}, seed {seed}", again))
        report(setting, found)


class Kept:
    """Runs that were made before, in a file of JSON lines."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.known: dict[str, Reached] = {}
        if path is not None and path.exists():
            for line in path.read_text().splitlines():
                key, *figures = json.loads(line)
                self.known[key] = Reached(*figures)

    def reached(self, key: str, make: Callable[[], Reached]) -> Reached:
        """The run of that key: read, or made and kept."""
        if key not in self.known:
            self.known[key] = make()
            if self.path is not None:
                with self.path.open("a") as file:
                    file.write(json.dumps([key, *self.known[key]]) + "\n")
        return self.known[key]


if __name__ == "__main__":
    main()
