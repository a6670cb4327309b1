"""The contract table of a built pipeline."""

# ruff: noqa: D103  # stages; each test says what it shows
from __future__ import annotations

import json
from typing import Any

from pydantic import BaseModel

from metta_sweep.pipeline import Context, Pipeline, Retry, ref


class Task(BaseModel):
    """A learning task."""

    name: str


async def suggest(task_names: list[str]) -> list[float]:
    return [float(len(name)) for name in task_names]


def train(suggest: list[float], n_trials: int) -> dict[str, float]:
    return {str(value): value for value in suggest[:n_trials]}


async def next_task(task_names: list[str], task_idx: int) -> dict[str, Any]:
    return {"current_task": Task(name=task_names[task_idx]), "task_idx": task_idx + 1}


def summarize(ctx: Context) -> str:
    return repr(ctx)


def whole() -> Pipeline:
    return (
        Pipeline(task_names=list[str])
        .stage("suggest", suggest)
        .through(list[float], after=lambda d: None, validate=lambda d: True, timeout=300)
        .stage("train", train, n_trials=50)
        .through(results=dict[str, float], retry=Retry(3, backoff=0.5))
        .loop_while(lambda ctx: ctx.task_idx < len(ctx.task_names), carry={"task_idx": 0}, max_iterations=100, name="tasks")
        .stage("next_task", next_task)
        .through(current_task=Task, task_idx=int, checkpoint=False)
        .end_loop()
        .stage("summary", summarize)
        .through(text=str)
        .with_global_hooks(before=lambda stage, data: None, profile=True)
    )


TABLE = """\
stage         reads                                    provides                   hooks
------------  ---------------------------------------  -------------------------  ----------------------------
suggest       task_names: list[str] <- inputs          suggest: list[float]       after, validate, timeout 300s
train         suggest: list[float] <- suggest          results: dict[str, float]  retry 3 (backoff 0.5s)
              n_trials=50
tasks (loop)  task_idx: int <- tasks, tasks/next_task                             max_iterations 100
              task_names: list[str] <- inputs
              carry task_idx=0
  next_task   task_names: list[str] <- inputs          current_task: Task         no checkpoint
              task_idx: int <- tasks, tasks/next_task  task_idx: int
summary       the whole context                        text: str

inputs: task_names: list[str]
at the end: task_names: list[str], suggest: list[float], results: dict[str, float], task_idx: int, current_task?: Task,
  text: str
global hooks: before, profile
unchecked:
  summary: parameter 'ctx' uses its argument in ways that cannot be followed
?: may not be there"""


def test_the_table() -> None:
    """It shows per stage what flows in and from whom, what it provides, what is attached; and what the build could not check."""
    shown = [line for line in str(whole().build().describe()).splitlines() if not line.startswith("---")]
    assert shown == [line for line in TABLE.splitlines() if not line.startswith("---")]


def test_the_rows_are_data() -> None:
    """Paths, kinds, depth, wires with their providers; all of it has a JSON form."""
    description = whole().build().describe()
    assert [(row.path, row.kind, row.depth) for row in description.rows] == [
        ("suggest", "stage", 0),
        ("train", "stage", 0),
        ("tasks", "loop", 0),
        ("tasks/next_task", "stage", 1),
        ("summary", "stage", 0),
    ]
    carried = description.rows[3].reads[1]
    assert (carried.field, carried.type, carried.providers, carried.sure) == ("task_idx", int, ("tasks", "tasks/next_task"), True)
    told = json.loads(json.dumps(description.to_dict()))
    assert told["parts"][1]["provides"] == {"results": "dict[str, float]"}
    assert told["parts"][4]["everything"] is True
    assert told["outputs"]["current_task"] == {"type": "Task", "provider": "tasks/next_task", "sure": False}
    assert told["inputs"] == {"task_names": "list[str]"}
    assert told["unchecked"][0]["stage"] == "summary"


def test_a_field_that_was_replaced_is_read_from_its_last_provider() -> None:
    """And one that is named by its stage, from that stage."""

    async def first(n: int) -> float:
        return n / 2

    async def second(x: float) -> float:
        return x + 1

    async def compare(x: float, before: float) -> bool:
        return x > before

    plan = (
        Pipeline(n=int)
        .stage("first", first)
        .through(x=float)
        .stage("second", second)
        .through(x=float)
        .stage("compare", compare, before=ref("first.x"))
        .build()
    )
    rows = plan.describe().rows
    assert [wire.providers for wire in rows[1].reads] == [("first",)]
    assert rows[2].constants == ("before=ref('first.x')",)
    assert {wire.providers for wire in rows[2].reads} == {("second",), ("first",)}


def test_long_things_are_cut_and_wrapped() -> None:
    """No line is wider than 132 columns, whatever types, names and hooks there are."""
    deep = dict[str, dict[str, list[tuple[int, float, str, bytes, dict[str, list[dict[str, tuple[int, ...]]]]]]]]

    async def stage_with_a_rather_long_name_that_never_ends(an_input_with_a_long_name: Any) -> Any:
        return an_input_with_a_long_name

    plan = (
        Pipeline(an_input_with_a_long_name=deep)
        .stage("stage_with_a_rather_long_name_that_never_ends" * 2, stage_with_a_rather_long_name_that_never_ends)
        .through(an_output_with_a_long_name=deep, before=print, after=print, metrics=print, validate=print, on_error=print, retry=3)
        .build()
    )
    text = str(plan.describe())
    assert max(map(len, text.splitlines())) <= 132
    assert "…" in text
    assert "on_error" in text


def test_control_flow_is_indented() -> None:
    """What is inside of maps, nested pipelines and branches stands below them; each side of a branch is named once."""

    async def fit(name: str, lr: float) -> float:
        return float(name) * lr

    async def total(models: list[float]) -> float:
        return sum(models)

    async def publish(total: float) -> str:
        return f"{total}"

    async def praise(word: str) -> str:
        return f"{word}!"

    plan = (
        Pipeline(names=list[str])
        .map("train", Pipeline(name=str, lr=float).stage("fit", fit), over="names", into="models", limit=8, lr=0.1)
        .stage("total", total)
        .branch(
            lambda ctx: ctx.total > 1,
            Pipeline().stage("publish", publish).through(word=str).stage("praise", praise).through(word=str),
            Pipeline().stage("drop", lambda: "dropped").through(word=str),
            name="choose",
        )
        .build()
    )
    lines = str(plan.describe()).splitlines()
    assert [" ".join(line.split()) if line[:1].isalpha() else line.rstrip() for line in lines[2:12]] == [
        "train (map) names: list[str] <- inputs models: list[float] over names, limit 8",
        "                 lr=0.1",
        "  fit            name: str <- inputs of train      fit: float",
        "                 lr: float <- inputs of train",
        "total models: list[float] <- train total: float",
        "choose (branch) total: float <- total",
        "- then:",
        "  publish        total: float <- total             word: str",
        "  praise         word: str <- choose/then/publish  word: str",
        "- otherwise:",
    ]
    assert [(row.path, row.group, row.closed) for row in plan.describe().rows if row.depth] == [
        ("train/fit", "", "train"),
        ("choose/then/publish", "then", ""),
        ("choose/then/praise", "then", ""),
        ("choose/otherwise/drop", "otherwise", ""),
    ]
