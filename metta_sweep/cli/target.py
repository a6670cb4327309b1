"""``FILE[:NAME]`` to an experiment: the file is imported under its own name, and its experiments are looked for in the module."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import inspect
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any, NamedTuple, get_type_hints

from metta_sweep.cli.exits import SourceError, UsageError
from metta_sweep.errors import did_you_mean
from metta_sweep.experiments.experiment import Experiment

__all__ = ["Target", "find_experiment"]


class _FromSource(importlib.machinery.SourceFileLoader):
    """Loads a file as it is now: bytecode is told from an edit within the same second by its size alone. It leaves none behind."""

    def get_code(self, fullname: str) -> CodeType:
        """The code of the source."""
        return self.source_to_code(self.get_data(self.path), self.path)


class Target(NamedTuple):
    """An experiment that the command line names."""

    experiment: Experiment
    spelled: str
    """``FILE:NAME``, as it can be written again."""


def find_experiment(target: str) -> Target:
    """The experiment that ``FILE[:NAME]`` names.

    NAME is a variable of the module (an experiment, a subclass of ``Experiment``, or a function that takes nothing and returns an
    experiment) or the name that an experiment was given, or a class gives. It may be left out where the module has one
    experiment, or none and one function that is annotated to return one, or neither and one subclass of ``Experiment`` that can be
    made without arguments.

    Raises:
        UsageError: there is no such file, the name is none of its experiments, or it must be given.
    """
    file, name = _split(target)
    _refuse_child(target, file, name)
    module = _import(file)
    found = _experiments(module)
    if name is None:
        name = _only_one(target, found or _factories(module) or _classes(module), module)
    if name in vars(module):
        return Target(_made(name, vars(module)[name], target, [*found, *_factories(module), *_classes(module)]), f"{file}:{name}")
    for variable, experiment in found.items():
        if experiment.name == name:
            return Target(experiment, f"{file}:{variable}")
    for variable, kind in _classes(module).items():
        if kind.name == name:
            return Target(kind(), f"{file}:{variable}")
    known = [*found, *_factories(module), *_classes(module)]
    guess = did_you_mean(name, known)
    raise UsageError(
        target,
        f"{file} has no experiment {name!r}",
        expected="one of " + ", ".join(known) if known else "an experiment at module level",
        remedy=f"Did you mean {guess!r}?" if guess else None,
    )


def _refuse_child(target: str, file: str, name: str | None) -> None:
    """Raise ``UsageError`` for the name of a run inside another one: it has no definition of its own in the file."""
    child = name if name is not None else target
    if ">" not in child or Path(target).is_file():
        return
    root = child.partition("/")[0]
    raise UsageError(
        target,
        "it ran inside another experiment, which alone can go on with it",
        found=child,
        expected=f"the experiment at its root, {root!r}",
        remedy=f"Go on with that: metta-sweep resume {file if name is not None else 'FILE'}:{root}",
    )


def _split(target: str) -> tuple[str, str | None]:
    file, colon, name = target.rpartition(":")
    if colon and file and name.isidentifier():
        return file, name
    if colon and file.endswith(".py"):
        # names of experiments may hold what names of variables cannot
        return file, name
    return target, None


def _import(file: str) -> ModuleType:
    path = Path(file)
    if not path.is_file():
        what = "it is a folder" if file and path.is_dir() else "there is no such file" if file else "no file is named"
        raise UsageError(file or "FILE", what, expected="FILE[:NAME], such as digits.py:experiment")
    if path.suffix != ".py" or not path.stem.isidentifier():
        raise UsageError(
            file, "it cannot be imported", found=path.name, expected="a file such as digits.py, whose name is an identifier"
        )
    full = path.resolve()
    known = sys.modules.get(path.stem)
    if known is not None or path.stem in sys.stdlib_module_names:
        origin = getattr(known, "__file__", None)
        if known is not None and origin is not None and Path(origin).resolve() == full:
            return known
        raise UsageError(
            file,
            f"its name hides the module {path.stem!r}" + (", which is in use" if known is not None else " of Python's library"),
            found=path.name,
            expected="a name of its own",
            remedy=f"Rename it, to my_{path.name} say",
        )
    spec = importlib.util.spec_from_file_location(path.stem, full, loader=_FromSource(path.stem, str(full)))
    if spec is None or spec.loader is None:
        raise UsageError(file, "it cannot be imported", found=file, expected="a file of Python")
    module = importlib.util.module_from_spec(spec)
    if str(full.parent) not in sys.path:
        sys.path.insert(0, str(full.parent))
    sys.modules[path.stem] = module
    try:
        spec.loader.exec_module(module)
    except SyntaxError as error:
        del sys.modules[path.stem]
        shown = "".join(traceback.format_exception_only(error)).rstrip()
        raise SourceError(f"{file} cannot be imported:\n{shown}") from error
    except BaseException:
        del sys.modules[path.stem]
        raise
    return module


def _experiments(module: ModuleType) -> dict[str, Experiment]:
    """The experiments at module level, by the first variable that holds each."""
    found: dict[str, Experiment] = {}
    for name, value in vars(module).items():
        if isinstance(value, Experiment) and all(value is not other for other in found.values()):
            found[name] = value
    return found


def _factories(module: ModuleType) -> dict[str, Callable[[], Any]]:
    """Functions of the module that take nothing and are annotated to return an experiment."""
    return {
        name: value
        for name, value in vars(module).items()
        if inspect.isfunction(value) and value.__module__ == module.__name__ and _needs_nothing(value) and _gives_experiment(value)
    }


def _classes(module: ModuleType) -> dict[str, type[Experiment]]:
    """Subclasses of ``Experiment`` that the module defines, that have a pipeline, and that can be made without arguments."""
    return {
        name: value
        for name, value in vars(module).items()
        if isinstance(value, type)
        and issubclass(value, Experiment)
        and value.__module__ == module.__name__
        and value.pipeline is not Experiment.pipeline
        and _needs_nothing(value)
    }


def _needs_nothing(function: Callable[..., Any]) -> bool:
    try:
        inspect.signature(function).bind()
    except (TypeError, ValueError):
        return False
    return True


def _gives_experiment(function: Callable[..., Any]) -> bool:
    try:
        returned = get_type_hints(function).get("return")
    except (NameError, TypeError, AttributeError):
        return False
    return isinstance(returned, type) and issubclass(returned, Experiment)


def _only_one(target: str, found: dict[str, Any], module: ModuleType) -> str:
    if len(found) == 1:
        return next(iter(found))
    if not found:
        raise UsageError(
            target,
            "the file has no experiment at module level",
            expected="a variable that holds one, or a function that returns one",
            remedy=f"Write experiment = SweepExperiment(...), or class Mine(Experiment), at the top level of {module.__name__}.py, "
            "or name a function",
        )
    several = ", ".join(_shown(name, value) for name, value in found.items())
    raise UsageError(
        target,
        f"the file has {len(found)} experiments",
        expected=f"one of them: {several}",
        remedy=f"Write {target}:{next(iter(found))}",
    )


def _shown(variable: str, value: Any) -> str:
    name = getattr(value, "name", None)
    return f"{variable} (named {name!r})" if isinstance(name, str) and name != variable else variable


def _made(name: str, value: Any, target: str, known: Sequence[str]) -> Experiment:
    if not isinstance(value, Experiment) and callable(value):
        if not _needs_nothing(value):
            raise UsageError(target, f"{name!r} is no experiment: {_needs(value)}", expected=_one_of(known))
        value = value()
    if isinstance(value, Experiment):
        return value
    raise UsageError(target, f"{name!r} is no experiment", found=value, expected=_one_of(known))


def _needs(function: Callable[..., Any]) -> str:
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return "it cannot be called without arguments"
    rest = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    missing = [repr(it.name) for it in parameters if it.default is it.empty and it.kind not in rest]
    return f"to make one it needs {' and '.join(missing)}"


def _one_of(known: Sequence[str]) -> str:
    kinds = "an experiment, a subclass of Experiment, or a function that takes nothing and returns an experiment"
    return f"{kinds}; the file has {', '.join(known)}" if known else kinds
