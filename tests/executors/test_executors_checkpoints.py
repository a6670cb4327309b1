"""What directories of paused trials held: kept by content, restored exactly, removed when nobody needs it."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import stat
import tempfile
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from executor_runs import next_events, task_of

from metta_sweep.clock import crash_points
from metta_sweep.errors import ExecutorError
from metta_sweep.executors import Ended, LocalExecutor, ReportMade, TrialContext, TrialTask
from metta_sweep.executors.checkpoints import Checkpoints
from metta_sweep.executors.directories import TrialDirectories
from metta_sweep.testing.virtual import run_virtual


class Crash(BaseException):
    """The death of the process."""


def crash_at(point: str, occurrence: int = 1) -> Callable[[str], None]:
    """Dies at a crash point, and does nothing more at any other."""
    passed = 0
    dead = False

    def hook(name: str) -> None:
        nonlocal passed, dead
        passed += name == point
        dead = dead or passed == occurrence
        if dead:
            raise Crash(name)

    return hook


@pytest.fixture
def place(tmp_path: Path) -> TrialDirectories:
    """The directories of a run."""
    return TrialDirectories(tmp_path, "run")


def files(folder: Path) -> list[str]:
    """All below a folder that is no folder, by path."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_symlink() or not path.is_dir())


def contents(place: TrialDirectories) -> int:
    """How many contents are kept."""
    return len(files(place.place("x", 0).parent / ".checkpoints" / "contents"))


def fill(folder: Path) -> None:
    """Files, folders and links of all kinds."""
    (folder / "sub" / "deep").mkdir(parents=True)
    (folder / "empty").mkdir()
    (folder / "model.npz").write_bytes(bytes(range(256)) * 5000)
    (folder / "sub" / "nothing").touch()
    (folder / "sub" / "deep" / "run.sh").write_text("true")
    (folder / "sub" / "deep" / "run.sh").chmod(0o750)
    (folder / "näme\n\udcff").write_text("odd")
    (folder / "latest").symlink_to("model.npz")
    (folder / "whole").symlink_to(folder / "sub" / "deep")
    (folder / "outside").symlink_to("/dev/null")
    (folder / "broken").symlink_to("nowhere")


def shown(folder: Path) -> dict[str, Any]:
    """What a folder holds: contents, permissions and targets."""
    found: dict[str, Any] = {}
    for path in folder.rglob("*"):
        name = str(path.relative_to(folder))
        if path.is_symlink():
            found[name] = str(path.readlink()).replace(f"{folder}/", "")
        else:
            found[name] = (stat.S_IMODE(path.stat().st_mode), None if path.is_dir() else path.read_bytes())
    return found


def test_a_checkpoint_is_restored_exactly(place: TrialDirectories) -> None:
    """Big and empty files, folders, permissions, odd names and links; what was there before is gone."""
    source, target = place.of("0", 0), place.of("1", 1)
    fill(source)
    (target / "junk").write_text("old")
    digest = place.checkpoints.keep(source)
    assert digest is not None

    place.checkpoints.restore(digest, target)

    expected = shown(source)
    assert expected["whole"] == "sub/deep"
    assert shown(target) == expected
    assert (target / "whole").resolve() == target / "sub" / "deep"


def test_the_same_content_has_the_same_digest_and_is_kept_once(place: TrialDirectories) -> None:
    """In one directory and in several; a file that did not change is not kept again."""
    first, second = place.of("0", 0), place.of("1", 1)
    for folder in (first, second):
        (folder / "a").write_text("same")
        (folder / "b").write_text("same")
    assert place.checkpoints.keep(first) == place.checkpoints.keep(second)
    assert contents(place) == 1
    before = next((place.place("x", 0).parent / ".checkpoints" / "contents").iterdir()).stat().st_ino

    (first / "c").write_text("new")
    assert place.checkpoints.keep(first) != place.checkpoints.keep(second)

    assert contents(place) == 2
    assert before in {path.stat().st_ino for path in (place.place("x", 0).parent / ".checkpoints" / "contents").iterdir()}


def test_an_empty_directory_has_no_checkpoint(place: TrialDirectories) -> None:
    """And going on from none empties a directory that is there."""
    folder = place.of("0", 0)
    assert place.checkpoints.keep(folder) is None
    (folder / "later").touch()

    place.checkpoints.restore(None, folder)

    assert files(folder) == []


def test_clones_share_no_later_writes(place: TrialDirectories) -> None:
    """What one writes, the other, and the checkpoint, do not see; not even through a file that is changed in place."""
    source, target = place.of("0", 0), place.of("1", 1)
    (source / "state").write_text("kept")
    digest = place.checkpoints.keep(source)
    place.checkpoints.restore(digest, target)
    with (source / "state").open("r+") as file:
        file.write("X")
    with (target / "state").open("r+") as file:
        file.write("YY")

    place.checkpoints.restore(digest, place.of("2", 2))

    assert [(place.of(name, 0) / "state").read_text() for name in "012"] == ["Xept", "YYpt", "kept"]


@pytest.mark.parametrize("what", ["contents", "manifests"])
@pytest.mark.parametrize("damage", [b"", b"other", None])
def test_damaged_checkpoints_are_noticed_and_not_used(place: TrialDirectories, what: str, damage: bytes | None) -> None:
    """Cut off, overwritten or gone: a clear error, and the directory is as it was."""
    source, target = place.of("0", 0), place.of("1", 1)
    (source / "state").write_text("kept")
    (target / "own").write_text("own")
    digest = place.checkpoints.keep(source)
    (path,) = (place.place("x", 0).parent / ".checkpoints" / what).iterdir()
    if damage is None:
        path.unlink()
    else:
        path.write_bytes(damage)

    with pytest.raises(ExecutorError, match=f"checkpoint {str(digest)[:12]}.*(damaged|missing)"):
        place.checkpoints.restore(digest, target)

    assert files(target) == ["own"]


def test_what_cannot_be_kept_is_refused(place: TrialDirectories) -> None:
    """A socket is neither file nor folder."""
    folder = place.of("0", 0)
    (folder / "kept").write_text("whole")
    with socket.socket(socket.AF_UNIX) as listener:
        before = Path.cwd()
        os.chdir(folder)  # names of sockets must be short
        try:
            listener.bind("zock")
        finally:
            os.chdir(before)
        with pytest.raises(ExecutorError, match="'zock' is neither a file nor a folder"):
            place.checkpoints.keep(folder)
    assert contents(place) == 0


def test_unneeded_checkpoints_go_and_shared_contents_stay(place: TrialDirectories) -> None:
    """Those that are needed, or not released yet, are kept."""
    folder, kept = place.of("0", 0), place.checkpoints
    digests: list[str] = []
    for number in range(4):
        (folder / "same").write_text("same")
        (folder / "own").write_text(str(number))
        digests.append(str(kept.keep(folder)))
    for digest in digests[:3]:
        kept.release(digest)

    assert kept.doom({digests[0]})
    kept.remove_doomed()

    assert sorted(files(place.place("x", 0).parent / ".checkpoints" / "manifests")) == sorted([digests[0], digests[3]])
    assert contents(place) == 3
    kept.restore(digests[0], folder)
    assert (folder / "own").read_text() == "0"
    assert not kept.doom({digests[0]})


def test_a_checkpoint_that_is_kept_again_is_not_removed(place: TrialDirectories) -> None:
    """It was marked as unneeded, and then a directory held the same again."""
    folder, kept = place.of("0", 0), place.checkpoints
    (folder / "state").write_text("same")
    digest = str(kept.keep(folder))
    kept.release(digest)
    assert kept.doom(set())
    assert kept.keep(folder) == digest
    kept.release(digest)

    kept.remove_doomed()

    kept.restore(digest, place.of("1", 1))


def test_a_checkpoint_that_is_removed_while_it_is_kept_again_is_there(place: TrialDirectories) -> None:
    """Another directory held the same; nobody needs that one just when this one is about to be written."""
    first, second, kept = place.of("0", 0), place.of("1", 1), place.checkpoints
    for folder in (first, second):
        (folder / "state").write_text("same")
    kept.release(str(kept.keep(first)))

    def remove(point: str) -> None:
        if point == "checkpoint.manifest":
            kept.doom(set())
            kept.remove_doomed()

    with crash_points(remove):
        digest = kept.keep(second)

    kept.restore(digest, place.of("2", 2))
    assert (place.of("2", 2) / "state").read_text() == "same"


def test_a_process_that_dies_while_it_keeps_leaves_nothing_half_written(tmp_path: Path) -> None:
    """At each crash point: what was kept before is whole; what was not finished is removed by the next process."""
    for point in ("checkpoint.content", "checkpoint.manifest", "checkpoint.kept", "checkpoint.swap", "checkpoint.restore"):
        root = tmp_path / point
        place = TrialDirectories(root, "run")
        folder = place.of("0", 0)
        (folder / "state").write_text("first")
        first = str(place.checkpoints.keep(folder))
        (folder / "state").write_text("second")

        def keep_and_restore(place: TrialDirectories = place, folder: Path = folder, first: str = first) -> None:
            place.checkpoints.keep(folder)
            place.checkpoints.restore(first, folder)

        with crash_points(crash_at(point)), pytest.raises(Crash):
            keep_and_restore()

        after = TrialDirectories(root, "run")
        assert after.checkpoints.doom({first}) == (point in ("checkpoint.kept", "checkpoint.swap", "checkpoint.restore"))
        after.checkpoints.remove_doomed()
        after.checkpoints.restore(first, folder)

        assert (folder / "state").read_text() == "first"
        assert files(root / "run" / ".checkpoints" / "manifests") == [first]
        assert contents(after) == 1
        assert list((root / "run" / ".checkpoints").glob("new-*")) == []


def test_a_process_that_dies_while_it_removes_leaves_no_half_checkpoint(tmp_path: Path) -> None:
    """The needed one is whole, and the next process removes the rest."""
    place = TrialDirectories(tmp_path, "run")
    folder = place.of("0", 0)
    digests: list[str] = []
    for number in range(3):
        (folder / "state").write_text(str(number))
        digests.append(str(place.checkpoints.keep(folder)))
        place.checkpoints.release(digests[-1])
    place.checkpoints.doom({digests[1]})
    with crash_points(crash_at("checkpoint.removed")), pytest.raises(Crash):
        place.checkpoints.remove_doomed()

    after = TrialDirectories(tmp_path, "run")
    after.checkpoints.doom({digests[1]})
    after.checkpoints.remove_doomed()
    after.checkpoints.restore(digests[1], folder)

    assert (folder / "state").read_text() == "1"
    assert contents(after) == 1


def test_a_run_that_was_left_changes_no_directory_any_more(place: TrialDirectories) -> None:
    """A thread that was given up comes too late."""
    folder, target = place.of("0", 0), place.of("1", 1)
    (folder / "state").touch()
    digest = place.checkpoints.keep(folder)
    place.close()

    with pytest.raises(ExecutorError, match="the run was left meanwhile"):
        place.checkpoints.restore(digest, target)
    assert files(target) == []


def test_checkpoints_beside_a_journal_are_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Contents, manifests and their folders are flushed; those among temporary files are not."""
    synced: list[int] = []
    monkeypatch.setattr("os.fsync", synced.append)
    for durable, count in ((True, 4), (False, 0)):
        folder = tmp_path / str(durable)
        folder.mkdir()
        (folder / "state").write_text("x")
        Checkpoints(tmp_path / f"kept-{durable}", durable=durable).keep(folder)
        assert len(synced) == count
        synced.clear()


def test_a_fresh_run_does_not_make_a_folder_to_find_nothing(tmp_path: Path) -> None:
    """Looking for unneeded checkpoints where there are none leaves no trace."""
    place = TrialDirectories(tmp_path, "run")
    assert not place.checkpoints.doom(set())
    assert list(tmp_path.iterdir()) == []


# -- in the executor ---------------------------------------------------------------------------------------------------------------


def generator(trial: TrialContext) -> Iterator[float]:
    """Counts in its directory."""
    path = trial.checkpoint_dir / "count"
    count = int(path.read_text()) if trial.resume_step else 0
    while True:
        count += 1
        path.write_text(str(count))
        yield float(count)


async def async_generator(trial: TrialContext) -> AsyncIterator[float]:
    """The same on the event loop."""
    path = trial.checkpoint_dir / "count"
    count = int(path.read_text()) if trial.resume_step else 0
    while True:
        count += 1
        path.write_text(str(count))
        yield float(count)


async def coroutine(trial: TrialContext) -> float:
    """The same, looking whether it should stop."""
    path = trial.checkpoint_dir / "count"
    count = int(path.read_text()) if trial.resume_step else 0
    while True:
        count += 1
        path.write_text(str(count))
        trial.report(count, float(count))
        await asyncio.sleep(1)
        if trial.should_stop:
            return float(count)


def pause_at(executor: LocalExecutor, task: TrialTask, step: int) -> Any:
    """Start a task, and pause it at a step; its terminal event."""

    async def run() -> Ended:
        executor.start(task)
        while True:
            for event in await next_events(executor):
                if isinstance(event, Ended):
                    return event
                if event.step >= step:
                    executor.stop(event.trial_id, "pause", 5.0)
                else:
                    executor.answer(event.trial_id, event.step)

    return run()


def resumed(number: int, attempt: int, ended: Ended, step: int) -> TrialTask:
    """The next attempt of a trial, after a pause."""
    return task_of(number, attempt=attempt)._replace(resume_step=step, checkpoint=ended.checkpoint)


@pytest.mark.parametrize("objective", [generator, async_generator, coroutine])
def test_a_paused_trial_finds_its_directory_again(objective: Any, tmp_path: Path) -> None:
    """Of each kind; written to meanwhile, the directory holds what it held; another trial may take it."""

    async def main() -> tuple[list[Any], list[int]]:
        executor = LocalExecutor(checkpoint_dir=tmp_path)
        executor.prepare(objective)
        async with executor:
            first = await pause_at(executor, task_of(), 3)
            assert first.stopped == "pause"
            for name in ("count", "junk"):
                (tmp_path / "0" / name).write_text("77")
            second = await pause_at(executor, resumed(0, 2, first, 3), 5)
            clone = await pause_at(executor, resumed(1, 1, first, 3), 4)
            counts = [int((tmp_path / name / "count").read_text()) for name in ("0", "1")]
            return [first.checkpoint, second.checkpoint, clone.checkpoint], counts

    checkpoints, counts = run_virtual(main())
    assert None not in checkpoints
    assert len(set(checkpoints)) == 3
    assert counts == [5, 4]
    assert files(tmp_path / "0") == ["count"]


def test_a_trial_without_files_pauses_without_a_checkpoint(tmp_path: Path) -> None:
    """No thread, no folder."""

    def stateless(trial: TrialContext) -> Iterator[float]:
        for step in range(trial.resume_step + 1, 10):
            yield float(step)

    async def main() -> Ended:
        executor = LocalExecutor(checkpoint_dir=tmp_path)
        executor.prepare(stateless)
        async with executor:
            ended: Ended = await pause_at(executor, task_of(), 2)
            return ended

    assert run_virtual(main()).checkpoint is None
    assert list(tmp_path.iterdir()) == []


def test_steps_are_numbered_on_where_the_trial_knows_that_it_goes_on(tmp_path: Path) -> None:
    """It has asked for its directory, which was restored, or for resume_step; one that knows nothing begins at 1 again."""

    def by_directory(trial: TrialContext) -> Iterator[float]:
        (trial.checkpoint_dir / "mark").touch()
        while True:
            yield 0.0

    def by_step(trial: TrialContext) -> Iterator[float]:
        assert trial.resume_step >= 0
        while True:
            yield 0.0

    def anew(trial: TrialContext) -> Iterator[float]:
        yield 0.0
        (trial.checkpoint_dir / "mark").touch()
        while True:
            yield 0.0

    async def first_step(objective: Any, folder: Path) -> int:
        executor = LocalExecutor(checkpoint_dir=folder)
        executor.prepare(objective)
        async with executor:
            ended = await pause_at(executor, task_of(), 3)
            executor.start(resumed(0, 2, ended, 3))
            (event,) = await next_events(executor)
            assert isinstance(event, ReportMade)
            return event.step

    steps = [run_virtual(first_step(objective, tmp_path / objective.__name__)) for objective in (by_directory, by_step, anew)]
    assert steps == [4, 4, 1]


def test_a_checkpoint_that_cannot_be_kept_is_the_error_of_the_trial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk, say: the attempt failed, and what was kept before is there."""

    async def main() -> tuple[Ended, Ended]:
        executor = LocalExecutor(checkpoint_dir=tmp_path)
        executor.prepare(generator)
        async with executor:
            first = await pause_at(executor, task_of(), 2)
            with monkeypatch.context() as patched:
                patched.setattr(tempfile, "mkstemp", _disk_full)
                failed = await pause_at(executor, resumed(0, 2, first, 2), 4)
            again = await pause_at(executor, resumed(0, 3, first, 2), 3)
            return failed, again

    failed, again = run_virtual(main())
    assert failed.error is not None
    assert "No space left" in failed.error.message
    assert failed.stopped is None
    assert again.checkpoint is not None


def _disk_full(*_: object, **__: object) -> tuple[int, str]:
    raise OSError(28, "No space left on device")


def test_a_damaged_checkpoint_is_the_error_of_the_trial(tmp_path: Path) -> None:
    """Its function is not called."""

    async def main() -> Ended:
        executor = LocalExecutor(checkpoint_dir=tmp_path)
        executor.prepare(generator)
        async with executor:
            first = await pause_at(executor, task_of(), 2)
            for path in (tmp_path / ".checkpoints" / "contents").iterdir():
                path.write_text("7")
            ended: Ended = await pause_at(executor, resumed(0, 2, first, 2), 3)
            return ended

    ended = run_virtual(main())
    assert ended.error is not None
    assert ended.error.type == "metta_sweep.errors.ExecutorError"
    assert "is damaged" in ended.error.message
    assert (tmp_path / "0" / "count").read_text() == "2"


def test_a_thread_that_does_not_look_is_not_cut_when_it_is_to_pause(tmp_path: Path) -> None:
    """Its directory may be kept when its code has ended only: it runs to its end, and nothing is given up."""
    done = threading.Event()

    def blind(trial: TrialContext) -> float:
        (trial.checkpoint_dir / "count").write_text("1")
        trial.report(1, 0.5)
        done.wait(5)
        return 1.0

    async def main() -> tuple[Any, int]:
        executor = LocalExecutor(checkpoint_dir=tmp_path)
        executor.prepare(blind)
        async with executor:
            executor.start(task_of())
            await next_events(executor)
            executor.stop("0", "pause", 0.0)
            leaked = executor.leaked_slots
            done.set()
            (event,) = await next_events(executor)
            return event, leaked

    event, leaked = run_virtual(main())
    assert (event.metrics, event.stopped, event.checkpoint, leaked) == ({"score": 1.0}, None, None, 0)


@pytest.mark.parametrize(("cause", "limit"), [("interrupt", None), ("deadline", None), (None, 3.0)])
def test_a_trial_that_does_not_pause_ends_by_what_comes_after(cause: Any, limit: float | None, tmp_path: Path) -> None:
    """The deadline, an interrupt or its time limit."""

    async def deaf(trial: TrialContext) -> float:
        trial.report(1, 0.5)
        await asyncio.sleep(100)
        return 1.0

    async def main() -> Any:
        executor = LocalExecutor(checkpoint_dir=tmp_path)
        executor.prepare(deaf)
        async with executor:
            executor.start(task_of(time_limit=limit))
            await next_events(executor)
            executor.stop("0", "pause", 10.0)
            if cause is not None:
                executor.stop("0", cause, 1.0)
            (event,) = await next_events(executor)
            return event

    event = run_virtual(main())
    assert event.stopped == cause
    assert (event.error is not None) == (limit is not None)
    assert event.seconds == (limit or 1.0)


def test_checkpoints_of_events_that_are_not_acknowledged_are_not_removed(tmp_path: Path) -> None:
    """Nothing names them in the journal yet; afterwards they go when they are not needed."""

    async def main() -> list[int]:
        executor = LocalExecutor(checkpoint_dir=tmp_path)
        executor.prepare(generator)
        left: list[int] = []
        async with executor:
            executor.start(task_of())
            await next_events(executor)
            executor.stop("0", "pause", 1.0)
            while not executor.peek():
                await executor.wait()
            for acknowledged in (0, 1):
                executor.acknowledge(acknowledged)
                executor.keep_only(set())
                await asyncio.to_thread(lambda: None)
                executor.directories.checkpoints.remove_doomed()
                left.append(len(list((tmp_path / ".checkpoints" / "manifests").iterdir())))
        return left

    assert run_virtual(main()) == [1, 0]


def test_a_manifest_of_a_later_version_is_refused(place: TrialDirectories) -> None:
    """Whatever its digest says."""
    from hashlib import sha256

    folder = place.of("0", 0)
    (folder / "state").touch()
    place.checkpoints.keep(folder)
    text = json.dumps({"version": 2, "entries": []}).encode()
    digest = sha256(text).hexdigest()
    (place.place("x", 0).parent / ".checkpoints" / "manifests" / digest).write_bytes(text)

    with pytest.raises(ExecutorError, match="its version is 2"):
        place.checkpoints.restore(digest, folder)
