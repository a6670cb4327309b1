"""Locks between processes that die with their owner, in one small file beside the database.

Locks of bytes (POSIX ``fcntl``, ``msvcrt`` on Windows): unlike ``flock`` they are not inherited by a child process that outlives
its parent. A process has them once however often it asks, and loses all of them when it closes any handle of the file: so there is
one handle per file and process, and what is held is kept in memory as well.

The locked bytes lie beyond the end of the file. Its text says which process holds which lock, for messages.
"""

from __future__ import annotations

import errno
import os
import struct
import sys
import threading
import time
from pathlib import Path
from typing import Final

__all__ = ["LockFile", "driver_in"]

_BEYOND: Final = 1 << 30
_WRITING: Final = _BEYOND
_DRIVERS: Final = _BEYOND + 1
_LINE: Final = 16
_HELD_BY_ANOTHER: Final = (errno.EACCES, errno.EAGAIN, errno.EDEADLK)

if sys.platform == "win32":
    import msvcrt

    def _try_lock(handle: int, offset: int) -> bool:
        os.lseek(handle, offset, os.SEEK_SET)
        try:
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        except OSError as error:
            if error.errno in _HELD_BY_ANOTHER:
                return False
            raise
        return True

    def _write_at(handle: int, offset: int, text: bytes) -> None:
        os.lseek(handle, offset, os.SEEK_SET)
        os.write(handle, text)

    def _holder(handle: int, key: int) -> int | None:
        return _read_line(handle, key)  # all that can be told here

    def _unlock(handle: int, offset: int) -> None:
        os.lseek(handle, offset, os.SEEK_SET)
        msvcrt.locking(handle, msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    _ASKED: Final = "hhqqi8x" if sys.platform == "linux" else "qqihh8x"

    def _try_lock(handle: int, offset: int) -> bool:
        try:
            fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, offset)
        except OSError as error:
            if error.errno in _HELD_BY_ANOTHER:
                return False
            raise
        return True

    def _write_at(handle: int, offset: int, text: bytes) -> None:
        os.pwrite(handle, text, offset)

    def _holder(handle: int, key: int) -> int | None:
        """The process that holds the lock of a run (0: it cannot be named); None when no other process does."""
        start = _DRIVERS + key
        if sys.platform == "linux":
            asked = struct.pack(_ASKED, fcntl.F_WRLCK, os.SEEK_SET, start, 1, 0)
            kind, _, _, _, pid = struct.unpack(_ASKED, fcntl.fcntl(handle, fcntl.F_GETLK, asked))
        else:
            asked = struct.pack(_ASKED, start, 1, 0, fcntl.F_WRLCK, os.SEEK_SET)
            _, _, pid, kind, _ = struct.unpack(_ASKED, fcntl.fcntl(handle, fcntl.F_GETLK, asked))
        if kind == fcntl.F_UNLCK:
            return None
        # a process of another container has no number here, but it wrote down the one that it has there
        return pid if pid > 0 else _read_line(handle, key) or 0

    def _unlock(handle: int, offset: int) -> None:
        fcntl.lockf(handle, fcntl.LOCK_UN, 1, offset)


class LockFile:
    """The locks of one database. Get it with ``LockFile.open``: two stores of one process on one file share it."""

    def __init__(self, handle: int, identity: tuple[int, int]) -> None:
        self._handle = handle
        self._pid = os.getpid()
        self.identity = identity
        """Which file it is."""
        self._users = 0
        self._writing = threading.Lock()
        self._writing_thread = 0
        self._changing = threading.Lock()
        self._drivers: set[int] = set()

    @classmethod
    def open(cls, path: Path) -> LockFile:
        """The locks in this file, which is made if need be. Raises ``OSError`` when it cannot be."""
        with _registry_lock:
            # by name first: opening and closing a second handle would drop every lock of this process
            found = _registry.get(_identity_of(path))
            if found is None:
                handle = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666)
                status = os.fstat(handle)
                found = _registry[status.st_dev, status.st_ino] = cls(handle, (status.st_dev, status.st_ino))
            found._users += 1
            return found

    def close(self) -> None:
        """Leave it; the last one who does closes it."""
        with _registry_lock:
            self._users -= 1
            if self._users == 0 and _registry.get(self.identity) is self:
                del _registry[self.identity]
                os.close(self._handle)

    def start_writing(self, patience: float) -> bool:
        """Become the one writer, waiting up to ``patience`` seconds. False: another one did not let go."""
        if not self._writing.acquire(timeout=patience):
            return False
        try:
            if _try_lock(self._handle, _WRITING) or self._wait_to_write(patience):
                self._writing_thread = threading.get_ident()
                return True
        except BaseException:
            self._writing.release()
            raise
        self._writing.release()
        return False

    def stop_writing(self) -> None:
        """Let the next one write."""
        self._writing_thread = 0
        try:
            _unlock(self._handle, _WRITING)
        finally:
            self._writing.release()

    def is_writing_here(self) -> bool:
        """Whether this very thread holds the lock of writers."""
        return self._writing_thread == threading.get_ident()

    def become_driver(self, key: int) -> int | None:
        """Hold the lock of one run. None when it is held now; else the process that holds it (0: unknown)."""
        with self._changing:
            if key in self._drivers:
                return os.getpid()
            if not _try_lock(self._handle, _DRIVERS + key):
                return _holder(self._handle, key) or 0
            self._drivers.add(key)
            self._write_line(key, f"{os.getpid()}")
            return None

    def stop_driving(self, key: int) -> None:
        """Let go of the lock of a run. In a forked child nothing happens: the locks are its parent's."""
        if os.getpid() != self._pid:
            return
        with self._changing:
            if key in self._drivers:
                self._drivers.discard(key)
                self._write_line(key, "")
                _unlock(self._handle, _DRIVERS + key)

    def _wait_to_write(self, patience: float) -> bool:
        until = time.monotonic() + patience
        pause = 0.00005
        while time.monotonic() < until:
            time.sleep(pause)
            if _try_lock(self._handle, _WRITING):
                return True
            pause = min(pause * 1.5, 0.001)
        return False

    def driver(self, key: int) -> int | None:
        """The process that holds the lock of a run (0: it cannot be named); None when there is none."""
        with self._changing:
            return self._pid if key in self._drivers else _holder(self._handle, key)

    def line(self, key: int) -> int | None:
        """The process that is written down as the driver of a run."""
        with self._changing:
            return _read_line(self._handle, key)

    def _write_line(self, key: int, text: str) -> None:
        _write_at(self._handle, key * _LINE, f"{text:<{_LINE - 1}}\n".encode())


def driver_in(path: Path, key: int) -> int | None:
    """The process that holds the lock of a run (0: it cannot be named), which is left alone; None when there is none."""
    with _registry_lock:
        shared = _registry.get(_identity_of(path))
        if shared is not None:
            return shared.driver(key)
        # no lock of this process can be lost by closing it: it holds none in this file
        with path.open("rb", buffering=0) as file:
            return _holder(file.fileno(), key)


def _read_line(handle: int, key: int) -> int | None:
    """The process that is written down as the driver of a run. It may be gone, and its number be another one's."""
    os.lseek(handle, key * _LINE, os.SEEK_SET)
    text = os.read(handle, _LINE).strip(b" \n\0")
    return int(text) if text.isdigit() else None


_registry: Final[dict[tuple[int, int], LockFile]] = {}
_registry_lock = threading.Lock()


def _identity_of(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except FileNotFoundError:
        return (-1, -1)
    return (status.st_dev, status.st_ino)


def _forget_in_child() -> None:
    """A forked child has none of its parent's locks."""
    global _registry_lock  # noqa: PLW0603  # it may have been held by another thread of the parent
    _registry_lock = threading.Lock()
    _registry.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_in_child)
