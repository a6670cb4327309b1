"""What the settings of strategies are, as JSON."""

from __future__ import annotations

import functools
import json
from typing import Any

from metta_sweep import Optimizer, Scheduler, Uniform
from metta_sweep.core.described import setting
from metta_sweep.optimizers import RandomOptimizer, SuggestionQueue
from metta_sweep.schedulers import IterationScheduler


class Steps(Optimizer):
    """Has options, under their names or with an underscore."""

    def __init__(self, sigma: float, kernel: Any = print, sizes: tuple[int, ...] = (1, 2), forgotten: int = 0) -> None:
        self.sigma = sigma
        self._kernel = kernel
        self.sizes = sizes
        self.seen: list[int] = []


class Patient(Scheduler):
    """Has one option."""

    def __init__(self, patience: int) -> None:
        self.patience = patience


class Wider(IterationScheduler):
    """Has one more than its parent."""

    def __init__(self, breadth: int, **options: Any) -> None:
        super().__init__(**options)
        self.breadth = breadth


class Scaled(RandomOptimizer):
    """Passes what it does not know on."""

    def __init__(self, scale: float, **options: Any) -> None:
        super().__init__(**options)
        self.scale = scale


class Described:
    """Has a method of the name that means something else, as a data frame has."""

    def describe(self, percentiles: list[float]) -> object:
        """Statistics."""
        return object()


def test_options_of_custom_strategies_are_told() -> None:
    """The parameters of the constructor that are attributes; callables by name; not what was learned."""
    assert Steps(0.5).describe() == {"class": "Steps", "sigma": 0.5, "kernel": "print", "sizes": [1, 2]}
    assert Patient(3).describe() == {"class": "Patient", "patience": 3}


def test_a_subclass_adds_its_options() -> None:
    """To those of the class it is derived from."""
    told = Wider(4, c=0.5).describe()
    assert (told["class"], told["breadth"], told["c"]) == ("Wider", 4, 0.5)
    assert Scaled(2.0, seed=7).describe() == {"class": "Scaled", "scale": 2.0, "seed": 7}

    class Named(SuggestionQueue):
        def __init__(self, tag: str) -> None:
            super().__init__([{"x": 1}])
            self.tag = tag

    assert Named("a").describe() == {**SuggestionQueue([{"x": 1}]).describe(), "class": Named.__qualname__, "tag": "a"}


def test_any_setting_has_a_json_form() -> None:
    """Whatever it is: partials with their arguments, distributions by what they describe, other objects by their class."""
    assert setting(functools.partial(max, 1, key=abs)) == {"function": "max", "arguments": [1], "keywords": {"key": "abs"}}
    assert setting({"x": Uniform(0, 1), 3: Steps}) == {"x": Uniform(0, 1).describe(), "3": "Steps"}
    assert setting(object()) == "object"
    assert setting([{"b", "a"}, Patient(2)]) == [["a", "b"], Patient(2).describe()]
    values = [float("nan"), float("inf"), b"x", [object()], (print,), None, True, 2**70, Described()]
    assert json.loads(json.dumps(setting(values))) == setting(values)
