"""Outputs that runs share."""

# ruff: noqa: D102, D103  # stages; each test says what it shows
from __future__ import annotations

import functools
import logging
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from metta_sweep.errors import BuildError, GateError
from metta_sweep.pipeline import Artifact, Cache, Pipeline, PipelineEvent, StageContext, StageReused
from metta_sweep.pipeline.keeping.caching import ProcessCache, in_process
from metta_sweep.records import NullRecorder, Store
from metta_sweep.store import MemoryStore, SqliteStore

CALLS: list[str] = []


@pytest.fixture(autouse=True)
def no_calls() -> Iterator[None]:
    """Each test begins with nothing called and nothing cached in the process."""
    CALLS.clear()
    in_process.clear()
    yield
    in_process.clear()


class Machine:
    """Something without content."""


def called(name: str) -> None:
    """A mark of a call, which is no part of what a stage depends on."""
    CALLS.append(name)


def twice(n: int) -> int:
    called("twice")
    return n * 2


async def outcome(pipeline: Pipeline, store: Store | None = None, **inputs: Any) -> Any:
    return await pipeline.build().run(store=store, inputs=inputs)


def cached(fn: Callable[..., Any] = twice, form: Any = int, cache: Any = True, **constants: Any) -> Pipeline:
    return Pipeline(n=int, other=int).stage("use", fn, **constants).through(used=form, cache=cache)


@pytest.mark.parametrize("kind", ["process", "memory", "sqlite"])
async def test_runs_share_what_they_made(kind: str, tmp_path: Path) -> None:
    """Unnamed runs of one store, or without one of one process; only the fields that are read count."""
    store: Store | None = {
        "process": lambda: None,
        "memory": MemoryStore,
        "sqlite": lambda: SqliteStore(tmp_path / "store.db"),
    }[kind]()  # type: ignore[no-untyped-call]
    events: list[PipelineEvent] = []
    plan = cached().build()
    for other in range(3):
        result = await plan.run(store=store, n=2, other=other, listeners=[events.append])
        assert result.used == 4
    assert (await plan.run(store=store, n=3, other=0)).used == 6
    assert CALLS == ["twice", "twice"]
    assert [event.source for event in events if isinstance(event, StageReused)] == ["cache", "cache"]


async def test_pipelines_share_what_is_the_same() -> None:
    """The name of the stage and of the pipeline around it do not count; the contract does."""
    store = MemoryStore()
    for name, form in (("a", int), ("b", int), ("c", float), ("d", Any)):
        pipeline = Pipeline(n=int).stage(name, twice).through(used=form, cache=True)
        await outcome(pipeline, store, n=1)
    assert CALLS == ["twice"] * 3


def scaled(factor: Any) -> Callable[[int], int]:
    def scale(n: int) -> int:
        called("scaled")
        return int(n * factor)

    return scale


def plus(n: int, step: int = 1) -> int:
    called("plus")
    return n + step


def defaulting(step: int) -> Callable[..., int]:
    def add(n: int, by: int = step) -> int:
        called("add")
        return n + by

    return add


class Trainer:
    """A stage's own object."""

    def __init__(self, rate: float, notes: object = None) -> None:
        self.rate = rate
        self.notes = notes

    def _rated(self, n: int) -> int:
        called("trainer")
        return int(n * self.rate)

    @property
    def doubled(self) -> float:
        return self.rate * 2

    @staticmethod
    def _still(n: int) -> int:
        called("still")
        return n

    def train(self, n: int) -> int:
        return self._rated(n)

    def by_property(self, n: int) -> int:
        called("property")
        return int(n * self.doubled)

    def still(self, n: int) -> int:
        return self._still(n)

    def over(self, n: int) -> int:
        called("over")
        return max(int(rate * n) for rate in [self.rate])

    def leaking(self, n: int) -> int:
        return n if hash(self) else 0

    def changing(self, n: int) -> int:
        self.rate = 3.0
        return n

    def noted(self, n: int) -> int:
        return n if self.notes else 0


class Louder(Trainer):
    """One that overrides what it calls."""

    def _rated(self, n: int) -> int:
        called("louder")
        return n * 10

    def train(self, n: int) -> int:
        return super().train(n)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (lambda: cached(scaled(1)), lambda: cached(scaled(2))),
        (lambda: cached(scaled(1)), lambda: cached(scaled(1.0))),
        (lambda: cached(plus, step=1), lambda: cached(plus, step=2)),
        (lambda: cached(functools.partial(plus, step=1)), lambda: cached(functools.partial(plus, step=2))),
        (lambda: cached(defaulting(1)), lambda: cached(defaulting(2))),
        (lambda: cached(Trainer(1.0).train), lambda: cached(Trainer(2.0).train)),
        (lambda: cached(Trainer(1.0).by_property), lambda: cached(Trainer(2.0).by_property)),
        (lambda: cached(Trainer(1.0).over), lambda: cached(Trainer(2.0).over)),
        (lambda: cached(cache=Cache(version=1)), lambda: cached(cache=Cache(version=2))),
        (lambda: cached(cache=Cache(version=1)), lambda: cached(cache=Cache(version="1"))),
        (lambda: cached(cache=Cache(include=[scaled(1)])), lambda: cached(cache=Cache(include=[scaled(2)]))),
        (lambda: cached(cache=Cache(include=[helpers(1)])), lambda: cached(cache=Cache(include=[helpers(2)]))),
        (lambda: cached(cache=Cache(include=[Trainer])), lambda: cached(cache=Cache(include=[Louder]))),
    ],
)
async def test_all_that_an_output_depends_on_is_in_the_key(one: Callable[[], Pipeline], other: Callable[[], Pipeline]) -> None:
    """Closures, constants, partials, defaults, attributes and methods of a stage's own object, versions, helpers."""
    store = MemoryStore()
    for pipeline, count in ((one, 1), (one, 1), (other, 2), (other, 2), (one, 2)):
        await outcome(pipeline(), store, n=3, other=0)
        assert len(CALLS) == count


def helpers(step: int) -> types.ModuleType:
    module = types.ModuleType("helpers")
    code = f"def help(n):\n    return n + {step}"
    exec(compile(code, "helpers", "exec"), vars(module))  # a module with other code, in one process
    return module


async def test_what_is_not_read_of_its_object_does_not_count() -> None:
    """Notes that a method never looks at, and objects among them, are no part of its key."""
    store = MemoryStore()
    for notes in ("a", "b", Machine()):
        await outcome(cached(Trainer(1.0, notes).train), store, n=1, other=0)
    await outcome(cached(Trainer(2.0).still), store, n=1, other=0)
    await outcome(cached(Trainer(3.0).still), store, n=1, other=0)
    assert CALLS == ["trainer", "still"]


STEP = 1


def stepped(n: int) -> int:
    called("stepped")
    return n + STEP


async def test_plain_globals_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """A number of the module that the function reads is part of what it does."""
    store = MemoryStore()
    assert (await outcome(cached(stepped), store, n=1, other=0)).used == 2
    monkeypatch.setitem(globals(), "STEP", 5)
    assert (await outcome(cached(stepped), store, n=1, other=0)).used == 6


def partial_of(n: int, step: Any) -> int:
    return n


def used(m: Any) -> int:
    called("use")
    return 1


@pytest.mark.parametrize(
    ("pipeline", "what"),
    [
        (lambda: cached(Trainer(1.0).leaking), "'self' as a whole"),
        (lambda: cached(Trainer(1.0).changing), "'self' as a whole"),
        (lambda: cached(Trainer(1.0, Machine()).noted), "'self.notes' \\(a Machine\\)"),
        (lambda: cached(Louder(1.0).train), "super\\(\\)"),
        (lambda: cached(scaled(Machine())), "the variable 'factor' around it \\(a Machine\\)"),
        (lambda: cached(functools.partial(partial_of, step=Machine())), "argument step \\(a Machine\\)"),
        (lambda: Pipeline(m=Machine).stage("use", lambda m: 1).through(used=int, cache=True), "it reads 'm', a Machine"),
        (lambda: cached(lambda n: Machine(), Machine), "the field 'used' cannot be kept as JSON"),
    ],
)
def test_never_a_partial_key(pipeline: Callable[[], Pipeline], what: str) -> None:
    """What cannot be part of the key is a fault of the build, where it shows there; it is never left out."""
    with pytest.raises(BuildError, match=what) as caught:
        pipeline().build()
    assert caught.value.faults[0].stage == "use"


async def test_what_shows_only_at_run_time_is_not_cached_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    """A field of any type that holds an object: the stage runs, with one warning and the remedy."""
    plan = Pipeline(m=Any).stage("use", used).through(used=int, cache=True).build()
    with caplog.at_level(logging.WARNING, "metta_sweep"):
        for _ in range(2):
            await plan.run(m=Machine())
    assert CALLS == ["use", "use"]
    warnings = [record.message for record in caplog.records]
    assert len(warnings) == 2
    assert warnings[0] == (
        "stage 'use' is not cached: it depends on 'm' (a Machine). "
        "Say what matters with cache=Cache(key=lambda ctx: ...), or leave the cache out"
    )


async def test_a_key_stands_for_what_is_read_and_never_for_the_code() -> None:
    """``key=`` says which inputs matter; another function has another key all the same."""

    def key(ctx: Any) -> Any:
        return ctx.n % 2

    def one(n: int, m: Any) -> int:
        called("one")
        return n

    def two(n: int, m: Any) -> int:
        called("two")
        return n + 1

    def pipeline(fn: Callable[..., int]) -> Pipeline:
        return Pipeline(n=int, m=Any).stage("use", fn).through(used=int, cache=Cache(key=key))

    store = MemoryStore()
    assert [(await outcome(pipeline(one), store, n=n, m=Machine())).used for n in (1, 3, 2)] == [1, 1, 2]
    assert [(await outcome(pipeline(two), store, n=n, m=Machine())).used for n in (1, 3)] == [2, 2]
    assert CALLS == ["one", "one", "two"]


async def test_cache_and_resume_are_two_keys() -> None:
    """Regression test of peers that merge them: an input that is no field of the cache's key is still one of the resume's.

    With ``key=`` two inputs may share a cache entry. A kept run whose input changed does not take its own checkpoint for that, and
    a change of the version reruns nothing that is recorded.
    """
    store = MemoryStore()

    def pipeline(cache: Any) -> Pipeline:
        return Pipeline(n=int).stage("use", twice).through(used=int, cache=cache)

    plan = pipeline(Cache(version=1)).build()
    await plan.run(name="kept", store=store, n=1)
    events: list[PipelineEvent] = []
    other = pipeline(Cache(version=2)).build()
    await other.run(name="kept", store=store, n=1, listeners=[events.append])
    assert [event.source for event in events if isinstance(event, StageReused)] == ["checkpoint"]
    result = await other.run(name="kept", store=store, n=2)
    assert (result.used, CALLS) == (4, ["twice", "twice"])
    assert (await plan.run(name="fresh", store=store, n=1)).used == 2
    assert len(CALLS) == 2


async def test_failures_are_never_cached() -> None:
    """A stage that failed runs again."""
    fails = [True]

    def shaky(n: int) -> int:
        called("shaky")
        if fails[0]:
            raise OSError("down")
        return n

    plan = Pipeline(n=int).stage("use", shaky).through(used=int, cache=Cache(key=lambda ctx: ctx.n), retry=1).build()
    with pytest.raises(OSError, match="down"):
        await plan.run(n=1)
    fails[0] = False
    assert (await plan.run(n=1)).used == 1
    await plan.run(n=1)
    assert len(CALLS) == 3


async def test_a_replacement_is_never_cached() -> None:
    """What ``on_error`` gave for a failure is no output of the stage: the next run tries again."""
    fails = [True]

    def shaky(n: int) -> int:
        called("shaky")
        if fails[0]:
            raise OSError("down")
        return n

    cache = Cache(key=lambda ctx: ctx.n)
    plan = Pipeline(n=int).stage("use", shaky).through(used=int, cache=cache, on_error=lambda error: -1).build()
    assert (await plan.run(n=1)).used == -1
    fails[0] = False
    assert [(await plan.run(n=1)).used for _ in range(2)] == [1, 1]
    assert len(CALLS) == 2


class Journal(NullRecorder):
    """Keeps outputs in a journal of its own, as a sweep does."""

    keeps = True


async def test_what_happened_is_never_taken_from_a_cache(caplog: pytest.LogCaptureFixture) -> None:
    """Under a recorder that keeps a journal, as a sweep's does, every stage runs, whatever its key."""
    plan = cached(cache=Cache(key=lambda ctx: 0)).build()
    with caplog.at_level(logging.WARNING, "metta_sweep"):
        for _ in range(2):
            await plan.run(recorder=Journal(), n=1, other=0)
    assert CALLS == ["twice", "twice"]
    assert "stage 'use' is not cached: what records the run keeps a journal" in caplog.text


async def test_a_gate_is_never_passed_by() -> None:
    """An output that was cached without a ``validate`` hook, or with another one, is made again for this one."""
    store = MemoryStore()
    await outcome(Pipeline(n=int).stage("use", twice).through(used=int, cache=True), store, n=1)
    gated = Pipeline(n=int).stage("use", twice).through(used=int, cache=True, validate=lambda used: used > 10)
    with pytest.raises(GateError):
        await outcome(gated, store, n=1)
    assert CALLS == ["twice", "twice"]


async def test_an_object_of_its_own_counts_as_it_is_now() -> None:
    """An attribute that changes between two runs of one plan changes the key."""
    trainer = Trainer(1.0)
    plan = cached(trainer.train).build()
    assert (await plan.run(n=2, other=0)).used == 2
    trainer.rate = 4.0
    assert (await plan.run(n=2, other=0)).used == 8


async def test_a_stage_that_draws_has_its_seed_in_the_key() -> None:
    """And its address: another place, or another seed, is another draw."""

    def draw(stage: StageContext) -> float:
        called("draw")
        return stage.rng.random()

    plan = Pipeline().stage("draw", draw).through(x=float, cache=True).build()
    draws = [(await plan.run(seed=seed)).x for seed in (1, 1, 2)]
    assert draws[0] == draws[1] != draws[2]
    assert len(CALLS) == 2


async def test_damaged_entries_are_noticed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Over a database: what is not what was written is never used; the stage runs, and the entry is mended."""
    import sqlite3

    store = SqliteStore(tmp_path / "store.db")
    for payload in (b'{"used":9}', b"", b"[]", None):
        await outcome(cached(), store, n=1, other=0)
        CALLS.clear()
        connection = sqlite3.connect(tmp_path / "store.db")
        connection.execute("UPDATE cache SET payload = coalesce(?, substr(payload, 2))", (payload,))
        connection.commit()
        connection.close()
        with caplog.at_level(logging.WARNING, "metta_sweep"):
            assert (await outcome(cached(), store, n=1, other=0)).used == 2
        assert CALLS == ["twice"]
        assert "what is cached cannot be used" in caplog.text
    store.close()


async def test_a_swapped_entry_is_noticed(tmp_path: Path) -> None:
    """An entry under the key of another one is not taken for it."""
    import sqlite3

    store = SqliteStore(tmp_path / "store.db")
    for n in (1, 2):
        await outcome(cached(), store, n=n, other=0)
    connection = sqlite3.connect(tmp_path / "store.db")
    rows = connection.execute("SELECT id, seal, payload FROM cache ORDER BY id").fetchall()
    for (number, _, _), (_, seal, payload) in zip(rows, reversed(rows), strict=True):
        connection.execute("UPDATE cache SET seal = ?, payload = ? WHERE id = ?", (seal, payload, number))
    connection.commit()
    connection.close()
    assert [(await outcome(cached(), store, n=n, other=0)).used for n in (1, 2)] == [2, 4]
    store.close()


class Trained(BaseModel):
    model: Artifact
    loss: float


async def test_artifacts_are_cached_in_a_store(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A file is found again by another run; without a store it cannot be kept, which is said."""
    path = str(tmp_path / "model")

    def train(n: int) -> Trained:
        called("train")
        Path(path).write_bytes(b"weights")
        return Trained(model=Artifact(path), loss=0.5)

    store = SqliteStore(tmp_path / "store.db")
    plan = Pipeline(n=int).stage("train", train).through(Trained, cache=True).build()
    results = [await plan.run(store=store, n=1) for _ in range(2)]
    assert CALLS == ["train"]
    assert [result.model.read_bytes() for result in results] == [b"weights"] * 2
    with caplog.at_level(logging.WARNING, "metta_sweep"):
        await plan.run(n=1)
    assert "stage 'train' is not cached: its output cannot be kept" in caplog.text
    results[1].model.path.chmod(0o644)
    results[1].model.path.write_bytes(b"other!!")
    assert (await plan.run(store=store, n=1)).model.read_bytes() == b"weights"
    assert len(CALLS) == 3
    store.close()


async def test_items_of_a_map_are_cached_one_by_one() -> None:
    """Each by its own item."""

    async def each(item: int) -> int:
        called(str(item))
        return item * 2

    plan = Pipeline(items=list[int]).map("each", each, over="items").through(int, cache=True).build()
    await plan.run(items=[1, 2])
    assert (await plan.run(items=[3, 2, 1])).each == [6, 4, 2]
    assert sorted(CALLS) == ["1", "2", "3"]


async def test_a_pipeline_is_cached_as_a_whole() -> None:
    """Its key holds the code and the constants of all its stages."""

    def pipeline(step: int) -> Pipeline:
        inner = Pipeline(n=int).stage("plus", plus, step=step).through(m=int)
        return Pipeline(n=int).stage("inner", inner).through(m=int, cache=True)

    assert [(await outcome(pipeline(step), n=1)).m for step in (1, 1, 2)] == [2, 2, 3]
    assert CALLS == ["plus", "plus"]


def test_the_cache_of_a_process_is_bounded() -> None:
    """By number and by size; what was used last stays."""
    cache = ProcessCache(entries=3, size=100)
    for key in "abc":
        cache.put_cache(key, b"x")
    assert cache.get_cache("a") == b"x"
    cache.put_cache("d", b"y")
    assert [cache.get_cache(key) for key in "abcd"] == [b"x", None, b"x", b"y"]
    cache.put_cache("big", b"z" * 99)
    assert [cache.get_cache(key) for key in ("a", "c", "big")] == [None, None, b"z" * 99]
    cache.put_cache("bigger", b"z" * 101)
    assert cache.get_cache("bigger") is None
    cache.clear()
    for key in "abc":
        cache.put_cache(key, b"x" * 33)
    assert cache.get_cache("a") == b"x" * 33


async def test_a_key_stands_for_the_fields_never_for_the_constants() -> None:
    """With ``key=``, another constant is another entry, also one within a pipeline; the key of an item can read the item."""

    async def add(x: int, step: int) -> int:
        return x + step

    def at(step: int) -> Pipeline:
        return Pipeline(x=int).stage("t", add, step=step).through(int, cache=Cache(key=lambda ctx: ctx.x))

    assert [(await at(step).build().run(x=1)).t for step in (1, 2, 1)] == [2, 3, 2]
    nested = [Pipeline(x=int).stage("n", at(step)).through(t=int, cache=Cache(key=lambda ctx: ctx.x)) for step in (10, 20)]
    assert [(await pipeline.build().run(x=1)).t for pipeline in nested] == [11, 21]
    mapped = Pipeline(xs=list[int]).map("m", add, over="xs", step=5).through(int, cache=Cache(key=lambda ctx: ctx.x)).build()
    assert (await mapped.run(xs=[1, 2])).m == [6, 7]
    events: list[Any] = []
    assert (await mapped.run(xs=[2, 1], listeners=[events.append])).m == [7, 6]
    assert [(event.address, event.source) for event in events] == [("m[item=0]", "cache"), ("m[item=1]", "cache")]


SETTINGS = {"step": 1}
BOUNDS = (1, 2)
LOG = logging.getLogger("test of caches")


class Stepper:
    step = 1

    def up(self, n: int) -> int:
        return n + self.step + SETTINGS["step"]


def by_settings(n: int) -> int:
    LOG.debug("objects without content do not stand in the way")
    called("settings")
    return n + SETTINGS["step"]


def by_bounds(n: int) -> int:
    called("bounds")
    return n + BOUNDS[1]


def by_class(n: int) -> int:
    called("class")
    return Stepper().up(n)


@pytest.mark.parametrize(
    ("fn", "name", "value"),
    [
        (by_settings, "SETTINGS", {"step": 5}),
        (by_bounds, "BOUNDS", (1, 5)),
        (by_class, "SETTINGS", {"step": 5}),
        (by_class, "Stepper", type("Stepper", (Stepper,), {"step": 5, "__module__": __name__})),
    ],
)
async def test_all_globals_with_content_count(
    fn: Callable[..., Any], name: str, value: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dicts, tuples, and the classes of the module with what they read: another value is another output."""
    store = MemoryStore()
    before = (await outcome(cached(fn), store, n=1, other=0)).used
    assert (await outcome(cached(fn), store, n=1, other=0)).used == before
    monkeypatch.setitem(globals(), name, value)
    assert (await outcome(cached(fn), store, n=1, other=0)).used > before
    assert len(CALLS) == 2


async def test_a_proxy_with_every_attribute_is_an_object_without_content() -> None:
    """Loggers of structlog answer to any name; they are not asked what their content is."""

    class Proxy:
        def __getattr__(self, name: str) -> Any:
            return lambda: None

    result = await Pipeline(log=Any).stage("use", lambda log: 1).through(used=int).build().run(store=MemoryStore(), log=Proxy())
    assert result.used == 1


async def test_a_nested_pipeline_is_cached_by_its_wiring() -> None:
    """Which field a stage writes, and the versions of the caches within, are part of the key."""
    store = MemoryStore()

    def around(field: str, version: int = 1) -> Pipeline:
        inner = Pipeline(n=int).stage("first", twice).through(**{field: int}, cache=Cache(version=version))
        return Pipeline(n=int, other=int).stage("use", inner.stage("last", lambda n: n).through(used=int)).through(cache=True)

    assert (await outcome(around("n"), store, n=1, other=0)).used == 2
    assert (await outcome(around("doubled"), store, n=1, other=0)).used == 1
    assert (await outcome(around("n", version=2), store, n=1, other=0)).used == 2
    assert CALLS == ["twice", "twice", "twice"]


@pytest.mark.parametrize(
    "inner",
    [
        Pipeline(n=int).stage("first", twice).through(used=int, on_error=lambda error: 0),
        Pipeline(ns=list[int]).map("first", twice, over="ns", into="all", on_item_error="collect"),
    ],
    ids=["on_error", "collect"],
)
def test_what_forgives_failures_is_not_cached_as_a_whole(inner: Pipeline) -> None:
    """A replacement, or a list with failures in it, is no output to be shared; its stages can be cached one by one."""
    pipeline = Pipeline(n=int, ns=list[int]).stage("use", inner)
    pipeline.build()
    with pytest.raises(BuildError, match=r"use: cache: 'first' within it goes on after a failure.*one by one"):
        pipeline.through(cache=True).build()
