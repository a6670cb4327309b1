"""Checkpoints of trials: what their directories held when they were paused, kept by content."""

from __future__ import annotations

import os
import tempfile
import threading
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import Final
from weakref import WeakValueDictionary

from metta_sweep.clock import crash_point
from metta_sweep.errors import ExecutorError
from metta_sweep.executors.manifest import Entry, digest_of_file, is_digest, manifest_of, read_manifest, remove_tree, walk

__all__ = ["Checkpoints"]

_UNFINISHED: Final = "new-"
_REMEDY: Final = "Start over with fresh=True, or put back the files that were there"


class Checkpoints:
    """The checkpoints of the trials of one run. Safe to use from any thread; one process uses a run's at a time.

    A checkpoint is a manifest, called by its digest, and the contents of the files that it names, each kept once. Both are written
    beside their place and renamed, contents first: what has a digest is whole, or was damaged later, which shows. A directory is
    replaced as a whole. What a process that died left half done is removed when the next one comes.

    Files, folders (empty ones too), permission bits and symbolic links are kept; times, owners and hard links are not. What a
    symbolic link points to is not kept unless it lies in the directory itself.

    Args:
        folder: where they lie; made when the first one is kept.
        durable: whether what is kept must be on the disk, as is asked beside a journal that is.
    """

    def __init__(self, folder: Path, *, durable: bool) -> None:
        self._folder = folder
        self._blobs = folder / "contents"
        self._manifests = folder / "manifests"
        self._durable = durable
        self._lock = threading.Lock()
        self._kept: dict[str, tuple[str, ...]] = {}
        """The digests of the files of each checkpoint."""
        self._uses: Counter[str] = Counter()
        """How many checkpoints, kept or being made, hold each content."""
        self._pinned: Counter[str] = Counter()
        self._doomed: set[str] = set()
        self._directories: WeakValueDictionary[str, _Guard] = WeakValueDictionary()
        self._loaded = False
        self._closed = False

    def keep(self, directory: Path) -> str | None:
        """Keep what a directory holds, and return its digest; None when it holds nothing.

        It is not removed before ``release`` was called with the digest, as often as this returned it.

        Raises:
            ExecutorError: there is something that cannot be kept.
            OSError: it cannot be read or written. Nothing was kept.
        """
        self._load()
        used: list[str] = []
        digest = ""
        try:
            with self._alone(directory):
                entries = walk(directory, lambda path: self._keep_content(path, used))
            if not entries:
                return None
            text = manifest_of(entries)
            digest = sha256(text).hexdigest()
            with self._lock:
                # before it is written: the same one may be there already, and be about to go
                self._pinned[digest] += 1
                self._doomed.discard(digest)
            crash_point("checkpoint.manifest")
            self._write(self._manifests, digest, text)
            with self._lock:
                if not self._kept.get(digest):  # new, or one that was damaged
                    self._kept[digest], used = tuple(used), []
        except BaseException:
            self.release(digest)
            raise
        finally:
            with self._lock:
                self._unuse(used)
        crash_point("checkpoint.kept")
        return digest

    def release(self, digest: str) -> None:
        """What names the checkpoint has been recorded: from now on it is kept as long as it is needed."""
        with self._lock:
            self._pinned[digest] -= 1
            if self._pinned[digest] <= 0:
                del self._pinned[digest]

    def restore(self, digest: str | None, directory: Path) -> None:
        """Make a directory hold exactly a checkpoint; nothing, for None. Each file is checked against its digest.

        Raises:
            ExecutorError: the checkpoint is missing or damaged; the directory is as it was.
            OSError: it cannot be read or written; the directory is as it was, or is gone.
        """
        if digest is None and not directory.is_dir():
            return
        self._load()
        with self._alone(directory):
            self._folder.mkdir(parents=True, exist_ok=True)
            fresh = self._folder / f"{_UNFINISHED}{os.urandom(8).hex()}"
            fresh.mkdir()
            try:
                if digest is not None:
                    self._fill(fresh, digest)
                crash_point("checkpoint.restore")
                self._swap(fresh, directory)
            finally:
                remove_tree(fresh)

    def doom(self, needed: Collection[str]) -> bool:
        """Mark what is neither among the needed ones nor pinned, for ``remove_doomed``. Returns whether there is anything."""
        with self._lock:
            if not self._loaded and not self._folder.is_dir():
                return False
        self._load()
        with self._lock:
            self._doomed.update(digest for digest in self._kept if digest not in needed and digest not in self._pinned)
            self._doomed.difference_update(needed)
            return bool(self._doomed)

    def remove_doomed(self) -> None:
        """Remove what is marked, unless it was kept anew meanwhile, and contents that nothing else holds."""
        while True:
            with self._lock:
                if self._closed or not self._doomed:
                    return
                digest = self._doomed.pop()
                if digest in self._pinned:
                    continue
                self._manifest(digest).unlink(missing_ok=True)
                self._unuse(self._kept.pop(digest, ()))
            crash_point("checkpoint.removed")

    def close(self) -> None:
        """The run is left: what is marked goes, and what is still being done in a thread changes nothing any more."""
        self.remove_doomed()
        with self._lock:
            self._closed = True

    # -- pieces ----------------------------------------------------------------------------------------------------------------

    def _load(self) -> None:
        """Find what is there already, once; remove what nobody finished."""
        with self._lock:
            if self._loaded:
                return
            self._loaded = True
            if not self._folder.is_dir():
                return
            for path in self._folder.glob(f"{_UNFINISHED}*"):
                remove_tree(path)
            for path in _files(self._manifests):
                contents: tuple[str, ...] = ()
                with suppress(OSError, ValueError, KeyError, TypeError):  # damaged: an error when it is needed, gone when it is not
                    text = path.read_bytes()
                    if sha256(text).hexdigest() == path.name:
                        contents = tuple(entry.content for entry in read_manifest(text) if entry.kind == "file")
                self._kept[path.name] = contents
                self._uses.update(contents)
            for path in _files(self._blobs):
                if path.name not in self._uses:
                    path.unlink(missing_ok=True)

    def _keep_content(self, path: Path, used: list[str]) -> str:
        """Keep a file by its content. What is there is read, and not written again."""
        digest = digest_of_file(path)
        if self._take(digest, path.stat().st_size):
            used.append(digest)
            return digest
        crash_point("checkpoint.content")
        self._blobs.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=_UNFINISHED, dir=self._folder)
        try:
            with os.fdopen(handle, "wb") as target:
                digest = digest_of_file(path, copy_to=target)  # of what was copied, should somebody write to it now
                self._finish(target.fileno())
            self._put(Path(temporary), self._blobs / digest, digest, used)
        finally:
            Path(temporary).unlink(missing_ok=True)
        return digest

    def _take(self, digest: str, size: int) -> bool:
        """Count one more use of a content that is there, whole as far as its size tells."""
        with self._lock:
            place = self._blobs / digest
            if not place.is_file() or place.stat().st_size != size:
                return False
            self._uses[digest] += 1
            return True

    def _unuse(self, contents: Collection[str]) -> None:
        """Count one use less of each; what nothing holds any more is removed. Under the lock."""
        for content in contents:
            self._uses[content] -= 1
            if self._uses[content] <= 0:
                del self._uses[content]
                if not self._closed:  # else it may be held by the next one who has the folder, who removes what nobody holds
                    (self._blobs / content).unlink(missing_ok=True)

    def _put(self, temporary: Path, place: Path, digest: str, used: list[str]) -> None:
        with self._lock:
            self._check_open()
            temporary.replace(place)
            self._uses[digest] += 1
        used.append(digest)
        self._finish_folder(place.parent)

    def _write(self, folder: Path, name: str, text: bytes) -> None:
        place = folder / name
        folder.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=_UNFINISHED, dir=self._folder)
        try:
            with os.fdopen(handle, "wb") as target:
                target.write(text)
                target.flush()
                self._finish(target.fileno())
            with self._lock:
                self._check_open()
                Path(temporary).replace(place)
            self._finish_folder(folder)
        finally:
            Path(temporary).unlink(missing_ok=True)

    def _fill(self, fresh: Path, digest: str) -> None:
        entries = self._read(digest)
        for entry in entries:
            place = fresh / entry.path
            if entry.kind == "folder":
                place.mkdir()
            elif entry.kind == "link":
                place.symlink_to(entry.content)
            else:
                self._copy(entry, place, digest)
        for entry in reversed(entries):  # folders that may not be written to come after what lies in them
            if entry.kind != "link":
                (fresh / entry.path).chmod(entry.mode)

    def _read(self, digest: str) -> list[Entry]:
        path = self._manifest(digest)
        try:
            text = path.read_bytes()
        except FileNotFoundError as error:
            raise ExecutorError(
                f"checkpoint {digest[:12]}", "it is missing", found=None, expected=str(path), remedy=_REMEDY
            ) from error
        found = sha256(text).hexdigest()
        if found != digest:
            raise _damaged(digest, path, found, digest)
        try:
            return read_manifest(text)
        except (ValueError, KeyError, TypeError) as error:
            raise ExecutorError(
                f"checkpoint {digest[:12]}", f"it cannot be read: {error}", found=str(path), remedy=_REMEDY
            ) from error

    def _copy(self, entry: Entry, place: Path, digest: str) -> None:
        source = self._blobs / entry.content
        try:
            with place.open("xb") as target:
                found = digest_of_file(source, copy_to=target)
        except FileNotFoundError as error:
            raise ExecutorError(
                f"checkpoint {digest[:12]}",
                f"the content of its file {entry.path!r} is missing",
                found=None,
                expected=str(source),
                remedy=_REMEDY,
            ) from error
        if found != entry.content:
            raise _damaged(f"{digest[:12]}, file {entry.path!r}", source, found, entry.content)

    def _swap(self, fresh: Path, directory: Path) -> None:
        """Put a directory in the place of another, which is removed."""
        old = fresh.with_name(f"{fresh.name}-old")
        with self._lock:
            self._check_open()
            directory.parent.mkdir(parents=True, exist_ok=True)
            if directory.is_dir():
                directory.rename(old)
            crash_point("checkpoint.swap")
            fresh.rename(directory)
        remove_tree(old)

    def _manifest(self, digest: str) -> Path:
        if not is_digest(digest):
            raise ExecutorError("checkpoint", "it is no digest of a checkpoint", found=digest, expected="64 hexadecimal digits")
        return self._manifests / digest

    def _check_open(self) -> None:
        if self._closed:
            raise ExecutorError(
                "checkpoint", "the run was left meanwhile", remedy="Run again: the trial goes on from its last pause"
            )

    @contextmanager
    def _alone(self, directory: Path) -> Iterator[None]:
        """Only one thread at a time reads or replaces a directory: one that was given up may still be at it."""
        with self._lock:
            guard = self._directories.get(str(directory))
            if guard is None:
                guard = self._directories[str(directory)] = _Guard()
        with guard.lock:
            yield

    def _finish(self, handle: int) -> None:
        if self._durable:
            os.fsync(handle)

    def _finish_folder(self, folder: Path) -> None:
        if not self._durable or os.name != "posix":
            return
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


class _Guard:
    """The lock of one directory; lives as long as somebody holds it."""

    def __init__(self) -> None:
        self.lock = threading.Lock()


def _damaged(what: str, path: Path, found: str, expected: str) -> ExecutorError:
    return ExecutorError(
        f"checkpoint {what}", f"it is damaged: {path} is not what was kept", found=found, expected=expected, remedy=_REMEDY
    )


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if is_digest(path.name)] if folder.is_dir() else []
