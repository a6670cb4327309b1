"""Stage functions in processes of their own, which can be ended: ``timeout_mode="process"``.

One process runs one call at a time, over its own pipe: what happens to it concerns that call alone. Processes are kept and used
again, and end with this one, however it ends. What a function prints goes where this process prints.

Functions, arguments and results cross by pickle, between a process and the one that it started. Exceptions cross as data.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import functools
import io
import os
import pickle
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final, NamedTuple, cast

from metta_sweep.errors import StageProcessError
from metta_sweep.pipeline.process_worker import read_frame, write_frame
from metta_sweep.pipeline.signature import is_coroutine_callable
from metta_sweep.pipeline.typeforms import brief
from metta_sweep.threads import shared_workers

if TYPE_CHECKING:
    from metta_sweep.pipeline.flow import Flow
    from metta_sweep.pipeline.run import Scope

__all__ = ["ProcessCall", "WorkerProcess", "check_timeout_mode", "why_not_importable"]

_WORKER: Final = str(Path(__file__).with_name("process_worker.py"))


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
    if b"__main__" in crossing and _main_module() is None:
        return "it is defined in a session without a file"
    return None


def check_timeout_mode(name: str, fn: Callable[..., Any], mode: str, flow: Flow) -> None:
    """Check that a stage function can be ended in the way that its ``timeout_mode`` says."""
    if is_coroutine_callable(fn):
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
        worker = _take_idle()
        try:
            await self._ask(worker, address, "begin", functools.partial(worker.make_ready, pickle.dumps(self._fn)))
            yield worker
        finally:
            _give_back(worker)

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
            error = StageProcessError(f"{where} did not {what}: its process raised {message}", kinds, trace)
            error.add_note(f"in its process: {trace.rstrip()}")
            raise error
        raise StageProcessError(
            f"{where}: its output cannot cross from its process: {answer.value}. "
            "Return plain data, or write a file and return its path."
        )


class Answer(NamedTuple):
    """What a process answered."""

    kind: bytes
    """``R``: a result; ``E``: an exception, as data; ``U``: a result that cannot cross."""
    value: Any


class WorkerProcess:
    """A process that runs one call at a time. ``make_ready`` and ``call`` block; ``kill`` may be called from any thread."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._answers: BinaryIO | None = None
        self._lock = threading.Lock()
        self._known: set[bytes] = set()
        self._started_as: tuple[bool, bool] = (False, False)
        self._killed = False
        self.idle = False
        """It runs, and waits for a call."""

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._process is not None and self._process.poll() is None

    def make_ready(self, fn: bytes) -> Answer | None:
        """Start it, if need be, and bring in the module of a pickled function. None: it died."""
        if fn in self._known:
            return Answer(b"R", None)
        refused = self._be_like_this_one(fn)
        if refused is not None:
            return refused
        answer = self._ask(b"F" + fn)
        if answer is not None and answer.kind == b"R":
            self._known.add(fn)
        return answer

    def call(self, request: bytes) -> Answer | None:
        """Run a pickled call. None: it died."""
        return self._be_like_this_one(request) or self._ask(b"C" + request)

    def kill(self) -> None:
        """End it, with whatever it started."""
        with self._lock:
            self._killed, self.idle = True, False
            process = self._process
            if process is None or process.poll() is not None:
                return
            with contextlib.suppress(ProcessLookupError, PermissionError):
                if os.name == "posix":
                    os.killpg(process.pid, signal.SIGKILL)
                else:
                    process.kill()

    def end(self) -> str:
        """How it ended, for messages."""
        process = self._process
        if process is None:
            return "was ended before it began"
        code = process.wait()
        if code >= 0:
            return f"ended by itself, with exit code {code}"
        with contextlib.suppress(ValueError):
            return f"was ended by {signal.Signals(-code).name}"
        return f"was ended by signal {-code}"

    def close(self) -> None:
        """End it, and let go of what it held."""
        self.kill()
        if self._process is not None:
            self._process.wait()
            for pipe in (self._process.stdin, self._answers):
                if pipe is not None:
                    with contextlib.suppress(OSError):
                        pipe.close()

    def _be_like_this_one(self, pickled: bytes) -> Answer | None:
        """Start it, with the main module of this process where what is pickled needs that. An answer: it did not work."""
        running, has_main = self._started_as
        needs_main = b"__main__" in pickled and not has_main
        if running and not needs_main:
            return None
        if not running:
            self._start()
        main = _main_module() if needs_main else None
        start = {"path": sys.path, "argv": sys.argv, "directory": os.getcwd(), "main": main}  # noqa: PTH109
        answer = self._ask(b"M" + pickle.dumps(start))
        if answer is None:
            return Answer(b"E", (f"nothing: it {self.end()} while it began", (), ""))
        if answer.kind != b"R":
            return answer
        self._started_as = (True, has_main or needs_main)
        return None

    def _start(self) -> None:
        process_module = sys.modules.get("multiprocessing.process")
        if process_module is not None and getattr(process_module.current_process(), "_inheriting", False):
            raise StageProcessError(
                "a process is to be started while the main module is being loaded for another one. "
                "Put what the script runs under: if __name__ == '__main__':"
            )
        process, answers = _start_posix() if os.name == "posix" else _start_elsewhere()
        with self._lock:
            self._process, self._answers = process, answers
            killed = self._killed
        if killed:
            self.kill()

    def _ask(self, request: bytes) -> Answer | None:
        process, answers = self._process, self._answers
        if process is None or process.stdin is None or answers is None:
            return None
        self.idle = False
        try:
            write_frame(cast("BinaryIO", process.stdin), request)
            content = read_frame(answers)
        except (EOFError, OSError, ValueError):
            self.close()
            return None
        with self._lock:
            self.idle = not self._killed
        return _read(content[:1], content[1:])


def _start_posix() -> tuple[subprocess.Popen[bytes], BinaryIO]:
    """Answers come through a pipe of their own, and the process leads a group that ends with it."""
    receiving, sending = os.pipe()
    command = [sys.executable, "-u", "-P", _WORKER, str(sending)]
    try:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, pass_fds=(sending,), start_new_session=True)  # noqa: S603
    except BaseException:
        os.close(receiving)
        raise
    finally:
        os.close(sending)
    return process, os.fdopen(receiving, "rb")


def _start_elsewhere() -> tuple[subprocess.Popen[bytes], BinaryIO]:
    """Answers come through its standard output; what it prints goes to its standard error."""
    command = [sys.executable, "-u", "-P", _WORKER, "1"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)  # noqa: S603
    return process, cast("BinaryIO", process.stdout)


def _read(kind: bytes, content: bytes) -> Answer:
    """Read an answer. What a function returned may raise anything when it is unpickled."""
    try:
        return Answer(kind, _Unpickler(io.BytesIO(content)).load() if content else None)
    except Exception as error:  # noqa: BLE001  # becomes the answer
        return Answer(b"U", f"it cannot be read here ({type(error).__name__}: {error})")


class _Unpickler(pickle.Unpickler):
    """Knows the main module by the name that it has in processes."""

    def find_class(self, module: str, name: str) -> Any:
        return super().find_class("__main__" if module == "__mp_main__" else module, name)


def _main_module() -> tuple[str, str] | None:
    """How another process can load the main module: by its name, or from its file. None: it cannot."""
    main = sys.modules["__main__"]
    spec = getattr(main, "__spec__", None)
    if spec is not None and spec.name:
        return "name", spec.name.removesuffix(".__main__") if spec.name.endswith(".__main__") else spec.name
    path = getattr(main, "__file__", None)
    return ("path", str(Path(path).absolute())) if path is not None and Path(path).is_file() else None


_KEPT: Final = max(2, os.cpu_count() or 1)
"""How many processes are kept for later calls."""
_idle: Final[list[WorkerProcess]] = []


def _take_idle() -> WorkerProcess:
    while _idle:
        worker = _idle.pop()
        if worker.alive:
            return worker
        worker.close()
    return WorkerProcess()


def _give_back(worker: WorkerProcess) -> None:
    if worker.idle and len(_idle) < _KEPT:
        _idle.append(worker)
    elif worker.idle:
        worker.close()
    else:
        worker.kill()


def _close_all() -> None:
    while _idle:
        _idle.pop().close()


atexit.register(_close_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_idle.clear)  # they are the other process's
