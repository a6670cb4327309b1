"""What the output of a cached stage depends on: all of it is in the key, or there is no key."""

from __future__ import annotations

import dis
import functools
import inspect
import types
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from metta_sweep.errors import a_kind
from metta_sweep.pipeline.keeping.code_digest import code_text, global_names, own_code_text
from metta_sweep.pipeline.keeping.fingerprint import NoFingerprint, fingerprint
from metta_sweep.pipeline.keeping.own_state import functions_in

if TYPE_CHECKING:
    from metta_sweep.pipeline.cache import Cache

__all__ = ["Unkeyable", "code_parts", "helper_text"]

_CODE: Final = (types.FunctionType, types.BuiltinFunctionType, types.ModuleType, type)
_PROPERTIES: Final = (property, functools.cached_property)


class Unkeyable(NamedTuple):
    """Something that the output may depend on, and that has no content for a key."""

    what: str


Part = str | Unkeyable


def code_parts(fn: Any, policy: Cache) -> Iterator[Part]:
    """What a stage function is, with all that is bound to it: code, defaults, closures, and what it reads of its own object."""
    yield from _Walk().callable(fn)
    for helper in policy.include:
        yield f"include {helper_text(helper)}"


def helper_text(helper: Any) -> str:
    """The code of a helper: of a module, that of the functions and classes that are defined in it."""
    if not isinstance(helper, types.ModuleType):
        return code_text(helper)
    own = [
        (name, value)
        for name, value in sorted(vars(helper).items())
        if isinstance(value, types.FunctionType | type) and value.__module__ == helper.__name__
    ]
    return "\n".join([helper.__name__, *(f"{name} {code_text(value)}" for name, value in own)])


class _Walk:
    """Goes through what a function is made of, each part once."""

    def __init__(self) -> None:
        self._seen: set[tuple[int, int]] = set()

    def callable(self, fn: Any) -> Iterator[Part]:
        if isinstance(fn, functools.partial):
            yield from self.callable(fn.func)
            for name, value in (*enumerate(fn.args), *sorted(fn.keywords.items())):
                yield self.value(f"the partial's argument {name}", value)
        elif isinstance(fn, types.MethodType):
            yield from self.method(fn.__func__, fn.__self__)
        elif isinstance(fn, types.FunctionType):
            yield from self.function(fn)
        elif isinstance(fn, type):
            yield from self.of_class(fn)
        elif (parts := functions_in(fn)) is not None:
            for part in parts:
                yield from self.callable(part)
        elif isinstance(fn, types.BuiltinFunctionType):
            yield f"builtin {fn.__module__}.{fn.__qualname__}"
        else:
            call = getattr(type(fn), "__call__", None)  # noqa: B004  # its code is wanted
            if isinstance(call, types.FunctionType):
                yield from self.method(call, fn)
            else:
                yield Unkeyable(f"{a_kind(fn)}, whose code cannot be seen")

    def of_class(self, cls: type) -> Iterator[Part]:
        """The code of a class, and the globals that its methods read."""
        if (id(cls), 0) in self._seen:
            return
        self._seen.add((id(cls), 0))
        yield code_text(cls)
        for member in vars(cls).values():
            inner = getattr(member, "__func__", member)
            if isinstance(inner, types.FunctionType) and inner.__module__ == cls.__module__:
                yield from self.globals(inner)

    def function(self, fn: types.FunctionType) -> Iterator[Part]:
        if (id(fn), 0) in self._seen:
            return
        self._seen.add((id(fn), 0))
        yield own_code_text(fn)
        yield from self.globals(fn)
        for value in fn.__defaults__ or ():
            yield self.value("a default", value)
        for name, value in sorted((fn.__kwdefaults__ or {}).items()):
            yield self.value(f"the default of {name!r}", value)
        for name, cell in zip(fn.__code__.co_freevars, fn.__closure__ or (), strict=True):
            if name == "__class__":
                yield Unkeyable("super(), which is not followed")
            else:
                yield from self.closed_over(name, cell)

    def globals(self, fn: types.FunctionType) -> Iterator[Part]:
        """Values of its module that a function reads, and functions and classes of that module that it uses.

        What comes from other modules is a matter of ``include=``; objects without content, as a logger, are left to ``version=``.
        """
        for name in global_names(fn.__code__):
            value = fn.__globals__.get(name, fn)
            if isinstance(value, _CODE):
                if getattr(value, "__module__", None) == fn.__module__:
                    yield from self.callable(value)
                continue
            part = self.value(f"global {name}", value)
            if not isinstance(part, Unkeyable):
                yield part

    def closed_over(self, name: str, cell: types.CellType) -> Iterator[Part]:
        try:
            value = cell.cell_contents
        except ValueError:
            yield Unkeyable(f"the variable {name!r} around it, which has no value yet")
            return
        if isinstance(value, types.FunctionType | types.MethodType | functools.partial):
            yield from self.callable(value)
        else:
            yield self.value(f"the variable {name!r} around it", value)

    def method(self, fn: Any, owner: object) -> Iterator[Part]:
        if (id(fn), id(owner)) in self._seen:
            return
        self._seen.add((id(fn), id(owner)))
        if not isinstance(fn, types.FunctionType):
            yield from self.callable(functools.partial(fn, owner))
            return
        yield from self.function(fn)
        code = fn.__code__
        if not code.co_argcount:
            yield Unkeyable("its own object, which it gets among others")
            return
        names = _attributes(code, code.co_varnames[0])
        if names is None:
            yield Unkeyable(f"{code.co_varnames[0]!r} as a whole, which it passes on or changes")
            return
        for name in names:
            yield from self.attribute(owner, name)

    def attribute(self, owner: Any, name: str) -> Iterator[Part]:
        """What is read of a stage's own object: methods by their code, everything else by its value now."""
        cls = owner if isinstance(owner, type) else type(owner)
        found = inspect.getattr_static(cls, name, None)
        own = getattr(owner, "__dict__", {}).get(name)
        if isinstance(found, types.FunctionType) and own is None:
            yield from self.method(found, owner)
        elif isinstance(found, staticmethod):
            yield from self.callable(found.__func__)
        elif isinstance(found, classmethod):
            yield from self.method(found.__func__, cls)
        elif isinstance(found, _PROPERTIES):
            getter = found.fget if isinstance(found, property) else found.func
            yield from self.method(getter, owner)
        else:
            value = getattr(owner, name, None)
            yield f"attribute {name}"
            yield self.value(f"'self.{name}'", value)

    def value(self, what: str, value: Any) -> Part:
        try:
            return f"{what}={fingerprint(value)}"
        except NoFingerprint as error:
            return Unkeyable(f"{what} ({a_kind(error.value)})")


@functools.lru_cache(maxsize=1024)
def _attributes(code: types.CodeType, parameter: str) -> list[str] | None:
    """The attributes that are read of a parameter, here and in what is nested; None when it is used in another way as well."""
    found: dict[str, None] = {}
    instructions = list(dis.get_instructions(code))
    closed_over = parameter in (*code.co_cellvars, *code.co_freevars)
    for instruction, following in zip(instructions, [*instructions[1:], None], strict=True):
        name, argval = instruction.opname, instruction.argval
        pair = argval if isinstance(argval, tuple) else (argval,)
        if parameter not in pair or not ("FAST" in name or "DEREF" in name):
            continue
        if "STORE" in name or "DELETE" in name or (len(pair) > 1 and pair[0] == parameter):
            return None
        if closed_over and "FAST" in name:
            continue  # on its way into a closure, which is looked at on its own
        if following is None or following.opname not in ("LOAD_ATTR", "LOAD_METHOD"):
            return None
        found[following.argval] = None
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType) and parameter in constant.co_freevars:
            inner = _attributes(constant, parameter)
            if inner is None:
                return None
            found.update(dict.fromkeys(inner))
    return list(found)
