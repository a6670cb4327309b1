"""Linear algebra on one thread while models are asked."""

from __future__ import annotations

import threading

import pytest

from metta_sweep.optimizers.one_thread import one_thread

pytest.importorskip("numpy")
threadpoolctl = pytest.importorskip("threadpoolctl")


def threads() -> list[int]:
    """Of each library."""
    return [int(library["num_threads"]) for library in threadpoolctl.threadpool_info()]


def test_libraries_use_one_thread_and_get_theirs_back() -> None:
    """Also where it is entered twice."""
    with threadpoolctl.threadpool_limits(limits=2):
        before = threads()
        with one_thread():
            with one_thread():
                assert set(threads()) <= {1}
            assert set(threads()) <= {1}
        assert threads() == before


def test_an_error_gives_them_back() -> None:
    """And goes on."""
    with threadpoolctl.threadpool_limits(limits=2):
        before = threads()
        with pytest.raises(ValueError, match="no model"), one_thread():
            raise ValueError("no model")
        assert threads() == before


def test_two_threads_take_turns() -> None:
    """The second one waits, so that neither leaves the process at one thread."""
    with threadpoolctl.threadpool_limits(limits=2):
        before = threads()
        order: list[str] = []
        begun = threading.Event()

        def other() -> None:
            begun.set()
            with one_thread():
                order.append("other")

        worker = threading.Thread(target=other)
        with one_thread():
            worker.start()
            assert begun.wait(10)
            worker.join(0.02)
            order.append("first")
        worker.join(10)
        assert order == ["first", "other"]
        assert threads() == before
