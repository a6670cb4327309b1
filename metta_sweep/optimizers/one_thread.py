"""Linear algebra on one thread: matrices of a few hundred rows are slower on more, and sums come out a little different."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

__all__ = ["one_thread"]

_TURN: Final = threading.RLock()
"""One at a time: the setting is the process's, and who set it last would else set it back to what others had set."""


@contextmanager
def one_thread() -> Iterator[None]:
    """While in it, the libraries for linear algebra of this process use one thread each; another thread that enters waits.

    Needs threadpoolctl, which comes with scikit-learn.
    """
    from threadpoolctl import threadpool_limits

    with _TURN, threadpool_limits(limits=1):
        yield
