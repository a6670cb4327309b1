"""What stage functions of every kind receive, right and wrong."""

# ruff: noqa: D102, D103  # stages and helpers; each test says what it shows
from __future__ import annotations

import functools
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Generic, NotRequired, ParamSpec, Protocol, Self, TypedDict, TypeVar

import pytest
from pydantic import BaseModel

from metta_sweep.errors import BuildError
from metta_sweep.pipeline import Context, Pipeline, StageContext, ref

if TYPE_CHECKING:
    from metta_sweep.pipeline import Context as Elsewhere

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")
Whole = TypeVar("Whole", bound=int)
Either = TypeVar("Either", int, bytes)


class State(BaseModel):
    n: int
    name: str = "none"


class Settings(BaseModel):
    rate: float = 0.1


@dataclass
class Pair(Generic[T]):
    n: T


class Keys(TypedDict):
    n: int
    extra: NotRequired[str]


class HasN(Protocol):
    @property
    def n(self) -> int: ...

    def __getitem__(self, name: str) -> Any: ...


class CanFit(Protocol):
    n: int

    def fit(self) -> None: ...


def wrapped(fn: Callable[P, R]) -> Callable[P, R]:
    @functools.wraps(fn)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        return fn(*args, **kwargs)

    return call


def bare(fn: Callable[..., R]) -> Callable[..., R]:
    def call(*args: Any, **kwargs: Any) -> R:
        return fn(*args, **kwargs)

    return call


@wrapped
def decorated(n: int) -> int:
    return n


@functools.lru_cache
def remembered(n: int) -> int:
    return n


@functools.singledispatch
def dispatched(n: int) -> int:
    return n


def only_by_position(n: int, /) -> int:
    return n


def default_before(first: int = 10, second: int = 20, n: int = 30, /) -> int:
    return first + second + n


def mixed(n: int, /, step: int = 2, *, factor: int = 3) -> int:
    return (n + step) * factor


def only_by_name(*, n: int) -> int:
    return n


def star(n: int, *rest: int, **more: int) -> int:
    return n + len(rest) + len(more)


def generic(n: T) -> T:
    return n


def bounded(n: Whole) -> Whole:
    return n


def constrained(n: Either) -> Either:
    return n


def annotated(n: Annotated[int, "how many"]) -> Annotated[int, "as many"]:
    return n


def maybe(n: int | None, other: str | None = None) -> int:
    return -1 if n is None or other is not None else n


def nothing() -> int:
    return 1


def asks(n: int, stage: Annotated[StageContext, "injected"]) -> int:
    return n if stage.address == "f" else -1


def asks_perhaps(n: int, stage: StageContext | None = None) -> int:
    return -1 if stage is None else n


def whole_perhaps(context: Context | None = None) -> int:
    return -1 if context is None else int(context.n)


def viewed_perhaps(state: State | None = None) -> int:
    return -1 if state is None else state.n


def generic_view(pair: Pair[int]) -> int:
    return pair.n


def keys(view: Keys) -> int:
    return view["n"] if "extra" not in view else -1


def has_n(view: HasN) -> int:
    return view.n


def for_checkers_only(view: Elsewhere) -> int:
    return int(view.n)


def later(n: int) -> Awaitable[int]:
    async def give() -> int:
        return n

    return give()


class Worker:
    def __init__(self, n: int = 0) -> None:
        self.n = n

    def method(self, n: int) -> int:
        return n + self.n

    @classmethod
    def of_class(cls, n: int) -> int:
        return cls(n).n

    @staticmethod
    def static(n: int) -> int:
        return n

    @wrapped
    def decorated(self, n: int) -> int:
        return n + self.n

    def itself(self) -> Self:
        return self

    async def __call__(self, n: int) -> int:
        return n + self.n


RIGHT: list[tuple[Callable[..., Any], int]] = [
    (decorated, 3),
    (remembered, 3),
    (dispatched, 3),
    (only_by_position, 3),
    (default_before, 33),
    (mixed, 15),
    (only_by_name, 3),
    (star, 3),
    (generic, 3),
    (bounded, 3),
    (constrained, 3),
    (annotated, 3),
    (maybe, 3),
    (nothing, 1),
    (asks, 3),
    (asks_perhaps, 3),
    (whole_perhaps, 3),
    (viewed_perhaps, 3),
    (generic_view, 3),
    (keys, 3),
    (has_n, 3),
    (later, 3),
    (Worker(1).method, 4),
    (Worker.of_class, 3),
    (Worker.static, 3),
    (Worker(1).decorated, 4),
    (Worker(1), 4),
    (functools.partial(mixed, 5), 21),
    (functools.partial(mixed, factor=1), 5),
    (functools.partial(Worker(1).method), 4),
    (lambda *, n: n, 3),
    (lambda n, /: n, 3),
]


@pytest.mark.parametrize(("fn", "expected"), RIGHT)
async def test_right_functions(fn: Callable[..., Any], expected: int) -> None:
    """Each is called with what its signature asks for."""
    ran = await Pipeline(n=int).stage("f", fn).through(out=int).build().run(n=3)
    assert ran.out == expected


async def test_a_name_that_is_imported_for_type_checkers_only() -> None:
    """``StageContext`` and ``Context`` are known by their names where the annotation cannot be resolved."""

    def stage(n: int, stage: StageContext) -> int:
        return n if stage.attempt == 1 else -1

    stage.__annotations__["stage"] = "somewhere.StageContext | None"
    ran = await Pipeline(n=int).stage("f", stage).build().run(n=3)
    assert ran.f == 3
    for_checkers_only.__annotations__["view"] = "pipeline.Context"
    assert (await Pipeline(n=int).stage("f", for_checkers_only).build().run(n=3)).f == 3


async def test_constants_by_any_name() -> None:
    """A constant may fill a parameter that takes values by position only."""
    ran = await Pipeline().stage("f", only_by_position, n=4).stage("g", mixed, n=1).through(int, step=1, factor=1).build().run()
    assert (ran.f, ran.g) == (4, 2)


def unresolved(view: Nowhere) -> int:  # type: ignore[name-defined]  # noqa: F821
    return 0


def misspelt(state: State, stat: State) -> int:
    return 0


def yielding(n: int) -> Iterator[int]:
    yield n


async def yielding_later(n: int) -> AsyncIterator[int]:
    yield n


def fits(view: CanFit) -> int:
    return view.n


WRONG: list[tuple[Callable[[], Pipeline[Any]], str, tuple[str, ...]]] = [
    (lambda: Pipeline(n=str).stage("f", bounded), "n", ("needs Whole", "provides 'n' as str")),
    (lambda: Pipeline(n=float).stage("f", constrained), "n", ("needs Either", "provides 'n' as float")),
    (lambda: Pipeline(n=str).stage("f", decorated), "n", ("needs int", "provides 'n' as str")),
    (lambda: Pipeline(n=str).stage("f", Worker().decorated), "n", ("needs int", "provides 'n' as str")),
    (lambda: Pipeline(m=int).stage("f", only_by_position), "n", ("nothing provides",)),
    (lambda: Pipeline(N=int).stage("f", only_by_name), "n", ("Did you mean 'N'?",)),
    (lambda: Pipeline(n=str).stage("f", generic_view), "n", ("'pair' (Pair[int])", "provides 'n' as str")),
    (lambda: Pipeline(n=str).stage("f", keys), "n", ("'view' (Keys)", "provides 'n' as str")),
    (lambda: Pipeline(n=str).stage("f", has_n), "n", ("'view' (HasN)", "provides 'n' as str")),
    (lambda: Pipeline(n=int).stage("f", fits), "fit", ("'view' (CanFit) needs the field 'fit'",)),
    (lambda: Pipeline(n=int).stage("f", unresolved), "view", ("'Nowhere' cannot be resolved", "nothing provides")),
    (lambda: Pipeline(state=State).stage("f", misspelt), "stat", ("Did you mean 'state'?",)),
    (lambda: Pipeline(n=int).stage("f", bare(decorated)), "", ("takes *args only", "functools.wraps")),
    (lambda: Pipeline(n=int).stage("f", yielding), "", ("is a generator", "in a list")),
    (lambda: Pipeline(n=int).stage("f", yielding).through(out=Any), "", ("is a generator", "in a list")),
    (lambda: Pipeline(n=int).stage("f", functools.partial(yielding, 1)), "", ("is a generator", "in a list")),
    (lambda: Pipeline(n=int).stage("f", yielding_later), "", ("is an asynchronous generator", "in a list")),
    (lambda: Pipeline(n=int).stage("f", int), "", ("no signature", "lambda x: int(x)")),
    (lambda: Pipeline(n=int).stage("f", mixed, m=1), "", ("the constant 'm'", "expected one of n, step, factor")),
    (lambda: Pipeline(n=int).stage("f", mixed, timeout=1), "timeout", ("'timeout' is a hook", "Write .through(timeout=...)")),
    (lambda: Pipeline(n=int).stage("f", annotated, n="3"), "", ("'n' does not fit", "takes int")),
    (
        lambda: Pipeline(n=str).stage("a", lambda n: n).through(x=str).stage("f", mixed, n=1, step=ref("a.x")),
        "x",
        ("step=ref('a.x')", "provides 'x' as str", "needs int"),
    ),
]


@pytest.mark.parametrize(("make", "field", "parts"), WRONG)
def test_wrong_functions(make: Callable[[], Pipeline[Any]], field: str, parts: tuple[str, ...]) -> None:
    """One fault each, which names the stage and the field and says how to mend it."""
    with pytest.raises(BuildError) as caught:
        make().build()
    (fault,) = caught.value.faults
    assert (fault.stage, fault.field or "") == ("f", field)
    for part in parts:
        assert part in fault.message


def test_a_view_of_defaults_only_is_a_note() -> None:
    """A model with a default for every field can be made of nothing: the plan notes that, since it is seldom meant."""

    def use(settings: Settings) -> float:
        return settings.rate

    assert [str(note) for note in Pipeline(n=int).stage("f", use).build().notes] == [
        "f: parameter 'settings' (Settings) is made of defaults only: none of its fields is provided here"
    ]
    assert Pipeline(rate=float).stage("f", use).build().notes == ()


def test_a_coroutine_function_that_gives_an_awaitable() -> None:
    """What a coroutine function returns is awaited once: its result is the awaitable that it is annotated with."""

    async def twice(n: int) -> Coroutine[Any, Any, int]:
        async def give() -> int:
            return n

        return give()

    with pytest.raises(BuildError, match="returns Coroutine"):
        Pipeline(n=int).stage("f", twice).through(out=int).build()


def test_pythons_own_protocols_are_types_of_values() -> None:
    """``Callable`` and ``Mapping`` are no views: the parameter is a field, and missing where it is none."""

    def use(fn: Callable[[int], int], table: Mapping[str, int]) -> int:
        return fn(len(table))

    Pipeline(fn=Callable[[int], int], table=dict[str, int]).stage("f", use).build(strict=True)
    with pytest.raises(BuildError) as caught:
        Pipeline(n=int).stage("f", use).build()
    assert [fault.field for fault in caught.value.faults] == ["fn", "table"]


@pytest.mark.skipif(sys.version_info < (3, 12), reason="the syntax is of Python 3.12")
async def test_type_parameters_of_python_312() -> None:
    """``def f[T: int](n: T) -> T``, and aliases of ``type`` statements, for fields and for views."""
    names: dict[str, Any] = {"State": State}
    exec(
        "def bounded[T: int](n: T) -> T: return n\n"
        "type Rows = list[int]\n"
        "type Seen = State\n"
        "def rows(r: Rows) -> int: return len(r)\n"
        "def seen(s: Seen) -> int: return s.n\n",
        names,
    )
    pipeline = Pipeline(n=int, r=names["Rows"])
    ran = await pipeline.stage("a", names["bounded"]).stage("b", names["rows"]).stage("c", names["seen"]).build().run(n=1, r=[1])
    assert (ran.b, ran.c) == (1, 1)
    with pytest.raises(BuildError, match="provides 'n' as str"):
        Pipeline(n=str).stage("a", names["bounded"]).build()
    with pytest.raises(BuildError, match=r"r\[\*\]: provides str, needs int"):
        Pipeline(r=list[str]).stage("b", names["rows"]).build()
