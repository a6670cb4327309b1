"""Exceptions and outputs of users that fail to say what they are: that hides no failure, and makes no other one."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from staged_elsewhere import Mute, mute

from metta_sweep.errors import GateError, StageProcessError
from metta_sweep.pipeline import ItemFailure, Pipeline, PipelineEvent, StageFailed, event_line, event_to_dict


class Shy:
    """Has no ``repr``."""

    def __repr__(self) -> str:
        raise RuntimeError("broken")


MADE = "Mute: (its message cannot be made: RuntimeError)"


def failing(calls: list[int], **hooks: Any) -> Pipeline:
    """One stage that fails at first."""

    async def fails() -> int:
        calls.append(1)
        if len(calls) < 2:
            raise Mute
        return 1

    return Pipeline().stage("s", fails).through(int, **hooks)


async def test_it_is_retried() -> None:
    """A failure that cannot be told is retried like any other."""
    calls: list[int] = []
    assert (await failing(calls, retry=1).build().run()).s == 1
    assert len(calls) == 2


async def test_it_is_told_to_listeners_and_log(caplog: pytest.LogCaptureFixture) -> None:
    """It is raised itself; events and log messages about it can be written."""
    caplog.set_level(logging.INFO, logger="metta_sweep")
    heard: list[PipelineEvent] = []
    with pytest.raises(Mute):
        await failing([]).build().run(listeners=[heard.append])
    failed = next(event for event in heard if isinstance(event, StageFailed))
    assert event_line(failed) == f"s: failed: {MADE}"
    assert event_to_dict(failed)["error"] == {"type": "Mute", "message": MADE.removeprefix("Mute: ")}
    assert caplog.messages == [f"s: failed: {MADE}"]


async def test_it_is_collected() -> None:
    """An item that fails so is one of the failures, and the others go on."""

    async def fails(n: int) -> int:
        if n:
            raise Mute
        return n

    result = await Pipeline(ns=list[int]).map("each", fails, over="ns", on_item_error="collect").build().run(ns=[0, 1])
    assert result.each[0] == 0
    assert isinstance(result.each[1], ItemFailure)
    assert result.each[1].message in MADE


async def test_observers_may_raise_it(caplog: pytest.LogCaptureFixture) -> None:
    """An observer that fails so loses no result."""

    def broken(_: object) -> None:
        raise Mute

    async def one() -> int:
        return 1

    assert (await Pipeline().stage("s", one).through(int, after=broken).build().run()).s == 1
    assert MADE in caplog.text


async def test_outputs_that_a_gate_refuses_need_no_repr() -> None:
    """The gate's own error is raised."""

    async def shy() -> Shy:
        return Shy()

    with pytest.raises(GateError, match="refused the output"):
        await Pipeline().stage("s", shy).through(Shy, validate=lambda _: False).build().run()


async def test_it_crosses_from_a_process() -> None:
    """In a process it is the failure of the function, and not the end of the process."""
    with pytest.raises(StageProcessError, match="raised Mute") as caught:
        await Pipeline().stage("s", mute).through(int, timeout_mode="process").build().run()
    assert any(kind.endswith("Mute") for kind in caught.value.kinds)
