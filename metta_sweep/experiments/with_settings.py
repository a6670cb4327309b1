"""A sweep with other settings: a copy that is checked as a new one is."""

from __future__ import annotations

import copy
from typing import Any, TypeVar

from metta_sweep.experiments.sweep import SweepExperiment

__all__ = ["with_settings"]

S = TypeVar("S", bound=SweepExperiment)


def with_settings(sweep: S, **settings: Any) -> S:
    """A copy of the sweep with these options of ``SweepExperiment`` in place of its own. The sweep itself stays as it is.

    What a subclass has of its own is copied along; its constructor is not called.

    Raises:
        InvalidInput: an option is unknown, or does not fit the others.
    """
    other = copy.copy(sweep)
    own = vars(other)
    own["_made"] = False
    if not own["_slots_given"]:
        del own["slots"]  # what followed from the settings before
    SweepExperiment.__init__(other, **{"store": sweep.given_store, **settings})
    return other
