"""Record what other systems decide on random streams of reports, by their own code.

    python benchmarks/record_decisions.py            # all that are installed
    python benchmarks/record_decisions.py ray optuna

Writes ``tests/schedulers/decision_tables/<rule>.json``, which the tests compare the schedulers of this package with. It needs
nothing of this package: run it with a Python that has Ray Tune, Syne Tune and Optuna.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Any

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

TESTS = Path(__file__).resolve().parent.parent / "tests" / "schedulers"
sys.path.insert(0, str(TESTS))

from decision_streams import STREAMS, Decides, OptunaPruner, Stream, decisions, packed, stream  # noqa: E402  # pyright: ignore[reportMissingImports]  # found by the line above


class RayASHA(Decides):
    """``ray.tune.schedulers.AsyncHyperBandScheduler``."""

    def __init__(self, settings: Stream) -> None:
        from ray.tune.schedulers import AsyncHyperBandScheduler  # pyright: ignore[reportMissingImports]

        self.scheduler: Any = AsyncHyperBandScheduler(
            time_attr="step",
            metric="value",
            mode="min" if settings.minimize else "max",
            max_t=settings.max_epochs,
            grace_period=settings.grace_period,
            reduction_factor=settings.reduction_factor,
        )

    def start(self, trial: int) -> None:
        """Add the trial."""
        self.scheduler.on_trial_add(None, ray_trial(trial))

    def stops(self, trial: int, step: int, value: float) -> bool:
        """Its result."""
        return bool(self.scheduler.on_trial_result(None, ray_trial(trial), {"step": step, "value": value}) == "STOP")


class RayMedian(Decides):
    """``ray.tune.schedulers.MedianStoppingRule``, with nobody waiting to run in a trial's place."""

    def __init__(self, settings: Stream) -> None:
        from ray.tune.schedulers import MedianStoppingRule  # pyright: ignore[reportMissingImports]

        self.trials: dict[int, Any] = {}
        self.controller = SimpleNamespace(get_live_trials=list)
        self.scheduler: Any = MedianStoppingRule(
            time_attr="step",
            metric="value",
            mode="min" if settings.minimize else "max",
            grace_period=settings.grace_period,
            min_samples_required=settings.min_trials,
        )

    def start(self, trial: int) -> None:
        """Add the trial."""
        self.trials[trial] = ray_trial(trial)
        self.scheduler.on_trial_add(self.controller, self.trials[trial])

    def stops(self, trial: int, step: int, value: float) -> bool:
        """Its result."""
        found = self.scheduler.on_trial_result(self.controller, self.trials[trial], {"step": step, "value": value})
        return bool(found == "STOP")


def ray_trial(trial: int) -> Any:
    """A trial of Ray Tune's own class."""
    from ray.tune.experiment import Trial  # pyright: ignore[reportMissingImports]

    return Trial("stub", stub=True, trial_id=str(trial))


class SyneTuneASHA(Decides):
    """``syne_tune.optimizer.schedulers.asha.AsynchronousSuccessiveHalving``."""

    def __init__(self, settings: Stream) -> None:
        from syne_tune.config_space import uniform  # pyright: ignore[reportMissingImports]
        from syne_tune.optimizer.schedulers.asha import AsynchronousSuccessiveHalving  # pyright: ignore[reportMissingImports]

        self.trials: dict[int, Any] = {}
        self.scheduler: Any = AsynchronousSuccessiveHalving(
            {"x": uniform(0, 1)},
            metric="value",
            do_minimize=settings.minimize,
            time_attr="step",
            max_t=settings.max_epochs,
            grace_period=settings.grace_period,
            reduction_factor=settings.reduction_factor,
            random_seed=0,
        )

    def start(self, trial: int) -> None:
        """Add the trial."""
        from datetime import datetime

        from syne_tune.backend.trial_status import Trial  # pyright: ignore[reportMissingImports]

        self.trials[trial] = Trial(trial, {"x": 0.5}, datetime(2020, 1, 1))  # it is never looked at
        self.scheduler.on_trial_add(self.trials[trial])

    def stops(self, trial: int, step: int, value: float) -> bool:
        """Its result."""
        return bool(self.scheduler.on_trial_result(self.trials[trial], {"step": step, "value": value}) == "STOP")


def optuna_halving(settings: Stream) -> Decides:
    """``optuna.pruners.SuccessiveHalvingPruner``."""
    import optuna

    return OptunaPruner(
        settings,
        optuna.pruners.SuccessiveHalvingPruner(min_resource=settings.grace_period, reduction_factor=settings.reduction_factor),
    )


def optuna_median(settings: Stream) -> Decides:
    """``optuna.pruners.MedianPruner``."""
    import optuna

    return OptunaPruner(
        settings, optuna.pruners.MedianPruner(n_startup_trials=settings.min_trials, n_warmup_steps=settings.grace_period)
    )


TABLES: dict[str, tuple[str, Callable[[Stream], Decides]]] = {
    "asha_optuna": ("optuna", optuna_halving),
    "asha_ray": ("ray", RayASHA),
    "asha_syne_tune": ("syne-tune", SyneTuneASHA),
    "median_optuna": ("optuna", optuna_median),
    "median_ray": ("ray", RayMedian),
}


def main(wanted: list[str]) -> None:
    """Write the tables of those systems, or of all."""
    logging.disable(logging.WARNING)
    for name, (package, make) in TABLES.items():
        if wanted and not any(part in package.replace("-", "_") for part in wanted):
            continue
        try:
            installed = version(package)
        except ImportError:
            print(f"{name}: {package} is not installed")
            continue
        found = [packed(decisions(stream(seed), make)) for seed in range(STREAMS)]
        path = TESTS / "decision_tables" / f"{name}.json"
        path.write_text(json.dumps({"made_by": f"{package} {installed}", "streams": found}, indent=0) + "\n")
        stops = sum(f"{int(bits, 16):b}"[1:].count("1") for bits in found)
        print(f"{name}: {len(found)} streams, {sum(int(bits, 16).bit_length() - 1 for bits in found)} decisions, {stops} stops")


if __name__ == "__main__":
    main(sys.argv[1:])
