"""The Mermaid flowchart of a built pipeline."""

# ruff: noqa: D103  # stages; each test says what it shows
from __future__ import annotations

import json
import re
from typing import Any

from corpus import right_cases

from metta_sweep.pipeline import Context, Pipeline

LINES = [
    r"flowchart TD",
    r"inputs\(\[\"inputs\"\]\)",
    r"n\d+(\[\[\"[^\"]+\"\]\]|\[\"[^\"]+\"\]|\{\"[^\"]+\"\}|\(\[\"[^\"]+\"\]\))",
    r"subgraph g\d+[a-h]?\[\"[^\"]+\"\]",
    r"end",
    r"(inputs|[ng]\d+) (-->|-\.->)(\|\"[^\"]+\"\|)? n\d+",
]
"""The grammar of what is drawn: each line is one of these, as Mermaid's own parser takes them."""


def checked(text: str) -> str:
    """The text, after a look at every line: its form, frames that end, edges between what is there."""
    lines = [line.strip() for line in text.splitlines()]
    assert lines[0] == "flowchart TD"
    assert [line for line in lines if not any(re.fullmatch(pattern, line) for pattern in LINES)] == []
    assert sum(line.startswith("subgraph ") for line in lines) == lines.count("end")
    there = {
        found.group() for line in lines for found in [re.match(r"(subgraph )?(inputs|[ng]\d+)", line)] if found and "->" not in line
    }
    ends = {end for line in lines if "->" in line for end in (line.split()[0], line.split()[-1])}
    assert ends <= {name.removeprefix("subgraph ") for name in there}
    return text


async def suggest(task_names: list[str]) -> list[float]:
    return [float(len(name)) for name in task_names]


async def next_task(task_names: list[str], task_idx: int) -> dict[str, Any]:
    return {"task": task_names[task_idx], "task_idx": task_idx + 1}


def summarize(ctx: Context) -> str:
    return repr(ctx)


def test_the_drawing_of_a_loop() -> None:
    """Edges carry fields; what flows back into the next iteration is dotted; who gets everything only follows."""
    plan = (
        Pipeline(task_names=list[str])
        .stage("suggest", suggest)
        .loop_while(lambda ctx: ctx.task_idx < len(ctx.task_names), carry={"task_idx": 0}, max_iterations=9, name="tasks")
        .stage("next_task", next_task)
        .through(task=str, task_idx=int)
        .end_loop()
        .stage("summary", summarize)
        .build()
    )
    assert checked(plan.to_mermaid()).splitlines() == [
        "flowchart TD",
        '  inputs(["inputs"])',
        '  n0["suggest"]',
        '  subgraph g1["tasks (loop), max_iterations 9"]',
        '    n1{"goes on?"}',
        '    n2["next_task"]',
        "  end",
        '  n3["summary"]',
        '  inputs -->|"task_names"| n0',
        '  n2 -.->|"task_idx"| n1',
        '  inputs -->|"task_names"| n1',
        '  inputs -->|"task_names"| n2',
        '  n1 -->|"task_idx"| n2',
        '  n2 -.->|"task_idx"| n2',
        '  g1 -.->|"everything"| n3',
    ]


def test_fields_of_one_provider_share_an_edge() -> None:
    """Their names are listed, as many as fit; what may not be there has a question mark."""

    async def many(n: int) -> dict[str, int]:
        return {f"a_field_with_a_long_name_{i}": n for i in range(5)}

    def reader(a_field_with_a_long_name_0: int, a_field_with_a_long_name_1: int, a_field_with_a_long_name_2: int, n: int) -> int:
        return a_field_with_a_long_name_0 + a_field_with_a_long_name_1 + a_field_with_a_long_name_2 + n

    fields: dict[str, Any] = {f"a_field_with_a_long_name_{i}": int for i in range(5)}
    text = checked(Pipeline(n=int).stage("many", many).through(**fields).stage("reader", reader).build().to_mermaid())
    assert '  n0 -->|"a_field_with_a_long_name_0, a_field_with_a_long_name_1 and 1 more"| n1' in text.splitlines()


def test_a_field_that_may_be_missing_is_marked() -> None:
    """After a loop, what only its body makes may not be there."""

    def last(task: str = "none") -> str:
        return task

    text = checked(
        Pipeline(task_names=list[str])
        .loop_while(lambda ctx: ctx.task_idx < len(ctx.task_names), carry={"task_idx": 0})
        .stage("next_task", next_task)
        .through(task=str, task_idx=int)
        .end_loop()
        .stage("last", last)
        .build()
        .to_mermaid()
    )
    assert '  n1 -->|"task?"| n2' in text.splitlines()


def test_names_cannot_break_the_drawing() -> None:
    """Quotes, angle brackets, comments and back-ticks in names are written as character codes."""

    async def nothing() -> None:
        return None

    plan = Pipeline().stage('"evil";<b&`x`|{}()%%{init}\\', nothing).stage("end", nothing).build()
    text = checked(plan.to_mermaid())
    assert 'n0["#34;evil#34;;#60;b#38;#96;x#96;|{}()#37;#37;{init}#92;"]' in text
    assert "  n0 -.-> n1" in text.splitlines()


def control_flow() -> Pipeline:
    """A map over a function, one over a pipeline, a nested pipeline, and a branch."""

    async def names(n: int) -> list[str]:
        return [str(i) for i in range(n)]

    async def score(name: str) -> float:
        return float(name)

    async def fit(name: str, lr: float) -> float:
        return float(name) * lr

    async def total(scores: list[float]) -> float:
        return sum(scores)

    async def publish(total: float) -> str:
        return f"{total}"

    body = Pipeline(name=str, lr=float).stage("fit", fit)
    summing = Pipeline(scores=list[float]).stage("total", total)
    return (
        Pipeline(n=int)
        .stage("names", names)
        .map("score", score, over="names", into="scores")
        .map("train", body, over="names", into="models", lr=0.1)
        .stage("sum", summing)
        .through(total=float)
        .branch(
            lambda ctx: ctx.total > 1,
            Pipeline().stage("publish", publish).through(word=str),
            Pipeline().stage("drop", lambda: "dropped").through(word=str),
            name="choose",
        )
    )


def test_the_drawing_of_control_flow() -> None:
    """Frames for maps over pipelines, nested pipelines and both sides of a branch; their inputs come in at their entries."""
    assert checked(control_flow().build().to_mermaid()).splitlines() == [
        "flowchart TD",
        '  inputs(["inputs"])',
        '  n0["names"]',
        '  n1[["score (map over names)"]]',
        '  subgraph g2["train (map over names)"]',
        '    n2(["each item"])',
        '    n3["fit"]',
        "  end",
        '  subgraph g4["sum (pipeline)"]',
        '    n4(["inputs"])',
        '    n5["total"]',
        "  end",
        '  subgraph g6["choose (branch)"]',
        '    n6{"holds?"}',
        '    subgraph g6a["then"]',
        '      n7["publish"]',
        "    end",
        '    subgraph g6b["otherwise"]',
        '      n8["drop"]',
        "    end",
        "  end",
        '  inputs -->|"n"| n0',
        '  n0 -->|"names"| n1',
        '  n0 -->|"names"| n2',
        '  n2 -->|"name, lr"| n3',
        '  n1 -->|"scores"| n4',
        '  n4 -->|"scores"| n5',
        '  g4 -->|"total"| n6',
        '  g4 -->|"total"| n7',
        '  n6 -.->|"then"| n7',
        '  n6 -.->|"otherwise"| n8',
    ]


def test_the_entry_of_a_frame_leads_to_its_first_stage() -> None:
    """Also where no field does."""

    async def halve(loss: float) -> float:
        return loss / 2

    body = Pipeline().stage("halve", halve).through(loss=float)
    lines = checked(Pipeline(loss=float).loop(body, while_=lambda ctx: ctx.loss > 1).build().to_mermaid()).splitlines()
    assert lines[-3:] == ['  inputs -->|"loss"| n1', '  n1 -.->|"loss"| n1', "  n0 -.-> n1"]


def test_a_pipeline_draws_and_describes_itself() -> None:
    """As its plan does."""
    pipeline = control_flow()
    assert pipeline.to_mermaid() == pipeline.build().to_mermaid()
    assert str(pipeline.describe()) == str(pipeline.build().describe())


def test_every_right_pipeline_can_be_drawn_and_described() -> None:
    """Lines of the grammar only, and a table that fits a terminal and has a JSON form."""
    for case in right_cases():
        plan = case.describe().build()
        checked(plan.to_mermaid())
        description = plan.describe()
        assert max(map(len, str(description).splitlines())) <= 120, case.name
        assert len(json.loads(json.dumps(description.to_dict()))["parts"]) == len(description.rows)


def test_a_stage_may_be_called_inputs() -> None:
    """What it makes comes from its own box, and the declared inputs come from theirs."""

    async def makes(n: int) -> int:
        return n

    async def reads(n: int, inputs: int) -> int:
        return n + inputs

    drawn = Pipeline(n=int).stage("inputs", makes).stage("reads", reads).to_mermaid().splitlines()
    assert [line.strip() for line in drawn if "-->" in line or "-.->" in line] == [
        'inputs -->|"n"| n0',
        'inputs -->|"n"| n1',
        'n0 -->|"inputs"| n1',
    ]
