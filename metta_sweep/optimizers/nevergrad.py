"""Nevergrad's optimizers: NGOpt, differential evolution, particle swarms and hundreds of others."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, ClassVar, Final, Never

from metta_sweep.core.distributions import Choice, Distribution
from metta_sweep.core.numbers import check_int
from metta_sweep.core.seeds import derive_seed, seed_of_32_bits
from metta_sweep.errors import MissingExtra, OptimizerError, did_you_mean, refuse_unknown
from metta_sweep.optimizers.ask_tell import AskTellOptimizer
from metta_sweep.optimizers.nevergrad_space import NevergradSpace
from metta_sweep.optimizers.own_randomness import OwnRandomness
from metta_sweep.optimizers.quiet import Quiet, hush

if TYPE_CHECKING:
    from metta_sweep.core.search_space import SearchSpace
    from metta_sweep.core.setup import Setup
    from metta_sweep.core.trial import Trial
    from metta_sweep.optimizers.ask_tell import Space

__all__ = ["NevergradOptimizer"]

_QUIET: Final = Quiet("nevergrad")
_THREAD: Final = "_MessagingThread"
_OPTIONS: Final = ("search_space", "method", "budget", "seed", "duplicates")


class _Searched:
    """One optimizer of Nevergrad over the space, or over the part of it with some parameters fixed."""

    def __init__(self, space: NevergradSpace, optimizer: Any) -> None:
        self.space = space
        self.optimizer = optimizer
        """None where there is nothing to optimize: the space has one point."""
        self.untold: list[_Asked] = []


class _Asked:
    """A candidate that was asked for, and by whom."""

    def __init__(self, searched: _Searched, candidate: Any) -> None:
        self.searched = searched
        self.candidate = candidate


class NevergradOptimizer(AskTellOptimizer[_Asked]):
    """Asks an optimizer of Nevergrad (SOURCE: Rapin and Teytaud 2018). Run one at a time, it suggests what Nevergrad's own does.

    Nevergrad minimizes: signs are turned on the way. A failed trial is told with the worst loss seen so far. Trials that are
    stopped early are not told, but by methods that wait for each result: these are told the worst loss, too. Each set of
    ``fixed`` parameters has an optimizer of its own, which searches the rest. Some methods draw from the process's random
    generators, which are lent to them for that time: trials in threads of this process should draw from generators of their own.

    Args:
        search_space: a mapping of names to distributions, or a model class; None: the sweep's.
        method: a name of ``nevergrad.optimizers.registry``: ``"NGOpt"`` (chooses a method by dimension, budget and slots),
            ``"DE"``, ``"PSO"``, ``"CMA"``, ``"TwoPointsDE"``, ``"OnePlusOne"``, ...
        budget: how many trials the method plans with; those that draw all their points at once end with it. Most go on beyond it.
        seed: a whole number; None: derived from the sweep's seed.
        duplicates: whether parameters may be suggested that were suggested before.

    Raises:
        OptimizerError: for a method that there is none of, and, when a run begins with several slots, one that takes one at a time.
        MissingExtra: when Nevergrad is not installed.
    """

    stays_inside = True
    needs_search_space = True
    slow = True

    tunable: ClassVar[Mapping[str, Distribution]] = {
        "method": Choice(["NGOpt", "DE", "PSO", "CMA", "TwoPointsDE", "OnePlusOne"]),
    }

    def __init__(
        self,
        search_space: Space | None = None,
        method: str = "NGOpt",
        budget: int = 100,
        seed: int | None = None,
        duplicates: bool = False,
        **unknown: Never,
    ) -> None:
        refuse_unknown("NevergradOptimizer", unknown, _OPTIONS)
        super().__init__(search_space, seed, duplicates)
        self.budget = check_int(budget, "NevergradOptimizer(budget=)", OptimizerError, at_least=1, remedy="Write budget=100")
        self.method = method
        self._factory = _factory(method)

    @property
    def origin(self) -> str:
        """``"nevergrad NGOpt"``, say."""
        return f"nevergrad {self.method}"

    def fill_in(self, setup: Setup) -> None:
        """Take what was left out from the sweep.

        Raises:
            OptimizerError: for several slots and a method that takes one trial at a time.
        """
        super().fill_in(setup)
        if setup.slots > 1 and self._factory.no_parallelization:
            raise OptimizerError(
                f"NevergradOptimizer(method={self.method!r})",
                "the method takes one trial at a time",
                found=f"{setup.slots} slots",
                expected="slots=1",
                remedy="Write slots=1, or take another method, such as 'NGOpt'",
            )

    # -- asking and telling ------------------------------------------------------------------------------------------------------

    def _begin(self, space: SearchSpace, seed: int) -> None:
        self._level = space.top
        self._searched: dict[tuple[tuple[str, str], ...], _Searched] = {}
        self._randomness = OwnRandomness(seed)
        self._whole = self._search({})

    @property
    def _has_ended(self) -> bool:
        return self._has_asked_all(self._whole)

    def _has_asked_all(self, searched: _Searched) -> bool:
        """Whether the method drew all its points at once, and they were all asked for."""
        return bool(self._factory.one_shot) and searched.optimizer is not None and searched.optimizer.num_ask >= self.budget

    def _search(self, fixed: Mapping[str, Any]) -> _Searched:
        """The optimizer over the part of the space with these parameters fixed."""
        key = tuple(sorted((name, repr(value)) for name, value in fixed.items()))
        found = self._searched.get(key)
        if found is None:
            import numpy as np

            seed = self._own_seed() if not key else derive_seed(self._own_seed(), repr(key))
            with self._calling():
                space = NevergradSpace(self._level, fixed)
                space.parametrization.random_state = np.random.RandomState(seed if 0 <= seed < 2**32 else seed_of_32_bits(seed))
                nothing = space.parametrization.dimension == 0
                made = None if nothing else self._factory(space.parametrization, budget=self.budget, num_workers=self._slots)
            found = self._searched[key] = _Searched(space, made)
        return found

    def _ask(self, fixed: Mapping[str, Any] | None) -> tuple[_Asked, dict[str, Any]] | None:
        searched = self._search(fixed or {})
        if self._has_asked_all(searched):
            return None
        if searched.optimizer is None:
            candidate = searched.space.parametrization
        else:
            if searched.untold and _waits(searched.optimizer):
                for untold in tuple(searched.untold):
                    self._tell_bad(untold, {})
            with self._calling():
                candidate = searched.optimizer.ask()
        asked = _Asked(searched, candidate)
        searched.untold.append(asked)
        return asked, searched.space.params(candidate.value)

    @contextmanager
    def _calling(self) -> Iterator[None]:
        with _QUIET, self._randomness, _predictions_as_floats(), _threads_that_end():
            yield

    def _attach(self, params: dict[str, Any]) -> _Asked:
        return _Asked(self._whole, self._whole.space.candidate(params))

    def _tell(self, asked: _Asked, params: dict[str, Any], values: list[float]) -> None:
        self._tell_losses(asked, [-goal.sign * value for goal, value in zip(self._goal.objectives, values, strict=True)])

    def _tell_failed(self, asked: _Asked, params: dict[str, Any]) -> None:
        if self._goal.has_several:
            self._drop(asked)
        else:
            self._tell_losses(asked, [math.inf])

    def _tell_losses(self, asked: _Asked, losses: list[float]) -> None:
        from nevergrad.common.errors import TellNotAskedNotSupportedError

        self._drop(asked)
        if asked.searched.optimizer is None:
            return
        # a method that learns from its own points only says so
        with self._calling(), suppress(TellNotAskedNotSupportedError):
            asked.searched.optimizer.tell(asked.candidate, losses[0] if len(losses) == 1 else losses)

    def _drop(self, asked: _Asked) -> None:
        if asked in asked.searched.untold:
            asked.searched.untold.remove(asked)

    def _tell_stopped(self, asked: _Asked, trial: Trial) -> None:
        if not _waits(asked.searched.optimizer):
            self._drop(asked)


def _factory(method: object) -> Any:
    try:
        from nevergrad.optimization import registry
    except ImportError as missing:
        raise MissingExtra("NevergradOptimizer", extra="nevergrad", library="nevergrad") from missing
    if not isinstance(method, str) or method not in registry:
        guess = did_you_mean(method, registry) if isinstance(method, str) else None
        raise OptimizerError(
            "NevergradOptimizer(method=)",
            "there is no such method",
            found=method,
            expected="a name of nevergrad.optimizers.registry, such as 'NGOpt', 'DE', 'PSO', 'CMA' or 'OnePlusOne'",
            remedy=f"Did you mean {guess!r}?" if guess else "Write method='NGOpt'",
        )
    return registry[method]


@contextmanager
def _predictions_as_floats() -> Iterator[None]:
    """Its metamodels take floats of arrays of one number, which numpy refuses from 2.4 on: within, that is done as before."""
    from nevergrad.optimization import metamodel

    module: Any = metamodel
    module.float = _float_of
    try:
        yield
    finally:
        del module.float


def _float_of(value: Any) -> float:
    return float(value.item() if getattr(value, "size", 0) == 1 else value)


@contextmanager
def _threads_that_end() -> Iterator[None]:
    """Methods that wait for results do so in threads which, when a run ends with trials in flight, would keep the process alive."""
    from nevergrad.optimization import recaster

    kind = getattr(recaster, _THREAD)

    def daemon(*args: Any, **keywords: Any) -> Any:
        thread = kind(*args, **keywords)
        thread.daemon = True
        hush(thread)
        return thread

    setattr(recaster, _THREAD, daemon)
    try:
        yield
    finally:
        setattr(recaster, _THREAD, kind)


def _waits(optimizer: Any) -> bool:
    """Whether it, or what it has chosen to work for it, cannot be asked before it was told the result of its last point."""
    from nevergrad.optimization.recaster import RecastOptimizer

    return any(isinstance(member, RecastOptimizer) for member in _members(optimizer))


def _members(optimizer: Any) -> Iterator[Any]:
    from nevergrad.optimization.base import Optimizer

    if optimizer is None:
        return
    yield optimizer
    for part in vars(optimizer).values():
        for inner in part if isinstance(part, list | tuple) else (part,):
            if isinstance(inner, Optimizer):
                yield from _members(inner)
