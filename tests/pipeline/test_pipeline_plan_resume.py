"""What a resumed run would do, told before it does anything."""

# ruff: noqa: D103  # stages; each test says what it shows
from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from metta_sweep.errors import BuildError, DefinitionChanged, InvalidInput
from metta_sweep.pipeline import Pipeline, PipelineEvent, ResumePlan, StageReused, ref
from metta_sweep.records import Store
from metta_sweep.store import MemoryStore, SqliteStore, open_reader

Rows = dict[str, tuple[str, str]]


class Machine:
    """Something without content."""


def told(plan: ResumePlan) -> Rows:
    return {row.address: (row.verdict, row.reason) for row in plan.rows}


def verdicts(plan: ResumePlan) -> dict[str, str]:
    return {row.address: row.verdict for row in plan.rows}


def chain(fn: Callable[[int], int] = lambda n: n + 1, **hooks: Any) -> Pipeline:
    return (
        Pipeline(n=int, other=int)
        .stage("first", fn)
        .through(a=int, **hooks)
        .stage("second", lambda a: a * 2)
        .through(b=int)
        .stage("third", lambda other: other)
        .through(c=int)
    )


async def kept(pipeline: Pipeline, store: Store, **inputs: Any) -> None:
    await pipeline.build().run(name="kept", store=store, inputs=inputs)


async def test_nothing_recorded_is_all_new() -> None:
    """A name that no run has yet: every stage is new, and nothing is made in the store."""
    store = MemoryStore()
    plan = chain().build().plan_resume(name="kept", store=store, n=1, other=1)
    assert told(plan) == {
        "first": ("new", "nothing is recorded"),
        "second": ("new", "depends on 'first', which has yet to run"),
        "third": ("new", "nothing is recorded"),
    }
    assert list(store.runs()) == []


async def test_a_finished_run_is_all_reused() -> None:
    """And nothing is written by looking."""
    store = MemoryStore()
    await kept(chain(), store, n=1, other=1)
    plan = chain().build().plan_resume(name="kept", store=store, n=1, other=1)
    assert verdicts(plan) == dict.fromkeys(("first", "second", "third"), "reuse")


async def test_a_changed_input_is_named() -> None:
    """With who depends on it; what reads something else is reused."""
    store = MemoryStore()
    await kept(chain(), store, n=1, other=1)
    plan = chain().build().plan_resume(name="kept", store=store, n=2, other=1)
    assert told(plan) == {
        "first": ("rerun", "changed since: n"),
        "second": ("rerun", "depends on 'first', which has yet to run"),
        "third": ("reuse", "recorded, and reads the same"),
    }


async def test_changed_code_in_every_policy() -> None:
    """Stale where it is used all the same, to run again, or refused."""
    store = MemoryStore()
    await kept(chain(), store, n=1, other=1)
    plan = chain(lambda n: n + 2).build()
    options: dict[str, Any] = {"name": "kept", "store": store, "n": 1, "other": 1}
    assert told(plan.plan_resume(**options))["first"] == (
        "stale",
        "its code has changed since; the recorded output is used all the same",
    )
    assert verdicts(plan.plan_resume(**options))["second"] == "reuse"
    again = told(plan.plan_resume(on_code_change="rerun", **options))
    assert (again["first"], again["second"][0]) == (("rerun", "its code has changed since"), "rerun")
    verdict, reason = told(plan.plan_resume(on_code_change="refuse", **options))["first"]
    assert verdict == "stale"
    assert "the run will raise DefinitionChanged" in reason
    with pytest.raises(DefinitionChanged):
        await plan.run(on_code_change="refuse", **options)


async def test_damage_is_told() -> None:
    """A damaged record will not be used."""
    store = MemoryStore()
    await kept(chain(), store, n=1, other=1)
    run = store.runs()[0].run_id
    first = store.get_checkpoint(run, "first")
    assert first is not None
    store.put_checkpoint(run, first._replace(payload=b'{"a":3}'))
    plan = chain().build().plan_resume(name="kept", store=store, n=1, other=1)
    assert told(plan)["first"] == ("rerun", "what is recorded is damaged and is not used")


async def test_contracts_that_changed() -> None:
    """What still fits is stale, what does not says what the run will raise, what is migrated says so."""
    store = MemoryStore()
    await kept(Pipeline().stage("first", lambda: 1).through(int), store)

    def row(form: Any, **hooks: Any) -> tuple[str, str]:
        plan = Pipeline().stage("first", lambda: 1).through(form, **hooks).build()
        return told(plan.plan_resume(name="kept", store=store, on_code_change="warn"))["first"]

    assert row(int | None)[0] == "stale"
    assert "its contract has changed since" in row(int | None)[1]
    assert "the run will raise ContractError: stage 'first'" in row(str)[1]
    assert "migrate= converts it" in row(str, migrate=lambda values: str(values["first"]))[1]
    assert row(str, migrate=lambda values: values["frist"]) == (
        "stale",
        "its contract has changed since; the run will raise KeyError: 'frist' in migrate",
    )


async def test_orphans_come_last() -> None:
    """What is recorded where no stage is any more."""
    store = MemoryStore()
    await kept(chain(), store, n=1, other=1)
    renamed = Pipeline(n=int, other=int).stage("one", lambda n: n).through(a=int).stage("third", lambda other: other).through(c=int)
    plan = renamed.build().plan_resume(name="kept", store=store, n=1, other=1)
    assert list(verdicts(plan).items()) == [("one", "new"), ("third", "reuse"), ("first", "orphan"), ("second", "orphan")]


async def test_stages_that_opt_out() -> None:
    """They run again; who reads an object of theirs is known by its origin, who reads plain values has to wait."""
    store = MemoryStore()

    def pipeline(value: Any, form: Any) -> Pipeline:
        made = Pipeline().stage("make", lambda: value).through(made=form, checkpoint=False)
        return made.stage("use", lambda made: 1).through(used=int)

    for value, form, verdict in ((Machine(), Machine, "reuse"), (3, int, "rerun")):
        name = f"kept-{verdict}"
        await pipeline(value, form).build().run(name=name, store=store)
        plan = pipeline(value, form).build().plan_resume(name=name, store=store)
        assert verdicts(plan) == {"make": "rerun", "use": verdict}
        assert plan.rows[0].reason == "it is not kept (checkpoint=False)"


async def test_what_cannot_be_compared() -> None:
    """A stage that reads an object of unknown origin runs again."""
    store, plan = MemoryStore(), Pipeline(machine=Machine).stage("use", lambda machine: 1).through(used=int).build()
    await plan.run(name="kept", store=store, machine=Machine())
    assert told(plan.plan_resume(name="kept", store=store, machine=Machine()))["use"] == (
        "rerun",
        "reads 'machine' (a Machine), which cannot be compared with what it was",
    )


# -- control flow -----------------------------------------------------------------------------------------------------------------


def looping(start: Callable[[], int] = lambda: 0, fail_at: int = -1) -> Pipeline:
    failing = {fail_at}

    def step(i: int) -> int:
        if i in failing:
            raise OSError("crash")
        return i + 1

    loop = Pipeline().stage("start", start).through(s=int).loop_while(lambda ctx: ctx.i < 4, carry={"i": ref("s")})
    return loop.stage("step", step).through(i=int).end_loop().stage("end", lambda i: i).through(e=int)


async def test_a_loop_is_told_iteration_by_iteration() -> None:
    """As far as its predicate reads what is recorded; then what comes next is new, and what depends on it as well."""
    store = MemoryStore()
    with pytest.raises(OSError, match="crash"):
        await kept(looping(fail_at=2), store)
    assert told(looping().build().plan_resume(name="kept", store=store)) == {
        "start": ("reuse", "recorded, and reads the same"),
        "loop[0]/step": ("reuse", "recorded, and reads the same"),
        "loop[1]/step": ("reuse", "recorded, and reads the same"),
        "loop[2]/step": ("new", "nothing is recorded"),
        "loop[3]": ("new", "comes after loop[2], which has yet to run"),
        "end": ("new", "depends on 'loop', which has yet to run"),
    }


async def test_a_loop_whose_beginning_is_unknown() -> None:
    """All of its recorded iterations wait."""
    store = MemoryStore()
    await kept(looping(), store)
    plan = looping(lambda: len("")).build().plan_resume(name="kept", store=store, on_code_change="rerun")
    found = told(plan)
    assert found["start"][0] == "rerun"
    assert {found[f"loop[{i}]/step"] for i in range(4)} == {("rerun", "depends on 'start', which has yet to run")}
    assert found["end"][0] == "rerun"


async def test_a_loop_without_end_is_not_followed() -> None:
    """A predicate that does not look at the context is asked while recorded work is found, and no longer."""
    store = MemoryStore()
    plan = (
        Pipeline()
        .loop_while(lambda ctx: "i" in vars(type(ctx)) or True, carry={"i": 0})
        .stage("step", lambda i: i + 1)
        .through(i=int)
        .end_loop()
    )
    found = plan.build().plan_resume(name="kept", store=store)
    assert len(found.rows) == 2


@pytest.mark.parametrize("n", [1, -1])
async def test_a_branch_is_told_as_it_will_be_taken(n: int) -> None:
    """The other block's records are orphans; a predicate that is asynchronous is not asked."""
    store = MemoryStore()

    def pipeline(predicate: Any) -> Pipeline:
        then = Pipeline().stage("up", lambda n: n + 1).through(m=int)
        otherwise = Pipeline().stage("down", lambda n: n - 1).through(m=int)
        return Pipeline(n=int).branch(predicate, then, otherwise, name="choose").stage("use", lambda m: m).through(u=int)

    def positive(ctx: Any) -> bool:
        return bool(ctx.n > 0)

    async def later(ctx: Any) -> bool:
        return bool(ctx.n > 0)

    await kept(pipeline(positive), store, n=1)
    taken = "choose/then/up" if n > 0 else "choose/otherwise/down"
    plan = pipeline(positive).build().plan_resume(name="kept", store=store, n=n)
    expected = {taken: "reuse", "use": "reuse"} if n > 0 else {taken: "new", "use": "rerun", "choose/then/up": "orphan"}
    assert verdicts(plan) == expected
    assert told(pipeline(later).build().plan_resume(name="kept", store=store, n=n))["choose/then/up"] == (
        "rerun",
        "its predicate is asynchronous, and is asked when it runs",
    )


async def test_a_map_is_told_item_by_item() -> None:
    """Items that are done are reused, others are not; what reads the list waits for them."""
    store = MemoryStore()

    def pipeline(fail_at: int = -1) -> Pipeline:
        failing = {fail_at}

        async def one(item: int) -> int:
            if item in failing:
                raise OSError("crash")
            return item * 2

        return Pipeline(items=list[int]).map("each", one, over="items", limit=1).stage("all", lambda each: sum(each)).through(t=int)

    with pytest.raises(OSError, match="crash"):
        await kept(pipeline(12), store, items=[10, 11, 12, 13])
    plan = pipeline(12).build().plan_resume(name="kept", store=store, items=[10, 11, 12, 13])
    assert verdicts(plan) == {
        "each[item=0]": "reuse",
        "each[item=1]": "reuse",
        "each[item=2]": "new",
        "each[item=3]": "new",
        "all": "new",
    }
    await kept(pipeline(), store, items=[10, 11])
    plan = pipeline().build().plan_resume(name="kept", store=store, items=[10, 11])
    assert verdicts(plan) == {"each[item=0]": "reuse", "each[item=1]": "reuse", "all": "reuse"}


async def test_a_pipeline_as_a_stage() -> None:
    """Used as a whole where it is recorded; else its own stages are told, and what comes of them."""
    store = MemoryStore()

    def pipeline(fail: bool = False) -> Pipeline:
        failing = [fail]

        def score(model: int) -> int:
            if failing[0]:
                raise OSError("crash")
            return model + 1

        inner = Pipeline(data=int, lr=float).stage("fit", lambda data, lr: int(data * lr)).through(model=int)
        train = inner.stage("score", score).through(loss=int)
        outer = Pipeline(n=int).stage("load", lambda n: n).through(data=int).stage("train", train, lr=2.0).through(loss=int)
        return outer.stage("report", lambda loss: loss).through(r=int)

    with pytest.raises(OSError, match="crash"):
        await kept(pipeline(fail=True), store, n=1)
    plan = pipeline().build().plan_resume(name="kept", store=store, n=1)
    assert verdicts(plan) == {"load": "reuse", "train": "new", "train/fit": "reuse", "train/score": "new", "report": "new"}
    await kept(pipeline(), store, n=1)
    plan = pipeline().build().plan_resume(name="kept", store=store, n=1)
    assert set(verdicts(plan).values()) == {"reuse"}
    assert told(plan)["train/fit"] == ("reuse", "within 'train', whose output is used as a whole")
    changed = verdicts(pipeline().build().plan_resume(name="kept", store=store, n=2))
    assert changed == {"load": "rerun", "train": "rerun", "train/fit": "rerun", "train/score": "rerun", "report": "rerun"}


async def test_what_is_cached_is_told() -> None:
    """A run that has recorded nothing finds the outputs that others left in the cache."""
    store = MemoryStore()
    pipeline = Pipeline(n=int).stage("make", lambda n: n + 1).through(m=int, cache=True).stage("use", lambda m: m).through(u=int)
    await pipeline.build().run(store=store, n=1)
    plan = pipeline.build().plan_resume(name="kept", store=store, n=1)
    assert told(plan) == {
        "make": ("reuse", "an earlier run left its output in the cache"),
        "use": ("new", "nothing is recorded"),
    }


async def test_changed_code_within_a_pipeline() -> None:
    """``rerun`` runs again the stage of other code and what is around it; what it shares nothing with is reused."""
    store = MemoryStore()

    def pipeline(fn: Callable[[int], int]) -> Pipeline:
        inner = Pipeline(n=int).stage("fit", lambda n: n).through(a=int).stage("score", fn).through(b=int)
        return Pipeline(n=int).stage("train", inner).through(b=int)

    await kept(pipeline(lambda a: a + 1), store, n=1)
    plan = pipeline(lambda a: a + 2).build()
    found = told(plan.plan_resume(name="kept", store=store, n=1, on_code_change="rerun"))
    assert found == {
        "train": ("rerun", "its code has changed since"),
        "train/fit": ("reuse", "recorded, and reads the same"),
        "train/score": ("rerun", "its code has changed since"),
    }
    assert (await plan.run(name="kept", store=store, n=1, on_code_change="rerun")).b == 3


# -- the plan and the run agree ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
async def test_what_is_told_is_what_happens(kind: str, tmp_path: Path) -> None:
    """Every stage told to be reused is reused, and no other, after a crash anywhere in a loop."""
    for crash in range(4):
        store: Store = MemoryStore() if kind == "memory" else SqliteStore(tmp_path / f"{crash}.db")
        with pytest.raises(OSError, match="crash"):
            await kept(looping(fail_at=crash), store)
        plan = looping().build()
        expected = {row.address for row in plan.plan_resume(name="kept", store=store).of("reuse")}
        events: list[PipelineEvent] = []
        await plan.run(name="kept", store=store, listeners=[events.append])
        assert {event.address for event in events if isinstance(event, StageReused)} == expected
        assert len(expected) == crash + 1
        store.close()


async def test_a_reader_is_enough(tmp_path: Path) -> None:
    """It works beside a process that drives the run, through a connection that cannot write."""
    store = SqliteStore(tmp_path / "store.db")
    found: list[ResumePlan] = []

    async def look(n: int) -> int:
        with open_reader(tmp_path / "store.db") as reader:
            found.append(pipeline.build().plan_resume(name="kept", store=reader, n=1))
        return n

    pipeline = Pipeline(n=int).stage("first", lambda n: n).through(a=int).stage("look", look).through(b=int)
    await pipeline.build().run(name="kept", store=store, n=1)
    store.close()
    assert verdicts(found[0]) == {"first": "reuse", "look": "new"}


async def test_as_a_table_and_as_data() -> None:
    """Columns are aligned, a line sums up; the data is JSON."""
    store = MemoryStore()
    await kept(chain(), store, n=1, other=1)
    plan = chain().build().plan_resume(name="kept", store=store, n=2, other=1)
    assert str(plan).splitlines() == [
        "address  stage   verdict  reason",
        "-------  ------  -------  ----------------------------------------",
        "first    first   rerun    changed since: n",
        "second   second  rerun    depends on 'first', which has yet to run",
        "third    third   reuse    recorded, and reads the same",
        "kept: 1 reused, 2 to run again",
    ]
    data = json.loads(json.dumps(plan.to_dict()))
    assert data["counts"] == {"reuse": 1, "stale": 0, "rerun": 2, "new": 0, "orphan": 0}
    assert data["rows"][0] == {"address": "first", "stage": "first", "verdict": "rerun", "reason": "changed since: n"}
    assert repr(plan) == "ResumePlan('kept', 1 reused, 2 to run again)"


async def test_a_long_table_is_cut() -> None:
    """Data has all rows; in the table neighbours that tell the same are one line, and there are two hundred at most."""
    store = MemoryStore()
    pipeline = Pipeline(items=list[int]).map("each", _same, over="items")
    plan = pipeline.build().plan_resume(name="kept", store=store, items=list(range(500)))
    assert len(plan.rows) == 500
    assert str(plan).splitlines()[2:] == [
        "each[item=0] ... each[item=499] (500)  each   new      nothing is recorded",
        "kept: 500 new",
    ]
    inner = Pipeline(item=int).stage("a", _same).stage("b", _same)
    nested = Pipeline(items=list[int]).map("each", inner, over="items").build()
    plan = nested.plan_resume(name="kept", store=store, items=list(range(100)))
    assert len(plan.rows) == 300
    assert str(plan).splitlines()[-2:] == ["... and 100 lines more", "kept: 300 new"]


async def _same(item: int) -> int:
    return item


async def test_bad_arguments_are_refused() -> None:
    """Inputs, policies and names are checked as by ``run``; what cannot be kept has no resume."""
    store, plan = MemoryStore(), chain().build()
    with pytest.raises(InvalidInput, match=r"Plan.plan_resume\(other=\): the input 'other' is missing"):
        plan.plan_resume(name="kept", store=store, n=1)
    with pytest.raises(InvalidInput, match="no such policy"):
        plan.plan_resume(name="kept", store=store, n=1, other=1, on_code_change="never")  # type: ignore[arg-type]
    with pytest.raises(InvalidInput, match="white space"):
        plan.plan_resume(name="a b", store=store, n=1, other=1)
    with pytest.raises(BuildError):
        Pipeline().stage("make", Machine).through(Machine).build().plan_resume(name="kept", store=store)


def test_it_needs_no_event_loop() -> None:
    """It is an ordinary call, in a script as within a loop."""
    store = MemoryStore()
    asyncio.run(kept(chain(), store, n=1, other=1))
    assert len(chain().build().plan_resume(name="kept", store=store, n=1, other=1).of("reuse")) == 3
