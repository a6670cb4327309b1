"""Copies of experiments, and of what is within them, with some settings changed.

What is changed is made anew by its constructor, of what its user gave it and the changes: so whatever a constructor refuses is
refused here, and nothing that a user made is touched.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, Final

from metta_sweep.core.given import Remembers, given_to, remade, settings_of, takes_any
from metta_sweep.errors import InvalidInput
from metta_sweep.experiments.experiment import Experiment
from metta_sweep.experiments.sweep import SweepExperiment

__all__ = ["Path", "apart", "changed", "has_part", "part_of", "parts_of", "with_parts"]

Path = tuple[str, ...]
"""The names of parts, each within the one before it; empty for the whole."""

_FIXED: Final = ("name", "store", "tags")
"""Settings of experiments that are no copy's to choose: where it runs says what it is called and where it is kept."""


def changed(thing: Any, changes: Mapping[Path, Any]) -> Any:
    """The same with other values at these paths within it. What lies around them is made anew.

    Raises:
        Exception: what a constructor raises that refuses a value.
        InvalidInput: what something was made with is not known, so that there cannot be another one like it.
    """
    if () in changes:
        thing = changes[()]
    within: dict[str, dict[Path, Any]] = {}
    for path, value in changes.items():
        if path:
            within.setdefault(path[0], {})[path[1:]] = value
    if not within:
        return thing
    values = {
        name: below[()] if len(below) == 1 and () in below else changed(part_of(thing, name), below)
        for name, below in within.items()
    }
    return with_parts(thing, values)


def parts_of(thing: object) -> tuple[str, ...]:
    """The names of the parts that can be changed: settings by name, items of mappings by key, items of lists by number."""
    if isinstance(thing, Mapping):
        return tuple(key for key in thing if isinstance(key, str))
    if isinstance(thing, list | tuple) and not hasattr(thing, "_fields"):
        return tuple(str(number) for number in range(len(thing)))
    if isinstance(thing, Experiment):
        return tuple(name for name in (*_settings_of(thing), *_data_of(thing)) if name not in _FIXED)
    if thing is None or isinstance(thing, str | int | float | bool) or given_to(thing) is None:
        return ()
    return settings_of(thing)


def has_part(thing: object, name: str) -> bool:
    """Whether there is a part of that name, or may be: a constructor that takes any keyword says so when it is called."""
    if name in parts_of(thing):
        return True
    closed = isinstance(thing, Experiment | Mapping | list | tuple | str | int | float | bool) or thing is None
    return not closed and given_to(thing) is not None and takes_any(thing)


def part_of(thing: Any, name: str) -> Any:
    """A part: what the user gave, else what stands there by default."""
    if isinstance(thing, Mapping):
        return thing[name]
    if isinstance(thing, list | tuple) and not hasattr(thing, "_fields"):
        return thing[int(name)]
    if isinstance(thing, Experiment):
        return getattr(thing, name, None)
    given = (given_to(thing) or {}).get(name)
    return given if given is not None else getattr(thing, name, None)


def with_parts(thing: Any, values: Mapping[str, Any]) -> Any:
    """The same with other parts of these names."""
    if isinstance(thing, Mapping):
        return {**thing, **values}
    if isinstance(thing, list | tuple) and not hasattr(thing, "_fields"):
        return [values.get(str(number), item) for number, item in enumerate(thing)]
    if isinstance(thing, Experiment):
        return _experiment_with(thing, values)
    if given_to(thing) is None:
        raise _unknown_making(thing)
    return remade(thing, values)


def apart(value: Any) -> Any:
    """The value, or one like it where it serves one run at a time: copies may run side by side. So do executors."""
    if isinstance(value, Remembers) and hasattr(value, "acknowledge") and hasattr(value, "capabilities"):
        return remade(value, {})
    if isinstance(value, Experiment) and isinstance(getattr(value, "executor", None), Remembers):
        return with_parts(value, {})
    return value


# -- experiments -------------------------------------------------------------------------------------------------------------------


def _settings_of(experiment: Experiment) -> tuple[str, ...]:
    """What its constructor takes, and what those of its bases do, which stands for its class."""
    own = settings_of(experiment)
    known = settings_of(SweepExperiment if isinstance(experiment, SweepExperiment) else Experiment)
    return tuple(dict.fromkeys((*own, *known)))


def _data_of(experiment: Experiment) -> tuple[str, ...]:
    """Values that its class holds as attributes, and that nobody's constructor takes."""
    found: dict[str, None] = {}
    for kind in type(experiment).__mro__:
        if kind in (SweepExperiment, Experiment):
            break
        found.update(dict.fromkeys(name for name, value in vars(kind).items() if not name.startswith("_") and _is_data(value)))
    return tuple(name for name in found if name not in _settings_of(experiment))


def _is_data(value: object) -> bool:
    return not callable(value) and not isinstance(value, property | classmethod | staticmethod)


def _experiment_with(experiment: Experiment, values: Mapping[str, Any]) -> Experiment:
    own, given = settings_of(experiment), given_to(experiment)
    if given is None:
        raise _unknown_making(experiment)
    there = {"executor": getattr(experiment, "executor", None), **given, **values}
    values = {name: alone for name, value in there.items() if (alone := apart(value)) is not value or name in values}
    made: Experiment = remade(experiment, {name: value for name, value in values.items() if name in own})
    kept = vars(made)
    # what its user has set since it was made
    kept.update({name: value for name, value in vars(experiment).items() if name not in kept and not name.startswith("_")})
    settings = {name: value for name, value in values.items() if name not in own and name in _settings_of(experiment)}
    kept.update({name: value for name, value in values.items() if name not in own and name not in settings})
    return _set_anew(made, settings) if settings else made


def _set_anew(experiment: Experiment, settings: Mapping[str, Any]) -> Experiment:
    """The same with other settings that the constructor of its class keeps to itself: those of its base check them."""
    base: Any = SweepExperiment if isinstance(experiment, SweepExperiment) else Experiment
    other = copy.copy(experiment)
    kept = vars(other)
    kept["_made"] = False
    now = {name: getattr(experiment, name, None) for name in settings_of(base) if name != "store"}
    base.__init__(other, **{**now, "store": experiment.given_store, **settings})
    return other


def _unknown_making(thing: object) -> InvalidInput:
    kind = type(thing).__name__
    return InvalidInput(
        kind,
        "no other one like it can be made: what its constructor was given is not known",
        found=thing,
        expected="a class derived from Optimizer, Scheduler or Experiment, or one with an attribute for each parameter",
        remedy=f"Search whole objects: Variants(first={kind}(...), second={kind}(...))",
    )
