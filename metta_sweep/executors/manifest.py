"""What a directory holds, as a text that is the same for the same content: the manifest of a checkpoint."""

from __future__ import annotations

import json
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import suppress
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import IO, Any, Final, Literal, NamedTuple

from metta_sweep.errors import ExecutorError

__all__ = ["CHUNK", "Entry", "digest_of_file", "is_digest", "manifest_of", "read_manifest", "remove_tree", "walk"]

CHUNK: Final = 1 << 20
"""Bytes that are read at once: files may be larger than the memory."""
_VERSION: Final = 1
_HEX: Final = frozenset("0123456789abcdef")
Kind = Literal["file", "folder", "link"]


class Entry(NamedTuple):
    """One file, folder or symbolic link below the directory."""

    path: str
    """Relative, with slashes."""
    kind: Kind
    mode: int
    """Permission bits; 0 for links."""
    content: str
    """The SHA-256 digest of a file; where a link points; "" for folders."""


def walk(directory: Path, keep_file: Callable[[Path], str]) -> list[Entry]:
    """All that lies below a directory, by name.

    Args:
        directory: what is looked at.
        keep_file: called with each file; returns the digest of its content.

    Raises:
        ExecutorError: something is there that cannot be kept: a socket, a pipe, a device.
        OSError: something cannot be read.
    """
    return list(_walk(directory, "", str(directory), keep_file))


def _walk(folder: Path, below: str, root: str, keep_file: Callable[[Path], str]) -> Iterator[Entry]:
    with os.scandir(folder) as found:
        items = sorted(found, key=lambda item: item.name)
    for item in items:
        path = f"{below}{item.name}"
        if item.is_symlink():
            yield Entry(path, "link", 0, _target(item.path, root))
            continue
        mode = item.stat(follow_symlinks=False).st_mode
        if stat.S_ISDIR(mode):
            yield Entry(path, "folder", stat.S_IMODE(mode), "")
            yield from _walk(Path(item.path), f"{path}/", root, keep_file)
        elif stat.S_ISREG(mode):
            yield Entry(path, "file", stat.S_IMODE(mode), keep_file(Path(item.path)))
        else:
            raise ExecutorError(
                "trial.checkpoint_dir",
                f"{path!r} is neither a file nor a folder, so that a checkpoint cannot keep it",
                found=item.path,
                expected="files, folders and symbolic links",
                remedy="Make sockets and pipes in another place",
            )


def _target(link: str, root: str) -> str:
    """Where a link points. One that points into the directory by its whole path is kept as a relative one: copies are moved."""
    target = os.readlink(link)  # noqa: PTH115  # as it was written: a Path would tidy it
    if os.path.isabs(target) and os.path.normpath(target).startswith(root + os.sep):  # noqa: PTH117  # of a text, not of a file
        return os.path.relpath(os.path.normpath(target), os.path.dirname(link))  # noqa: PTH120  # the link may be a broken one
    return target


def manifest_of(entries: list[Entry]) -> bytes:
    """The text of a manifest; its SHA-256 digest names the checkpoint."""
    return json.dumps({"version": _VERSION, "entries": entries}, separators=(",", ":")).encode()


def read_manifest(text: bytes) -> list[Entry]:
    """The entries of a manifest. Raises ``ValueError`` when it is none, or names what lies outside the directory."""
    value: Any = json.loads(text)
    if value["version"] != _VERSION:
        raise ValueError(f"its version is {value['version']!r}, and this package reads version {_VERSION}")
    entries = [Entry(*item) for item in value["entries"]]
    for entry in entries:
        path = PurePosixPath(entry.path)
        if path.is_absolute() or not path.parts or ".." in path.parts or (entry.kind == "file" and not is_digest(entry.content)):
            raise ValueError(f"{entry.path!r} is no file of a directory")
    return entries


def is_digest(text: str) -> bool:
    """Whether it is a SHA-256 digest as this package writes them."""
    return len(text) == 64 and _HEX.issuperset(text)


def digest_of_file(path: Path, copy_to: IO[bytes] | None = None) -> str:
    """The SHA-256 digest of a file, read piece by piece; with ``copy_to``, of exactly the bytes that were written there."""
    content = sha256()
    with path.open("rb") as source:
        while piece := source.read(CHUNK):
            content.update(piece)
            if copy_to is not None:
                copy_to.write(piece)
    return content.hexdigest()


def remove_tree(path: Path) -> None:
    """Remove a file, or a directory with all that it holds, read-only folders too."""
    if not path.is_dir() or path.is_symlink():
        path.unlink(missing_ok=True)
        return
    for folder, _, _ in os.walk(path):
        with suppress(OSError):
            Path(folder).chmod(0o700)
    shutil.rmtree(path, ignore_errors=True)
