"""Checkpoints and directories of trials when something is damaged, late or called oddly."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from metta_sweep.clock import crash_points
from metta_sweep.errors import ExecutorError
from metta_sweep.executors.directories import TrialDirectories


@pytest.mark.parametrize(
    "damage", [b"", b'{"version":1,"entries":[]}', b'{"version":1,"entries":[["a","file",384,"' + b"0" * 64 + b'"]]}']
)
def test_a_damaged_checkpoint_that_is_kept_again_is_whole(tmp_path: Path, damage: bytes) -> None:
    """A directory holds the same again: what was damaged is replaced, and its contents stay as long as it does."""
    before = TrialDirectories(tmp_path, "run")
    folder = before.of("0", 0)
    (folder / "a").write_text("kept")
    digest = str(before.checkpoints.keep(folder))
    (tmp_path / "run" / ".checkpoints" / "manifests" / digest).write_bytes(damage)
    kept = TrialDirectories(tmp_path, "run").checkpoints

    assert kept.keep(folder) == digest

    target = before.of("1", 1)
    kept.restore(digest, target)
    assert (target / "a").read_text() == "kept"
    kept.release(digest)
    assert kept.doom(set())
    kept.remove_doomed()
    assert not list((tmp_path / "run" / ".checkpoints" / "contents").iterdir())


def test_what_is_late_removes_no_content_of_the_next_process(tmp_path: Path) -> None:
    """A directory is still being kept when the run is left: what the next one keeps of the same content stays."""
    before, after = TrialDirectories(tmp_path, "run"), TrialDirectories(tmp_path, "run")
    folder = before.of("0", 0)
    (folder / "a").write_text("same")
    at_the_manifest, left = threading.Event(), threading.Event()
    late: list[BaseException] = []

    def keep_late() -> None:
        try:
            before.checkpoints.keep(folder)
        except ExecutorError as error:
            late.append(error)

    def wait(point: str) -> None:
        if point == "checkpoint.manifest" and threading.current_thread() is thread:
            at_the_manifest.set()
            left.wait(10)

    with crash_points(wait):
        thread = threading.Thread(target=keep_late)
        thread.start()
        assert at_the_manifest.wait(10)
        before.close()
        digest = after.checkpoints.keep(folder)
        left.set()
        thread.join()

    assert "the run was left meanwhile" in str(late[0])
    after.checkpoints.restore(digest, after.of("1", 1))


def test_no_two_trials_share_a_directory(tmp_path: Path) -> None:
    """One is called after the number of another whose own id can be no file's name."""
    directories = TrialDirectories(tmp_path, "run")
    ids = ["trial-1", "a/b", "trial-3", "../x", "trial-5", "x" * 101, ".checkpoints"]
    assert len({directories.of(trial_id, number) for number, trial_id in enumerate(ids)}) == len(ids)
    assert directories.of("trial-1", 0).name == "trial-1"
    assert {path.parent for path in (directories.of(trial_id, number) for number, trial_id in enumerate(ids))} == {tmp_path / "run"}
