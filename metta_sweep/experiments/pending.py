"""``run()`` in both spellings: blocking in a script, awaitable inside an event loop."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Callable, Coroutine, Generator
from typing import Any, Generic, NoReturn, TypeVar, cast

from metta_sweep.errors import NotAwaited
from metta_sweep.experiments.event_loops import end_task, in_event_loop, on_parent_loop, run_on_parents
from metta_sweep.experiments.signals import run_blocking

__all__ = ["PendingResult", "run_either_way"]

T = TypeVar("T")


def run_either_way(
    start: Callable[[], Coroutine[Any, Any, T]],
    spelled: str,
    *,
    graceful: bool = False,
    kept_as: str | None = None,
    resume: str | None = None,
) -> T:
    """Run to the end where no event loop runs, and return the result; inside one, return an awaitable of it.

    In a worker thread of a trial or stage the event loop of that one runs it, and the thread waits.

    Where it blocks, signals are taken care of: ``graceful``, ``kept_as`` and ``resume`` are those of ``Signals``.

    Type checkers see the result type, which is awaitable itself, so that both spellings check.
    """
    if in_event_loop():
        return cast("T", PendingResult(start, spelled))
    if on_parent_loop():
        return run_on_parents(start())
    return run_blocking(start, graceful=graceful, kept_as=kept_as, resume=resume)


class PendingResult(Generic[T]):
    """A result that is not there yet: ``await`` it. Anything else that is done with it raises ``NotAwaited``.

    Nothing runs before the first ``await``; a second one waits for the same run. Cancelling one of several that wait cancels that
    one, cancelling the last one cancels the run. One that is dropped without having been awaited warns: the run never began.
    """

    __slots__ = ("_noticed", "_spelled", "_start", "_task", "_waiting")

    def __init__(self, start: Callable[[], Coroutine[Any, Any, T]], spelled: str) -> None:
        self._start = start
        self._spelled = spelled
        self._task: asyncio.Task[T] | None = None
        self._waiting = 0
        self._noticed = False
        """Whether an error has said already that the ``await`` is missing."""

    def __await__(self) -> Generator[Any, None, T]:
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._start())
        return self._wait(self._task).__await__()

    async def _wait(self, task: asyncio.Task[T]) -> T:
        self._waiting += 1
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if self._waiting == 1 and not task.done():
                await end_task(task)
            raise
        finally:
            self._waiting -= 1

    def __del__(self, _warn: Callable[..., None] = warnings.warn) -> None:
        if self._task is None and not self._noticed:
            _warn(
                f"{self._spelled} was never awaited, so that nothing has run: inside an event loop write `await {self._spelled}`.",
                RuntimeWarning,
                stacklevel=2,
                source=self,
            )

    def __repr__(self) -> str:
        return f"<the result of {self._spelled}, to be awaited>"

    def _refuse(self, what: str) -> NoReturn:
        self._noticed = True
        raise NotAwaited(
            f"{what} of a result that is not there yet: inside an event loop {self._spelled} returns an awaitable. "
            f"Write `await {self._spelled}`."
        )

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__") and name.endswith("__"):
            raise AttributeError(name)
        self._refuse(f"the attribute {name!r}")

    def __as_metrics__(self, where: str) -> NoReturn:
        self._refuse(f"the score of {where}")

    def __getitem__(self, key: object) -> NoReturn:
        self._refuse(f"the item {key!r}")

    def __iter__(self) -> NoReturn:
        self._refuse("the iteration")

    def __len__(self) -> NoReturn:  # noqa: PLE0303
        self._refuse("the length")

    def __bool__(self) -> NoReturn:  # noqa: PLE0304
        self._refuse("the truth")

    def __contains__(self, item: object) -> NoReturn:
        self._refuse(f"the search for {item!r}")

    def __float__(self) -> NoReturn:
        self._refuse("the number")

    def __int__(self) -> NoReturn:
        self._refuse("the number")

    def __format__(self, spec: str) -> NoReturn:
        self._refuse("the text")

    def __lt__(self, other: object) -> NoReturn:
        self._refuse("the comparison")

    __le__ = __gt__ = __ge__ = __lt__
