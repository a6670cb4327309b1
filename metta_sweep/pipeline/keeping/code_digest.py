"""Digests of code: what tells that a function is no longer the one that made a recorded output."""

from __future__ import annotations

import dis
import functools
import inspect
import types
from collections.abc import Callable, Iterator
from typing import Any, Final

from metta_sweep.pipeline.keeping.own_state import functions_in, methods_of
from metta_sweep.records import digest

__all__ = ["code_digest", "code_text", "function_behind", "global_names", "own_code_text"]

_IMMUTABLE: Final = frozenset({int, float, str, bytes, bool, complex, types.NoneType})
_WRITES: Final = frozenset({"add", "append", "clear", "discard", "extend", "insert", "update"})
"""Methods that give nothing back."""
_STARRED: Final = inspect.CO_VARARGS | inspect.CO_VARKEYWORDS


def code_digest(fn: Callable[..., Any]) -> str:
    """The digest of a callable's own code: of a partial or method, that of the function behind it; of a class, that of its methods.

    Defaults, closures and globals count as far as they are plain values or functions, and so do functions and classes of the same
    module, and methods of its own object. What it calls in other modules does not.
    """
    seen: set[int] = set()
    texts = [text for part in (fn, *methods_of(fn)) for text in _texts(part, seen)]
    return digest("\n".join(texts).encode("utf-8", "surrogatepass"))


def function_behind(fn: Any) -> Any:
    """The function that a partial or bound method calls in the end; of another callable object, its ``__call__``."""
    while True:
        if isinstance(fn, functools.partial | functools.partialmethod):
            fn = fn.func
        elif isinstance(fn, types.MethodType):
            fn = fn.__func__
        else:
            break
    if isinstance(fn, types.FunctionType | type) or getattr(fn, "__code__", None) is not None or functions_in(fn) is not None:
        return fn
    call = getattr(type(fn), "__call__", None)  # noqa: B004  # its code is wanted
    return call if isinstance(call, types.FunctionType) else fn


def code_text(fn: Any) -> str:
    """The text that a digest of code is made of; it does not differ between processes, nor with lines or comments."""
    return "\n".join(_texts(fn, set()))


def own_code_text(fn: types.FunctionType) -> str:
    """The text of one function's code alone."""
    return _describe(fn.__code__)


def _texts(fn: Any, seen: set[int]) -> Iterator[str]:
    fn = function_behind(fn)
    if id(fn) in seen:
        return
    seen.add(id(fn))
    if isinstance(fn, type):
        yield from _of_class(fn, seen)
        return
    for part in functions_in(fn) or ():
        yield from _texts(part, seen)
    code = getattr(fn, "__code__", None)
    if not isinstance(code, types.CodeType):
        yield str(getattr(fn, "__qualname__", type(fn).__qualname__))
        wrapped = getattr(fn, "__wrapped__", None)
        if callable(wrapped):  # that of functools.cache has no code of its own
            yield from _texts(wrapped, seen)
        return
    yield _describe(code)
    for name in global_names(code):
        used = getattr(fn, "__globals__", {}).get(name)
        if isinstance(used, types.FunctionType | type):
            if used.__module__ == fn.__module__:
                yield from _texts(used, seen)
        elif type(used) in _IMMUTABLE or isinstance(used, tuple):
            yield from _plain(f"global {name}", used, seen)
    yield from _plain("defaults", getattr(fn, "__defaults__", None) or (), seen)
    yield from _plain("keywords", tuple(sorted((getattr(fn, "__kwdefaults__", None) or {}).items())), seen)
    for cell in getattr(fn, "__closure__", None) or ():
        try:
            content = cell.cell_contents
        except ValueError:
            continue  # filled later: a function that calls itself
        yield from _plain("closure", content, seen)


def _of_class(cls: type, seen: set[int]) -> Iterator[str]:
    yield f"class {cls.__qualname__}({', '.join(base.__qualname__ for base in cls.__bases__)})"
    if cls.__module__ == "builtins":
        return
    for base in cls.__bases__:
        if base.__module__ == cls.__module__:
            yield from _texts(base, seen)
    for name, member in sorted(vars(cls).items()):
        for part in _functions_of(member):
            yield name
            yield from _texts(part, seen)
        if not name.startswith("__") and (type(member) in _IMMUTABLE or isinstance(member, tuple)):
            yield from _plain(name, member, seen)
    for name, field in sorted(vars(cls).get("__pydantic_fields__", {}).items()):
        yield from _plain(name, field.default, seen)


def _functions_of(member: Any) -> tuple[Any, ...]:
    """What a member of a class does when it is called, read or set."""
    if isinstance(member, property):
        return tuple(part for part in (member.fget, member.fset, member.fdel) if part is not None)
    if isinstance(member, functools.cached_property):
        return (member.func,)
    found = member.__func__ if isinstance(member, staticmethod | classmethod) else member
    return (found,) if isinstance(found, types.FunctionType) or callable(getattr(found, "__wrapped__", None)) else ()


def _plain(what: str, value: Any, seen: set[int]) -> Iterator[str]:
    """A value that belongs to a function. Of what may change while it runs, only the type counts."""
    if type(value) in _IMMUTABLE:
        yield f"{what} {value!r}"
    elif isinstance(value, tuple):
        for part in value:
            yield from _plain(what, part, seen)
    elif isinstance(value, types.FunctionType | types.MethodType | functools.partial):
        yield from _texts(value, seen)
    else:
        yield f"{what} {value.__qualname__ if isinstance(value, type) else type(value).__qualname__}"


@functools.lru_cache(maxsize=1024)
def global_names(code: types.CodeType) -> tuple[str, ...]:
    """The global names that code reads, here and in what is nested; what is only added to has no part in what it does."""
    steps = list(dis.get_instructions(code))
    names = {
        step.argval: None
        for step, following in zip(steps, [*steps[1:], None], strict=True)
        if step.opname == "LOAD_GLOBAL" and not (following and "LOAD" in following.opname and following.argval in _WRITES)
    }
    for step in steps:
        if step.opname == "STORE_GLOBAL":
            names.pop(step.argval, None)  # a state of the process, and no part of the code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            names.update(dict.fromkeys(global_names(constant)))
    return tuple(names)


@functools.lru_cache(maxsize=4096)
def _describe(code: types.CodeType) -> str:
    constants = [_describe(part) if isinstance(part, types.CodeType) else _constant(part) for part in code.co_consts]
    count = code.co_argcount + code.co_kwonlyargcount
    takes = (code.co_varnames[:count], code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags & _STARRED)
    names = (code.co_names, code.co_freevars, takes)
    return f"{code.co_name}:{code.co_code.hex()}:{code.co_exceptiontable.hex()}:{names}:{constants}"


def _constant(value: object) -> str:
    """The text of a constant. That of a set of words differs between processes, unless it is sorted."""
    if isinstance(value, frozenset):
        return f"frozenset({sorted(map(_constant, value))})"
    return f"({', '.join(map(_constant, value))})" if isinstance(value, tuple) else repr(value)
