"""Libraries kept quiet while adapters call them."""

from __future__ import annotations

import logging
import threading
import warnings

import pytest

from metta_sweep.optimizers.quiet import Quiet


def test_warnings_and_log_lines_are_left_out_within_only() -> None:
    """Those of loggers below the named ones, with levels of their own, too; afterwards filters and levels are as before."""
    parent, child = logging.getLogger("noisy"), logging.getLogger("noisy.child")
    child.setLevel(logging.DEBUG)
    before = parent.level, child.level, list(warnings.filters)
    with Quiet("noisy"):
        warnings.warn("not heard", UserWarning, stacklevel=1)
        assert not child.isEnabledFor(logging.WARNING)
        assert parent.isEnabledFor(logging.ERROR)
    assert (parent.level, child.level, list(warnings.filters)) == before
    with pytest.warns(UserWarning, match="heard"):
        warnings.warn("heard", UserWarning, stacklevel=1)


def test_what_raises_within_leaves_all_as_before() -> None:
    """Errors pass, and the filters are put back."""
    before = list(warnings.filters)
    with pytest.raises(ZeroDivisionError), Quiet("noisy"):
        raise ZeroDivisionError
    assert list(warnings.filters) == before


def test_threads_share_the_outermost_entry() -> None:
    """Whichever leaves last puts all back, in whatever order they leave."""
    quiet, before = Quiet("noisy"), (logging.getLogger("noisy").level, list(warnings.filters))
    inside, leave = threading.Event(), threading.Event()

    def other() -> None:
        with quiet:
            inside.set()
            leave.wait(10)

    thread = threading.Thread(target=other)
    with quiet:
        thread.start()
        inside.wait(10)
    assert logging.getLogger("noisy").level == logging.ERROR
    leave.set()
    thread.join(10)
    assert (logging.getLogger("noisy").level, list(warnings.filters)) == before


def test_trials_in_other_threads_warn_as_ever() -> None:
    """While a library is kept quiet in one thread; and filters that a trial puts back afterwards hush nothing."""
    before, heard = list(warnings.filters), []
    inside, leave = threading.Event(), threading.Event()

    def suggest() -> None:
        with Quiet("noisy"):
            warnings.warn("not heard", UserWarning, stacklevel=1)
            inside.set()
            leave.wait(10)

    thread = threading.Thread(target=suggest)
    thread.start()
    inside.wait(10)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warnings.warn("heard", UserWarning, stacklevel=1)
        leave.set()
        thread.join(10)
        heard += [str(found.message) for found in caught]
    assert heard == ["heard"]
    with Quiet("noisy"):
        pass
    assert list(warnings.filters) == before
