"""What the types of pipelines are at run time: nothing but names."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
import typing
from typing import Any, NamedTuple

import pytest

from metta_sweep.errors import InvalidInput
from metta_sweep.pipeline import Pipeline, typed
from metta_sweep.pipeline.hook_table import GLOBAL_HOOKS, HOOKS


class State(NamedTuple):
    """What flows."""

    step: int


def advance(state: State, by: int = 1) -> State:
    """One step."""
    return State(state.step + by)


@pytest.mark.parametrize("form", [Pipeline[State], Pipeline[State, State], Pipeline[Any]])
async def test_a_pipeline_with_parameters_is_a_pipeline(form: type[Pipeline[Any]]) -> None:
    """``Pipeline[State]`` makes what ``Pipeline`` makes, on every version of Python."""
    pipeline = form(State).stage("advance", advance)
    assert type(pipeline) is Pipeline
    assert (await pipeline.build().run(step=1)).step == 2


def test_a_class_may_derive_from_a_pipeline_with_parameters() -> None:
    """What its methods return is of its own class."""

    class Counting(Pipeline[State]):
        """A pipeline of one's own."""

    assert isinstance(Counting(State).stage("advance", advance), Counting)


def test_constants_by_position_are_refused_with_the_remedy() -> None:
    """Type checkers cannot refuse them, so that the call itself does."""
    with pytest.raises(
        InvalidInput, match=r"constants are given by their names; found 3\. Write \.stage\(name, fn, parameter=value\)"
    ):
        Pipeline(State).stage("advance", advance, 3)
    with pytest.raises(TypeError):
        Pipeline(State).stage("advance", advance, 3)


def test_the_types_know_every_hook() -> None:
    """Every hook has a type, and no other name has one."""
    tree = ast.parse(inspect.getsource(typed))
    keys = {
        node.name: {line.target.id for line in node.body if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name)}
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
    }
    assert keys["HookOptions"] == set(HOOKS)
    assert keys["GlobalHookOptions"] == set(GLOBAL_HOOKS)
    spelt = [set(fn.__kwdefaults__ or ()) for fn in typing.get_overloads(Pipeline.through)]
    assert [names for names in spelt if names] == [set(HOOKS)]


def test_types_cost_no_import() -> None:
    """Describing pipelines imports neither typing_extensions nor pydantic."""
    code = "import sys, metta_sweep.pipeline; print(sorted({'typing_extensions', 'pydantic'} & set(sys.modules)))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"
