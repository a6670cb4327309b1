"""Points of a search space as vectors: see ``metta_sweep.core.encoding``, which schedulers read as well."""

from metta_sweep.core.encoding import INACTIVE, Axis, Encoding

__all__ = ["INACTIVE", "Axis", "Encoding"]
