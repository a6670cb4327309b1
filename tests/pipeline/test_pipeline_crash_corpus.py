"""Every right pipeline of the corpus, kept, dies at every address, and goes on as its plan foresaw."""

from __future__ import annotations

import pytest
from corpus import Right, right_cases

from metta_sweep.clock import crash_points
from metta_sweep.pipeline import PipelineEvent, ResumePlan, StageReused, StageStarted
from metta_sweep.store.memory import MemoryStore
from metta_sweep.testing import crash_at

NEVER_KEPT = {
    "class_as_a_value",
    "class_that_fits_a_protocol",
    "function_as_a_value",
    "no_json_form_without_a_store",
    "typed_dict_for_mapping",
}
"""Right pipelines of the corpus that have no JSON form, and are run without a store."""


@pytest.mark.parametrize("case", [case for case in right_cases() if case.name not in NEVER_KEPT], ids=lambda case: case.name)
async def test_a_crash_in_any_right_pipeline_changes_nothing(case: Right) -> None:
    """Described anew, as by another process, it goes on from where it died, as was foreseen, and ends as it should."""
    passed: list[str] = []
    with crash_points(passed.append):
        await case.describe().build().run(inputs=case.inputs, store=MemoryStore(), name="kept")
    for passing in dict.fromkeys(passed):
        point, _, address = passing.partition(" ")
        if point not in ("persist.before", "persist.after"):
            continue
        store = MemoryStore()
        with crash_at(address, "before" if point == "persist.before" else "after"):
            await case.describe().build().run(inputs=case.inputs, store=store, name="kept")
        foreseen = case.describe().build().plan_resume(name="kept", store=store, inputs=case.inputs)
        events: list[PipelineEvent] = []
        result = await case.describe().build().run(inputs=case.inputs, store=store, name="kept", listeners=[events.append])
        assert {name: result[name] for name in case.gives} == case.gives, passing
        assert _broken_promises(foreseen, events) == [], passing


def _broken_promises(foreseen: ResumePlan, events: list[PipelineEvent]) -> list[str]:
    """Where a resumed run did otherwise than its plan said. What reads outputs yet to be made may be reused all the same."""
    started = {event.address for event in events if isinstance(event, StageStarted)}
    reused = {event.address for event in events if isinstance(event, StageReused)}
    verdicts = {row.address: row.verdict for row in foreseen.rows}
    wrong = {"reuse": started, "new": reused, "orphan": set(verdicts)}
    return [
        *(f"{verdict}: {address}" for address, verdict in verdicts.items() if address in wrong.get(verdict, ())),
        *(f"reused, and not foreseen: {address}" for address in reused - set(verdicts)),
    ]
