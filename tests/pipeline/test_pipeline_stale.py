"""What a preview says of a recorded output whose code or contract is another one now: what happens to it."""

from __future__ import annotations

from typing import Any

import pytest

from metta_sweep.errors import ContractError
from metta_sweep.pipeline import Pipeline, ResumePlan
from metta_sweep.store.memory import MemoryStore


def one() -> Any:
    """The stage as it was."""
    return 1


def uno() -> Any:
    """The same with other code."""
    return 10 - 9


async def kept() -> MemoryStore:
    """A store in which it is recorded."""
    store = MemoryStore()
    await Pipeline().stage("f", one).through(x=int).build().run(name="kept", store=store)
    return store


def preview(store: MemoryStore, fn: Any, policy: Any = "warn", **contract: Any) -> ResumePlan:
    """What a run of another pipeline would do."""
    return Pipeline().stage("f", fn).through(**contract).build().plan_resume(name="kept", store=store, on_code_change=policy)


async def test_it_says_what_happens() -> None:
    """Used all the same, converted, or refused."""
    store = await kept()

    def reason(fn: Any, policy: Any = "warn", **contract: Any) -> str:
        return preview(store, fn, policy, **contract).rows[0].reason

    used = "the recorded output is used all the same"
    assert reason(uno, x=int) == f"its code has changed since; {used}"
    assert reason(one, x=int | None) == f"its contract has changed since; {used}"
    assert reason(uno, x=int | None) == f"its code and its contract have changed since; {used}"
    assert reason(one, x=str, migrate=lambda old: {"x": str(old["x"])}) == "its contract has changed since; migrate= converts it"
    assert reason(uno, x=int, policy="rerun") == "its code has changed since"
    assert reason(uno, x=int, policy="refuse").startswith("its code has changed since; the run will raise DefinitionChanged: ")
    assert reason(one, x=str).startswith("its contract has changed since; the run will raise ContractError: ")


async def test_the_summary_tells_what_is_used_from_what_raises() -> None:
    """Both are stale."""
    store = await kept()
    assert str(preview(store, uno, x=int)).endswith("kept: 1 stale (used all the same)")
    assert str(preview(store, one, x=str)).endswith("kept: 1 stale (the run will raise)")
    assert preview(store, one, x=str).to_dict()["counts"]["stale"] == 1


async def test_a_migration_that_raises_is_a_row() -> None:
    """And the run raises that, with a note of the hook."""
    store = await kept()
    hooks: dict[str, Any] = {"x": str, "migrate": lambda old: {"x": old["y"]}}
    (row,) = preview(store, one, **hooks).rows
    assert (row.verdict, row.reason) == ("stale", "its contract has changed since; the run will raise KeyError: 'y' in migrate")
    with pytest.raises(KeyError) as caught:
        await Pipeline().stage("f", one).through(**hooks).build().run(name="kept", store=store)
    assert caught.value.__notes__ == ["in hook 'migrate' of stage 'f' at f"]


async def test_a_migration_that_names_no_field() -> None:
    """The field that is missing is named."""
    store = await kept()
    plan = Pipeline().stage("f", one).through(x=str, migrate=lambda old: {"y": "s"}).build()
    with pytest.raises(ContractError, match="takes: stage 'f': field 'x' is missing from what it returned \\(y\\)"):
        await plan.run(name="kept", store=store)
