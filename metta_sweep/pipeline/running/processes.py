"""Stage functions in processes of their own, which can be ended: ``timeout_mode="process"``.

One process runs one call at a time, over its own pipe: what happens to it concerns that call alone. Processes are kept and used
again, and end with this one, however it ends. What a function prints goes where this process prints.

Functions, arguments and results cross by pickle, between a process and the one that it started. Exceptions cross as data.
"""

from __future__ import annotations

import asyncio
import functools
import os
import pickle
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

from metta_sweep.errors import StageProcessError
from metta_sweep.pipeline.contracts.typeforms import brief
from metta_sweep.pipeline.proof.signature import is_coroutine_callable
from metta_sweep.pipeline.running.main_guard import MainNotGuarded
from metta_sweep.pipeline.running.worker_process import Answer, WorkerProcess, give_back, main_module, take_idle
from metta_sweep.threads import shared_workers

if TYPE_CHECKING:
    from metta_sweep.pipeline.proof.flow import Flow
    from metta_sweep.pipeline.running.run import Scope

__all__ = ["ProcessCall", "check_timeout_mode", "why_not_importable"]

_NOT_GUARDED: Final = f"{MainNotGuarded.__module__}.{MainNotGuarded.__qualname__}"


def why_not_importable(fn: Callable[..., Any]) -> str | None:
    """Why a process of its own could not find ``fn`` again; None when it can."""
    inner: Any = fn
    while isinstance(inner, functools.partial):
        inner = inner.func
    name = str(getattr(inner, "__qualname__", ""))
    if name.endswith("<lambda>"):
        return "a lambda has no name to be found by"
    if "<locals>" in name:
        return "it is defined inside of a function"
    try:
        crossing = pickle.dumps(fn)
    except Exception as error:  # noqa: BLE001  # objects may raise anything when they are pickled
        return f"it cannot be pickled ({type(error).__name__}: {error})"
    if b"__main__" in crossing and main_module() is None:
        return "it is defined in a session without a file"
    return None


def check_timeout_mode(name: str, fn: Callable[..., Any], mode: str, flow: Flow) -> None:
    """Check that a stage function can be ended in the way that its ``timeout_mode`` says."""
    if getattr(fn, "is_pipeline", False):
        flow.fault(
            name,
            f"timeout_mode={mode!r} is for functions; found a pipeline, which is cancelled at its deadline. "
            "Give the mode to the stages in it that need one.",
        )
    elif is_coroutine_callable(fn):
        flow.fault(
            name,
            f"timeout_mode={mode!r} is for synchronous functions; found {brief(fn)}, which is asynchronous: it is cancelled at its "
            "deadline anyway. Leave timeout_mode out, or make it a plain function.",
        )
    elif mode == "process" and (reason := why_not_importable(fn)) is not None:
        flow.fault(
            name,
            f"timeout_mode='process' needs a function that another process can import; found {brief(fn)}: {reason}. "
            "Define it at the top of a module, or leave timeout_mode='process' out.",
        )


class ProcessCall:
    """How the function of one stage is called in a process.

    Args:
        name: the stage's name.
        fn: an importable function.
        arguments: takes what it is called with from a scope.
    """

    def __init__(self, name: str, fn: Callable[..., Any], arguments: Callable[[Scope], Any]) -> None:
        self._name = name
        self._fn = fn
        self._arguments = arguments

    @asynccontextmanager
    async def worker(self, address: str) -> AsyncIterator[WorkerProcess]:
        """A process for one attempt, started, with the function's module imported. Cancellation ends it."""
        worker = take_idle()
        try:
            await self._ask(worker, address, "begin", functools.partial(worker.make_ready, pickle.dumps(self._fn)))
            yield worker
        finally:
            give_back(worker)

    async def run(self, worker: WorkerProcess, scope: Scope, address: str) -> Any:
        """Call the function there, and return what it returns."""
        args, kwargs = self._arguments(scope)
        try:
            request = pickle.dumps((os.getcwd(), self._fn, args, kwargs), pickle.HIGHEST_PROTOCOL)  # noqa: PTH109
        except Exception as error:  # objects may raise anything when they are pickled
            raise StageProcessError(
                f"stage {self._name!r} at {address}: what it reads cannot cross to its process ({type(error).__name__}: {error}). "
                "Give it plain data, or leave timeout_mode='process' out."
            ) from error
        return await self._ask(worker, address, "end well", functools.partial(worker.call, request))

    async def _ask(self, worker: WorkerProcess, address: str, what: str, ask: Callable[[], Answer | None]) -> Any:
        where = f"stage {self._name!r} at {address}"
        try:
            answer = await shared_workers().run(ask, name=f"{self._name} (process)")
        except asyncio.CancelledError:
            worker.kill()
            raise
        if answer is None:
            raise StageProcessError(f"{where} did not {what}: its process {worker.end()}.")
        if answer.kind == b"R":
            return answer.value
        if answer.kind == b"E":
            message, kinds, trace = answer.value
            if _NOT_GUARDED in kinds:
                raise StageProcessError(f"{where} did not {what}: {message.partition(': ')[2]}")
            error = StageProcessError(f"{where} did not {what}: its process raised {message}", kinds, trace)
            error.add_note(f"in its process: {trace.rstrip()}")
            raise error
        raise StageProcessError(
            f"{where}: its output cannot cross from its process: {answer.value}. "
            "Return plain data, or write a file and return its path."
        )
