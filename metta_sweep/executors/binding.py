"""What each parameter of a trial function gets, compiled into one call."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import sys
from collections.abc import Callable, Mapping
from typing import Any, Final, get_origin

from metta_sweep.core.distributions import Choice
from metta_sweep.core.levels import Level
from metta_sweep.core.search_space import SearchSpace
from metta_sweep.errors import ObjectiveError, did_you_mean
from metta_sweep.executors.annotations import UNRESOLVED, resolved
from metta_sweep.executors.context import TrialContext

__all__ = ["Binder"]

_WHOLE: Final = ("params", "config")
_CONTEXT: Final = ("trial", "t", "ctx", "context", "_")
"""What people call the context of a trial, where they do not annotate it."""
Getter = Callable[[TrialContext], Any]


class Binder:
    """Compiles one signature into a call."""

    def __init__(self, where: str, objective: Any, space: SearchSpace | None) -> None:
        self.where = where
        self.objective = objective
        self.space = space
        self.names: tuple[str, ...] = () if space is None else space.names
        self.always = frozenset() if space is None else _always(space.top)
        self.whole = False
        self.used: set[str] = set()

    def compile(self, signature: inspect.Signature) -> Callable[[TrialContext], Any]:
        """The trial function as a function of its context alone. Raises ``ObjectiveError`` at the first parameter at fault."""
        getters: dict[str, Getter] = {}
        left: list[inspect.Parameter] = []
        optional: list[inspect.Parameter] = []
        rest = False
        for position, parameter in enumerate(signature.parameters.values()):
            self._check_kind(parameter, position)
            if parameter.kind is parameter.VAR_KEYWORD:
                rest = self.whole = True
            elif (getter := self._getter(parameter)) is not None:
                getters[parameter.name] = getter
            elif parameter.default is not parameter.empty:
                optional.append(parameter)
            else:
                left.append(parameter)
        self._place(left, getters)
        self._check_unused([*optional, *left])
        late = [parameter.name for parameter in optional] if self.space is None else []
        if rest:
            return functools.partial(_call_with_rest, self.objective, getters, self.names)
        return self._call(getters, late)

    def _call(self, getters: dict[str, Getter], late: list[str]) -> Callable[[TrialContext], Any]:
        objective: Callable[..., Any] = self.objective
        if not late and list(getters.values()) == [_context] and _first_is_positional(objective, getters):
            return objective
        items = tuple(getters.items())
        conditional = self.used - self.always
        if not late and not conditional:
            return lambda trial: objective(**{name: get(trial) for name, get in items})
        names = (*late, *conditional)
        fixed = tuple((name, get) for name, get in items if name not in conditional)

        def call(trial: TrialContext) -> Any:
            params = trial.params
            found = {name: params[name] for name in names if name in params}
            return objective(**{name: get(trial) for name, get in fixed}, **found)

        return call

    def _getter(self, parameter: inspect.Parameter) -> Getter | None:
        name = parameter.name
        annotation = resolved(self.objective, parameter.annotation)
        if annotation is TrialContext or (annotation is UNRESOLVED and "TrialContext" in str(parameter.annotation)):
            return _context
        if name in self.names:
            self._check_conditional(parameter)
            self.used.add(name)
            return _param(name)
        if name == "trial":
            return _context
        if (getter := self._model(annotation, name)) is not None:
            self.whole = True
            return getter
        bare = _is_bare(annotation)
        if _is_mapping(annotation) or (bare and name in _WHOLE):
            self.whole = True
            return _all_params
        return None

    def _model(self, annotation: Any, name: str) -> Getter | None:
        space = self.space
        if space is not None and annotation is space.model and annotation is not None:
            build = space.build_model
            return lambda trial: build(trial.params)
        if not isinstance(annotation, type):
            return None
        pydantic: Any = sys.modules.get("pydantic")
        if pydantic is not None and issubclass(annotation, pydantic.BaseModel):
            model: Any = annotation
            required = [field.alias or key for key, field in model.model_fields.items() if field.is_required()]
            self._check_fields(name, annotation, required)
            validate = model.model_validate
            return lambda trial: validate(trial.params)
        if dataclasses.is_dataclass(annotation):
            fields = [field for field in dataclasses.fields(annotation) if field.init]
            missing = (dataclasses.MISSING, dataclasses.MISSING)
            self._check_fields(
                name, annotation, [field.name for field in fields if (field.default, field.default_factory) == missing]
            )
            return _dataclass(annotation, frozenset(field.name for field in fields))
        return None

    def _check_fields(self, name: str, model: type[Any], required: list[str]) -> None:
        if self.space is None:
            return
        for field in required:
            if field not in self.names:
                self._unknown(field, f"the field {field!r} of parameter {name!r}, a {model.__name__}, is in no search space")
            if field not in self.always:
                raise ObjectiveError(
                    self.where,
                    f"the field {field!r} of parameter {name!r}, a {model.__name__}, is absent on some branches",
                    remedy=f"Give {model.__name__}.{field} a default",
                )

    def _check_kind(self, parameter: inspect.Parameter, position: int) -> None:
        shown = str(parameter)
        if parameter.kind is parameter.POSITIONAL_ONLY:
            raise ObjectiveError(
                self.where,
                f"the parameter {parameter.name!r} is positional-only, and parameters are given by name",
                found=shown,
                remedy="Take out the '/' or wrap the function",
            )
        if parameter.kind is parameter.VAR_POSITIONAL:
            raise ObjectiveError(
                self.where,
                f"it takes {shown}, and parameters are given by name",
                found=shown,
                expected="named parameters, or **params",
                remedy="Name the parameters that it reads",
            )
        bare = parameter.annotation is parameter.empty and parameter.default is parameter.empty
        if position == 0 and bare and parameter.name in {"self", "cls"} and parameter.name not in self.names:
            raise ObjectiveError(
                self.where,
                f"it is a method without its object: nothing is there for {parameter.name!r}",
                found=self.objective,
                remedy="Pass the method of an instance, such as Model().train",
            )

    def _check_conditional(self, parameter: inspect.Parameter) -> None:
        if parameter.default is parameter.empty and parameter.name not in self.always:
            raise ObjectiveError(
                self.where,
                f"the parameter {parameter.name!r} is absent on some branches of the search space, and has no default",
                found=str(parameter),
                remedy=f"Give it a default: {parameter.name}=None",
            )

    def _place(self, left: list[inspect.Parameter], getters: dict[str, Getter]) -> None:
        """Serve the parameters that nothing fits: the only one without annotation gets the context, where it is called like one.

        Without a search space its name may be that of any parameter, so this is seen to when the trial runs.
        """
        bare = [parameter for parameter in left if _is_bare(parameter.annotation)]
        sole = bare[0].name if len(bare) == 1 and _context not in getters.values() else None
        for parameter in left:
            name = parameter.name
            if self.space is None:
                getters[name] = _late(name, self.where, sole=name == sole)
            elif name == sole and name in _CONTEXT:
                getters[name] = _context
            else:
                self._unknown(name, f"nothing is there for its parameter {name!r}", found=str(parameter), bare=name == sole)

    def _check_unused(self, unplaced: list[inspect.Parameter]) -> None:
        """A default must not hide a misspelt parameter that nothing else reads."""
        if self.whole or self.space is None:
            return
        unread = [name for name in self.names if name not in self.used]
        for parameter in unplaced:
            guess = did_you_mean(parameter.name, unread)
            if parameter.default is not parameter.empty and guess is not None:
                raise ObjectiveError(
                    self.where,
                    f"its parameter {parameter.name!r} would always have its default, and nothing reads {guess!r}",
                    found=str(parameter),
                    expected=_listed(self.names),
                    remedy=f"Did you mean {guess!r}?",
                )

    def _unknown(self, name: str, what: str, *, found: str | None = None, bare: bool = False) -> None:
        guess = did_you_mean(name, self.names)
        otherwise = _as_context(name) if bare else "Give it a default, or add it to the search space"
        raise ObjectiveError(
            self.where,
            what,
            found=name if found is None else found,
            expected=_listed(self.names),
            remedy=f"Did you mean {guess!r}?" if guess else otherwise,
        )


def _always(level: Level) -> frozenset[str]:
    """The parameters that are there whatever is chosen."""
    names = {name for name, _ in level}
    for _, distribution in level:
        if isinstance(distribution, Choice) and distribution.spaces:
            names |= frozenset.intersection(*map(_always, distribution.spaces))
    return frozenset(names)


def _as_context(name: str) -> str:
    return f"Call it trial, or write {name}: TrialContext, for the trial's context; params, for a dict of all parameters"


def _context(trial: TrialContext) -> TrialContext:
    return trial


def _all_params(trial: TrialContext) -> dict[str, Any]:
    return trial.params


def _param(name: str) -> Getter:
    return lambda trial: trial.params[name]


def _late(name: str, where: str, *, sole: bool) -> Getter:
    """The parameter of that name, when the trial runs: there is no search space that would know it before."""
    or_context = sole and name in _CONTEXT
    otherwise = _as_context(name) if sole else "Give it a default, or suggest it"

    def get(trial: TrialContext) -> Any:
        params = trial.params
        if name in params:
            return params[name]
        guess = did_you_mean(name, params)
        if or_context:
            return trial
        raise ObjectiveError(
            where,
            f"nothing is there for its parameter {name!r} in {trial.address}",
            found=sorted(params),
            expected=f"a suggestion with the parameter {name!r}",
            remedy=f"Did you mean {guess!r}?" if guess else otherwise,
        )

    return get


def _dataclass(model: type[Any], names: frozenset[str]) -> Getter:
    return lambda trial: model(**{name: value for name, value in trial.params.items() if name in names})


def _call_with_rest(
    objective: Callable[..., Any], getters: Mapping[str, Getter], known: tuple[str, ...], trial: TrialContext
) -> Any:
    params = trial.params
    given = {name: get(trial) for name, get in getters.items() if name not in known or name in params}
    rest = {name: value for name, value in params.items() if name not in given}
    return objective(**given, **rest)


def _first_is_positional(objective: Callable[..., Any], getters: dict[str, Getter]) -> bool:
    first = next(iter(inspect.signature(objective).parameters.values()))
    return first.name in getters and first.kind is first.POSITIONAL_OR_KEYWORD


def _is_bare(annotation: Any) -> bool:
    """Whether it says nothing. By identity: annotations may be anything, also what cannot be compared."""
    return annotation is inspect.Parameter.empty or annotation is Any or (type(annotation) is str and annotation == "Any")


def _is_mapping(annotation: Any) -> bool:
    origin = get_origin(annotation) or annotation
    return isinstance(origin, type) and origin is not object and issubclass(dict, origin)


def _listed(names: tuple[str, ...]) -> str:
    return "parameters of the search space (" + ", ".join(names) + "), trial, params, or a default"
