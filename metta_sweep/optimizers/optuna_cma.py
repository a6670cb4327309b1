"""Where CMA-ES of Optuna begins, when there are earlier trials."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from metta_sweep.core.distributions import Choice
from metta_sweep.core.search_space import SearchSpace

if TYPE_CHECKING:
    import optuna

__all__ = ["SAYS_WHERE", "cma_begins"]

SAYS_WHERE: Final = frozenset({"x0", "sigma0", "source_trials", "use_separable_cma"})
"""Options of the sampler that say where it begins, or exclude that it is said."""
_ENOUGH: Final = 10
"""The distribution that it begins with is that of the best tenth."""


def cma_begins(study: optuna.Study, space: SearchSpace) -> dict[str, Any]:
    """Options of the sampler with which it begins where the completed trials of a study were best.

    Optuna's CMA-ES learns from trials of its own generations only. Earlier ones are the source of the distribution that it begins
    with; fewer than ten of them tell its centre, the best one. A conditional space has no fixed dimensions: nothing is said then.

    SOURCE: Nomura et al. 2021, "Warm starting CMA-ES for hyperparameter optimization"; Optuna's ``source_trials``.
    """
    import optuna

    if any(isinstance(distribution, Choice) and distribution.spaces is not None for _, distribution in space.top):
        return {}
    completed = study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.COMPLETE,))
    sources = [_of_numbers(trial) for trial in completed]
    if not sources or not sources[0].params:
        return {}
    if len(sources) >= _ENOUGH:
        return {"source_trials": sources}
    up = study.direction is optuna.study.StudyDirection.MAXIMIZE
    best = max(sources, key=lambda trial: (trial.value or 0.0) * (1 if up else -1))
    return {"x0": best.params}


def _of_numbers(trial: optuna.trial.FrozenTrial) -> optuna.trial.FrozenTrial:
    """The trial with those parameters alone that CMA-ES takes: it passes over sources with any others."""
    import optuna

    numbers = (optuna.distributions.FloatDistribution, optuna.distributions.IntDistribution)
    kept = {
        name: distribution
        for name, distribution in trial.distributions.items()
        if isinstance(distribution, numbers) and not distribution.single()
    }
    params = {name: trial.params[name] for name in kept}
    return optuna.create_trial(params=params, distributions=dict(kept), value=trial.value)
