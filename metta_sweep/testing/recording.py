"""Hooks that remember what they were told."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from metta_sweep.pipeline import HookSet

__all__ = ["RecordedCall", "RecordingHooks"]

_OWN: Final = ("before", "after", "metrics", "validate", "on_error")


class RecordedCall(NamedTuple):
    """One call of a hook."""

    hook: str
    """``before``, ``after``, ``metrics``, ``validate``, ``on_error``; ``global before`` and ``global after``."""
    stage: str
    """The label that was given to ``hooks()``; of a global hook the name of the stage."""
    address: str
    """Of the execution, which only global hooks know; empty otherwise."""
    data: Any
    """What the hook got: the context, the output, or the error."""


class RecordingHooks:
    """Hooks that change nothing and remember what they were told, in order.

    ```python
    told = RecordingHooks()
    plan = Pipeline(n=int).stage("train", train).through(float, **told.hooks("train")).build()
    asyncio.run(plan.run(n=3))
    assert told.order == [("before", "train"), ("validate", "train"), ("after", "train"), ("metrics", "train")]
    ```
    """

    def __init__(self) -> None:
        self.calls: list[RecordedCall] = []
        """All calls so far."""

    def hooks(self, stage: str = "") -> HookSet:
        """Every hook of one stage, for ``.through(Output, **told.hooks("train"))``. The gate lets all pass.

        Args:
            stage: what the calls are remembered under: such a hook is not told the name of its stage.
        """
        return HookSet({hook: self._own(hook, stage) for hook in _OWN})

    def global_hooks(self) -> HookSet:
        """For ``.with_global_hooks(**told.global_hooks())``: every stage, with its address."""
        return HookSet({hook: self._around(hook) for hook in ("before", "after")})

    @property
    def order(self) -> list[tuple[str, str]]:
        """Hook and stage of each call; of global hooks the address."""
        return [(call.hook, call.address or call.stage) for call in self.calls]

    def data(self, hook: str, stage: str | None = None) -> list[Any]:
        """What the calls of one hook got; only those of a stage (or address), if one is given."""
        return [call.data for call in self.calls if call.hook == hook and stage in (None, call.stage, call.address)]

    def clear(self) -> None:
        """Forget all calls."""
        self.calls.clear()

    def _own(self, hook: str, stage: str) -> Any:
        def told(data: object) -> None:
            self.calls.append(RecordedCall(hook, stage, "", data))

        return told

    def _around(self, hook: str) -> Any:
        def told(stage: str, data: object) -> None:
            self.calls.append(RecordedCall(f"global {hook}", str(stage), getattr(stage, "address", ""), data))

        return told
