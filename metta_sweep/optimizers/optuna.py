"""Optuna's samplers: TPE, Gaussian process, CMA-ES and others."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal, cast

from metta_sweep.core.described import described, setting
from metta_sweep.core.distributions import Choice, Distribution
from metta_sweep.core.seeds import seed_of_32_bits
from metta_sweep.errors import OptimizerError, refuse_unknown
from metta_sweep.optimizers.ask_tell import AskTellOptimizer
from metta_sweep.optimizers.optuna_cma import SAYS_WHERE, cma_begins
from metta_sweep.optimizers.optuna_samplers import SAMPLERS, import_samplers, keywords_of, no_sampler, sampler_named, seeded
from metta_sweep.optimizers.optuna_space import MOST_ORDERED, OptunaSpace
from metta_sweep.optimizers.quiet import Quiet
from metta_sweep.optimizers.supports import Supports

if TYPE_CHECKING:
    import optuna

    from metta_sweep.core.search_space import SearchSpace
    from metta_sweep.core.trial import Report, Trial
    from metta_sweep.optimizers.ask_tell import Space

    Sampler = str | optuna.samplers.BaseSampler | Callable[..., optuna.samplers.BaseSampler]

__all__ = ["OptunaOptimizer"]

_QUICK: Final = ("CmaEsSampler", "NSGAIISampler", "NSGAIIISampler", "QMCSampler", "RandomSampler", "BruteForceSampler")
"""Those that take about a millisecond for a suggestion; TPE takes 4 at 25 trials of 5 parameters and 13 at 300, GP hundreds."""
_ONE_OBJECTIVE: Final = ("CmaEsSampler",)
_QUIET: Final = Quiet("optuna")
_NO_MORE: Final[Mapping[str, Any]] = {}


class OptunaOptimizer(AskTellOptimizer["optuna.Trial"]):
    """Asks a sampler of Optuna (SOURCE: Akiba et al. 2019). Run one at a time, it suggests what Optuna's own ask and tell does.

    Parameters are asked for one after another as the search space has them, those of a sub-space where their option was chosen, so
    that conditional spaces are Optuna's define-by-run (give ``multivariate=True, group=True`` to have TPE learn them jointly).
    Orders of up to 5 items are categorical, by number. Reports and trials stopped early are told as Optuna's own (report, PRUNED).
    ``fixed`` parameters are enqueued.

    Args:
        search_space: a mapping of names to distributions, or a model class; None: the sweep's.
        sampler: ``"TPE"``, ``"GP"``, ``"CMA-ES"``, ``"NSGA-II"``, ``"NSGA-III"``, ``"QMC"``, ``"Random"`` or ``"BruteForce"``; or a
            sampler of Optuna, or what makes one (its class, a function), which gets ``seed`` where it takes one and has none.
        seed: a whole number; None: derived from the sweep's seed. A sampler given as an object has a seed of its own, or gets this
            one if it has none.
        duplicates: whether parameters may be suggested that were suggested before.
        failures: how failed trials are told: ``"worst"``: completed with the worst result seen so far, so that the sampler keeps
            away from them; ``"fail"``: as FAIL, which samplers take no notice of.
        **sampler_options: options of the sampler, as Optuna calls them: ``n_startup_trials=20``.

    Raises:
        OptimizerError: for a sampler that is none, or one that refuses its options.
        UnknownOption: for an option that the sampler does not take.
        MissingExtra: when Optuna, or what the sampler needs beside it, is not installed.
    """

    supports = Supports(most_ordered=MOST_ORDERED)

    tunable: ClassVar[Mapping[str, Distribution]] = {
        "sampler": Choice(["TPE", "CMA-ES", "NSGA-II", "QMC", "Random"]),
        "failures": Choice(["worst", "fail"]),
    }

    def __init__(
        self,
        search_space: Space | None = None,
        sampler: Sampler = "TPE",
        seed: int | None = None,
        duplicates: bool = False,
        failures: Literal["worst", "fail"] = "worst",
        **sampler_options: Any,
    ) -> None:
        super().__init__(search_space, seed, duplicates)
        if failures not in ("worst", "fail"):
            raise OptimizerError(
                "OptunaOptimizer(failures=)",
                "unknown option",
                found=failures,
                expected="'worst' or 'fail'",
                remedy="Write failures='worst'",
            )
        self.failures = failures
        self.sampler = sampler
        self.sampler_options = sampler_options
        made = self._make_sampler(0)
        kind = type(made).__name__
        self.slow = kind not in _QUICK
        self.supports = Supports(
            several_objectives=kind not in _ONE_OBJECTIVE, continuous=kind != "BruteForceSampler", most_ordered=MOST_ORDERED
        )
        self._name = next((name for name, known in SAMPLERS.items() if known == kind), kind)

    @property
    def origin(self) -> str:
        """``"optuna TPE"``, say."""
        return f"optuna {self._name}"

    def reported(self, trial: Trial, report: Report) -> None:
        """Tell Optuna a report of a running trial; the first one of each step counts."""
        asked = self._opened(trial)
        if asked is None or self._goal.has_several or report.step in self._steps.setdefault(asked.number, set()):
            return
        value = self._reported_value(report)
        if value is not None:
            self._steps[asked.number].add(report.step)
            asked.report(value, report.step)

    def learn_earlier(self, trials: Sequence[Trial]) -> None:
        """Add them to the study; CMA-ES, which learns from its own generations only, begins where they were best."""
        super().learn_earlier(trials)
        if self._name != "CMA-ES" or SAYS_WHERE & self.sampler_options.keys() or not isinstance(self.sampler, str | type):
            return
        space, _ = self._begun()
        with _QUIET:
            begins = cma_begins(self._study, space)
        if begins:
            self._study.sampler = self._make_sampler(self._sampler_seed(), begins)

    def describe(self) -> dict[str, Any]:
        """Its class, its sampler with the options, and the search space and seed that it was given."""
        found = {**super().describe(), **{name: setting(value) for name, value in self.sampler_options.items()}}
        if not isinstance(self.sampler, str) and not callable(self.sampler):
            # QMC's seed, which it draws where it got none, is of use only where it scrambles
            without = () if getattr(self.sampler, "_scramble", True) else ("seed",)
            found["sampler"] = described(self.sampler, without=without)
        return found

    # -- asking and telling ------------------------------------------------------------------------------------------------------

    def _begin(self, space: SearchSpace, seed: int) -> None:
        import optuna

        with _QUIET:
            self._study = optuna.create_study(
                sampler=self._make_sampler(self._sampler_seed()),
                pruner=optuna.pruners.NopPruner(),
                directions=[goal.direction for goal in self._goal.objectives],
            )
        self._optuna_space = OptunaSpace(space)
        self._steps: dict[int, set[int]] = {}
        ended: list[bool] = []
        # a sampler that has tried everything stops the study, which Optuna itself allows only within optimize()
        self._study.stop = lambda: ended.append(True)  # type: ignore[method-assign]
        self._stopped_by_sampler = ended

    @property
    def _has_ended(self) -> bool:
        return bool(self._stopped_by_sampler)

    def _ask(self, fixed: Mapping[str, Any] | None) -> tuple[optuna.Trial, dict[str, Any]]:
        with _QUIET:
            if fixed:
                self._study.enqueue_trial(self._optuna_space.labelled(fixed))
            trial = self._study.ask()
            return trial, self._optuna_space.suggest(trial)

    def _attach(self, params: dict[str, Any]) -> optuna.Trial:
        import optuna

        asked, _ = self._ask(params)
        sampler = self._study.sampler
        if isinstance(sampler, optuna.samplers.BaseGASampler):
            # nothing was left to sample, which is when a trial gets its generation
            sampler.get_trial_generation(self._study, self._study.get_trials(deepcopy=False)[asked.number])
        return asked

    def _add(self, params: dict[str, Any], values: list[float]) -> None:
        import optuna

        if isinstance(self._study.sampler, optuna.samplers.BaseGASampler):
            # it learns from trials of its generations only, which those that are added have none of
            super()._add(params, values)
            return
        self._add_trial(params, values=values)

    def _add_trial(self, params: dict[str, Any], **how: Any) -> None:
        import optuna

        labelled, distributions = self._optuna_space.labelled(params), self._optuna_space.distributions(params)
        known = {label: labelled[label] for label in distributions}
        self._study.add_trial(optuna.create_trial(params=known, distributions=distributions, **how))

    def _add_failed(self, params: dict[str, Any]) -> None:
        import optuna

        if isinstance(self._study.sampler, optuna.samplers.BaseGASampler):
            super()._add_failed(params)
        elif self._worst and self.failures == "worst":
            self._add_trial(params, values=self._worst)
        else:
            self._add_trial(params, state=optuna.trial.TrialState.FAIL)

    def _add_stopped(self, trial: Trial) -> None:
        import optuna

        if self._goal.has_several or isinstance(self._study.sampler, optuna.samplers.BaseGASampler):
            super()._add_stopped(trial)
            return
        report = trial.last_report
        value = None if report is None else self._reported_value(report)
        reached = {} if report is None or value is None else {report.step: value}
        self._add_trial(trial.params, state=optuna.trial.TrialState.PRUNED, intermediate_values=reached)

    def _tell(self, asked: optuna.Trial, params: dict[str, Any], values: list[float]) -> None:
        self._finish(asked, values)

    def _tell_failed(self, asked: optuna.Trial, params: dict[str, Any]) -> None:
        import optuna

        self._finish(asked, None, optuna.trial.TrialState.FAIL)

    def _tell_bad(self, asked: optuna.Trial, params: dict[str, Any]) -> None:
        if self.failures == "fail":
            self._tell_failed(asked, params)
        else:
            super()._tell_bad(asked, params)

    def _drop(self, asked: optuna.Trial) -> None:
        self._tell_failed(asked, {})

    def _tell_stopped(self, asked: optuna.Trial, trial: Trial) -> None:
        import optuna

        several = self._goal.has_several
        self._finish(asked, None, optuna.trial.TrialState.FAIL if several else optuna.trial.TrialState.PRUNED)

    def _reported_value(self, report: Report) -> float | None:
        """What a report says of the goal's metric, where it may be told: Optuna's steps begin at 0."""
        metric = self._goal.metric
        if metric is None and len(report.metrics) == 1:
            (metric,) = report.metrics
        return report.value(metric) if metric in report.metrics and report.step >= 0 else None

    def _finish(self, asked: optuna.Trial, values: list[float] | None, state: optuna.trial.TrialState | None = None) -> None:
        self._steps.pop(asked.number, None)
        self._study.tell(asked, values, state=state)

    # -- the sampler -------------------------------------------------------------------------------------------------------------

    def _sampler_seed(self) -> int:
        seed = self._own_seed()
        return seed if 0 <= seed < 2**32 else seed_of_32_bits(seed, "optuna")

    def _make_sampler(self, seed: int, more: Mapping[str, Any] = _NO_MORE) -> optuna.samplers.BaseSampler:
        samplers = import_samplers()
        sampler: Any = self.sampler
        with _QUIET:
            if isinstance(sampler, samplers.BaseSampler):
                return seeded(self._copied(sampler), seed)
            factory: Callable[..., Any] = sampler if callable(sampler) else sampler_named(samplers, sampler)
            options = {name: copy.deepcopy(value) for name, value in self.sampler_options.items()}
            options.update(more)
            taken = keywords_of(factory)
            if taken is not None:
                refuse_unknown(
                    "OptunaOptimizer", options.keys() - taken, sorted({"search_space", "sampler", "duplicates", "failures"} | taken)
                )
            if (taken is None or "seed" in taken) and not _has_seed(factory):
                options["seed"] = seed
            if taken is not None and "constant_liar" in taken and self._slots > 1:
                options.setdefault("constant_liar", True)
            try:
                made = factory(**options)
            except (TypeError, ValueError) as refused:
                raise OptimizerError(
                    "OptunaOptimizer(sampler=)",
                    f"the sampler refuses its options: {refused}",
                    found=self.sampler_options,
                    remedy="Look them up in Optuna's documentation of the sampler",
                ) from refused
            if isinstance(made, samplers.BaseSampler):
                return seeded(cast("optuna.samplers.BaseSampler", made), seed)
            raise no_sampler(made)

    def _copied(self, sampler: optuna.samplers.BaseSampler) -> optuna.samplers.BaseSampler:
        if self.sampler_options:
            raise OptimizerError(
                "OptunaOptimizer(sampler=)",
                "a sampler that is made already takes no options",
                found=sorted(self.sampler_options),
                expected="options beside the name or the class of a sampler",
                remedy=f"Write sampler={type(sampler).__name__}, or give the options to the object",
            )
        return copy.deepcopy(sampler)


def _has_seed(factory: Callable[..., Any]) -> bool:
    """Whether its user gave it a seed already."""
    return isinstance(factory, functools.partial) and factory.keywords.get("seed") is not None
