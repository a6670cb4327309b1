"""Which fields of its argument a predicate, hook or stage function reads, taken from its code object (Python 3.11 to 3.14).

Seen are direct reads (``ctx.n < 3``, ``ctx["n"]``), those in comprehensions and nested functions, and one step further
(``ctx.task.name``). Anything else that is done with the parameter (passing it on, ``getattr``, formatting it) is an *escape*:
there the build cannot look.
"""

from __future__ import annotations

import builtins
import dis
import functools
import inspect
import operator
import types
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

__all__ = ["Reads", "reads_of"]

_PURE: Final = frozenset(
    {
        "abs",
        "all",
        "any",
        "bool",
        "dict",
        "enumerate",
        "float",
        "frozenset",
        "int",
        "isinstance",
        "len",
        "list",
        "max",
        "min",
        "range",
        "reversed",
        "round",
        "set",
        "sorted",
        "str",
        "sum",
        "tuple",
        "zip",
    }
)


_NARROWING: Final = frozenset({"callable", "getattr", "hasattr", "isinstance", "issubclass", "type"})


class Reads(NamedTuple):
    """What a function does with its parameter."""

    always: tuple[str, ...]
    """Attributes read on every call."""
    sometimes: tuple[str, ...]
    """Attributes read only where a condition before lets it come to that."""
    escapes: bool
    """The parameter is also used in ways that were not followed."""
    pure: bool
    """The result depends on what is read of the parameter itself, and on nothing else."""
    deep: bool
    """Attributes of what was read are read, too: ``ctx.queue.empty()``."""
    keys: tuple[str, ...] = ()
    """Constant keys that are looked up on every call: ``ctx["n"]``."""
    keys_sometimes: tuple[str, ...] = ()
    """Constant keys that are looked up under a condition."""
    chains: tuple[tuple[str, str], ...] = ()
    """An attribute or key, and the attribute that is read of it: ``("task", "name")``."""
    narrows: bool = False
    """It asks what values are (``isinstance``, ``hasattr``, ``match``, ``except``), and may know more than their types say."""


def reads_of(fn: Callable[..., Any], parameter: str | None = None) -> Reads | None:
    """The reads of a function, method, partial, callable object, ``attrgetter`` or ``itemgetter``; None without code to read.

    Args:
        fn: it is called with one argument, or
        parameter: with this one among others.
    """
    if isinstance(fn, operator.attrgetter | operator.itemgetter):
        return _of_getter(fn)
    function, filled = _function_of(fn)
    if function is None:
        return None
    code = function.__code__
    named = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    if parameter is None:
        parameter = _first_free(fn, function, filled)
    if parameter not in named:
        return None
    scan = _Scan()
    scan.code(code, parameter, nested=False)
    alone = function is fn and code.co_argcount + code.co_kwonlyargcount == 1 and not code.co_freevars
    return scan.reads(alone=alone)


def _of_getter(getter: Any) -> Reads:
    names = [name for name in getter.__reduce__()[1] if isinstance(name, str)]
    if isinstance(getter, operator.itemgetter):
        return Reads((), (), escapes=not names, pure=True, deep=False, keys=tuple(names))
    parts = [name.split(".") for name in names]
    chains = tuple((first, rest[0]) for first, *rest in parts if rest)
    return Reads(tuple(part[0] for part in parts), (), escapes=False, pure=True, deep=bool(chains), chains=chains)


def _function_of(fn: Any) -> tuple[types.FunctionType | None, int]:
    """The function that is called in the end, and how many of its first parameters are given."""
    filled = 0
    while True:
        if isinstance(fn, types.FunctionType):
            return fn, filled
        if isinstance(fn, functools.partial):
            filled += len(fn.args)
            fn = fn.func
        elif isinstance(fn, types.MethodType):
            filled += 1
            fn = fn.__func__
        elif not isinstance(fn, type) and isinstance(vars(type(fn)).get("__call__"), types.FunctionType):
            fn = types.MethodType(type(fn).__call__, fn)
        else:
            return None, filled


def _first_free(fn: Callable[..., Any], function: types.FunctionType, filled: int) -> str | None:
    """The parameter that the one argument goes to; None when it goes to several, or to ``*args``."""
    code = function.__code__
    if filled >= code.co_argcount:
        return None
    try:
        inspect.signature(fn).bind(None)
    except (TypeError, ValueError):
        return None
    return code.co_varnames[filled]


class _Scan:
    def __init__(self) -> None:
        self._attributes: dict[str, bool] = {}
        self._keys: dict[str, bool] = {}
        self._chains: dict[tuple[str, str], bool] = {}
        self._escapes = False
        self._narrows = False
        self._pure = True
        self._read = 0
        self._loaded = 0

    def reads(self, *, alone: bool) -> Reads:
        return Reads(
            tuple(_where(self._attributes, always=True)),
            tuple(_where(self._attributes, always=False)),
            self._escapes,
            self._pure and alone,
            self._loaded > self._read,
            tuple(_where(self._keys, always=True)),
            tuple(_where(self._keys, always=False)),
            tuple(chain for chain, sure in self._chains.items() if sure or not self._narrows),
            self._narrows,
        )

    def code(self, code: types.CodeType, parameter: str, *, nested: bool) -> None:
        conditional = nested
        instructions = list(dis.get_instructions(code))
        if any(instruction.opname == "PUSH_EXC_INFO" for instruction in instructions):
            conditional = self._escapes = self._narrows = True  # what raises may be caught
        closed_over = parameter in (*code.co_cellvars, *code.co_freevars)
        for index, instruction in enumerate(instructions):
            name = instruction.opname
            self._loaded += name in ("LOAD_ATTR", "LOAD_METHOD")
            self._narrows |= name == "MATCH_CLASS" or (name == "LOAD_GLOBAL" and instruction.argval in _NARROWING)
            if _replaces(instruction, parameter):
                self._escapes = True
                break  # from here on the name is another value's
            if _loads(instruction, parameter):
                if not (closed_over and "FAST" in name):  # else it only goes into a closure, which is looked at on its own
                    self._use(instruction, instructions[index + 1 : index + 4], parameter, conditional=conditional)
            elif name in ("LOAD_GLOBAL", "IMPORT_NAME"):
                self._pure = self._pure and instruction.argval in _PURE and hasattr(builtins, instruction.argval)
            elif name == "FOR_ITER" or ("JUMP" in name and "IF" in name):
                conditional = True
        for constant in code.co_consts:
            if isinstance(constant, types.CodeType):
                if parameter in constant.co_freevars:
                    self.code(constant, parameter, nested=True)
                else:
                    self._impurities(constant)

    def _use(self, load: dis.Instruction, following: list[dis.Instruction], parameter: str, *, conditional: bool) -> None:
        if isinstance(load.argval, tuple) and load.argval[0] == parameter:
            self._escapes = True  # it lies below another value
        if isinstance(load.argval, tuple) and load.argval[-1] != parameter:
            return
        if following and following[0].opname in ("LOAD_ATTR", "LOAD_METHOD"):
            self._read += 1
            self._note(self._attributes, following[0].argval, following[1:], conditional=conditional)
        elif len(following) > 1 and _is_constant_key(following[0]) and _subscribes(following[1]):
            self._note(self._keys, following[0].argval, following[2:], conditional=conditional)
        else:
            self._escapes = True

    def _note(self, reads: dict[str, bool], name: str, following: list[dis.Instruction], *, conditional: bool) -> None:
        reads[name] = reads.get(name, False) or not conditional
        if following and following[0].opname in ("LOAD_ATTR", "LOAD_METHOD"):
            chain = (name, following[0].argval)
            self._chains[chain] = self._chains.get(chain, False) or not conditional

    def _impurities(self, code: types.CodeType) -> None:
        for instruction in dis.get_instructions(code):
            if instruction.opname == "LOAD_GLOBAL" and instruction.argval not in _PURE:
                self._pure = False
        for constant in code.co_consts:
            if isinstance(constant, types.CodeType):
                self._impurities(constant)


def _where(reads: dict[str, bool], *, always: bool) -> Iterator[str]:
    return (name for name, sure in reads.items() if sure is always)


def _is_constant_key(instruction: dis.Instruction) -> bool:
    return instruction.opname == "LOAD_CONST" and isinstance(instruction.argval, str)


def _subscribes(instruction: dis.Instruction) -> bool:
    """Whether an instruction is ``[]``: of its own up to Python 3.13, a binary operator from 3.14 on."""
    return instruction.opname == "BINARY_SUBSCR" or (instruction.opname == "BINARY_OP" and instruction.argrepr == "[]")


def _replaces(instruction: dis.Instruction, parameter: str) -> bool:
    """Whether the name stands for something else from here on: comprehensions that run inline set it aside (Python 3.12)."""
    name = instruction.opname
    if name.startswith(("STORE_FAST_LOAD", "STORE_FAST_MAYBE")) and isinstance(instruction.argval, tuple):
        return bool(instruction.argval[0] == parameter)
    sets = name.startswith(("STORE_FAST", "STORE_DEREF", "DELETE_FAST", "DELETE_DEREF")) or name == "LOAD_FAST_AND_CLEAR"
    return sets and _names(instruction, parameter)


def _loads(instruction: dis.Instruction, parameter: str) -> bool:
    """Whether an instruction puts the parameter on the stack."""
    loading = instruction.opname == "LOAD_DEREF" or "LOAD_FAST" in instruction.opname
    return loading and _names(instruction, parameter)


def _names(instruction: dis.Instruction, parameter: str) -> bool:
    """Whether an instruction is about the parameter; some are about two variables at once, from Python 3.13 on."""
    argval = instruction.argval
    return parameter in argval if isinstance(argval, tuple) else bool(argval == parameter)
