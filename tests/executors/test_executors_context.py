"""What a trial function may do with its context."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
from executor_runs import task_of

from metta_sweep.errors import MetricError
from metta_sweep.executors import LocalExecutor, TrialContext
from metta_sweep.executors.directories import TrialDirectories


@pytest.fixture
def sent() -> list[Any]:
    """What the context reported."""
    return []


@pytest.fixture
def trial(sent: list[Any], tmp_path: Path) -> TrialContext:
    """A context that reports into ``sent``."""
    return TrialContext(task_of(3, lr=0.5), lambda step, metrics: sent.append((step, metrics)), lambda: tmp_path / "3")


def test_reports_take_metrics_in_three_forms(trial: TrialContext, sent: list[Any]) -> None:
    """A bare metric, a mapping, names; and together."""
    trial.report(1, 0.5)
    trial.report(2, {"loss": (0.5, 0.1)})
    trial.report(3, loss=1)
    trial.report(4, {"loss": 1}, accuracy=0.5)

    assert sent == [(1, {"score": 0.5}), (2, {"loss": (0.5, 0.1)}), (3, {"loss": 1.0}), (4, {"loss": 1.0, "accuracy": 0.5})]


@pytest.mark.parametrize(
    ("step", "metrics", "named", "found"),
    [
        ("1", 0.5, {}, "found '1'"),
        (1.5, 0.5, {}, "found 1.5"),
        (True, 0.5, {}, "found True"),
        (-1, 0.5, {}, "found -1"),
        (None, 0.5, {}, "found None"),
        (1, None, {}, "empty"),
        (1, {}, {}, "empty"),
        (1, "0.5", {}, "found '0.5'"),
        (1, None, {"loss": float("nan")}, "found nan"),
        (1, None, {"loss": None}, "'loss'"),
    ],
)
def test_bad_reports_are_refused(
    trial: TrialContext, sent: list[Any], step: Any, metrics: Any, named: dict[str, Any], found: str
) -> None:
    """The error names the report and what was found; nothing was reported."""
    with pytest.raises(MetricError) as caught:
        trial.report(step, metrics, **named)

    assert str(caught.value).startswith(f"report({step!r}) of trial[3]")
    assert found in str(caught.value)
    assert sent == []


def test_the_generator_is_seeded(trial: TrialContext) -> None:
    """It is one generator, that depends on the seed alone."""
    first = trial.rng.random()

    assert trial.rng.random() != first
    assert TrialContext(task_of(3), lambda *_: None, Path).rng.random() == first


def test_the_logger_tells_the_address(trial: TrialContext, caplog: pytest.LogCaptureFixture) -> None:
    """It writes to the standard logger ``metta_sweep``, and nothing below that one's level."""
    with caplog.at_level(logging.INFO, logger="metta_sweep"):
        trial.logger.info("epoch done", loss=0.5)
        trial.logger.debug("unseen")

    (record,) = caplog.records
    assert record.name == "metta_sweep"
    assert record.getMessage() == "event='epoch done' address='trial[3]' loss=0.5"


def test_the_directory_is_made_late(tmp_path: Path) -> None:
    """Each trial has one of its own, the same for each attempt; odd ids do not leave the root."""
    directories = TrialDirectories(tmp_path / "root")
    assert not (tmp_path / "root").exists()

    assert directories.of("a", 1) == directories.of("a", 1) == tmp_path / "root" / "a"
    assert directories.of("..", 2) == tmp_path / "root" / "_trial-2"
    assert directories.of("a\\b", 3).is_dir()


def test_a_trial_writes_into_its_directory(tmp_path: Path) -> None:
    """The executor's directory holds those of its trials."""
    executor = LocalExecutor(checkpoint_dir=tmp_path)

    assert executor.directories.of("7", 7) == tmp_path / "7"


def test_runs_share_no_directory(tmp_path: Path) -> None:
    """Each run has its own under the root, the same whenever it is taken up again; odd run ids do not leave it."""
    executor, again = LocalExecutor(checkpoint_dir=tmp_path), LocalExecutor(checkpoint_dir=tmp_path)
    found = []
    for of, run_id in ((executor, "a-1"), (executor, "b-2"), (again, "a-1"), (executor, "../c"), (executor, "..")):
        of.prepare(lambda: 1.0, run_id=run_id, root=tmp_path / "beside")
        found.append(of.directories.of("7", 7))

    assert found[:3] == [tmp_path / "a-1" / "7", tmp_path / "b-2" / "7", tmp_path / "a-1" / "7"]
    assert len(set(found)) == 4
    assert all(path.parent.parent == tmp_path for path in found)


def test_a_run_finds_its_temporary_directory_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a root they lie in one temporary directory of the process, so that another executor may go on."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    first, again, other = TrialDirectories(None, "a-1"), TrialDirectories(None, "a-1"), TrialDirectories(None, "b-2")

    assert first.of("7", 7) == again.of("7", 7) != other.of("7", 7)


def test_directories_are_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A trial function may change the working directory."""
    monkeypatch.chdir(tmp_path)
    directories = TrialDirectories("files", "a-1")
    monkeypatch.chdir("/")

    assert directories.of("7", 7) == tmp_path / "files" / "a-1" / "7"


def test_temporary_directories_differ(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a run, each executor has its own among the temporary files."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    assert TrialDirectories().of("7", 7).parent != TrialDirectories().of("7", 7).parent


def test_it_can_be_shown(trial: TrialContext) -> None:
    """Its repr names the attempt and the parameters."""
    assert repr(trial) == "TrialContext('trial[3]', params={'lr': 0.5})"
