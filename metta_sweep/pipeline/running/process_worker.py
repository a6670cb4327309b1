"""What runs in the process of a stage: takes calls from its standard input and answers through a pipe of its own.

Started as a script, without the package: a function brings in what it needs. When the process that started it ends, however it
ends, so does this one, with whatever it started itself.
"""

from __future__ import annotations

import multiprocessing.process
import os
import pickle
import queue
import runpy
import signal
import struct
import sys
import threading
import traceback
import types
from typing import Any, BinaryIO

HEADER = struct.Struct("!Q")
"""The length of what follows, in bytes."""


def read_frame(stream: BinaryIO) -> bytes:
    """The next message. Raises ``EOFError`` when the other side is gone."""
    header = _read(stream, HEADER.size)
    return _read(stream, HEADER.unpack(header)[0])


def _read(stream: BinaryIO, size: int) -> bytes:
    data = stream.read(size)
    if len(data) < size:
        raise EOFError
    return data


def write_frame(stream: BinaryIO, *parts: bytes) -> None:
    """Send a message."""
    stream.write(HEADER.pack(sum(map(len, parts))))
    stream.writelines(parts)
    stream.flush()


def main() -> None:
    """Answer calls, one after another, until there is nobody to answer."""
    requests, sending = os.fdopen(os.dup(0), "rb"), int(sys.argv[1])
    if sending == 1:
        sending = os.dup(1)
        os.dup2(2, 1)
    answers = os.fdopen(sending, "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    inbox: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_take, args=(requests, inbox), daemon=True).start()
    while True:
        answer = _answer(inbox.get())
        sys.stdout.flush()
        sys.stderr.flush()
        write_frame(answers, *answer)


def _take(requests: BinaryIO, inbox: queue.SimpleQueue[bytes]) -> None:
    """Pass requests on; without them there is nobody to answer: end, in the middle of a call too."""
    try:
        while True:
            inbox.put(read_frame(requests))
    except (EOFError, OSError):
        if os.name == "posix":
            os.killpg(os.getpgrp(), signal.SIGKILL)
        os._exit(1)


def _answer(request: bytes) -> tuple[bytes, bytes]:
    kind, content = request[:1], request[1:]
    try:
        if kind == b"M":
            _load_main(pickle.loads(content))  # noqa: S301  # from the process that started this one
            return b"R", b""
        if kind == b"F":
            pickle.loads(content)  # noqa: S301  # brings in the function's module
            return b"R", b""
        directory, fn, args, kwargs = pickle.loads(content)  # noqa: S301
        os.chdir(directory)
        result = fn(*args, **kwargs)
    except BaseException as error:  # noqa: BLE001  # crosses as data
        return b"E", pickle.dumps(_as_data(error))
    try:
        return b"R", pickle.dumps(result, pickle.HIGHEST_PROTOCOL)
    except Exception as error:  # noqa: BLE001  # whatever pickling it raises, it cannot cross
        return b"U", pickle.dumps((type(result).__qualname__, f"{type(error).__name__}: {error}"))


def _as_data(error: BaseException) -> tuple[str, list[str], str]:
    """The message, the names of its classes, and the traceback from the function on."""
    kinds = [f"{_module(kind)}.{kind.__qualname__}" for kind in type(error).__mro__ if issubclass(kind, BaseException)]
    trace = error.__traceback__.tb_next if error.__traceback__ is not None else None
    text = "".join(traceback.format_exception(type(error), error, trace))
    try:
        message = str(error)
    except Exception as broken:  # noqa: BLE001  # an exception of a user may fail to say what it is
        message = f"(its message cannot be made: {type(broken).__name__})"
    return f"{type(error).__name__}: {message}" if message else type(error).__name__, kinds, text


def _module(kind: type) -> str:
    return "__main__" if kind.__module__ == "__mp_main__" else kind.__module__


def _load_main(start: dict[str, Any]) -> None:
    """Be what the other process is: its paths, its directory and, if need be, its main module under another name."""
    sys.path[:] = start["path"]
    sys.argv[:] = start["argv"]
    os.chdir(start["directory"])
    if start["main"] is None:
        return
    how, what = start["main"]
    current: Any = multiprocessing.process.current_process()
    current._inheriting = True  # noqa: SLF001  # what the standard library says while it loads a main module: start nothing now
    try:
        if how == "name":
            names = runpy.run_module(what, run_name="__mp_main__", alter_sys=True)
        else:
            names = runpy.run_path(what, run_name="__mp_main__")
    finally:
        del current._inheriting  # noqa: SLF001
    module = types.ModuleType("__mp_main__")
    module.__dict__.update(names)
    _kept.append(sys.modules["__main__"])
    sys.modules["__main__"] = sys.modules["__mp_main__"] = module


_kept: list[types.ModuleType] = []
"""The module of this script, which lives on when another one is the main module."""

if __name__ == "__main__":
    main()
