"""How good searches are after a number of trials: simple regret on functions whose minimum is known, beside the libraries.

Each search is run once for each seed, through a sweep as its users run it; a library by itself through its own ask and tell. Simple
regret is how far the best value found lies above the minimum.

Run it with ``python benchmarks/search.py [--seeds 30] [--only bayesian optuna-gp ...] [--functions branin ...] [--slots 8]``.
Set ``OMP_NUM_THREADS=1`` to compare times.
"""

from __future__ import annotations

import argparse
import json
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from time import process_time
from typing import Any, NamedTuple

from tables import machine, print_table
from test_functions import FUNCTIONS, Problem

from metta_sweep import SweepExperiment, Uniform, optimizers
from metta_sweep.errors import MettaSweepError
from metta_sweep.executors import SimulatedExecutor
from metta_sweep.optimizers import Optimizer

Search = Callable[[Problem, int, int], float]
"""Runs one search: (function, seed, slots) -> the best value found."""


class Figures(NamedTuple):
    """Of one search on one function."""

    function: str
    search: str
    slots: int
    regrets: list[float]
    """By seed."""
    seconds: float
    """Processor time per trial: of the suggestion, nearly all of it."""


def by_sweep(make: Callable[[int], Optimizer]) -> Search:
    """A search through a sweep that keeps nothing; trials take different simulated times, so that slots free up one by one."""

    def search(function: Problem, seed: int, slots: int) -> float:
        names = [f"x{number}" for number in range(len(function.bounds))]

        def objective(trial: Any) -> float:
            return float(function.of([trial.params[name] for name in names]))

        def seconds(params: Mapping[str, Any], step: int) -> float:
            # half as long as others or up to three times so, by digits that have nothing to do with the value
            return 0.5 + float(sum([params[name] * 1e6 for name in names])) % 1.0

        sweep = SweepExperiment(
            search_space={name: Uniform(low, high) for name, (low, high) in zip(names, function.bounds, strict=True)},
            optimizer=make(seed),
            objective=objective,
            goal="minimize",
            executor=SimulatedExecutor(slots, seconds=seconds),
            slots=slots,
            seed=seed,
            store="memory",
        )
        best = sweep.run(budget=function.trials).best_score
        if best is None:
            raise RuntimeError("no trial completed")
        return float(best)

    return search


def optuna_itself(sampler: Callable[[Any, int], Any]) -> Search:
    """Optuna's ask and tell; with several slots, so many are asked before the first is told."""

    def search(function: Problem, seed: int, slots: int) -> float:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        study = optuna.create_study(sampler=sampler(optuna.samplers, seed))
        for first in range(0, function.trials, slots):
            asked = [study.ask() for _ in range(min(slots, function.trials - first))]
            points = [[trial.suggest_float(f"x{n}", *bounds) for n, bounds in enumerate(function.bounds)] for trial in asked]
            for trial, point in zip(asked, points, strict=True):
                study.tell(trial, function.of(point))
        return float(study.best_value)

    return search


def nevergrad_itself(function: Problem, seed: int, slots: int) -> float:
    """NGOpt."""
    import nevergrad as ng
    import numpy as np

    names = [f"x{number}" for number in range(len(function.bounds))]
    scalars = {name: ng.p.Scalar(lower=low, upper=high) for name, (low, high) in zip(names, function.bounds, strict=True)}
    space = ng.p.Dict(**scalars)
    space.random_state = np.random.RandomState(seed)
    optimizer = ng.optimizers.NGOpt(space, budget=function.trials, num_workers=slots)
    best = float("inf")
    for first in range(0, function.trials, slots):
        for asked in [optimizer.ask() for _ in range(min(slots, function.trials - first))]:
            value = function.of([asked.value[name] for name in names])
            optimizer.tell(asked, value)
            best = min(best, value)
    return best


def our_nevergrad(function: Problem, seed: int, slots: int) -> float:
    """NGOpt through a sweep, told as many trials as there are."""
    return by_sweep(lambda seed: optimizers.NevergradOptimizer(budget=function.trials, seed=seed))(function, seed, slots)


def ax_itself(function: Problem, seed: int, slots: int) -> float:
    """Ax's client with what it chooses by itself."""
    from ax.api.client import Client
    from ax.api.configs import RangeParameterConfig

    client = Client(random_seed=seed)
    names = [f"x{number}" for number in range(len(function.bounds))]
    client.configure_experiment(
        [
            RangeParameterConfig(name=name, parameter_type="float", bounds=pair)
            for name, pair in zip(names, function.bounds, strict=True)
        ]
    )
    client.configure_optimization(objective="-value")
    best, told = float("inf"), 0
    while told < function.trials:
        for index, params in client.get_next_trials(max_trials=min(slots, function.trials - told)).items():
            value = function.of([float(str(params[name])) for name in names])
            client.complete_trial(trial_index=index, raw_data={"value": value})
            best, told = min(best, value), told + 1
    return best


def ours(name: str, *args: Any, **options: Any) -> Search:
    """An optimizer of ours by the name of its class."""
    return by_sweep(lambda seed: getattr(optimizers, name)(*args, seed=seed, **options))


def portfolio() -> Search:
    """A Gaussian process and quasi-random points, turn by turn."""
    return by_sweep(
        lambda seed: optimizers.PortfolioOptimizer(
            {"bayesian": optimizers.BayesianOptimizer(), "evolution": optimizers.EvolutionOptimizer()}, seed=seed
        )
    )


def phases() -> Search:
    """Quasi-random points, and then a Gaussian process."""
    first = optimizers.Phase(optimizers.SobolOptimizer(), trials=10, min_observed=3)
    return by_sweep(lambda seed: optimizers.Phases([first, optimizers.Phase(optimizers.BayesianOptimizer())], seed=seed))


SEARCHES: Mapping[str, Callable[[], Search]] = {
    "random": lambda: ours("RandomOptimizer"),
    "sobol": lambda: ours("SobolOptimizer"),
    "evolution": lambda: ours("EvolutionOptimizer"),
    "protein": lambda: ours("ProteinOptimizer"),
    "bayesian": lambda: ours("BayesianOptimizer"),
    "bayesian-ucb": lambda: ours("BayesianOptimizer", acquisition="UCB"),
    "portfolio": portfolio,
    "phases": phases,
    "our-optuna-tpe": lambda: ours("OptunaOptimizer", sampler="TPE"),
    "our-optuna-gp": lambda: ours("OptunaOptimizer", sampler="GP"),
    "our-optuna-cma": lambda: ours("OptunaOptimizer", sampler="CMA-ES"),
    "our-nevergrad": lambda: our_nevergrad,
    "our-ax": lambda: ours("AxOptimizer"),
    "optuna-tpe": lambda: optuna_itself(lambda samplers, seed: samplers.TPESampler(seed=seed)),
    "optuna-gp": lambda: optuna_itself(lambda samplers, seed: samplers.GPSampler(seed=seed)),
    "optuna-cma": lambda: optuna_itself(lambda samplers, seed: samplers.CmaEsSampler(seed=seed)),
    "nevergrad": lambda: nevergrad_itself,
    "ax": lambda: ax_itself,
}


def measure(function: Problem, name: str, seeds: int, slots: int) -> Figures | str:
    """One search on one function, over seeds; why not, where it cannot be made."""
    try:
        search = SEARCHES[name]()
        start = process_time()
        regrets = [function.regret(search(function, seed, slots)) for seed in range(seeds)]
    except (ImportError, MettaSweepError, AttributeError) as error:
        return f"{name} on {function.name} is left out: {error}"
    return Figures(function.name, name, slots, regrets, (process_time() - start) / seeds / function.trials)


def quartiles(values: list[float]) -> tuple[float, float, float]:
    """The lower quartile, the median and the upper one."""
    import numpy as np

    low, middle, high = np.percentile(values, [25, 50, 75]).tolist()
    return low, middle, high


def row(figures: Figures) -> list[str]:
    """Of the table."""
    low, middle, high = quartiles(figures.regrets)
    each = f"{figures.seconds * 1e3:,.1f} ms"
    return [figures.function, figures.search, str(len(figures.regrets)), f"{middle:.2g}", f"{low:.2g}", f"{high:.2g}", each]


def compare(found: list[Figures], ours_name: str = "bayesian", theirs: str = "optuna-gp") -> list[str]:
    """Whether the regrets of the one are significantly larger, by the rank test of Mann and Whitney."""
    from scipy.stats import mannwhitneyu

    lines = []
    for first in found:
        for second in found:
            if (first.search, second.search, first.function) == (ours_name, theirs, second.function):
                p = float(mannwhitneyu(first.regrets, second.regrets, alternative="greater").pvalue)
                worse = "significantly worse" if p < 0.05 else "not significantly worse"
                lines.append(f"{first.function}: {ours_name} is {worse} than {theirs} (p = {p:.2g})")
    return lines


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--seeds", type=int, default=30)
    parser.add_argument("--only", nargs="+", choices=sorted(SEARCHES), default=list(SEARCHES), metavar="SEARCH")
    parser.add_argument("--functions", nargs="+", choices=sorted(FUNCTIONS), default=list(FUNCTIONS))
    parser.add_argument("--slots", type=int, default=1)
    parser.add_argument("--json", type=Path, help="write the regrets of each seed there")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    print(machine())
    print(f"{options.slots} slots, {options.seeds} seeds: quartiles of simple regret; processor time per trial")
    found: list[Figures] = []
    for name in options.functions:
        for search in options.only:
            figures = measure(FUNCTIONS[name], search, options.seeds, options.slots)
            if isinstance(figures, str):
                print(figures)
                continue
            found.append(figures)
            print("  ".join(row(figures)), flush=True)
            if options.json is not None:
                # after each, so that nothing is lost of a measurement that is cut short
                options.json.write_text(json.dumps([item._asdict() for item in found]), encoding="utf-8")
    print()
    header = ("function", "search", "seeds", "median", "quartile", "quartile", "per suggestion")
    print_table("Simple regret", header, [row(item) for item in found])
    print("\n".join(compare(found)))


if __name__ == "__main__":
    main()
