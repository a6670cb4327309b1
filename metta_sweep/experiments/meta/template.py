"""From the parameters of one trial to one copy of the base, ready to run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from metta_sweep.core.budget import Budget
from metta_sweep.core.distributions import Variants
from metta_sweep.core.given import remade
from metta_sweep.core.search_space import SearchSpace
from metta_sweep.errors import InvalidInput, SearchSpaceError
from metta_sweep.experiments.experiment import Experiment
from metta_sweep.experiments.meta.changing import Path, apart, changed, part_of, parts_of, with_parts
from metta_sweep.experiments.meta.origin import Origin
from metta_sweep.experiments.meta.paths import Route, Target, Targets
from metta_sweep.experiments.meta.ranges import check_ends, distributions_in
from metta_sweep.experiments.meta.stage_paths import with_stages
from metta_sweep.experiments.sweep import SweepExperiment
from metta_sweep.pipeline import Plan

__all__ = ["Copy", "Template"]


class Copy(NamedTuple):
    """One copy, ready to run."""

    experiment: Experiment
    budget: Budget | None
    inputs: dict[str, Any]
    """The declared inputs of its pipeline that are searched."""

    def spending(self, times: int) -> Copy:
        """The same, with so many times its budget."""
        caps = self.budget or Budget()
        trials, seconds, cost = caps.trials, caps.seconds, caps.cost
        return self._replace(
            budget=Budget(
                None if trials is None else times * trials,
                None if seconds is None else times * seconds,
                None if cost is None else times * cost,
            )
        )

    async def run(self) -> Any:
        """Run it, and return its result."""
        if isinstance(self.experiment, SweepExperiment):
            return await self.experiment.arun(self.budget)
        if self.budget is None:
            return await self.experiment.arun(self.inputs)
        return await self.experiment.arun(self.inputs, budget=self.budget)


class Template:
    """Makes copies of a base with other settings.

    Args:
        origin: what copies are made of.
        space: what is searched; None: nothing, every copy is like the base.
        budget: what each copy may spend; None: what it would by itself.
        example: an experiment that the base makes.

    Raises:
        SearchSpaceError: a path leads to nothing, or the end of a range cannot be set there.
    """

    def __init__(self, origin: Origin, space: SearchSpace | None, budget: Budget | None, example: Experiment) -> None:
        self.origin = origin
        self.example = example
        self._budget = budget
        self._fills_in = origin.needs_objective(example)
        found = () if space is None else tuple(distributions_in(space.top))
        self._variants = {name: distribution for name, distribution in found if isinstance(distribution, Variants)}
        plan = None if isinstance(example, SweepExperiment) else example.build()
        inputs = () if plan is None else tuple(plan.inputs)
        targets = Targets(origin, example, inputs)
        objects = {name: list(variants.objects.values()) for name, variants in self._variants.items()}
        self._targets: dict[str, Target] = {name: targets.find(name, objects) for name, _ in found}
        if plan is not None:
            self._check_inputs(plan)
        if space is not None:
            self._check_rebuilt(space)
            check_ends(space, self._tried, self._makes_anew)

    @property
    def called(self) -> str:
        """What a copy is called: by the name of the base, else by its class."""
        return self.example.name or type(self.example).__name__

    @property
    def bounded(self) -> bool:
        """Whether it says what a copy may spend."""
        searched = any(target.route is Route.BUDGET for target in self._targets.values())
        return searched or self._budget not in (None, Budget())

    def copy(self, params: Mapping[str, Any], **settings: Any) -> Copy:
        """A copy with these parameters.

        Args:
            params: what is searched.
            settings: further settings of the experiment, as ``seed`` and ``name``.

        Raises:
            Exception: what a constructor raises that refuses a value.
        """
        keywords = {name: self._value(name, value) for name, value in params.items() if self._targets[name].route is Route.KEYWORD}
        keywords = {name: apart(value) for name, value in keywords.items()}
        made = self.example if self.origin.is_template else self.origin.made(keywords)
        return self._set(made, {name: value for name, value in params.items() if name not in keywords}, settings)

    def check_stages(self, check: Callable[[Experiment], None]) -> None:
        """Have copies checked in which one stage is another one, or left out.

        Raises:
            SearchSpaceError: one of them is refused.
        """
        for name, target in self._targets.items():
            for option in self._variants[name].options if target.route is Route.STAGE and name in self._variants else ():
                copy = self._tried({name: option})
                try:
                    check(copy.experiment)
                except InvalidInput as error:
                    raise SearchSpaceError(
                        f"MetaExperiment(search_space={{{name!r}: ...}})",
                        f"with {option!r} there is no score: {error}".rstrip("."),
                        found=self._variants[name],
                        expected="stages that leave the score there",
                        remedy="Leave that one out, or score something else",
                    ) from error

    def _tried(self, params: Mapping[str, Any]) -> Copy:
        """A copy with these parameters, made without calling a function of the user."""
        return self.copy(params) if self.origin.constructs else self._set(self.example, params, {})

    def _set(self, made: Experiment, params: Mapping[str, Any], settings: Mapping[str, Any]) -> Copy:
        """What was made, with what is set within it."""
        routed: dict[Route, dict[Path, Any]] = {route: {} for route in Route}
        for name, value in params.items():
            target = self._targets[name]
            routed[target.route][target.path] = self._value(name, value)
        changes = routed[Route.PART]
        changes.update({(name,): value for name, value in settings.items()})
        if self._fills_in and isinstance(made, SweepExperiment) and made.objective is None:
            changes[("objective",)] = self.origin.objective
        if changes or made is self.example:  # which is never run
            made = changed(made, changes) if changes else with_parts(made, {})
        if routed[Route.STAGE]:
            made = with_stages(made, _by_name(routed[Route.STAGE]))
        return Copy(made, self._budget_with(_by_name(routed[Route.BUDGET])), _by_name(routed[Route.INPUT]))

    def _value(self, name: str, value: Any) -> Any:
        variants = self._variants.get(name)
        return value if variants is None else variants.object(value)

    def _budget_with(self, caps: Mapping[str, Any]) -> Budget | None:
        if not caps:
            return self._budget
        budget: Budget = remade(self._budget or Budget(), caps)
        return budget

    def _makes_anew(self, name: str) -> bool:
        """Whether a parameter goes to a function that makes the experiment: nobody knows what a call of it costs."""
        return self._targets[name].route is Route.KEYWORD and not self.origin.constructs

    def _check_inputs(self, plan: Plan) -> None:
        """Refuse a pipeline that needs an input which nobody gives."""
        given = [target.path[0] for target in self._targets.values() if target.route is Route.INPUT]
        missing = [name for name in plan.inputs if name not in given and name not in plan.optional]
        if missing:
            kind = type(self.example).__name__
            raise InvalidInput(
                "MetaExperiment(search_space=)",
                f"the pipeline of {kind} needs the input {missing[0]!r}, which is not searched",
                found=", ".join(self._targets) or "nothing",
                expected="ranges for " + ", ".join(repr(name) for name in plan.inputs),
                remedy=f"Write search_space={{{missing[0]!r}: ...}}, with Constant(value) where it stays the same",
            )

    def _check_rebuilt(self, space: SearchSpace) -> None:
        """Refuse to search within something that cannot be made anew as it is."""
        for name in space.names:
            target = self._targets[name]
            if target.route is Route.PART:
                check_like(self.example, target.path)


def check_like(example: Experiment, path: Path) -> None:
    """Refuse a path through something that is not made as its constructor was told. Raises ``InvalidInput``."""
    owner: Any = example
    for part in path[:-1]:
        owner = part_of(owner, part) if part in parts_of(owner) else None
        describe = getattr(owner, "describe", None)
        if describe is None:
            continue
        before, after = describe(), remade(owner, {}).describe()
        if before != after:
            kind = type(owner).__name__
            names = [name for name in after if after[name] != before.get(name)]
            raise InvalidInput(
                kind,
                f"it has been changed since it was made, and a copy would not have that: {', '.join(names)}",
                found={name: before.get(name) for name in names},
                expected="what its constructor was given",
                remedy=f"Give it to the constructor: {kind}({names[0] if names else '...'}=...)",
            )


def _by_name(values: Mapping[Path, Any]) -> dict[str, Any]:
    return {path[0]: value for path, value in values.items()}
