"""What every experiment is: a pipeline with a name, a place where it is kept, and a seed."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, ClassVar, Final, NamedTuple, Never, Self

from metta_sweep.address import check_name
from metta_sweep.core.budget import Budget
from metta_sweep.core.given import Remembers
from metta_sweep.core.numbers import check_int
from metta_sweep.errors import BudgetError, InvalidInput, RunInUse, UnknownOption, refuse_unknown
from metta_sweep.experiments.as_stage import guest_of
from metta_sweep.experiments.class_as_stage import guest_of_class
from metta_sweep.experiments.definition import check_name_is_free
from metta_sweep.experiments.event_loops import at_home
from metta_sweep.experiments.experiment_result import ExperimentResult
from metta_sweep.experiments.pending import run_either_way
from metta_sweep.experiments.stores import reader_of, resolve_store
from metta_sweep.experiments.tree.pipelines import Asked, run_in_tree
from metta_sweep.pipeline import Pipeline, PipelineListener, Plan, PlanStream, ResumePlan
from metta_sweep.pipeline.hook_table import CodeChange
from metta_sweep.pipeline.parts.guest import Guest
from metta_sweep.pipeline.run_inputs import given_inputs
from metta_sweep.records import Store

__all__ = ["Experiment", "refuse_positional"]


class Experiment(Remembers):
    """A pipeline that can be run by name. Subclass it and write ``pipeline()``.

    What the constructor takes may be attributes of the class instead; they cannot be changed afterwards.

    Args:
        name: what the run is called and kept under; None: not kept.
        store: where it is kept: a path, ``"sqlite:///dir/file.db"``, ``"memory"`` (a new one each time) or a ``Store``. None: what
            the environment variable METTA_SWEEP_STORE says, else ``./metta_sweep.db``.
        seed: the seed of everything random in it, 0 or more; None: drawn once per run.
        slots: how many trials run at once in the sweeps inside it, together; None: as many as each of them has slots.

    Raises:
        InvalidName: the name cannot be part of an address.
    """

    name: str | None = None
    seed: int | None = None
    slots: Any = None
    """How many trials run at once in all that runs inside it; None: no cap of its own."""
    _store: Callable[[], Store] = staticmethod(resolve_store(None, "store"))

    _settings: ClassVar[tuple[str, ...]] = ("name", "seed", "slots")
    """What the constructor takes and checks, and what therefore stays as it is."""
    _made_plain: ClassVar = "await x.run()"
    """How contracts say that a result is made of it."""
    _made = False
    _given_store: Store | str | os.PathLike[str] | None = None

    def __init__(
        self,
        *positional: Never,
        name: str | None = None,
        store: Store | str | os.PathLike[str] | None = None,
        seed: int | None = None,
        slots: int | None = None,
        **unknown: Never,
    ) -> None:
        kind = type(self).__name__
        refuse_positional(kind, positional, "name='first'")
        refuse_unknown(kind, unknown, ("name", "store", "seed", "slots"))
        self._set_identity(name, store, seed)
        self._set_slots(slots)
        self._made = True

    def __setattr__(self, name: str, value: object) -> None:
        if self._made and name in self._settings:
            kind = type(self).__name__
            raise AttributeError(
                f"{kind}.{name} cannot be set to {value!r:.200}: all that makes an experiment is checked when it is made. "
                f"Give it to the constructor: {kind}({name}=...).",
                name=name,
                obj=self,
            )
        object.__setattr__(self, name, value)

    def _set_identity(self, name: str | None, store: Store | str | os.PathLike[str] | None, seed: int | None) -> None:
        kind = type(self).__name__
        name = self._own("name", name)
        seed = self._own("seed", seed)
        if name is not None:
            self.name = check_name(name, f"{kind}(name=)")
        if seed is not None:
            self.seed = _checked_seed(seed, f"{kind}(seed=)")
        self._given_store = self._own("store", store)
        self._store = resolve_store(self._given_store, f"{kind}(store=)")

    def _set_slots(self, slots: int | None) -> None:
        slots = self._own("slots", slots)
        if slots is not None:
            where = f"{type(self).__name__}(slots=)"
            self.slots = check_int(slots, where, BudgetError, at_least=1, remedy="Leave it out for no cap")

    def _own(self, name: str, given: Any) -> Any:
        """What the constructor was given, else what the class says."""
        return given if given is not None else getattr(self, name, None)

    def kept_in(self, store: Store | str | os.PathLike[str]) -> Self:
        """This experiment, kept elsewhere: a copy. Raises ``StoreError`` when ``store`` is no place of one."""
        other = copy.copy(self)
        other._store = resolve_store(store, f"{type(self).__name__}.kept_in(store)")  # noqa: SLF001  # one of this class
        other._given_store = store  # noqa: SLF001  # the same
        return other

    @property
    def given_store(self) -> Store | str | os.PathLike[str] | None:
        """The store that it was given, or its place; None when it was given none."""
        return self._given_store

    def opened_store(self) -> Store:
        """The store that its next run is kept in."""
        return self._store()

    def pipeline(self) -> Pipeline:
        """The pipeline of this experiment. A ``Plan``, built already, does as well."""
        raise InvalidInput(type(self).__name__, "it has no pipeline", remedy="Define pipeline(self) and return a Pipeline")

    def build(self) -> Plan:
        """The pipeline, checked. Raises ``BuildError`` with all its faults."""
        made: object = self.pipeline()
        if isinstance(made, Pipeline):
            return made.build()
        if isinstance(made, Plan):
            return made
        remedy = "Return what it describes: return Pipeline()..." if made is None else "Return Pipeline()..."
        kind = type(self).__name__
        raise InvalidInput(f"{kind}.pipeline()", "it returns no pipeline", found=made, expected="a Pipeline", remedy=remedy)

    def run(
        self,
        inputs: object = None,
        *,
        budget: int | Budget | None = None,
        fresh: bool = False,
        on_code_change: CodeChange = "warn",
        strict_hooks: bool = False,
        listeners: Sequence[PipelineListener] = (),
        **more_inputs: Any,
    ) -> Any:
        """Run it with the inputs that its pipeline declares: ``experiment.run(n=3)``.

        In a script: blocks, and returns the result. Inside an event loop (a notebook, a stage): ``await experiment.run()``.
        A named one is kept: stages whose inputs are unchanged are not run again.

        Args:
            inputs: a mapping of inputs, or an instance of the state model of its pipeline.
            budget: what it and all that runs inside it may use, over all the times it is run: a number of trials of the sweeps that
                run directly inside it, or ``Budget(trials=, seconds=, cost=)``. By default as before, at first without caps.
            fresh: start over; a kept run of the name stays as ``name@1``, or with the next number that is free.
            on_code_change: what becomes of recorded outputs whose stage has other code now: ``"warn"`` uses them and says so,
                ``"rerun"`` runs the stage again, ``"refuse"`` raises.
            strict_hooks: an error of an observer ends the run.
            listeners: called with every event.
            more_inputs: single inputs; where one is called like an option of this method, write ``inputs={"fresh": 3}``.

        Raises:
            DefinitionChanged: an experiment of another kind or class is kept under the name.
            InvalidInput: an input is missing, unknown, or of the wrong type.
            Interrupted: its seconds are over before its end.
        """
        options = _Options(budget, fresh, on_code_change, strict_hooks, listeners)
        return run_either_way(
            lambda: self._execute(inputs, more_inputs, options), f"{type(self).__name__}.run()", kept_as=self.name
        )

    async def arun(
        self,
        inputs: object = None,
        *,
        budget: int | Budget | None = None,
        fresh: bool = False,
        on_code_change: CodeChange = "warn",
        strict_hooks: bool = False,
        listeners: Sequence[PipelineListener] = (),
        **more_inputs: Any,
    ) -> Any:
        """The coroutine behind ``run``, for ``asyncio.run`` and task groups."""
        return await self._execute(inputs, more_inputs, _Options(budget, fresh, on_code_change, strict_hooks, listeners))

    def stream(
        self,
        inputs: object = None,
        *,
        budget: int | Budget | None = None,
        fresh: bool = False,
        on_code_change: CodeChange = "warn",
        strict_hooks: bool = False,
        listeners: Sequence[PipelineListener] = (),
        **more_inputs: Any,
    ) -> PlanStream:
        """Run it as a stream of its events, inside an event loop: ``async for event in experiment.stream(n=3)``."""
        options = _Options(budget, fresh, on_code_change, strict_hooks, listeners)
        return PlanStream(lambda stream: self._execute(inputs, more_inputs, options._replace(listeners=[*listeners, stream])))

    def plan_resume(self, inputs: object = None, *, on_code_change: CodeChange = "warn", **more_inputs: Any) -> ResumePlan:
        """What ``run`` with these inputs would do with what is recorded, before anything runs: print it, or read its ``rows``.

        Nothing is written, and no store is made where there is none.

        Raises:
            InvalidInput: the experiment has no name, so that it is not kept; or the inputs are wrong.
            DefinitionChanged: an experiment of another kind or class is kept under the name.
        """
        kind = type(self).__name__
        if self.name is None:
            raise InvalidInput(
                f"{kind}.plan_resume()",
                "an experiment without a name is not kept, and begins anew whenever it is run",
                found=self.name,
                expected="a named experiment",
                remedy=f"Write {kind}(name='first')",
            )
        plan, given = self._called("plan_resume", inputs, more_inputs)
        with reader_of(self._given_store) as store:
            check_name_is_free(self.name, store, self._definition)
            return plan.plan_resume(
                name=self.name,
                store=store,
                seed=self.seed,
                on_code_change=on_code_change,
                inputs=given,
                definition=self._definition,
            )

    async def _execute(self, inputs: object, more: Mapping[str, Any], options: _Options) -> ExperimentResult:
        plan, given = self._called("run", inputs, more)
        rest = options._asdict()
        budget, fresh = rest.pop("budget"), rest.pop("fresh")
        asked = Asked(
            self,
            self.name,
            self.seed,
            self.slots,
            self._store,
            self._given_store,
            self._definition,
            plan,
            given,
            None if budget is None else Budget.of(budget),
            fresh,
            rest,
        )
        with self._not_within_itself():
            return await at_home(lambda: run_in_tree(asked))

    @contextmanager
    def _not_within_itself(self) -> Iterator[None]:
        """While the block runs, this instance cannot be run by what it runs: that would never end."""
        running = _running.get()
        if any(self is other for other in running):
            kind = type(self).__name__
            raise RunInUse(
                f"{kind}.run(): this experiment is run from within its own run. Run another instance there: {kind}(...)."
            )
        token = _running.set((*running, self))
        try:
            yield
        finally:
            _running.reset(token)

    def _called(self, method: str, inputs: object, more: Mapping[str, Any]) -> tuple[Plan, dict[str, Any]]:
        """Its plan, which calls itself by the name of this class, and all inputs. Refuses what belongs to the constructor."""
        kind = type(self).__name__
        plan = self.build().owned_by(kind, ("inputs", *_Options._fields))
        given = given_inputs(f"{kind}.{method}", inputs, more)
        for name in ("name", "store", "seed", "slots"):
            if name in given and name not in plan.inputs:
                what, remedy = "this is said when an experiment is made", f"Write {kind}({name}=...).{method}(...)"
                raise InvalidInput(f"{kind}.{method}({name}=)", what, found=given[name], remedy=remedy)
        return plan, given

    def __as_stage__(self, stage: str, constants: Mapping[str, Any], /) -> Guest:
        """What a pipeline needs to know to take it as a stage: ``.stage("tune", experiment)``."""
        return guest_of(self, stage, constants)

    @classmethod
    def __class_as_stage__(cls, stage: str, constants: Mapping[str, Any], /) -> Guest:
        """What it needs to know to make one when the stage runs: ``.stage("tune", TaskSweep, budget=20)``."""
        return guest_of_class(cls, stage, constants)

    def __run_as_trial__(self) -> Coroutine[Any, Any, Any]:
        """How it is run when a trial function returns it: ``objective=lambda lr: SweepExperiment(...)``."""
        return self.arun()

    @property
    def _definition(self) -> dict[str, Any]:
        return {"kind": "experiment", "class": type(self).__qualname__}


_running: Final[ContextVar[tuple[Experiment, ...]]] = ContextVar("metta_sweep_running", default=())
"""The experiments within whose runs this is, outermost first."""


class _Options(NamedTuple):
    """How a run is to be done."""

    budget: int | Budget | None
    fresh: bool
    on_code_change: CodeChange
    strict_hooks: bool
    listeners: Sequence[PipelineListener]


def refuse_positional(kind: str, positional: Sequence[object], example: str) -> None:
    """Raise ``UnknownOption`` for what was given without a name."""
    if positional:
        raise UnknownOption(
            kind, "its options are given by name", found=positional[0], expected="name=value", remedy=f"Write {kind}({example})"
        )


def _checked_seed(seed: object, where: str) -> int:
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise InvalidInput(where, "a seed must be a whole number", found=seed, expected="an int, 0 or more", remedy="Write seed=0")
    return seed
