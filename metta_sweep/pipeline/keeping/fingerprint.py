"""The digest of a value by its content, never by a stand-in: two different values never have the same one.

Values that are the same to whoever looks at them have equal digests, whatever the process that makes them: the order of the members
of sets does not count, every NaN is the same. ``1``, ``1.0`` and ``True`` differ, and so do ``0.0`` and ``-0.0``, lists and tuples,
dicts whose keys come in another order, models of different classes. Functions and classes count by name and code. What has no
content that can be seen this way has no digest, unless its origin is known.
"""

from __future__ import annotations

import collections
import dataclasses
import datetime as dt
import enum
import functools
import inspect
import sys
import types
from collections.abc import Callable, Mapping
from hashlib import blake2b
from typing import Any, Final

from metta_sweep.pipeline.contracts.models import is_pydantic_model
from metta_sweep.pipeline.keeping.code_digest import code_text

__all__ = ["NoFingerprint", "fingerprint"]

OriginOf = Callable[[Any], "str | None"]

_JSON_ATOMS: Final[frozenset[type]] = frozenset({int, float, str, bool, types.NoneType})
_TAGS: Final = {kind: kind.__name__.encode() for kind in _JSON_ATOMS}
_BY_TEXT: Final = frozenset(
    {
        ("datetime", "timedelta"),
        ("decimal", "Decimal"),
        ("fractions", "Fraction"),
        ("ipaddress", "IPv4Address"),
        ("ipaddress", "IPv6Address"),
        ("pathlib", "PosixPath"),
        ("pathlib", "PurePosixPath"),
        ("pathlib", "PureWindowsPath"),
        ("pathlib", "WindowsPath"),
        ("pathlib._local", "PosixPath"),
        ("pathlib._local", "PurePosixPath"),
        ("pathlib._local", "PureWindowsPath"),
        ("pathlib._local", "WindowsPath"),
        ("uuid", "UUID"),
        ("builtins", "complex"),
        ("builtins", "range"),
        ("zoneinfo", "ZoneInfo"),
    }
)
"""Immutable classes whose text says all."""


_PLAIN: Final[tuple[Any, ...]] = (str, int, float, bytes, tuple, list, frozenset, set)


class NoFingerprint(Exception):
    """A value without a content that could be digested."""

    def __init__(self, value: object) -> None:
        self.value = value
        """The part of the value that is at fault."""
        super().__init__(type(value).__qualname__)


def fingerprint(value: Any, origin_of: OriginOf | None = None) -> str:
    """The digest of a value: 128 bits, hexadecimal.

    Args:
        value: anything.
        origin_of: says of a value without content where it comes from, as a digest; None: unknown.

    Raises:
        NoFingerprint: some part of it has neither content nor origin.
    """
    if type(value) in _JSON_ATOMS:
        return blake2b(_atom(value), digest_size=16).hexdigest()
    writer = _Writer(origin_of)
    try:
        writer.put(value)
    except RecursionError:
        raise NoFingerprint(value) from None
    return writer.digest()


class _Writer:
    """Writes values into a digest: each with its type and, where it varies, its length."""

    def __init__(self, origin_of: OriginOf | None) -> None:
        self._hash = blake2b(digest_size=16)
        self._origin_of = origin_of
        self._open: set[int] = set()

    def digest(self) -> str:
        return self._hash.hexdigest()

    def put(self, value: Any) -> None:
        kind = type(value)
        if kind in _JSON_ATOMS:
            self._hash.update(_atom(value))
        elif kind is bytes or kind is bytearray:
            self._bytes(kind.__name__, bytes(value))
        elif kind is list or kind is tuple:
            self._sequence(kind.__name__, value)
        elif kind is dict:
            self._mapping("dict", value)
        elif kind is set or kind is frozenset:
            self._members(kind.__name__, value)
        else:
            self._other(kind, value)

    # -- containers --------------------------------------------------------------------------------------------------------------

    def _sequence(self, tag: str, value: Any) -> None:
        if len(value) > 4 and set(map(type, value)) <= _JSON_ATOMS:
            plain = _as_json(value)
            if plain is not None:
                self._bytes(f"{tag} of atoms", plain)
                return
        self._head(tag, len(value))
        for part in value:
            self.put(part)

    def _mapping(self, tag: str, value: Mapping[Any, Any]) -> None:
        if len(value) > 4 and set(map(type, value)) == {str} and set(map(type, value.values())) <= _JSON_ATOMS:
            plain = _as_json(dict(value))
            if plain is not None:
                self._bytes(f"{tag} of atoms", plain)
                return
        self._head(tag, len(value))
        for key, part in value.items():
            self.put(key)
            self.put(part)

    def _members(self, tag: str, value: Any) -> None:
        self._head(tag, len(value))
        for member in sorted(fingerprint(member, self._origin_of) for member in value):
            self._text("member", member)

    # -- everything else ---------------------------------------------------------------------------------------------------------

    def _other(self, kind: type, value: Any) -> None:
        if (kind.__module__, kind.__qualname__) in _BY_TEXT:
            self._text(kind.__qualname__, str(value))
        elif value is Ellipsis:
            self._text("mark", "...")
        elif kind is dt.date:
            self._text("date", value.isoformat())
        elif kind is dt.datetime or kind is dt.time:
            self._text(kind.__qualname__, f"{value.isoformat()} {value.fold}")
            self.put(value.tzinfo)
        elif kind.__name__ in ("timezone", "TzInfo") and isinstance(value, dt.tzinfo):
            self._text("offset", f"{value.utcoffset(None)} {_own_name(value)}")
        elif isinstance(value, enum.Enum):
            self._named("enum", kind)
            self._text("member", str(value.name))
            self.put(value.value)
        elif isinstance(value, type):
            self._named("class", value)
            self._text("code", code_text(value))
        elif callable(getattr(kind, "__fingerprint__", None)):  # asked of the class: a proxy has every attribute
            self._named("own", kind)
            self._text("says", value.__fingerprint__())
        elif is_pydantic_model(kind):
            self._pydantic(kind, value)
        elif dataclasses.is_dataclass(value):
            self._named("dataclass", kind)
            self._mapping("fields", _fields_of(value))
            self._attributes(kind, value)
        elif not (self._function(value) or self._numeric(value) or self._subclass(kind, value)):
            self._by_origin(value)

    def _pydantic(self, kind: type, value: Any) -> None:
        self._named("model", kind)
        values = value.__dict__
        self._mapping("fields", {name: values[name] for name in kind.model_fields if name in values})  # type: ignore[attr-defined]
        if value.__pydantic_extra__:
            self._mapping("extra", value.__pydantic_extra__)
        if value.__pydantic_private__:
            self._mapping("private", value.__pydantic_private__)

    def _function(self, value: Any) -> bool:
        if isinstance(value, functools.partial):
            self._head("partial", len(value.args))
            for part in (value.func, *value.args, dict(sorted(value.keywords.items()))):
                self.put(part)
        elif isinstance(value, types.MethodType):
            self._text("method", value.__func__.__qualname__)
            self.put(value.__func__)
            self.put(value.__self__)
        elif isinstance(value, types.FunctionType):
            self._named("function", value)
            if id(value) not in self._open:
                self._open.add(id(value))
                self._text("code", code_text(value))
                self.put(value.__defaults__)
                self.put(value.__kwdefaults__)
                for cell in value.__closure__ or ():
                    self.put(_content_of(cell))
                self._open.discard(id(value))
        elif isinstance(value, types.BuiltinFunctionType) and isinstance(value.__self__, types.ModuleType | types.NoneType):
            self._named("builtin", value)
        elif isinstance(value, types.ModuleType):
            self._text("module", value.__name__)
        else:
            return False
        return True

    def _numeric(self, value: Any) -> bool:
        """Arrays and numbers of numpy, where it is loaded."""
        numpy = sys.modules.get("numpy")
        if numpy is None or not isinstance(value, numpy.ndarray | numpy.generic) or type(value).__module__ != "numpy":
            return False
        array = numpy.asarray(value)
        self._text(type(value).__qualname__, f"{array.dtype.descr!r} {array.shape!r}")
        if array.dtype.hasobject:
            self.put(array.tolist())
        else:
            self._bytes("data", array.tobytes())
        return True

    def _subclass(self, kind: type, value: Any) -> bool:
        """A value of a class that a user derives from a plain one, or of one in ``collections``."""
        if isinstance(value, collections.deque):
            self._named("deque", kind)
            self._text("maxlen", repr(value.maxlen))
            self._sequence("parts", list(value))
        elif isinstance(value, dict | types.MappingProxyType) or _is_context(value):
            self._named("mapping", kind)
            self._mapping("parts", dict(value))
            if isinstance(value, collections.defaultdict):
                self.put(value.default_factory)
        else:
            for base in _PLAIN:
                if isinstance(value, base):
                    self._named("subclass", kind)
                    self.put(str.__str__(value) if base is str else base(value))
                    break
            else:
                return False
        self._attributes(kind, value)
        return True

    def _attributes(self, kind: type, value: Any) -> None:
        """What an object carries besides its fields or parts. What ``cached_property`` leaves there is made of the others."""
        found = dict(getattr(value, "__dict__", None) or {})
        found.update({name: getattr(value, name) for name in _slots_of(kind) if hasattr(value, name)})
        fields = {field.name for field in dataclasses.fields(value)} if dataclasses.is_dataclass(value) else set[str]()
        own = {
            name: found[name]
            for name in sorted(found.keys() - fields)
            if not isinstance(inspect.getattr_static(kind, name, None), functools.cached_property)
        }
        if own:
            self._mapping("attributes", own)

    def _by_origin(self, value: Any) -> None:
        origin = self._origin_of(value) if self._origin_of is not None else None
        if origin is None:
            raise NoFingerprint(value)
        self._text("origin", origin)

    # -- what is written ---------------------------------------------------------------------------------------------------------

    def _named(self, tag: str, thing: Any) -> None:
        self._text(tag, f"{thing.__module__}.{thing.__qualname__}")

    def _head(self, tag: str, count: int) -> None:
        self._hash.update(f"{tag} {count}\n".encode())

    def _text(self, tag: str, text: str) -> None:
        self._bytes(tag, text.encode("utf-8", "surrogatepass"))

    def _bytes(self, tag: str, data: bytes) -> None:
        self._hash.update(b"%s %d\n%s" % (tag.encode(), len(data), data))


def _atom(value: Any) -> bytes:
    """What is written of a number, a text, a truth value or None."""
    data = (value if type(value) is str else repr(value)).encode("utf-8", "surrogatepass")
    return b"%s %d\n%s" % (_TAGS[type(value)], len(data), data)


def _as_json(value: Any) -> bytes | None:
    """The JSON of a container of numbers and texts, which says all about it; None where a text has no such form."""
    from pydantic_core import PydanticSerializationError, to_json

    try:
        return to_json(value, inf_nan_mode="constants")
    except PydanticSerializationError:
        return None


def _fields_of(value: Any) -> dict[str, Any]:
    return {field.name: getattr(value, field.name) for field in dataclasses.fields(value) if hasattr(value, field.name)}


def _slots_of(kind: type) -> list[str]:
    """The names in ``__slots__`` of a class that a user derived from a plain one."""
    slots = (cls.__dict__.get("__slots__", ()) for cls in kind.__mro__ if cls.__module__ != "builtins")
    names = (name for own in slots for name in ((own,) if isinstance(own, str) else own))
    return [name for name in names if name not in ("__dict__", "__weakref__")]


def _content_of(cell: types.CellType) -> Any:
    """What a function closes over; of a variable that has no value yet, a mark."""
    try:
        return cell.cell_contents
    except ValueError:
        return Ellipsis


def _own_name(zone: dt.tzinfo) -> str:
    """The name that a fixed offset was given, if it is not the one that it has anyway: JSON brings that offset back."""
    name = zone.tzname(None) or ""
    usual = dt.timezone(zone.utcoffset(None) or dt.timedelta()).tzname(None)
    return "" if name in (usual, usual.removeprefix("UTC")) else name


def _is_context(value: Any) -> bool:
    from metta_sweep.pipeline.context import Context

    return isinstance(value, Context)
