"""Running an experiment that has no trials of its own, in its place in the tree."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import Any, NamedTuple

from metta_sweep.core.budget import Budget
from metta_sweep.core.seeds import draw_seed
from metta_sweep.errors import Interrupted, StoreError
from metta_sweep.experiments.definition import check_name_is_free
from metta_sweep.experiments.experiment_result import ExperimentResult, RunFacts, Tracing
from metta_sweep.experiments.tree.anew import begins_anew, note_reads, pipeline_begins_anew
from metta_sweep.experiments.tree.joining import derived_seed, earlier_attempts_ended, joined, leftovers_ended, opened, tell_parent
from metta_sweep.experiments.tree.node import Node, inside
from metta_sweep.experiments.tree.pipeline_run import PipelineRun
from metta_sweep.pipeline import Plan
from metta_sweep.pipeline.keeping.recording import StoreRecorder, open_kept
from metta_sweep.pipeline.running.main_guard import refuse_while_main_loads
from metta_sweep.records import Store

__all__ = ["Asked", "run_in_tree"]


class Asked(NamedTuple):
    """What experiment is to be run, and how."""

    owner: object
    name: str | None
    seed: int | None
    slots: int | None
    open_store: Callable[[], Store]
    own_store: object
    definition: Mapping[str, Any]
    plan: Plan
    inputs: Mapping[str, Any]
    budget: Budget | None
    fresh: bool
    options: Mapping[str, Any]
    """What else ``Plan.run`` takes."""


async def run_in_tree(asked: Asked) -> ExperimentResult:
    """Run a pipeline inside the trial or stage that the caller runs in, or as a root.

    It is kept when it has a name, or runs inside an experiment that is kept.

    Raises:
        Interrupted: the experiment that it runs inside ends, or its own seconds are over.
    """
    refuse_while_main_loads("a run")
    options = dict(asked.options)
    asked.plan.check_call(asked.inputs, listeners=options["listeners"], on_code_change=options["on_code_change"])
    with ExitStack() as stack:
        node = stack.enter_context(
            joined(
                asked.owner,
                asked.name,
                asked.open_store,
                own_store=asked.own_store,
                slots=asked.slots,
                counts_trials=True,
            )
        )
        await earlier_attempts_ended(node)
        node.kept = asked.name is not None if node.parent is None else node.parent.kept
        kept = stack.enter_context(_kept(asked, node)) if node.kept else None
        if kept is None:
            node.seed = _seed(asked, node)
        budget = _budget(asked.budget, kept)
        run = PipelineRun(node, budget, kept)
        opened(node, run, budget)
        tracing = Tracing()
        options["listeners"] = [*options["listeners"], tracing]
        try:
            with inside(node):
                main = asked.plan.run(recorder=kept, seed=node.seed, inputs=dict(asked.inputs), **options)
                result = await run.in_time(main)
        except Interrupted as error:
            tell_parent(node, error)
            raise
        finally:
            await leftovers_ended(node)
        reason, detail = run.spent() or (None, "")
        name = node.name if node.kept else None
        facts = RunFacts(
            name,
            node.run_id or node.root,
            node.address,
            node.seed,
            node.total(),
            reason,
            detail,
            tuple(tracing.events),
            asked.plan.last_outputs,
            node.store if node.root else None,
        )
        if kept is not None:
            _note_outputs(kept, asked.plan.last_outputs)
        return ExperimentResult(result, facts)


def _note_outputs(kept: StoreRecorder, names: Sequence[str]) -> None:
    """Keep which of the recorded fields are its output, for those who read the result back."""
    payload = json.dumps(names).encode()
    if all(record.payload != payload for record in kept.store.records(kept.run_id, kind="outputs")):
        kept.note("outputs", payload)


def _seed(asked: Asked, node: Node) -> int:
    if asked.seed is not None:
        return asked.seed
    return draw_seed() if node.parent is None else derived_seed(node)


@contextmanager
def _kept(asked: Asked, node: Node) -> Iterator[StoreRecorder]:
    """Its outputs are kept under its name in the tree; in the end the journal is told how it ended."""
    asked.plan.check_keepable()
    store, name = node.store, node.name
    fresh = begins_anew(node, asked.fresh or pipeline_begins_anew(node, store))
    if not fresh:
        check_name_is_free(name, store, asked.definition)
    given = asked.seed if node.parent is None else _seed(asked, node)
    kept, node.seed = open_kept(store, name, given, asked.definition, fresh=fresh)
    node.run_id = kept.run_id
    try:
        note_reads(kept, node)
        yield kept
        kept.note_end("done")
    except BaseException as error:
        ended = isinstance(error, asyncio.CancelledError | KeyboardInterrupt | SystemExit)
        with suppress(StoreError):  # the error that ends the run is the one to be seen
            kept.note_end("cancelled" if ended else "failed", error)
        raise
    finally:
        store.release(kept.run_id)


def _budget(given: Budget | None, kept: StoreRecorder | None) -> Budget:
    """What it may use: what is said now, which is kept, else what was said before."""
    before: Budget | None = None
    if kept is not None:
        for record in kept.store.records(kept.run_id, kind="budget"):
            before = Budget(**json.loads(record.payload))
    if given is None:
        return before or Budget()
    if kept is not None and given != before:
        kept.note("budget", json.dumps(given.describe()).encode())
    return given
