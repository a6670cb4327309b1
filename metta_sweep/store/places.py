"""From what users write for a store to the store: ``sqlite:///dir/file.db``, a path, or ``memory``."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from metta_sweep.errors import StoreError, did_you_mean

if TYPE_CHECKING:
    from metta_sweep.records import Store

__all__ = ["file_of", "filesystem_of", "open_store", "refuse_network"]

_SCHEME: Final = "sqlite:///"
_EXAMPLES: Final = "'memory', a path such as 'sweeps.db', or 'sqlite:///dir/file.db'"

_NETWORK: Final = frozenset(
    {"9p", "acfs", "afpfs", "afs", "beegfs", "ceph", "cifs", "davfs", "gfs2", "glusterfs", "gpfs", "lustre", "ncpfs", "nfs", "nfs3"}
    | {"nfs4", "orangefs", "prl_fs", "pvfs2", "smb2", "smb3", "smbfs", "vboxsf", "webdav"}
    | {"fuse.ceph", "fuse.davfs2", "fuse.glusterfs", "fuse.rclone", "fuse.s3fs", "fuse.sshfs"}
)
"""File systems of other machines, on which locks and shared memory cannot be relied upon."""


def open_store(place: str | os.PathLike[str]) -> Store:
    """The store at a place: ``"memory"`` for a new one in memory, ``"sqlite:///dir/file.db"`` or a path for a file of SQLite.

    Three slashes start a path relative to the working directory, four an absolute one. The file is made if need be, its
    folder is not.

    Raises:
        StoreError: it is no such place, or it cannot be used.
    """
    if place == "memory":
        from metta_sweep.store.memory import MemoryStore

        return MemoryStore()
    from metta_sweep.store.sql.store import SqliteStore

    return SqliteStore(file_of(place, "open_store"))


def file_of(place: str | os.PathLike[str], where: str) -> Path:
    """The absolute path of the database that a place names, links followed: its log and locks lie beside the file itself.

    Raises:
        StoreError: it names none.
    """
    if not isinstance(place, str | os.PathLike):
        raise StoreError(where, "it is no place of a store", found=place, expected=_EXAMPLES)
    text = os.fspath(place)
    if not isinstance(text, str) or not text or "\0" in text:
        raise StoreError(where, "it is no path", found=place, expected=_EXAMPLES)
    if isinstance(place, str):
        text = _without_scheme(text, where)
    return Path(os.path.realpath(os.path.expanduser(text)))  # noqa: PTH111  # resolve() raises for links that lead in a circle


def _without_scheme(text: str, where: str) -> str:
    if text.startswith(_SCHEME) and len(text) > len(_SCHEME) and not text.endswith(":memory:"):
        return text[len(_SCHEME) :]
    if text.startswith("sqlite:") or text == ":memory:":
        raise StoreError(
            where,
            "the address names no file",
            found=text,
            expected=_EXAMPLES,
            remedy="Write 'sqlite:///file.db' (four slashes for an absolute path), or 'memory' to keep nothing",
        )
    scheme, separator, _ = text.partition("://")
    if separator:
        raise StoreError(where, f"there is no store for {scheme!r}", found=text, expected=_EXAMPLES, remedy="Use a file of SQLite")
    if Path(text).name == text and "." not in text and not Path(text).exists() and did_you_mean(text, ["memory"]):
        raise StoreError(where, "it is no known store", found=text, expected=_EXAMPLES, remedy="Did you mean 'memory'?")
    return text


def refuse_network(path: Path, filesystem: str | None) -> None:
    """Raise ``StoreError`` when the file system of ``path`` belongs to another machine."""
    if filesystem is not None and filesystem.lower() in _NETWORK:
        raise StoreError(
            f"store {str(path)!r}",
            f"it lies on a network file system ({filesystem}), where SQLite can lose data",
            found=filesystem,
            expected="a disk of this machine",
            remedy="Put it on a local disk: store='sqlite:////local/dir/file.db', or set METTA_SWEEP_STORE",
        )


def filesystem_of(path: Path) -> str | None:
    """The type of the file system that holds ``path`` ("ext4", "nfs4", "fuse.sshfs"), or None where it cannot be told."""
    if sys.platform == "win32":
        return "smb2" if str(path).startswith("\\\\") else None
    try:
        lines = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    return _type_of(path.parent.resolve(), lines)


def _type_of(folder: Path, lines: list[str]) -> str | None:
    """The type of the innermost mount that holds a folder; of two at one place, the later one hides the other."""
    best, depth = None, -1
    for line in lines:
        before, _, after = line.partition(" - ")
        columns = before.split()
        if len(columns) < 5 or not after:
            continue
        mount = Path(columns[4].replace("\\040", " ").replace("\\011", "\t").replace("\\134", "\\"))
        if folder.is_relative_to(mount) and len(mount.parts) >= depth:
            best, depth = after.split()[0], len(mount.parts)
    return best
