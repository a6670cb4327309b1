"""What trial functions may return."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from metta_sweep.core.metrics import as_metrics
from metta_sweep.errors import MetricError


@pytest.mark.parametrize(
    ("value", "metrics"),
    [
        (0.5, {"score": 0.5}),
        (3, {"score": 3.0}),
        (np.float64(0.5), {"score": 0.5}),
        (np.float32(0.5), {"score": 0.5}),
        (np.int64(3), {"score": 3.0}),
        (np.array(0.25), {"score": 0.25}),
        ((0.5, 0.1), {"score": (0.5, 0.1)}),
        ((np.float32(0.5), 0), {"score": (0.5, 0.0)}),
        ({"loss": 1, "accuracy": (np.float64(0.5), 0.25)}, {"loss": 1.0, "accuracy": (0.5, 0.25)}),
    ],
)
def test_what_may_be_returned(value: Any, metrics: Any) -> None:
    """Numbers, (mean, sem) and mappings of these become a plain dict of floats; a bare one is called score."""
    made = as_metrics(value, "train")
    assert made == metrics
    for metric in made.values():
        assert {type(part) for part in (metric if isinstance(metric, tuple) else (metric,))} == {float}


@pytest.mark.parametrize(
    ("value", "texts"),
    [
        (None, ["returned nothing (None)", "did you forget `return`?"]),
        (True, ["is a bool", "found True", "float(passed)"]),
        (np.bool_(True), ["is a bool", "float(passed)"]),
        ("0.5", ["is a str", "found '0.5'", "float(...)"]),
        ([0.5, 0.1], ["is a list", "found [0.5, 0.1]", "float(...)"]),
        (np.array([0.5, 0.1]), ["is a ndarray", "float(...)"]),
        (math.nan, ["is not finite; non-finite metrics fail a trial", "found nan", "Return a finite number"]),
        (-math.inf, ["is not finite", "found -inf"]),
        (10**400, ["is not finite"]),
        (np.float32("nan"), ["is not finite"]),
        ({}, ["the mapping of metrics is empty", "Return at least one"]),
        ({"loss": math.nan}, ["metric 'loss' is not finite", "found nan"]),
        ({"loss": None}, ["metric 'loss' is a NoneType", "found None"]),
        ({"test": {"loss": 0.5}}, ["metric 'test' is a nested mapping", "found {'loss': 0.5}", "Flatten it"]),
        ({3: 0.5}, ["name of a metric must be a non-empty string", "found 3", "Name it"]),
        ({"": 0.5}, ["name of a metric must be a non-empty string", "found ''"]),
        ((0.5, -0.1), ["negative standard error", "found (0.5, -0.1)", "sem >= 0"]),
        ((0.5, math.inf), ["is not finite"]),
        ((0.5, 0.1, 0.2), ["has 3 parts", "found (0.5, 0.1, 0.2)", "(mean, sem)"]),
        ({"loss": (0.5, None)}, ["metric 'loss' is a NoneType", "found None"]),
    ],
)
def test_what_may_not_be_returned(value: Any, texts: list[str]) -> None:
    """Anything else is refused, naming who returned it, the metric, the value and the way to mend it."""
    with pytest.raises(MetricError, match=r"^train: ") as caught:
        as_metrics(value, "train")
    for text in texts:
        assert text in str(caught.value)
