"""Which attributes of its first parameter a predicate or hook reads, taken from its code object.

Seen are direct reads (``ctx.n < 3``), those in comprehensions, and what is read of what was read. Anything else that is done with
the parameter (passing it on, subscripts, ``getattr``, f-strings of it) is an *escape*: there the build cannot look.
"""

from __future__ import annotations

import builtins
import dis
import types
from collections.abc import Callable
from typing import Any, Final, NamedTuple

__all__ = ["Reads", "reads_of"]

_PURE: Final = frozenset(
    {
        "abs",
        "all",
        "any",
        "bool",
        "dict",
        "float",
        "int",
        "isinstance",
        "len",
        "list",
        "max",
        "min",
        "range",
        "round",
        "set",
        "sorted",
        "str",
        "sum",
        "tuple",
    }
)


class Reads(NamedTuple):
    """What a function does with its first parameter."""

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


def reads_of(fn: Callable[..., Any]) -> Reads | None:
    """The reads of a plain function or lambda; None for other callables, whose code says nothing about a parameter."""
    if not isinstance(fn, types.FunctionType) or fn.__code__.co_argcount != 1:
        return None
    scan = _Scan()
    scan.code(fn.__code__, fn.__code__.co_varnames[0], nested=False)
    sometimes = tuple(name for name in dict.fromkeys(scan.sometimes) if name not in scan.always)
    return Reads(
        tuple(dict.fromkeys(scan.always)),
        sometimes,
        scan.escapes,
        scan.pure and not fn.__code__.co_freevars,
        scan.attributes > len(scan.always) + len(scan.sometimes),
    )


class _Scan:
    def __init__(self) -> None:
        self.always: list[str] = []
        self.sometimes: list[str] = []
        self.escapes = False
        self.pure = True
        self.attributes = 0

    def code(self, code: types.CodeType, parameter: str, *, nested: bool) -> None:
        conditional = nested
        instructions = list(dis.get_instructions(code))
        for instruction, following in zip(instructions, [*instructions[1:], None], strict=True):
            name = instruction.opname
            self.attributes += name in ("LOAD_ATTR", "LOAD_METHOD")
            if _loads(instruction, parameter):
                self._use(instruction, following, parameter, conditional=conditional)
            elif name.startswith(("STORE_FAST", "STORE_DEREF", "DELETE_FAST")) and _names(instruction, parameter):
                self.escapes = True
            elif name == "LOAD_GLOBAL":
                self.pure = self.pure and instruction.argval in _PURE and hasattr(builtins, instruction.argval)
            elif name == "FOR_ITER" or ("JUMP" in name and "IF" in name):
                conditional = True
        for constant in code.co_consts:
            if isinstance(constant, types.CodeType):
                if parameter in constant.co_freevars:
                    self.code(constant, parameter, nested=True)
                elif parameter not in constant.co_varnames:
                    self._impurities(constant)

    def _use(self, load: dis.Instruction, following: dis.Instruction | None, parameter: str, *, conditional: bool) -> None:
        pair = isinstance(load.argval, tuple)
        last = not pair or load.argval[-1] == parameter
        if pair and load.argval[0] == parameter:
            self.escapes = True
        if not last:
            return
        if following is not None and following.opname in ("LOAD_ATTR", "LOAD_METHOD"):
            (self.sometimes if conditional else self.always).append(following.argval)
            return
        self.escapes = True

    def _impurities(self, code: types.CodeType) -> None:
        for instruction in dis.get_instructions(code):
            if instruction.opname == "LOAD_GLOBAL" and instruction.argval not in _PURE:
                self.pure = False


def _loads(instruction: dis.Instruction, parameter: str) -> bool:
    """Whether an instruction puts the parameter on the stack (not: into a closure, which is looked at on its own)."""
    loading = instruction.opname == "LOAD_DEREF" or "LOAD_FAST" in instruction.opname
    return loading and _names(instruction, parameter)


def _names(instruction: dis.Instruction, parameter: str) -> bool:
    """Whether an instruction is about the parameter; some are about two variables at once, from Python 3.13 on."""
    argval = instruction.argval
    return parameter in argval if isinstance(argval, tuple) else bool(argval == parameter)
