"""What of a kept run is used again, and what is not."""

# ruff: noqa: D102, D103  # stages; each test says what it shows
from __future__ import annotations

import datetime as dt
import functools
import logging
import math
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, PrivateAttr, SecretStr

from metta_sweep.errors import BuildError, ContractError, DefinitionChanged, InvalidInput
from metta_sweep.pipeline import Pipeline, StageContext, StoreRecorder, ref
from metta_sweep.records import digest
from metta_sweep.store.memory import MemoryStore


class Machine:
    """Something without content that could be compared."""

    def __init__(self, power: int = 1) -> None:
        self.power = power


class Score(BaseModel):
    value: float
    best: float | None = None


class Calls:
    """Counts the calls of stages."""

    def __init__(self) -> None:
        self.made: list[str] = []

    def counting(self, name: str, fn: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(fn)
        async def counted(*args: Any, **kwargs: Any) -> Any:
            self.made.append(name)
            return fn(*args, **kwargs)

        return counted


async def runs_again(pipeline: Callable[[Calls], Pipeline], *inputs: dict[str, Any]) -> list[str]:
    """The stages that the last of several runs under one name calls."""
    store = MemoryStore()
    calls = Calls()
    for given in inputs:
        calls = Calls()
        await pipeline(calls).build().run(name="kept", store=store, inputs=given)
    return calls.made


CHANGED: list[tuple[Any, Any]] = [
    (1, 1.0),
    (1, True),
    (0.0, -0.0),
    ([1], (1,)),
    ({1: "a"}, {"1": "a"}),
    (b"a", "a"),
    (dt.date(2026, 1, 1), "2026-01-01"),
    (Score(value=1.0), {"value": 1.0, "best": None}),
    (len, max),
    (functools.partial(int, base=2), functools.partial(int, base=3)),
    (lambda x: x, lambda x: x + 1),
]


@pytest.mark.parametrize(("before", "now"), CHANGED)
async def test_what_looks_alike_in_json_is_not_the_same(before: Any, now: Any) -> None:
    """No two different inputs are taken for one another, whatever their JSON forms are."""

    def pipeline(calls: Calls) -> Pipeline:
        return Pipeline(n=Any).stage("use", calls.counting("use", lambda n: 1)).through(used=int)

    assert await runs_again(pipeline, {"n": before}, {"n": now}) == ["use"]
    assert await runs_again(pipeline, {"n": before}, {"n": before}) == []


async def test_equal_inputs_are_the_same() -> None:
    """NaN is NaN, the order of the members of sets does not count."""

    def pipeline(calls: Calls) -> Pipeline:
        return Pipeline(n=Any).stage("use", calls.counting("use", lambda n: 1)).through(used=int)

    assert await runs_again(pipeline, {"n": {"a": math.nan, "b": {1, 2}}}, {"n": {"a": -math.nan, "b": {2, 1}}}) == []


@pytest.mark.parametrize("constant", [False, True])
async def test_what_cannot_be_compared_runs_again_and_says_so(constant: bool, caplog: pytest.LogCaptureFixture) -> None:
    """An object without content is never taken for another one of its class: one warning names it."""

    def pipeline(calls: Calls) -> Pipeline:
        use = calls.counting("use", lambda machine, i: i + machine.power)
        start = Pipeline() if constant else Pipeline(machine=Machine)
        loop = start.loop_while(lambda ctx: ctx.i < 3, carry={"i": 0})
        return loop.stage("use", use, **({"machine": Machine()} if constant else {})).through(i=int).end_loop()

    given: dict[str, Any] = {} if constant else {"machine": Machine()}
    with caplog.at_level(logging.WARNING, "metta_sweep"):
        assert await runs_again(pipeline, given, given) == ["use"] * 3
    name = "constant machine" if constant else "machine"
    warnings = [record.message for record in caplog.records if f"reads '{name}' (a Machine)" in record.message]
    assert len(warnings) == 2
    assert "Let the stage that makes it opt out with checkpoint=False" in warnings[0]


async def test_an_object_is_known_by_the_stage_that_made_it() -> None:
    """A stage that opts out runs again; who reads its object is reused while that is made of the same, and of the same code."""

    def pipeline(calls: Calls, make: Callable[..., Machine] = Machine) -> Pipeline:
        return (
            Pipeline(power=int)
            .stage("build", calls.counting("build", lambda power: make(power)))
            .through(machine=Machine, checkpoint=False)
            .stage("rebuild", calls.counting("rebuild", lambda machine: [machine]))
            .through(machines=list[Machine], checkpoint=False)
            .stage("use", calls.counting("use", lambda machines: machines[0].power))
            .through(used=int)
        )

    assert await runs_again(pipeline, {"power": 1}, {"power": 1}) == ["build", "rebuild"]
    assert await runs_again(pipeline, {"power": 1}, {"power": 2}) == ["build", "rebuild", "use"]


async def test_a_reference_by_stage_counts_as_it_is_read() -> None:
    """What a stage reads by the name of another one is part of its inputs, even when the field was replaced since."""

    def pipeline(calls: Calls) -> Pipeline:
        return (
            Pipeline(n=int)
            .stage("first", lambda n: n)
            .through(x=int)
            .stage("second", lambda: 0)
            .through(x=int)
            .stage("use", calls.counting("use", lambda old: old), old=ref("first.x"))
            .through(used=int)
        )

    assert await runs_again(pipeline, {"n": 1}, {"n": 2}) == ["use"]


async def test_a_seed_is_an_input_of_those_who_ask_for_it() -> None:
    """Another seed runs again what may draw from it, and nothing else."""
    store, calls = MemoryStore(), Calls()

    async def draw(stage: StageContext) -> float:
        calls.made.append("draw")
        return stage.rng.random()

    async def load() -> int:
        calls.made.append("load")
        return 1

    plan = Pipeline().stage("load", load).stage("draw", draw).build()
    first = await plan.run(name="kept", store=store, seed=1)
    assert (await plan.run(name="kept", store=store)).draw == first.draw
    assert calls.made == ["load", "draw"]
    assert (await plan.run(name="kept", store=store, seed=2)).draw != first.draw
    assert calls.made == ["load", "draw", "draw"]


# -- what goes on is what a resumed run finds --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("form", "value", "kept"),
    [
        (Any, (1, 2), [1, 2]),
        (dict[str, Any], {"a": (1,)}, {"a": [1]}),
        (tuple[int, ...], (1, 2), (1, 2)),
        (set[str], {"a"}, {"a"}),
        (dt.datetime, dt.datetime(2026, 1, 1, tzinfo=dt.UTC), dt.datetime(2026, 1, 1, tzinfo=dt.UTC)),
        (dict[int, float], {1: 2.0}, {1: 2.0}),
        (list[float], [-0.0, 1e300], [-0.0, 1e300]),
        (bytes, b"abc", b"abc"),
    ],
)
async def test_an_uninterrupted_run_sees_what_a_resumed_one_sees(
    form: Any, value: Any, kept: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """What JSON does not give back as it was goes on in the form that it gives back, with a warning."""
    store, plan = MemoryStore(), Pipeline().stage("make", lambda: value).through(made=form).build()
    results = [(await plan.run(name="kept", store=store)).made for _ in range(2)]
    assert [(type(result), result) for result in results] == [(type(kept), kept)] * 2
    assert ("comes back from the store as something else" in caplog.text) == (kept != value)


async def test_numbers_that_are_none_come_back() -> None:
    """NaN and infinity survive in plain fields and in models; JSON would lose them to null there."""
    store = MemoryStore()
    made = Score(value=math.nan, best=-math.inf)
    plan = (
        Pipeline()
        .stage("make", lambda: {"score": made, "losses": [math.nan, math.inf]})
        .through(score=Score, losses=list[float])
        .build()
    )
    for _ in range(2):
        result = await plan.run(name="kept", store=store)
        assert math.isnan(result.score.value)
        assert result.score.best == -math.inf
        assert math.isnan(result.losses[0])
        assert result.losses[1] == math.inf


class Hiding(BaseModel):
    n: int
    _secret: int = PrivateAttr(default=0)


async def test_validated_before_it_is_kept() -> None:
    """Regression test of a peer: what could not be loaded later is refused when it is to be saved, and nothing is written."""
    store = MemoryStore()

    class Sly(BaseModel):
        n: int

        def __init__(self, **values: Any) -> None:
            super().__init__(**values)
            if self.n > 0:
                raise ValueError("only negative numbers")

    sly = Sly.model_construct(n=1)
    plan = Pipeline().stage("make", lambda: sly).through(made=Any).build()
    assert (await plan.run(name="kept", store=store)).made == {"n": 1}

    bad = Pipeline().stage("make", lambda: b"\xff").through(made=bytes).build()
    with pytest.raises(ContractError, match="stage 'make': its output \\('made'\\) cannot be kept as JSON"):
        await bad.run(name="bad", store=store)
    row = store.find_run("bad")
    assert row is not None
    assert list(store.checkpoint_addresses(row.run_id)) == []


async def test_private_attributes_are_lost_at_once_or_never() -> None:
    """What JSON does not keep of a model is not there in the run that made it either."""
    made = Hiding(n=1)
    made._secret = 5
    plan = Pipeline().stage("make", lambda: made).through(made=Hiding).build()
    assert (await plan.run(store=MemoryStore())).made._secret == 0


async def test_secrets_are_not_kept_as_stars() -> None:
    """A type whose JSON form hides the value has none for our purposes."""
    plan = Pipeline().stage("make", lambda: SecretStr("x")).through(made=SecretStr).build()
    with pytest.raises(BuildError, match="'made' cannot be kept as JSON"):
        await plan.run(store=MemoryStore())
    with pytest.raises(BuildError, match="'made' cannot be kept as JSON"):
        await plan.run(recorder=StoreRecorder(MemoryStore(), "by hand"))


# -- changed code -----------------------------------------------------------------------------------------------------------------


def counted(calls: Calls, fn: Callable[..., Any], **hooks: Any) -> Pipeline:
    async def load() -> int:
        calls.made.append("load")
        return int(fn())

    return Pipeline().stage("load", load).through(n=int, **hooks).stage("use", lambda n: n + 1).through(m=int)


async def test_changed_code_runs_again_where_it_is_asked_for() -> None:
    """``rerun`` runs the stage of other code, and whoever reads something else then; a stage's own word counts most."""
    for options, hooks in (({"on_code_change": "rerun"}, {}), ({}, {"on_code_change": "rerun"})):
        store, calls = MemoryStore(), Calls()
        await counted(calls, lambda: 1, **hooks).build().run(name="kept", store=store, **options)  # type: ignore[arg-type]
        result = await counted(calls, lambda: 2, **hooks).build().run(name="kept", store=store, **options)  # type: ignore[arg-type]
        assert (result.n, result.m) == (2, 3)
        await counted(calls, lambda: 2, **hooks).build().run(name="kept", store=store, **options)  # type: ignore[arg-type]
        assert calls.made == ["load", "load"]


async def test_changed_code_is_refused_where_it_is_asked_for() -> None:
    """``refuse`` names stage, address and remedies; another word for the stage lets it pass."""
    store, calls = MemoryStore(), Calls()
    await counted(calls, lambda: 1).build().run(name="kept", store=store)
    with pytest.raises(DefinitionChanged, match=r"stage 'load': its code has changed .* at load .* on_code_change='rerun'"):
        await counted(calls, lambda: 2).build().run(name="kept", store=store, on_code_change="refuse")
    lenient = counted(calls, lambda: 2, on_code_change="warn").build()
    assert (await lenient.run(name="kept", store=store, on_code_change="refuse")).n == 1
    row = store.find_run("kept")
    assert row is not None
    with pytest.raises(DefinitionChanged, match="its code has changed"):
        await counted(calls, lambda: 2).build().run(recorder=StoreRecorder(store, row.run_id), on_code_change="refuse")
    with pytest.raises(InvalidInput, match="Did you mean 'refuse'"):
        await lenient.run(on_code_change="refused")  # type: ignore[arg-type]
    with pytest.raises(InvalidInput, match="Did you mean 'on_code_change'"):
        await lenient.run(on_code_chnge="refuse")


async def test_changed_code_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    """Not for every iteration of a loop."""
    store = MemoryStore()

    def loop(fn: Callable[[int], int]) -> Pipeline:
        return Pipeline().loop_while(lambda ctx: ctx.i < 5, carry={"i": 0}).stage("step", fn).through(i=int).end_loop()

    await loop(lambda i: i + 1).build().run(name="kept", store=store)
    with caplog.at_level(logging.WARNING, "metta_sweep"):
        await loop(lambda i: 1 + i).build().run(name="kept", store=store)
    assert [record.message for record in caplog.records] == [
        "stage 'loop/step' at loop[0]/step: its code has changed since; the recorded output is used all the same"
    ]


# -- changed contracts ------------------------------------------------------------------------------------------------------------


class Old(BaseModel):
    seconds: float


class New(BaseModel):
    minutes: float
    unit: str = "min"


async def recorded(store: MemoryStore, contract: Any, value: Any) -> None:
    async def make() -> Any:
        return value

    await Pipeline().stage("make", make).through(contract).build().run(name="kept", store=store)


async def test_a_recorded_value_is_migrated_once() -> None:
    """``migrate`` gets the recorded values when the contract is another one; what it makes is recorded in its place."""
    store, seen = MemoryStore(), []

    async def never() -> New:
        raise AssertionError("it is recorded")

    def migrate(values: dict[str, Any]) -> dict[str, Any]:
        seen.append(values)
        return {"minutes": values["seconds"] / 60}

    await recorded(store, Old, Old(seconds=120.0))
    plan = Pipeline().stage("make", never).through(New, migrate=migrate).build()
    for _ in range(2):
        result = await plan.run(name="kept", store=store)
        assert (result.minutes, result.unit) == (2.0, "min")
    assert seen == [{"seconds": 120.0}]


async def test_migrate_may_return_the_value_itself() -> None:
    """Or values in their JSON form."""
    for made in (dt.date(2026, 1, 2), {"make": "2026-01-02"}):
        store = MemoryStore()
        await recorded(store, str, "2.1.2026")
        plan = Pipeline().stage("make", lambda: None).through(dt.date, migrate=lambda values, made=made: made).build()
        assert (await plan.run(name="kept", store=store)).make == dt.date(2026, 1, 2)


async def test_what_migrate_makes_is_checked() -> None:
    """An output that does not fit names the stage and what is wrong; errors of the hook come as they are."""
    store = MemoryStore()
    await recorded(store, Old, Old(seconds=1.0))
    wrong = Pipeline().stage("make", lambda: None).through(New, migrate=lambda values: values)
    with pytest.raises(ContractError, match="migrate hook does not return what the contract takes: stage 'make'"):
        await wrong.build().run(name="kept", store=store)
    failing = Pipeline().stage("make", lambda: None).through(New, migrate=lambda values: {"minutes": values["second"]})
    with pytest.raises(KeyError) as caught:
        await failing.build().run(name="kept", store=store)
    assert "in hook 'migrate' of stage 'make' at make" in caught.value.__notes__


async def test_without_migrate_the_error_names_everything() -> None:
    """Field, recorded value, contract and remedies."""
    store = MemoryStore()
    await recorded(store, int, 3)
    with pytest.raises(ContractError) as caught:
        await Pipeline().stage("make", lambda: "x").through(str).build().run(name="kept", store=store)
    text = str(caught.value)
    assert all(part in text for part in ("'make'", "found 3", "(str)", "migrate=", "another name"))


async def test_a_deeper_change_of_the_contract_is_seen(caplog: pytest.LogCaptureFixture) -> None:
    """A field that a nested model gained is a change; where the recorded value still fits it is used, with a warning."""
    store = MemoryStore()

    class Inner(BaseModel):
        n: int

    class Outer(BaseModel):
        inner: list[Inner]

    await recorded(store, Outer, Outer(inner=[Inner(n=1)]))

    class InnerNow(BaseModel):
        n: int
        m: int = 0

    class OuterNow(BaseModel):
        inner: list[InnerNow]

    async def make() -> Any:
        raise AssertionError("it is recorded")

    with caplog.at_level(logging.WARNING, "metta_sweep"):
        result = await Pipeline().stage("make", make).through(OuterNow).build().run(name="kept", store=store)
    assert result.inner == [InnerNow(n=1, m=0)]
    assert "its code and its contract have changed since" in caplog.text


@pytest.mark.parametrize(
    "payload", [b"", b"nonsense", b"[]", b'"x"', b"1", b"null", b'{"make"', b"[" * 5000, b"\xff\xfe"], ids=lambda p: repr(p[:12])
)
async def test_ill_formed_payloads_are_not_used(payload: bytes, caplog: pytest.LogCaptureFixture) -> None:
    """What is no JSON object cannot have been written by a stage, even where its digest is right: it runs again."""
    store = MemoryStore()
    await recorded(store, int, 3)
    replace_payload(store, payload)
    with caplog.at_level(logging.WARNING, "metta_sweep"):
        result = await Pipeline().stage("make", lambda: 4).through(int).build().run(name="kept", store=store)
    assert result.make == 4
    assert "the checkpoint at make: what is recorded is damaged and is not used" in caplog.text


@pytest.mark.parametrize("payload", [b"{}", b'{"other":1}', b'{"make":"3"}', b'{"make":3.0}', b'{"make":true}', b'{"make":[3]}'])
async def test_hostile_payloads_end_in_a_clear_error(payload: bytes) -> None:
    """What is JSON of another shape is refused by the contract, and never converted."""
    store = MemoryStore()
    await recorded(store, int, 3)
    replace_payload(store, payload)
    with pytest.raises(ContractError, match="stage 'make': what is recorded no longer fits field 'make' \\(int\\)"):
        await Pipeline().stage("make", lambda: 4).through(int).build().run(name="kept", store=store)


def replace_payload(store: MemoryStore, payload: bytes) -> None:
    row = store.find_run("kept")
    assert row is not None
    kept = store.get_checkpoint(row.run_id, "make")
    assert kept is not None
    store.put_checkpoint(row.run_id, kept._replace(payload=payload, digest=digest(payload)))


SCRIPT = """
import asyncio, functools, logging, sys
from dataclasses import dataclass
from pydantic import BaseModel
from metta_sweep import Context, Pipeline, SqliteStore

logging.basicConfig(level=logging.WARNING, stream=sys.stdout)

class Out(BaseModel):
    words: set[str]
    table: dict[str, tuple[int, ...]]

@dataclass(frozen=True)
class Config:
    names: frozenset[str] = frozenset({"a", "b", "c", "d"})

def helper(x, among=("x", "y")):
    return x in {"p", "q", "r", "s"} or x in among

class Object:
    def __call__(self, words: set[str]) -> int:
        return len([word for word in words if helper(word)])

def make(n: int, config: Config, fn=helper, kinds=frozenset({"u", "v", "w"})) -> Out:
    return Out(words={*config.names, *kinds}, table={name: (n,) for name in sorted(config.names)})

def closing(words):
    return lambda ctx: sorted(ctx.words & words)

async def main():
    pipeline = (
        Pipeline(n=int, config=Config).stage("make", make, fn=helper)
        .stage("count", Object()).through(count=int)
        .stage("close", closing({"a", "b"})).through(both=list[str])
        .stage("part", functools.partial(lambda n, extra: n, extra={"k", "l", "m"})).through(part=int)
        .stage("whole", lambda ctx: len(ctx)).through(whole=int)
    )
    store = SqliteStore(sys.argv[1])
    plan = pipeline.build()
    rows = plan.plan_resume(name="kept", store=store, n=1, config=Config()).rows
    print(*(row.verdict for row in rows))
    await plan.run(name="kept", store=store, n=1, config=Config())
    store.close()

asyncio.run(main())
"""


def test_another_process_finds_the_same(tmp_path: Path) -> None:
    """Neither digests of inputs nor of code differ between processes, whatever the order of their sets."""
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    outputs = []
    for seed in ("1", "2", "3"):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        command = [sys.executable, str(script), str(tmp_path / "store.db")]
        outputs.append(subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=60).stdout)
    assert outputs == ["new new new new new\n", *["reuse reuse reuse reuse reuse\n"] * 2]
