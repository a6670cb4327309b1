"""A process that runs one call at a time, and the processes that are kept for later calls."""

from __future__ import annotations

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
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, Final, NamedTuple, cast

from metta_sweep.pipeline.running.main_guard import refuse_while_main_loads
from metta_sweep.pipeline.running.process_worker import read_frame, write_frame

__all__ = ["Answer", "WorkerProcess", "give_back", "main_module", "take_idle"]

_WORKER: Final = str(Path(__file__).with_name("process_worker.py"))


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
        self._talking = False
        self._killed = False
        self.idle = False
        """It runs, and waits for a call."""

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._process is not None and self._process.poll() is None

    def make_ready(self, fn: bytes) -> Answer | None:
        """Start it, if need be, and bring in the module of a pickled function. None: it died."""
        return Answer(b"R", None) if fn in self._known else self._talk(functools.partial(self._bring_in, fn))

    def call(self, request: bytes) -> Answer | None:
        """Run a pickled call. None: it died."""
        return self._talk(lambda: self._be_like_this_one(request) or self._ask(b"C" + request))

    def kill(self) -> None:
        """End it, with whatever it started. A conversation in another thread ends with it."""
        with self._lock:
            self._killed, self.idle = True, False
            process, talking = self._process, self._talking
            if process is not None and process.poll() is None:
                _kill(process)
        if not talking:
            self._let_go()

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

    def _talk(self, conversation: Callable[[], Answer | None]) -> Answer | None:
        with self._lock:
            ended = self._killed
            self._talking = not ended
        if ended:
            return None
        try:
            return conversation()
        finally:
            with self._lock:
                self._talking = False
                killed = self._killed
            if killed:
                self._let_go()

    def _let_go(self) -> None:
        """Take note of its end, and close its pipes."""
        if self._process is not None:
            self._process.wait()
            for pipe in (self._process.stdin, self._answers):
                if pipe is not None:
                    with contextlib.suppress(OSError):
                        pipe.close()

    def _bring_in(self, fn: bytes) -> Answer | None:
        refused = self._be_like_this_one(fn)
        if refused is not None:
            return refused
        answer = self._ask(b"F" + fn)
        if answer is not None and answer.kind == b"R":
            self._known.add(fn)
        return answer

    def _be_like_this_one(self, pickled: bytes) -> Answer | None:
        """Start it, with the main module of this process where what is pickled needs that. An answer: it did not work."""
        running, has_main = self._started_as
        needs_main = b"__main__" in pickled and not has_main
        if running and not needs_main:
            return None
        if not running:
            self._start()
        main = main_module() if needs_main else None
        start = {"path": sys.path, "argv": sys.argv, "directory": os.getcwd(), "main": main}  # noqa: PTH109
        answer = self._ask(b"M" + pickle.dumps(start))
        if answer is None:
            return Answer(b"E", (f"nothing: it {self.end()} while it began", (), ""))
        if answer.kind != b"R":
            return answer
        self._started_as = (True, has_main or needs_main)
        return None

    def _start(self) -> None:
        refuse_while_main_loads("a process")
        process, answers = _start_posix() if os.name == "posix" else _start_elsewhere()
        with self._lock:
            self._process, self._answers = process, answers
            if self._killed:
                _kill(process)

    def _ask(self, request: bytes) -> Answer | None:
        process, answers = self._process, self._answers
        if process is None or process.stdin is None or answers is None:
            return None
        self.idle = False
        try:
            write_frame(cast("BinaryIO", process.stdin), request)
            content = read_frame(answers)
        except (EOFError, OSError, ValueError):
            self.kill()
            return None
        with self._lock:
            self.idle = not self._killed
        return _read(content[:1], content[1:])


def _kill(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if os.name == "posix":
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()


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


def main_module() -> tuple[str, str] | None:
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


def take_idle() -> WorkerProcess:
    """A process that waits for a call, or one that is not started yet."""
    while _idle:
        worker = _idle.pop()
        if worker.alive:
            return worker
        worker.kill()
    return WorkerProcess()


def give_back(worker: WorkerProcess) -> None:
    """Keep a process for a later call, or end it."""
    if worker.idle and len(_idle) < _KEPT:
        _idle.append(worker)  # the last one used is the first one taken
    else:
        worker.kill()


def _close_all() -> None:
    while _idle:
        _idle.pop().kill()


atexit.register(_close_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_idle.clear)  # they are the other process's
