"""Replacing the function of a stage within a described pipeline, or leaving the stage out."""

from __future__ import annotations

import types
from typing import Any

from metta_sweep.errors import Fault, did_you_mean
from metta_sweep.pipeline.contracts.typeforms import brief
from metta_sweep.pipeline.description import Draft, new_stage
from metta_sweep.pipeline.parts.map import MapSpec
from metta_sweep.pipeline.parts.spec import Spec, edited, paths_of
from metta_sweep.pipeline.parts.stage import StageSpec

__all__ = ["overridden", "stages_of"]


def stages_of(state: Draft) -> tuple[str, ...]:
    """The paths of the stages that can be replaced."""
    parts, _ = _parts_of(state.settled())
    return tuple(path for path, part in parts.items() if isinstance(part, StageSpec | MapSpec))


def overridden(state: Draft, path: object, replacement: object, caller: types.FrameType) -> Draft:
    """A settled description in which the stage at ``path`` calls something else; what cannot be replaced is a fault of it.

    Args:
        state: the description.
        path: the address of the stage without indices.
        replacement: a function or block; None: the stage is left out.
        caller: where the user called; its local names resolve annotations.
    """
    parts, prefixes = _parts_of(state)
    found = parts.get(path) if isinstance(path, str) else None
    if not isinstance(path, str) or not isinstance(found, StageSpec | MapSpec):
        fault = Fault("override", _not_found(path, found, parts))
        return state._replace(faults=(*state.faults, fault))
    level = max(index for index, before in enumerate(prefixes) if path.startswith(before))
    loop, specs = state.blocks[level]
    changed = edited(specs, path.removeprefix(prefixes[level]), lambda part: _replaced(part, replacement, caller))
    return state._replace(blocks=(*state.blocks[:level], (loop, changed), *state.blocks[level + 1 :]))


def _parts_of(state: Draft) -> tuple[dict[str, Spec], list[str]]:
    """All parts of a settled description by their paths, and what the paths within its open loops begin with."""
    parts: dict[str, Spec] = {}
    prefixes: list[str] = []
    prefix = ""
    for loop, specs in state.blocks:
        prefix += f"{loop.name}/" if loop is not None else ""
        prefixes.append(prefix)
        parts.update({prefix + inner: spec for inner, spec in paths_of(specs).items()})
    return parts, prefixes


def _replaced(part: StageSpec | MapSpec, replacement: object, caller: types.FrameType) -> StageSpec | MapSpec | None:
    if replacement is None:
        return None
    if isinstance(part, MapSpec):
        return part.with_stage(_stage(part.stage, replacement, caller))
    return _stage(part, replacement, caller)


def _stage(old: StageSpec, replacement: object, caller: types.FrameType) -> StageSpec:
    """The new function under the old contract, hooks and constants."""
    new = new_stage(old.name, replacement, old.constants, caller)
    return new.through(old.contract, {}, old.hooks, old.faults)


def _not_found(path: object, found: Any, parts: dict[str, Spec]) -> str:
    stages = [known for known, part in parts.items() if isinstance(part, StageSpec | MapSpec)]
    listed = ", ".join(stages) or "none"
    if found is not None:
        kind = type(found).__name__.removesuffix("Spec").lower()
        return (
            f"override({path!r}) is about a {kind}, which has no function to replace; "
            f"expected a stage, one of {listed}. Name the stage within it."
        )
    if not isinstance(path, str):
        return f"override() needs the path of a stage; found {brief(path)}; expected a string. Write override('train/fit', fn)."
    same = [known for known in stages if known.rpartition("/")[2] == path.rpartition("/")[2]]
    guess = same[0] if same else did_you_mean(path, stages)
    hint = f"Did you mean {guess!r}?" if guess else "Add the stage before it is overridden."
    return f"override({path!r}) names no stage; found none of that path; expected one of {listed}. {hint}"
