"""Files as outputs of stages, kept by their content."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

from metta_sweep.errors import InvalidInput, StoreError

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler
    from pydantic_core import CoreSchema

__all__ = ["Artifact", "ArtifactLost", "Files", "artifact_context", "describe_artifact", "keep_file", "nowhere"]

_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_CHUNK: Final = 1 << 20
_FOLDER: Final = "metta_sweep.artifacts"
"""The key of the validation and serialization context under which the folder of kept files is."""
_FAILURES: Final = "metta_sweep.artifacts.failures"
"""The key under which errors are left, which pydantic would make a text of."""
_UNFINISHED: Final = "new-"
_ABANDONED: Final = 3600.0
"""Seconds after which nobody writes any more to a copy that was not touched."""
_TICK: Final = 2_000_000_000
"""Nanoseconds: the coarsest clock by which a file system tells when a file was changed."""


Files = Callable[[], "Path | None"]
"""Tells the folder in which files are kept, when it is needed; None: there is none."""


class ArtifactLost(Exception):
    """A kept file is missing, or is not what was kept."""


class Artifact:
    """A file that a stage made: for what has no JSON form. Return it under a contract that says ``Artifact``.

    In a kept run the file is copied into the store, under the digest of its content, when the stage has ended; from then on
    ``path`` is that copy, which is not to be changed. A resumed run finds it there, checked against its digest.
    Equal contents are kept once. Without a store it is just the path.

    Args:
        path: of a file that exists.

    Raises:
        InvalidInput: it is no file.
    """

    __slots__ = ("_digest", "_read_at", "name", "path", "size")

    def __init__(self, path: str | os.PathLike[str]) -> None:
        given = Path(path).absolute()
        if not given.is_file():
            what = "it is a folder" if given.is_dir() else "there is no such file"
            remedy = "Write the file before, and pack folders"
            raise InvalidInput("Artifact(path)", what, found=str(path), expected="the path of a file", remedy=remedy)
        self.path = given
        """Where the file is: that of the user, or the copy in the store."""
        self.name = given.name
        """What the file was called."""
        self.size = given.stat().st_size
        """Bytes."""
        self._digest: str | None = None
        self._read_at: tuple[int, ...] | None = None
        """What the file looked like when the digest was made of it; None: it is not to be relied on."""

    @classmethod
    def _kept(cls, folder: Path, digest: str, size: int, name: str) -> Artifact:
        """The artifact that was kept in a folder; raises ``ArtifactLost`` where the file there is not that."""
        path = _place(folder, digest)
        try:
            if not path.is_file():
                raise ArtifactLost(f"the artifact {name!r} is missing (it was at {path})")
            if path.stat().st_size != size or _digest_of(path) != digest:
                raise ArtifactLost(f"the artifact {name!r} is damaged (it is at {path})")
            artifact = object.__new__(cls)
            artifact.path, artifact.name, artifact.size, artifact._digest = path, name, size, digest
            artifact._read_at = _looks(path)
        except OSError as error:
            raise ArtifactLost(f"the artifact {name!r} cannot be read ({error})") from error
        return artifact

    def is_in(self, folder: Path) -> bool:
        """Whether it is a copy that is kept in a folder."""
        return self._digest is not None and self.path == _place(folder, self._digest)

    @property
    def digest(self) -> str:
        """Of the content now: BLAKE2b, 256 bits, hexadecimal. The file is read again when it may have changed since.

        Raises:
            InvalidInput: the file is gone.
        """
        try:
            looks = _looks(self.path)
            if self._digest is None or self._read_at != looks:
                self._digest = _digest_of(self.path)
                # a file may change twice within one tick of its clock, and look the same
                self._read_at = looks if time.time_ns() - looks[0] > _TICK else None
        except OSError as error:
            raise _gone(self, error) from error
        return self._digest

    def open(self, mode: str = "rb", **options: Any) -> IO[Any]:
        """Open the file for reading; ``options`` are those of the builtin ``open``.

        Raises:
            InvalidInput: a mode that writes.
        """
        if set(mode) & set("wax+"):
            raise InvalidInput(
                "Artifact.open(mode)", "an artifact is not changed", found=mode, expected="'rb' or 'r'", remedy="Write another file"
            )
        return self.path.open(mode, **options)

    def read_bytes(self) -> bytes:
        """The content."""
        return self.path.read_bytes()

    def __eq__(self, other: object) -> bool:
        return (self.name, self.digest) == (other.name, other.digest) if isinstance(other, Artifact) else NotImplemented

    def __hash__(self) -> int:
        return hash((self.name, self.digest))

    def __repr__(self) -> str:
        return f"Artifact({str(self.path)!r})"

    def __fspath__(self) -> str:
        return str(self.path)

    def __fingerprint__(self) -> str:
        """What digests of inputs take of it."""
        return f"{self.name} {self.digest}"

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        from pydantic_core import core_schema as make

        described = make.typed_dict_schema(
            {
                "artifact": make.typed_dict_field(make.str_schema(pattern=_DIGEST.pattern, max_length=64)),
                "size": make.typed_dict_field(make.int_schema(ge=0)),
                "name": make.typed_dict_field(make.str_schema()),
            },
            extra_behavior="forbid",
        )
        return make.json_or_python_schema(
            json_schema=make.with_info_after_validator_function(_found, described),
            python_schema=make.is_instance_schema(cls),
            serialization=make.plain_serializer_function_ser_schema(
                _described, info_arg=True, return_schema=described, when_used="json"
            ),
        )


def nowhere() -> None:
    """There is no folder."""


def describe_artifact(artifact: Artifact, context: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON form of an artifact, which is kept in the folder first. ``context`` is one of ``artifact_context``."""
    folder: Path | None = context.get(_FOLDER, nowhere)()
    if folder is None:
        raise ValueError("an artifact has a JSON form within a store only")
    if artifact.is_in(folder):
        return {"artifact": artifact.digest, "size": artifact.size, "name": artifact.name}
    try:
        digest, size = keep_file(folder, artifact.path)
    except OSError as error:
        failure = _not_kept(artifact, folder, error)
        context[_FAILURES].append(failure)
        raise failure from error
    return {"artifact": digest, "size": size, "name": artifact.name}


def _not_kept(artifact: Artifact, folder: Path, error: OSError) -> InvalidInput:
    if not os.access(artifact.path, os.R_OK):
        return _gone(artifact, error)
    return StoreError(
        f"the folder of kept files {str(folder)!r}",
        f"the artifact {artifact.name!r} cannot be copied there: {error.strerror or error}",
        **({"found": str(error.filename)} if error.filename else {}),
        remedy="Make room there, or make it a folder that can be written to, and run again",
    )


def _gone(artifact: Artifact, error: OSError) -> InvalidInput:
    return InvalidInput(
        f"the artifact {artifact.name!r}",
        f"its file cannot be read: {error.strerror or error}",
        found=str(artifact.path),
        expected="a file that stays as long as it is read, and until the stage that returned it has ended",
        remedy="Write it into a folder that is not removed before",
    )


def _described(artifact: Artifact, info: Any) -> dict[str, Any]:
    return describe_artifact(artifact, info.context or {})


def _found(value: dict[str, Any], info: Any) -> Artifact:
    folder = (info.context or {}).get(_FOLDER, nowhere)()
    if folder is None:
        raise ValueError("an artifact can be read back from a store only")
    return Artifact._kept(folder, value["artifact"], value["size"], value["name"])  # noqa: SLF001  # it is not for users


def keep_file(folder: Path, source: Path) -> tuple[str, int]:
    """Copy a file into a folder, under the digest of its content, and return that and the size.

    It is there whole or not at all, and on the disk when this returns. What is there already, undamaged, is not written again.
    What killed processes left half written is removed.
    """
    import tempfile

    folder.mkdir(parents=True, exist_ok=True)
    _remove_abandoned(folder)
    handle, temporary = tempfile.mkstemp(prefix=_UNFINISHED, dir=folder)
    try:
        content, size = blake2b(digest_size=32), 0
        with os.fdopen(handle, "wb") as target:
            for chunk in _chunks(source):
                content.update(chunk)
                target.write(chunk)
                size += len(chunk)
            target.flush()
            os.fsync(target.fileno())
        digest = content.hexdigest()
        place = _place(folder, digest)
        if not (place.is_file() and place.stat().st_size == size and _digest_of(place) == digest):
            place.parent.mkdir(exist_ok=True)
            Path(temporary).chmod(0o444)
            Path(temporary).replace(place)
            _sync_folder(place.parent)
            _sync_folder(folder)
    finally:
        Path(temporary).unlink(missing_ok=True)
    return digest, size


def _remove_abandoned(folder: Path) -> None:
    with os.scandir(folder) as entries:
        for entry in entries:
            with suppress(OSError):  # another process was faster
                if entry.name.startswith(_UNFINISHED) and entry.stat().st_mtime < time.time() - _ABANDONED:
                    Path(entry).unlink()


def _place(folder: Path, digest: str) -> Path:
    if _DIGEST.fullmatch(digest) is None:
        raise ArtifactLost(f"{digest!r} is no digest of an artifact")
    return folder / digest[:2] / digest[2:]


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as source:
        while chunk := source.read(_CHUNK):
            yield chunk


def _looks(path: Path) -> tuple[int, ...]:
    """What shows that a file was changed, without reading it."""
    found = path.stat()
    return found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino


def _digest_of(path: Path) -> str:
    content = blake2b(digest_size=32)
    for chunk in _chunks(path):
        content.update(chunk)
    return content.hexdigest()


def _sync_folder(folder: Path) -> None:
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def artifact_context(files: Files, failures: list[InvalidInput] | None = None) -> dict[str, Any]:
    """The context in which pydantic writes and reads artifacts. Errors are left in ``failures``: pydantic makes texts of them."""
    return {_FOLDER: files, _FAILURES: [] if failures is None else failures}
