"""Search spaces of every kind, and what their points are worth: for tests of optimizers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from metta_sweep.core.distributions import Choice, Constant, Distribution, Integer, LogInteger, LogUniform, Permutation, Uniform
from metta_sweep.core.goal import Goal
from metta_sweep.core.levels import active_parameters
from metta_sweep.core.search_space import SearchSpace

__all__ = [
    "CHOICES",
    "CONDITIONAL",
    "FINITE",
    "FINITE_CONDITIONAL",
    "FINITE_ORDERS",
    "FLAT",
    "LOGS",
    "MIXED",
    "ORDERS",
    "SEVERAL",
    "WHOLE",
    "worth",
]

Space = Mapping[str, Distribution]

FLAT: Final[Space] = {"x": Uniform(-5.0, 10.0), "y": Uniform(0.0, 15.0)}
LOGS: Final[Space] = {"lr": LogUniform(1e-5, 1e-1), "decay": LogUniform(1e-8, 1.0), "momentum": Uniform(0.0, 0.99)}
WHOLE: Final[Space] = {"layers": Integer(1, 5), "width": LogInteger(8, 512), "offset": Integer(-3, 40)}
CHOICES: Final[Space] = {
    "kind": Choice(["a", "b", "c", "d", "e"]),
    "size": Choice([16, 32, 64, 128]),
    "flag": Choice([True, False, None]),
}
MIXED: Final[Space] = {**LOGS, **WHOLE, **CHOICES, "always": Constant("this")}
CONDITIONAL: Final[Space] = {
    "model": Choice(
        {
            "svm": {"C": LogUniform(1e-2, 1e3), "kernel": Choice({"rbf": {"gamma": LogUniform(1e-4, 1.0)}, "linear": {}})},
            "forest": {"trees": Integer(10, 500), "C": Uniform(0.0, 1.0)},
            "none": {},
        }
    ),
    "x": Uniform(0.0, 1.0),
}
FINITE: Final[tuple[Space, ...]] = (
    {"a": Integer(0, 3), "b": Choice(["p", "q", "r"])},
    {"a": Integer(0, 3), "b": Integer(0, 2)},
    {"a": Choice([1, 2, 3, 4]), "b": Choice(["p", "q", "r"])},
)
"""Spaces of 12 points each."""
FINITE_CONDITIONAL: Final[Space] = {
    "m": Choice({"s": {"k": Integer(1, 4)}, "t": {"k": Choice(["u", "v"]), "j": Integer(0, 1)}, "n": {}})
}
"""A space of 9 points."""
ORDERS: Final[Space] = {"tasks": Permutation(["add", "multiply", "divide", "negate"]), "x": Uniform(0.0, 1.0)}
FINITE_ORDERS: Final[Space] = {"tasks": Permutation(["add", "multiply", "divide"]), "flag": Choice([True, False])}
"""A space of 12 points."""
SEVERAL: Final = Goal.of({"accuracy": "maximize", "latency": "minimize"})


def worth(space: SearchSpace, params: Mapping[str, Any]) -> float:
    """What a point is worth: at most 0, and the more the nearer every active parameter is to its quantile 0.3."""
    return -sum((distribution.to_unit(params[name]) - 0.3) ** 2 for name, distribution in active_parameters(space.top, params))
