"""Digests of code."""

# values
from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from pydantic import BaseModel

from metta_sweep.pipeline.keeping.code_digest import code_digest
from metta_sweep.pipeline.keeping.fingerprint import fingerprint


@dataclass
class Point:
    x: float


class Model(BaseModel):
    n: int


def test_code_digests_follow_the_code() -> None:
    """What a function does counts with its defaults and what it closes over; its name's place and its comments do not."""

    def one(x: int) -> int:
        return x + 1

    def make(step: int, start: int = 0) -> Callable[..., int]:
        def inner(x: int, more: int = start) -> int:
            # a comment
            return x + step + more

        return inner

    digests = [code_digest(fn) for fn in (one, make(1), make(2), make(1, 3), Point, Model, len, sum)]
    assert len(set(digests)) == len(digests)
    assert code_digest(make(1)) == code_digest(make(1))
    assert code_digest(functools.partial(make(1), 3)) == code_digest(make(1))


WRITTEN = [
    ("def f(x, y): return x - y", "def f(y, x): return y - x"),
    ("def f(x): return x", "def f(*x): return x"),
    ("import functools\n@functools.cache\ndef f(x): return 1", "import functools\n@functools.cache\ndef f(x): return 2"),
    ("class f:\n rate = 1", "class f:\n rate = 2"),
    ("class B:\n def g(self): return 1\nclass f(B): pass", "class B:\n def g(self): return 2\nclass f(B): pass"),
    (
        "class f:\n @property\n def g(self): return 1\n @g.setter\n def g(self, n): self.n = n",
        "class f:\n @property\n def g(self): return 1\n @g.setter\n def g(self, n): self.n = -n",
    ),
    (
        "import functools\nclass f:\n @functools.cached_property\n def g(self): return 1",
        "import functools\nclass f:\n @functools.cached_property\n def g(self): return 2",
    ),
    (
        "import functools\nclass f:\n @functools.cache\n def g(self): return 1",
        "import functools\nclass f:\n @functools.cache\n def g(self): return 2",
    ),
    ("import pydantic\nclass f(pydantic.BaseModel):\n n: int = 1", "import pydantic\nclass f(pydantic.BaseModel):\n n: int = 2"),
]


@pytest.mark.parametrize(("before", "now"), WRITTEN)
def test_edited_code_has_another_digest(before: str, now: str) -> None:
    """Swapped parameters (stages get fields by name), what decorators hide, all parts of classes and of those they derive from."""

    def read(text: str) -> Any:
        names: dict[str, Any] = {"__name__": "read"}
        exec(text, names)
        return names["f"]

    assert code_digest(read(before)) == code_digest(read(before))
    assert code_digest(read(before)) != code_digest(read(now))


def test_a_variable_without_a_value_is_content_as_well() -> None:
    """A function that closes over what is assigned later has a digest all the same."""

    def make(*, late: bool) -> Callable[[], object]:
        def inner() -> object:
            return value

        if late:
            value = 1
        return inner

    assert fingerprint(make(late=False)) != fingerprint(make(late=True))
