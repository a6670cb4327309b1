"""The whole suite runs under an audit hook: nothing that reads what is kept unpickles, evaluates, or imports by name.

Interpreters announce what they do (PEP 578). While a function of ``load_paths()`` is on the stack, unpickling, evaluating and
compiling are offences, and so is an import, unless it is a statement of the code (and what happens within that import).
"""

from __future__ import annotations

import dis
import inspect
import sys
from collections.abc import Callable, Iterator
from types import CodeType, FrameType
from typing import Any, Final

import pytest

__all__ = ["OFFENCES", "CodeFromData", "audited", "load_paths", "no_code_from_data"]

WATCHED: Final = frozenset({"pickle.find_class", "compile", "exec", "import", "marshal.loads"})
IMPORTING: Final = ("<frozen importlib._bootstrap>", "<frozen importlib._bootstrap_external>")
_STATEMENT: Final = dis.opmap["IMPORT_NAME"]


class CodeFromData(BaseException):
    """Something that reads what is kept tried to make code of it. No handler of ordinary errors hides it."""


OFFENCES: Final[list[str]] = []
"""What was seen since it was last looked at."""
_watched_code: Final[set[CodeType]] = set()
_from_code: Final[set[CodeType]] = set()
"""Of functions that make validators of annotations in the code, and never see what is kept."""


def load_paths() -> list[Callable[..., Any]]:
    """The functions that read what was kept."""
    from metta_sweep.cli import kept
    from metta_sweep.experiments import codec, reading
    from metta_sweep.experiments.recorder import SweepRecorder
    from metta_sweep.experiments.start_note import read_start
    from metta_sweep.pipeline.keeping import payload
    from metta_sweep.pipeline.keeping.recording import StoreRecorder
    from metta_sweep.store import MemoryStore, SqliteReader

    stores = [
        getattr(store, name)
        for store in (MemoryStore, SqliteReader)
        for name in ("find_run", "runs", "records", "end_of", "trial_rows", "trial_row", "get_checkpoint", "get_cache")
    ]
    of_sweeps = [codec.decode_events, codec.decode_facts, codec.decode_trial, SweepRecorder.replay, read_start]
    of_pipelines = [payload.JsonForm.load, payload.read_object, StoreRecorder.kept_seed, StoreRecorder.recorded]
    views = [reading.TrialsView.__iter__, reading.TrialsView.by_id, reading.TraceView._from]
    return [*stores, *of_sweeps, *of_pipelines, *views, kept.start_note]


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if event not in WATCHED or not _watched_code:
        return
    frame = sys._getframe(1)
    loading = _loading(frame)
    if loading is None or _is_statement(frame, event):
        return
    offence = f"{event} {arguments[:2]!r:.200} while {loading} reads what is kept"
    OFFENCES.append(offence)
    raise CodeFromData(offence)


def _loading(frame: FrameType | None) -> str | None:
    """The function on the stack that reads what is kept."""
    while frame is not None and frame.f_code not in _from_code:
        if frame.f_code in _watched_code:
            return frame.f_code.co_qualname
        frame = frame.f_back
    return None


def _is_statement(frame: FrameType | None, event: str) -> bool:
    """Whether this is, or happens within, an import that a function which reads has as a statement, not as a call with a name."""
    importing = event == "import"
    begun: FrameType | None = None
    while frame is not None:
        if frame.f_code.co_filename in IMPORTING:
            importing = True
        elif importing:
            begun, importing = frame, False
        if frame.f_code in _watched_code:
            break
        frame = frame.f_back
    return begun is not None and begun.f_code.co_code[begun.f_lasti] == _STATEMENT


@pytest.fixture(scope="session")
def audited() -> None:
    """The hook, for the rest of the process: there is no way to take one away."""
    from metta_sweep.experiments import codec
    from metta_sweep.optimizers import AxOptimizer, OptunaOptimizer
    from metta_sweep.pipeline.contracts import checks
    from metta_sweep.pipeline.keeping import payload

    # cached functions: the one within is what runs
    builders = (checks.make_adapter, payload._adapter_of, codec._validator)
    # Optuna's CMA-ES pickles its own state in memory; Ax parses an objective whose names are ours, and pandas makes classes of rows
    # for it: they are given nothing but parameters and numbers of what is kept
    of_ax = (AxOptimizer._begin, AxOptimizer._ask, AxOptimizer._attach, AxOptimizer._tell, AxOptimizer._tell_stopped)
    libraries = (OptunaOptimizer._ask, OptunaOptimizer._finish, *of_ax)
    _from_code.update(inspect.unwrap(function).__code__ for function in (*builders, *libraries))
    _watched_code.update(function.__code__ for function in load_paths())
    sys.addaudithook(_audit)


@pytest.fixture(autouse=True)
def no_code_from_data(audited: None) -> Iterator[None]:
    """Fails the test in which what is kept became code."""
    OFFENCES.clear()
    yield
    assert OFFENCES == []
