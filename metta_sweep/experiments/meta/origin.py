"""What a meta-experiment makes its copies of: an instance, a class or a factory of experiments."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from metta_sweep.core.described import function_name, setting
from metta_sweep.core.given import settings_of
from metta_sweep.errors import InvalidInput, ObjectiveError, OptimizerError, a_kind
from metta_sweep.experiments.definition import as_kept
from metta_sweep.experiments.experiment import Experiment
from metta_sweep.experiments.sweep import SweepExperiment
from metta_sweep.pipeline import Pipeline, Plan
from metta_sweep.records import digest

__all__ = ["Origin", "definition_of"]

_WHERE: Final = "MetaExperiment(base=)"
_LONGEST: Final = 10_000
"""The longest setting that is kept as it is, in characters of JSON."""
_REMEDY: Final = "Write base=SweepExperiment(search_space={...}), a class of experiments, or a function that returns one"


class Origin:
    """An experiment to copy, or what makes one.

    Args:
        given: an experiment, a class of them, or a function that returns one.
        objective: the trial function, where the experiment is a sweep that has none.

    Raises:
        InvalidInput: it is none of these.
    """

    def __init__(self, given: Any, objective: Callable[..., Any] | None) -> None:
        self.given = given
        self.objective = objective
        self.is_template = isinstance(given, Experiment)
        """Whether it is an experiment to copy, and nothing that makes one."""
        if not self.is_template:
            _check_maker(given)

    @property
    def called(self) -> str:
        """What messages call it."""
        return type(self.given).__name__ if self.is_template else function_name(self.given)

    @property
    def constructs(self) -> bool:
        """Whether it is a class: what makes copies of it is a constructor, which may be called just to see what it says."""
        return isinstance(self.given, type)

    def takes(self, name: str) -> bool:
        """Whether what makes the experiment takes a keyword of this name. An experiment that is there takes none."""
        if self.is_template:
            return False
        if self.constructs:
            return name in settings_of(self.given)
        parameters = _parameters(self.given)
        known = parameters.get(name)
        open_ = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
        return open_ if known is None else known.kind in (known.POSITIONAL_OR_KEYWORD, known.KEYWORD_ONLY)

    def keywords(self) -> list[str]:
        """The keywords that it takes by name."""
        if self.is_template:
            return []
        if self.constructs:
            return [name for name in settings_of(self.given) if name not in ("name", "store", "tags")]
        return [name for name in _parameters(self.given) if self.takes(name)]

    def made(self, keywords: Mapping[str, Any]) -> Experiment:
        """The experiment: the template itself, or what is made with these keywords.

        Raises:
            InvalidInput: what makes it returned something else.
            Exception: whatever that raises.
        """
        if self.is_template:
            experiment: Experiment = self.given
            return experiment
        self._check_complete(keywords)
        try:
            made: object = self.given(**self._with_objective(keywords))
        except OptimizerError as error:
            if self.constructs and getattr(self.given, "search_space", None) is None and "search_space" not in keywords:
                raise self._nothing_to_search() from error
            raise
        if inspect.iscoroutine(made):
            made.close()
        if not isinstance(made, Experiment):
            raise InvalidInput(
                _WHERE,
                f"{self.called}() returned no experiment",
                found=made,
                expected="an instance of SweepExperiment or of another Experiment",
                remedy="Return the experiment itself, neither run nor awaited",
            )
        return made

    def needs_objective(self, experiment: Experiment) -> bool:
        """Whether a copy gets the trial function that was given here.

        Raises:
            ObjectiveError: the experiment has one of its own, or is no sweep.
        """
        if self.objective is None:
            return False
        sweep = isinstance(experiment, SweepExperiment)
        own = experiment.objective if isinstance(experiment, SweepExperiment) else None
        if sweep and (own is None or (self.constructs and own == self.objective)):
            return own is None
        raise ObjectiveError(
            "MetaExperiment(objective=)",
            f"{self.called} has a trial function of its own"
            if sweep
            else f"{self.called} is no sweep, and takes no trial function",
            found=self.objective,
            expected="a trial function for a sweep that has none",
            remedy="Leave objective out here" + (", or there" if sweep else ""),
        )

    def describe(self, example: Experiment) -> dict[str, Any]:
        """What it is, as JSON values: part of a kept run's definition."""
        own = definition_of(example)
        return own if self.is_template else {"made_by": setting(self.given), **own}

    def _check_complete(self, keywords: Mapping[str, Any]) -> None:
        """Refuse what makes the experiment where it needs more than it gets."""
        parameters = _parameters(self.given).values()
        by_name = [
            parameter for parameter in parameters if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
        ]
        missing = [
            parameter.name for parameter in by_name if parameter.default is parameter.empty and parameter.name not in keywords
        ]
        if missing:
            raise InvalidInput(
                _WHERE,
                f"{self.called}() needs {missing[0]!r}, which is not searched",
                found=", ".join(keywords) or "nothing to call it with",
                expected="values for " + ", ".join(repr(parameter.name) for parameter in by_name),
                remedy=f"Search it, or give it: base=partial({self.called}, {missing[0]}=...)",
            )

    def _nothing_to_search(self) -> InvalidInput:
        return InvalidInput(
            _WHERE,
            f"{self.called} has nothing to search by itself",
            found=self.given,
            expected="an experiment, or what makes one, with its own search space",
            remedy=f"Write base=partial({self.called}, search_space={{...}}), or base={self.called}(search_space={{...}})",
        )

    def _with_objective(self, keywords: Mapping[str, Any]) -> dict[str, Any]:
        """A class of sweeps gets the trial function at once, so that its constructor checks all together."""
        lacks = self.constructs and "objective" in settings_of(self.given) and getattr(self.given, "objective", None) is None
        return {"objective": self.objective, **keywords} if lacks and self.objective is not None else dict(keywords)


def definition_of(experiment: Experiment) -> dict[str, Any]:
    """What makes an experiment the one that it is, as JSON values: with the settings that its class adds."""
    known = settings_of(SweepExperiment if isinstance(experiment, SweepExperiment) else Experiment)
    told = experiment._blueprint().definition if isinstance(experiment, SweepExperiment) else experiment._definition  # noqa: SLF001
    own = {
        name: _plain(getattr(experiment, name))
        for name in settings_of(experiment)
        if name not in (*known, *told) and hasattr(experiment, name)
    }
    return {**told, "settings": own} if own else told


def _plain(value: object) -> Any:
    """A setting as it is kept: data that is given to a constructor by its digest."""
    plain = as_kept({"value": setting(value)})["value"]
    text = json.dumps(plain)
    return plain if len(text) <= _LONGEST else {"digest": digest(text.encode())}


def _check_maker(given: Any) -> None:
    if isinstance(given, type) and issubclass(given, Experiment):
        return
    if given is None:
        raise InvalidInput(_WHERE, "there is no experiment to make copies of", remedy=_REMEDY)
    if isinstance(given, Pipeline | Plan):
        remedy = "Put it into an experiment: class Mine(Experiment), whose pipeline() returns it; then base=Mine()"
        raise InvalidInput(_WHERE, f"{a_kind(given)} is no experiment", found=given, expected="an experiment", remedy=remedy)
    if isinstance(given, type) or not callable(given):
        raise InvalidInput(
            _WHERE,
            f"{given.__name__ if isinstance(given, type) else a_kind(given)} is no experiment",
            found=given,
            expected="an experiment, a class of them, or a function that returns one",
            remedy=_REMEDY,
        )
    try:
        inspect.signature(given)
    except (TypeError, ValueError) as error:
        raise InvalidInput(_WHERE, "its signature cannot be read", found=given, remedy="Wrap it: base=lambda c: ...") from error


def _parameters(callee: Any) -> Mapping[str, inspect.Parameter]:
    return inspect.signature(callee).parameters
