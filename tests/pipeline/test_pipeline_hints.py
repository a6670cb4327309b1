"""Options and attributes that are not there: the error says which were meant."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any, cast

import pytest

import metta_sweep
from metta_sweep.errors import UnknownOption
from metta_sweep.pipeline import Cache, Pipeline, Retry

ANY = cast("Any", Pipeline(n=int))


@pytest.mark.parametrize(
    ("call", "where", "meant"),
    [
        (lambda: ANY.loop_while(lambda ctx: ctx.n, max_iter=3), "Pipeline.loop_while()", "max_iterations"),
        (lambda: ANY.loop(ANY, while_=lambda ctx: ctx.n, cary={}), "Pipeline.loop()", "carry"),
        (lambda: ANY.branch(lambda ctx: ctx.n, ANY, otherwis=ANY), "Pipeline.branch()", "otherwise"),
        (lambda: ANY.build(stric=True), "Pipeline.build()", "strict"),
        (lambda: cast("Any", Retry)(1, backof=1), "Retry", "backoff"),
        (lambda: cast("Any", Cache)(versoin=1), "Cache", "version"),
    ],
)
def test_misspelt_options(call: Callable[[], Any], where: str, meant: str) -> None:
    """They are refused by a ``TypeError`` that names what was meant."""
    with pytest.raises(UnknownOption, match=f"Did you mean {meant!r}\\?") as caught:
        call()
    assert caught.value.where == where


def test_a_pipeline_is_built_before_it_runs() -> None:
    """``run`` and the like are found on the plan; other names are spelt otherwise, or are not there."""
    with pytest.raises(AttributeError, match=r"build it first. Write await pipeline.build\(\).run\(...\)"):
        _ = ANY.run
    with pytest.raises(AttributeError, match="Did you mean 'stage'"):
        _ = ANY.stge
    assert not hasattr(ANY, "__wonder__")
    copy.copy(ANY)


async def test_inputs_have_names() -> None:
    """Values by position are refused with the name of the first input."""
    plan = cast("Any", Pipeline(n=int).stage("s", lambda n: None).build())
    with pytest.raises(UnknownOption, match=r"Plan.run: inputs are given by their names; found 3; .* Write run\(n=...\)"):
        await plan.run(3)


def test_names_of_the_package() -> None:
    """A misspelt one is told."""
    with pytest.raises(AttributeError, match=r"has no attribute 'Pipline'. Did you mean 'Pipeline'"):
        _ = cast("Any", metta_sweep).Pipline


def test_policies_are_values_still() -> None:
    """They can be copied and pickled."""
    policy = Retry(2, backoff=0.5)
    assert pickle.loads(pickle.dumps(policy)) == copy.copy(policy) == policy
