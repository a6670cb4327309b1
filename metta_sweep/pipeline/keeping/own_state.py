"""What a stage reads of the object that it is a method of: settings, and other methods. They count as its code does."""

from __future__ import annotations

import dis
import enum
import functools
import inspect
import itertools
import types
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

__all__ = ["Setting", "functions_in", "methods_of", "settings_of"]

_UNSET: Final = object()
_PLAIN: Final = (int, float, complex, str, bytes, bool, types.NoneType, enum.Enum)
_MAKERS: Final = frozenset({"__init__", "__new__", "__post_init__", "__setstate__", "model_post_init"})
"""Methods that set what is a setting from then on."""


class Setting(NamedTuple):
    """An attribute of the object whose method is a stage."""

    owner: Any
    name: str

    def text(self) -> str:
        """What it is now; empty when it is nothing plain."""
        found = getattr(self.owner, self.name, _UNSET)
        return f"self.{self.name} {_text(found)}\n" if _is_plain(found) else ""


def settings_of(fn: Callable[..., Any]) -> tuple[Setting, ...]:
    """The attributes that a method, or a callable object, reads of its own object, also through methods that it calls.

    Those that its class sets outside of the constructor are no settings but state. Of a pipeline: those of all its stages.
    """
    parts = functions_in(fn)
    if parts is not None:
        return tuple(setting for part in parts for setting in settings_of(part))
    method, owner = _bound(fn)
    if method is None:
        return ()
    read: dict[str, None] = {}
    for function in (method, *methods_of(fn)):
        read.update(dict.fromkeys(name for name in _attributes(function) if not _runs_code(owner, name)))
    changed = _set_in(type(owner)) if read else frozenset[str]()
    return tuple(Setting(owner, name) for name in sorted(read) if name not in changed and not name.startswith("__"))


def methods_of(fn: Callable[..., Any]) -> tuple[types.FunctionType, ...]:
    """The methods that a method, or a callable object, reads of its own object, and what those read in turn."""
    parts = functions_in(fn)
    if parts is not None:
        return tuple(method for part in parts for method in methods_of(part))
    method, owner = _bound(fn)
    found: dict[types.FunctionType, None] = {}
    todo = [] if method is None else [method]
    while todo:
        for name in _attributes(todo.pop()):
            called = _method(owner, name)
            if called is not None and called is not method and called not in found:
                found[called] = None
                todo.append(called)
    return tuple(found)


def functions_in(fn: Any) -> tuple[Any, ...] | None:
    """The functions of a pipeline that is called as a stage; None for anything else."""
    parts = getattr(fn, "functions", None)
    return parts if isinstance(parts, tuple) else None


def _bound(fn: Any) -> tuple[types.FunctionType | None, Any]:
    while isinstance(fn, functools.partial):
        fn = fn.func
    if not isinstance(fn, types.MethodType) and not isinstance(fn, types.FunctionType | types.BuiltinFunctionType | type):
        fn = getattr(fn, "__call__", None)  # noqa: B004  # the bound method is wanted
    if isinstance(fn, types.MethodType) and isinstance(fn.__func__, types.FunctionType):
        return fn.__func__, fn.__self__
    return None, None


def _runs_code(owner: Any, name: str) -> bool:
    """Whether reading an attribute calls something: a property, or another descriptor of a class."""
    found = inspect.getattr_static(type(owner), name, None)
    return hasattr(type(found), "__get__") and not isinstance(found, types.MemberDescriptorType)


def _method(owner: Any, name: str) -> types.FunctionType | None:
    found = inspect.getattr_static(owner, name, None)
    if isinstance(found, property):
        found = found.fget
    elif isinstance(found, functools.cached_property):
        found = found.func
    elif isinstance(found, classmethod | staticmethod):
        found = found.__func__
    return found if isinstance(found, types.FunctionType) else None


def _is_plain(value: Any) -> bool:
    return isinstance(value, _PLAIN) or (isinstance(value, tuple | frozenset) and all(map(_is_plain, value)))


def _text(value: Any) -> str:
    if isinstance(value, tuple | frozenset):
        texts = map(_text, value)
        return f"{type(value).__name__}({', '.join(texts if isinstance(value, tuple) else sorted(texts))})"
    return f"{type(value).__qualname__} {value!r}"


def _attributes(function: types.FunctionType) -> Iterator[str]:
    code = function.__code__
    return _read_of(code, code.co_varnames[0]) if code.co_argcount else iter(())


def _read_of(code: types.CodeType, parameter: str) -> Iterator[str]:
    """The attributes that are read of a parameter, here and in what is nested."""
    steps = list(dis.get_instructions(code))
    for step, following in itertools.pairwise(steps):
        read = step.argval if isinstance(step.argval, tuple) else (step.argval,)
        loads = "LOAD" in step.opname and ("FAST" in step.opname or "DEREF" in step.opname)
        if loads and read[-1] == parameter and following.opname in ("LOAD_ATTR", "LOAD_METHOD"):
            yield following.argval
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType) and parameter in constant.co_freevars:
            yield from _read_of(constant, parameter)


def _set_in(cls: type) -> frozenset[str]:
    """The attributes that the methods of a class set, other than those that make its objects."""
    functions = (
        member
        for base in cls.__mro__
        for name, member in vars(base).items()
        if isinstance(member, types.FunctionType) and name not in _MAKERS
    )
    return frozenset(name for function in functions for name in _stored(function.__code__))


def _stored(code: types.CodeType) -> Iterator[str]:
    yield from (step.argval for step in dis.get_instructions(code) if step.opname in ("STORE_ATTR", "DELETE_ATTR"))
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _stored(constant)
