"""Files as outputs of stages."""

# ruff: noqa: D103  # each test says what it shows
from __future__ import annotations

import gc
import logging
import os
import time
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from metta_sweep.errors import ContractError, InvalidInput, StoreError
from metta_sweep.pipeline import Artifact, Pipeline
from metta_sweep.pipeline.keeping.artifact import keep_file
from metta_sweep.records import Store, digest
from metta_sweep.store import MemoryStore, SqliteStore


class Trained(BaseModel):
    model: Artifact
    logs: list[Artifact] = []
    plots: dict[str, Artifact] = {}


def written(path: Path, content: bytes = b"weights") -> Artifact:
    path.write_bytes(content)
    return Artifact(path)


def stores(tmp_path: Path) -> list[Store]:
    return [MemoryStore(), SqliteStore(tmp_path / "store.db")]


def blobs(store: Store) -> list[Path]:
    return sorted(path for path in store.artifact_folder().rglob("*") if path.is_file())


def plan_of(tmp_path: Path, calls: list[int]) -> Any:
    async def train() -> Artifact:
        calls.append(1)
        return written(tmp_path / "model.bin")

    def size(model: Artifact) -> int:
        return len(model.read_bytes())

    return Pipeline().stage("train", train).through(model=Artifact).stage("size", size).through(n=int).build()


@pytest.mark.parametrize("which", [0, 1], ids=["memory", "sqlite"])
async def test_a_file_is_kept_by_its_content(which: int, tmp_path: Path) -> None:
    """The copy is what goes on, in this run as in a resumed one, whatever becomes of the user's file."""
    store, calls = stores(tmp_path)[which], list[int]()
    plan = plan_of(tmp_path, calls)
    first = (await plan.run(name="kept", store=store)).model
    (tmp_path / "model.bin").write_bytes(b"changed")
    again = (await plan.run(name="kept", store=store)).model
    assert calls == [1]
    assert first == again
    assert blobs(store) == [again.path]
    assert again.path.is_relative_to(store.artifact_folder())
    assert again.path.relative_to(store.artifact_folder()).parts == (again.digest[:2], again.digest[2:])
    assert (again.name, again.size, again.read_bytes()) == ("model.bin", 7, b"weights")
    with again.open() as file:
        assert file.read() == b"weights"
    assert os.fspath(again) == str(again.path)


async def test_equal_contents_are_kept_once(tmp_path: Path) -> None:
    """Within models, lists and dicts, and over runs."""
    store = SqliteStore(tmp_path / "store.db")

    async def train() -> Trained:
        one, other = written(tmp_path / "a"), written(tmp_path / "b")
        return Trained(model=one, logs=[other, written(tmp_path / "c", b"log")], plots={"loss": one})

    for name in ("one", "two", "one"):
        result = await Pipeline().stage("train", train).build().run(name=name, store=store)
        assert [log.read_bytes() for log in result.logs] == [b"weights", b"log"]
        assert result.plots["loss"].digest == result.model.digest
        assert [log.name for log in result.logs] == ["b", "c"]
    assert len(blobs(store)) == 2


async def test_without_a_store_it_is_the_path(tmp_path: Path) -> None:
    """Nothing is copied."""
    result = await plan_of(tmp_path, []).run()
    assert result.model.path == tmp_path / "model.bin"
    assert result.n == 7


@pytest.mark.parametrize("damage", ["missing", "flipped", "cut", "a folder"])
async def test_a_lost_file_is_noticed(damage: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A kept file that is missing, or is not what was kept, is never used: a warning, and the stage runs again."""
    store, calls = SqliteStore(tmp_path / "store.db"), list[int]()
    plan = plan_of(tmp_path, calls)
    path = (await plan.run(name="kept", store=store)).model.path
    path.chmod(0o644)
    if damage == "flipped":
        path.write_bytes(b"weighty")
    elif damage == "cut":
        path.write_bytes(b"weight")
    else:
        path.unlink()
        if damage == "a folder":
            path.mkdir()
    row = plan.plan_resume(name="kept", store=store).rows[0]
    assert (row.verdict, "the artifact 'model.bin' is" in row.reason) == ("rerun", True)
    if damage == "a folder":
        path.rmdir()
    with caplog.at_level(logging.WARNING, "metta_sweep"):
        result = await plan.run(name="kept", store=store)
    assert calls == [1, 1]
    assert "the checkpoint at train: the artifact 'model.bin' is " in caplog.text
    assert result.model.read_bytes() == b"weights"
    assert (await plan.run(name="kept", store=store)).model.read_bytes() == b"weights"
    assert calls == [1, 1]


def test_a_file_is_kept_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error on the way leaves nothing behind; what is damaged there is replaced."""
    source, folder = tmp_path / "file", tmp_path / "kept"
    source.write_bytes(b"x" * 3_000_000)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", _fails)
        with pytest.raises(OSError, match="no space"):
            keep_file(folder, source)
    assert [path for path in folder.rglob("*") if path.is_file()] == []
    found, size = keep_file(folder, source)
    place = folder / found[:2] / found[2:]
    place.chmod(0o644)
    place.write_bytes(b"x" * 2_999_999 + b"y")
    assert keep_file(folder, source) == (found, size)
    assert place.read_bytes() == source.read_bytes()
    assert size == 3_000_000


def _fails(handle: int) -> None:
    raise OSError("no space left on device")


async def test_the_content_is_what_counts_as_input(tmp_path: Path) -> None:
    """A stage that reads a file runs again when its content is another one, not when its place is."""
    store, calls = MemoryStore(), list[bytes]()

    def read(data: Artifact) -> int:
        calls.append(data.read_bytes())
        return data.size

    plan = Pipeline(data=Artifact).stage("read", read).build()
    (tmp_path / "other").mkdir()
    await plan.run(name="kept", store=store, data=written(tmp_path / "data", b"one"))
    await plan.run(name="kept", store=store, data=written(tmp_path / "other" / "data", b"one"))
    assert calls == [b"one"]
    await plan.run(name="kept", store=store, data=written(tmp_path / "data", b"two"))
    assert calls == [b"one", b"two"]


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    """Missing files, folders, modes that write: each with a remedy."""
    with pytest.raises(InvalidInput, match="there is no such file"):
        Artifact(tmp_path / "none")
    with pytest.raises(InvalidInput, match=r"it is a folder.*pack folders"):
        Artifact(tmp_path)
    with pytest.raises(InvalidInput, match="an artifact is not changed; found 'wb'"):
        written(tmp_path / "file").open("wb")


@pytest.mark.parametrize(
    "value",
    [
        '{"artifact":"../../../etc/passwd","size":1,"name":"x"}',
        '{"artifact":"%s","size":-1,"name":"x"}' % ("a" * 64),
        '{"artifact":"%s","size":1,"name":"x","path":"/etc/passwd"}' % ("a" * 64),
        '"/etc/passwd"',
        "{}",
    ],
)
async def test_a_hostile_record_names_no_other_file(value: str, tmp_path: Path) -> None:
    """Only digests are taken from what is recorded, never paths."""
    store, calls = MemoryStore(), list[int]()
    plan = plan_of(tmp_path, calls)
    await plan.run(name="kept", store=store)
    run = store.runs()[0].run_id
    kept = store.get_checkpoint(run, "train")
    assert kept is not None
    payload = b'{"model":' + value.encode() + b"}"
    store.put_checkpoint(run, kept._replace(payload=payload, digest=digest(payload)))
    with pytest.raises(ContractError, match="no longer fits field 'model' \\(Artifact\\)"):
        await plan.run(name="kept", store=store)


def test_files_of_a_store_in_memory_end_with_it(tmp_path: Path) -> None:
    """Its folder is removed with the object."""
    store = MemoryStore()
    folder = store.artifact_folder()
    keep_file(folder, written(tmp_path / "file").path)
    assert folder.is_dir()
    del store
    gc.collect()
    assert not folder.exists()


async def test_a_folder_is_made_when_a_file_comes(tmp_path: Path) -> None:
    """Runs without artifacts leave no folder behind, in neither store."""
    memory, sqlite = MemoryStore(), SqliteStore(tmp_path / "store.db")
    plan = Pipeline().stage("make", lambda: {"a": (1, 2)}).through(made=Any).build()
    for store in (memory, sqlite):
        for _ in range(2):
            await plan.run(name="kept", store=store)
    assert memory._files is None
    assert not sqlite.artifact_folder().exists()
    sqlite.close()


async def test_a_kept_file_goes_on_as_it_is(tmp_path: Path) -> None:
    """A stage that passes an artifact on adds no other copy."""
    store = MemoryStore()
    passing = Pipeline(model=Artifact).stage("one", lambda model: model).through(a=Artifact).stage("two", lambda a: a)
    result = await passing.through(b=Artifact).build().run(name="kept", store=store, model=written(tmp_path / "m"))
    assert result.a == result.b
    assert result.a.path == result.b.path == blobs(store)[0]


async def test_a_file_that_is_edited_in_its_place_is_another_input(tmp_path: Path) -> None:
    """One object, whose file changes between two runs, even to the same size within one tick of the clock."""
    store, data = MemoryStore(), written(tmp_path / "data", b"one")
    plan = Pipeline(data=Artifact).stage("read", lambda data: data.read_bytes().decode()).through(text=str).build()
    found = []
    for content in (b"one", b"two", b"three"):
        (tmp_path / "data").write_bytes(content)
        found.append((await plan.run(name="kept", store=store, data=data)).text)
    assert found == ["one", "two", "three"]


async def test_a_file_that_is_gone_too_early_is_said(tmp_path: Path) -> None:
    """A temporary folder that ends with the stage, or with the run: the file is named, and how to mend it."""

    def train() -> Artifact:
        made = written(tmp_path / "model.bin")
        made.path.unlink()
        return made

    for form, make in ((Artifact, train), (Trained, lambda: Trained(model=train())), (Any, train)):
        plan = Pipeline().stage("train", make).through(model=form).build()
        with pytest.raises(InvalidInput, match=r"(?s)'model.bin'.*No such file.*into a folder that is not removed") as caught:
            await plan.run(name="kept", store=MemoryStore())
        assert not isinstance(caught.value, StoreError)
    reading = Pipeline(data=Artifact).stage("read", lambda data: 1).through(n=int).build()
    with pytest.raises(InvalidInput, match=r"'model\.bin'"):
        await reading.run(store=MemoryStore(), data=train())


async def test_a_folder_that_cannot_be_written_to_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk, or a file where the folder should be: an error of the store, which says where. Nothing is recorded."""
    store = SqliteStore(tmp_path / "store.db")
    plan = plan_of(tmp_path, [])
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", _fails)
        with pytest.raises(StoreError, match=r"store\.db\.artifacts.*no space left"):
            await plan.run(name="kept", store=store)
    store.artifact_folder().rmdir()
    store.artifact_folder().write_text("in the way")
    with pytest.raises(StoreError, match=r"(?s)'model.bin' cannot be copied there.*File exists"):
        await plan.run(name="kept", store=store)
    store.artifact_folder().unlink()
    assert (await plan.run(name="kept", store=store)).n == len(b"weights")
    store.close()


async def test_what_lies_in_the_place_of_a_kept_file_is_noticed(tmp_path: Path) -> None:
    """A folder, or a link that leads nowhere or to itself: the stage runs again, and what can be replaced is."""
    store, calls = SqliteStore(tmp_path / "store.db"), list[int]()
    plan = plan_of(tmp_path, calls)
    place = (await plan.run(name="kept", store=store)).model.path
    place.unlink()
    place.symlink_to(place)
    assert (await plan.run(name="kept", store=store)).model.read_bytes() == b"weights"
    place.unlink()
    place.mkdir()
    with pytest.raises(StoreError, match="cannot be copied there"):
        await plan.run(name="kept", store=store)
    assert len(calls) == 3
    store.close()


def test_what_killed_processes_left_is_removed(tmp_path: Path) -> None:
    """A copy that nobody has touched for an hour; one that another process may be writing stays."""
    folder = tmp_path / "kept"
    folder.mkdir()
    for name, age in (("new-old", 4000), ("new-young", 10), ("other", 4000)):
        (folder / name).write_bytes(b"x")
        then = time.time() - age
        os.utime(folder / name, (then, then))
    keep_file(folder, written(tmp_path / "model.bin").path)
    assert sorted(path.name for path in folder.iterdir() if path.is_file()) == ["new-young", "other"]
