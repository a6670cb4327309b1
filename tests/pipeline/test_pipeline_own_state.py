"""What stages read of the objects that they are methods of, and of the module around them."""

# ruff: noqa: D102, D103  # stages; each test says what it shows
from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from typing import Any

import pytest

from metta_sweep.errors import DefinitionChanged
from metta_sweep.pipeline import Pipeline
from metta_sweep.pipeline.keeping.code_digest import code_digest
from metta_sweep.pipeline.keeping.own_state import settings_of
from metta_sweep.store import MemoryStore


class Trainer:
    """A user's class, as experiments are."""

    depth = 2

    def __init__(self, rate: float = 0.1, note: str = "") -> None:
        self.rate = rate
        self.note = note
        self.best = 0.0
        self.trained: list[int] = []

    @property
    def pace(self) -> float:
        return self.rate / 2

    def _step(self) -> float:
        return self.pace * self.depth

    def train(self, n: int) -> float:
        self.trained.append(n)
        self.best = max(self.best, self._step())
        return sum(self._step() for _ in range(n))

    def __call__(self, n: int) -> float:
        return n * self.rate


def plan_of(fn: Callable[..., Any], **hooks: Any) -> Any:
    return Pipeline(n=int).stage("train", fn).through(loss=float, **hooks).build()


def inside(fn: Callable[..., Any]) -> Any:
    inner = Pipeline(n=int).stage("fit", fn).through(loss=float)
    return Pipeline(n=int).stage("train", inner).build()


WAYS: list[Callable[[Trainer], Any]] = [
    lambda trainer: plan_of(trainer.train),
    lambda trainer: plan_of(functools.partial(trainer.train)),
    lambda trainer: plan_of(trainer),
    lambda trainer: inside(trainer.train),
]


@pytest.mark.parametrize("way", WAYS, ids=["method", "partial", "callable object", "nested"])
async def test_other_settings_are_told_on_resume(way: Callable[[Trainer], Any], caplog: pytest.LogCaptureFixture) -> None:
    """A recorded output that was made under another ``self.rate`` is not used without a word; ``rerun`` makes it again."""
    store = MemoryStore()
    first = (await way(Trainer()).run(name="kept", store=store, n=2)).loss
    with caplog.at_level(logging.WARNING, "metta_sweep"):
        assert (await way(Trainer(note="other")).run(name="kept", store=store, n=2)).loss == first
    assert caplog.messages == []
    with caplog.at_level(logging.WARNING, "metta_sweep"):
        assert (await way(Trainer(0.5)).run(name="kept", store=store, n=2)).loss == first
    assert "what it reads of its own object, has changed since; the recorded output is used" in caplog.messages[0]
    changed = way(Trainer(0.5))
    rows = changed.plan_resume(name="kept", store=store, n=2, on_code_change="rerun").of("rerun")
    assert rows[0].reason == "its code, or what it reads of its own object, has changed since"
    with pytest.raises(DefinitionChanged, match="of its own object"):
        await changed.run(name="kept", store=store, n=2, on_code_change="refuse")
    assert (await changed.run(name="kept", store=store, n=2, on_code_change="rerun")).loss > first


async def test_settings_are_looked_at_when_the_stage_is_to_run() -> None:
    """One plan, whose object is set anew between two runs."""
    store, trainer = MemoryStore(), Trainer()
    plan = plan_of(trainer, on_code_change="rerun")
    assert (await plan.run(name="kept", store=store, n=2)).loss == 0.2
    trainer.rate = 0.5
    assert (await plan.run(name="kept", store=store, n=2)).loss == 1.0


def test_settings_are_what_is_read_and_never_set_again() -> None:
    """Also through methods, properties and comprehensions; state that methods change is none."""
    assert [setting.name for setting in settings_of(Trainer().train)] == ["depth", "rate", "trained"]
    assert [setting.text() for setting in settings_of(Trainer((1.0,)).train)] == [  # type: ignore[arg-type]
        "self.depth int 2\n",
        "self.rate tuple(float 1.0)\n",
        "",
    ]
    assert settings_of(len) == settings_of(lambda n: n) == ()


HELPED = (
    "STEP = {0}\ndef f(n): return n + STEP",
    "STEPS = (1, {0})\ndef f(n): return n + STEPS[1]",
    "class H:\n def more(self): return {0}\ndef f(n): return n + H().more()",
    "def helper(n): return n + {0}\ndef f(n): return helper(n)",
    "class T:\n def f(self, n): return self.more(n)\n def more(self, n): return n + {0}\nf = T().f",
    "class T:\n @property\n def more(self): return {0}\n def f(self, n): return n + self.more\nf = T().f",
    "class T:\n @staticmethod\n def more(n): return n + {0}\n def f(self, n): return self.more(n)\nf = T().f",
)


@pytest.mark.parametrize("text", HELPED)
def test_edited_helpers_are_changes_of_the_code(text: str) -> None:
    """Plain values, functions and classes of the same module, and methods of the same object."""

    def read(number: int) -> Any:
        names: dict[str, Any] = {"__name__": "read"}
        exec(text.format(number), names)
        return names["f"]

    assert code_digest(read(1)) == code_digest(read(1))
    assert code_digest(read(1)) != code_digest(read(2))


def test_a_global_that_a_function_sets_is_no_part_of_its_code() -> None:
    """A counter of the process is state."""
    names: dict[str, Any] = {"__name__": "read", "calls": 0}
    exec("def f(n):\n global calls\n calls += 1\n return n", names)
    before = code_digest(names["f"])
    names["f"](1)
    assert code_digest(names["f"]) == before


@pytest.mark.parametrize("hook", ["validate", "on_error"])
async def test_another_gate_or_handler_is_other_code(hook: str) -> None:
    """What was let through by another gate, or replaced by another handler, is told, and run again where that is asked for."""
    store = MemoryStore()

    def plan(limit: int) -> Any:
        return plan_of(lambda n: float(n), **{hook: lambda given: True if limit else None})

    await plan(1).run(name="kept", store=store, n=2)
    assert plan(1).plan_resume(name="kept", store=store, n=2).of("reuse")
    assert plan(2).plan_resume(name="kept", store=store, n=2).of("stale")
    assert plan(2).plan_resume(name="kept", store=store, n=2, on_code_change="rerun").of("rerun")
