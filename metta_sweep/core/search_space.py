"""Search spaces: named distributions, with sub-spaces under choices, compiled once for drawing."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeGuard

from metta_sweep.address import check_name
from metta_sweep.core.distributions import Choice, Distribution, check_parameters
from metta_sweep.core.levels import Condition, Level, active_parameters, collect, compile_level, in_words
from metta_sweep.core.seeds import unit_floats
from metta_sweep.core.values import plain_json
from metta_sweep.errors import SearchSpaceError, SuggestionError, a_kind, did_you_mean

if TYPE_CHECKING:
    from pydantic import BaseModel

__all__ = ["SearchSpace"]

_WHERE: Final = "search_space"


class SearchSpace:
    """What is searched: flat parameters and their distributions. Immutable; equal to another that describes the same.

    Make one with ``SearchSpace.of``.
    """

    __slots__ = ("_choices", "_conditions", "_draw", "_draw_sorted", "_level", "_text", "_texts", "model", "names")

    names: tuple[str, ...]
    """All parameters, depth first; one that several alternatives share is there once."""
    model: type[BaseModel] | None
    """The pydantic model that it was made of, where it was."""

    def __init__(self, parameters: Mapping[str, Distribution], *, model: type[BaseModel] | None = None) -> None:
        if not parameters:
            raise SearchSpaceError(
                _WHERE,
                "it has no parameters",
                found=parameters,
                expected="at least one parameter",
                remedy="Add one, or leave search_space out and give the suggestions yourself (SuggestionQueue)",
            )
        level = check_parameters(_WHERE, parameters)
        conditions: dict[str, list[Condition]] = {}
        choices: dict[str, Choice] = {}
        collect(level, (), conditions, choices)
        self.names = tuple(conditions)
        self.model = model
        self._level = level
        self._conditions = conditions
        self._choices = choices
        self._texts: dict[str, dict[str, Any]] = {}
        self._draw = compile_level(level, {name: number for number, name in enumerate(self.names)})
        # by sorted name, so that the order in which a space is written does not matter to what is drawn
        self._draw_sorted = compile_level(level, {name: number for number, name in enumerate(sorted(self.names))})
        self._text = json.dumps(self.describe(), sort_keys=True)

    @classmethod
    def of(cls, space: Mapping[str, Distribution] | type[BaseModel] | SearchSpace) -> SearchSpace:
        """The search space that a user wrote.

        Args:
            space: a mapping of names to distributions; a pydantic model class whose fields carry them
                (``lr: Annotated[float, LogUniform(1e-4, 1e-1)]``), fields without one having defaults; or a search space.

        Raises:
            SearchSpaceError: for anything else, naming the parameter.
        """
        if isinstance(space, SearchSpace):
            return space
        if isinstance(space, Mapping):
            return cls(space)
        if _is_model(space):
            # a module of its own: only who gives a model has pydantic imported
            from metta_sweep.core.model_space import check_model, model_parameters

            made = cls(model_parameters(space), model=space)
            check_model(space, made)
            return made
        raise SearchSpaceError(
            _WHERE,
            f"{a_kind(space)} is no search space",
            found=space,
            expected="a mapping of names to distributions, or a pydantic model class whose fields carry them",
            remedy="Write {'lr': LogUniform(1e-4, 1e-1)}, say",
        )

    @property
    def top(self) -> Level:
        """The parameters that are always there, with their distributions; sub-spaces stand under their choices."""
        return self._level

    def sample(self, units: Sequence[float], fixed: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The active parameters at these quantiles: one float in [0, 1) for each of ``names``, in that order.

        Args:
            units: the quantiles.
            fixed: values that are not drawn, as for ``sample_at``.

        Raises:
            SearchSpaceError: when the number of floats is another.
            SuggestionError: when something is fixed that is no parameter, lies outside its domain, or may be inactive.
        """
        if len(units) != len(self.names):
            raise SearchSpaceError(
                "SearchSpace.sample(units)",
                f"it needs one float per parameter, {len(self.names)} of them",
                found=units,
                expected="one float in [0, 1) for each of " + ", ".join(self.names),
                remedy="Give as many floats as there are names",
            )
        params: dict[str, Any] = {}
        self._draw(units, params, self.check_fixed(fixed) if fixed else _NOTHING_FIXED)
        return params

    def sample_at(self, seed: int, index: int, fixed: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Random draw number ``index`` of the stream ``seed``: the active parameters, a function of its arguments alone.

        Each parameter has its own float of that draw, whatever else is active or fixed.

        Args:
            seed: the stream.
            index: the number of the draw.
            fixed: values that are not drawn. A parameter of a sub-space can be fixed only together with its choice.

        Raises:
            SuggestionError: when something is fixed that is no parameter, lies outside its domain, or may be inactive.
        """
        units = unit_floats(seed, index, len(self.names))
        params: dict[str, Any] = {}
        if fixed:
            self._draw_sorted(units, params, self.check_fixed(fixed))
        else:
            self._draw_sorted(units, params, _NOTHING_FIXED)
        return params

    def check(self, params: Mapping[str, Any], where: str) -> None:
        """Raise ``SuggestionError``, naming everything at fault, unless these are the parameters of one point of the space."""
        active = dict(active_parameters(self._level, params))
        faults = [f"{name!r} is missing" for name in active if name not in params]
        faults += [self._unknown(name) for name in params if name not in active]
        faults += [
            f"{name!r} = {params[name]!r} {distribution.fault(params[name])}"
            for name, distribution in active.items()
            if name in params and not distribution.contains(params[name])
        ]
        if faults:
            raise SuggestionError(
                where,
                "the parameters do not fit the search space: " + "; ".join(faults),
                found=dict(params),
                expected="exactly " + ", ".join([f"{name!r}: {distribution!r}" for name, distribution in active.items()]),
                remedy="Give each active parameter a value of its domain, and nothing else",
            )

    def check_fixed(self, fixed: Mapping[str, Any]) -> dict[str, Any]:
        """A copy of parameters that are to be fixed, made of plain values.

        Raises:
            SuggestionError: for what no suggestion, or not every one, can have: as for ``sample_at``.
        """
        plain: dict[str, Any] = {}
        # goes only where the choice is fixed: what it finds is there in every suggestion
        active = dict(active_parameters(self._level, fixed))
        for name, value in fixed.items():
            conditions = self._conditions.get(name)
            if conditions is None:
                guess = did_you_mean(name, self.names)
                raise SuggestionError(
                    "fixed",
                    f"the search space has no parameter {name!r}",
                    found=name,
                    expected="one of " + ", ".join(self.names),
                    remedy=f"Did you mean {guess!r}?" if guess else "Name one of those to fix a parameter",
                )
            distribution = active.get(name)
            if distribution is None:
                raise SuggestionError(
                    "fixed",
                    f"{name!r} is there only with {in_words(conditions)}",
                    found=dict(fixed),
                    expected="parameters that are there in every suggestion",
                    remedy="Fix that choice, too",
                )
            if not distribution.contains(value):
                raise SuggestionError(
                    f"fixed[{name!r}]",
                    f"{name!r} {distribution.fault(value)}",
                    found=value,
                    expected=repr(distribution),
                    remedy="Fix a value that the search space has",
                )
            plain[name] = plain_json(value)
        return plain

    def alternatives(self, name: str) -> tuple[str, ...]:
        """The alternatives of the choice ``name`` as text: the branches that a scheduler may pick between.

        Raises:
            SearchSpaceError: when it is no choice at the top of the space, or two of its options read the same.
            InvalidName: when an option cannot be the name of a branch.
        """
        return tuple(self._by_text(name))

    def alternative_value(self, name: str, branch: str) -> Any:
        """The option of the choice ``name`` that reads ``branch``.

        Raises:
            SearchSpaceError: as ``alternatives``, and when there is no such option.
        """
        by_text = self._by_text(name)
        if branch not in by_text:
            guess = did_you_mean(branch, by_text)
            raise SearchSpaceError(
                f"{_WHERE}[{name!r}]",
                f"{branch!r} is no alternative of {name!r}",
                found=branch,
                expected="one of " + ", ".join(by_text),
                remedy=f"Did you mean {guess!r}?" if guess else "Name one of those",
            )
        return by_text[branch]

    def build_model(self, params: Mapping[str, Any]) -> BaseModel:
        """The pydantic model with these parameters; fields that are no parameters, or inactive, have their defaults.

        Raises:
            SearchSpaceError: when the space was not made of a model.
            pydantic.ValidationError: when the model refuses them.
        """
        if self.model is None:
            raise SearchSpaceError(
                _WHERE, "it was made of a mapping, not of a model", remedy="Give the pydantic model class as search_space"
            )
        return self.model.model_validate(dict(params), by_name=True)

    def describe(self) -> dict[str, Any]:
        """The space as JSON: names and descriptions of distributions."""
        return {name: distribution.describe() for name, distribution in self._level}

    def __eq__(self, other: object) -> bool:
        return self._text == other._text if isinstance(other, SearchSpace) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._text)

    def __repr__(self) -> str:
        return f"SearchSpace({dict(self._level)!r})"

    def __copy__(self) -> SearchSpace:
        return self

    def __deepcopy__(self, memo: object) -> SearchSpace:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return SearchSpace.of, (self.model if self.model is not None else dict(self._level),)

    def _unknown(self, name: str) -> str:
        conditions = self._conditions.get(name)
        if conditions is not None:
            return f"{name!r} is there only with {in_words(conditions)}"
        guess = did_you_mean(name, self.names)
        return f"{name!r} is unknown" + (f" (did you mean {guess!r}?)" if guess else "")

    def _by_text(self, name: str) -> dict[str, Any]:
        if name not in self._texts:
            self._texts[name] = self._read_options(name)
        return self._texts[name]

    def _read_options(self, name: str) -> dict[str, Any]:
        where = f"{_WHERE}[{name!r}]"
        if name not in self._choices:
            raise SearchSpaceError(
                where,
                f"{name!r} is no choice of the search space",
                found=name,
                expected="one of " + (", ".join(self._choices) or "no names: it has no Choice"),
                remedy=_guess(name, self._choices) or "Name a parameter that is a Choice",
            )
        if self._conditions[name] != [()]:
            raise SearchSpaceError(
                where,
                f"{name!r} is there only with {in_words(self._conditions[name])}",
                found=name,
                expected="a choice at the top of the search space",
                remedy="Name the choice that it belongs to",
            )
        options = self._choices[name].options
        by_text = {check_name(str(option), f"{where} as branches"): option for option in options}
        if len(by_text) < len(options):
            raise SearchSpaceError(
                where,
                "two of its options read the same, so that they cannot be told apart by name",
                found=list(options),
                expected="options that differ as text",
                remedy="Give them different names",
            )
        return by_text


_NOTHING_FIXED: Final[Mapping[str, Any]] = {}


def _is_model(space: object) -> TypeGuard[type[BaseModel]]:
    pydantic = sys.modules.get("pydantic")
    return pydantic is not None and isinstance(space, type) and issubclass(space, pydantic.BaseModel)


def _guess(name: str, known: Mapping[str, Any]) -> str | None:
    guess = did_you_mean(name, known)
    return f"Did you mean {guess!r}?" if guess else None
