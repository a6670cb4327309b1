"""What sessions and notebooks show of pipelines, plans and results."""

from __future__ import annotations

from metta_sweep.pipeline import Pipeline


def load(n: int) -> list[int]:
    """So many numbers."""
    return list(range(n))


def told(xs: list[int]) -> str:
    """A long text."""
    return "a\n" * len(xs)


PIPELINE = Pipeline(n=int, label=str).stage("load", load).through(xs=list[int]).stage("tell", told).through(text=str)


def test_a_pipeline_shows_its_stages_and_inputs() -> None:
    """Also while a loop is open, and with nothing in it."""
    assert repr(PIPELINE) == "Pipeline(load > tell; n, label)"
    assert repr(Pipeline()) == "Pipeline(no stages; no inputs)"
    assert repr(PIPELINE.loop_while(lambda ctx: False).stage("again", load)) == "Pipeline(load > tell > again; n, label)"


def test_a_plan_shows_what_comes_out_too() -> None:
    """Of many stages, the first ones and the last one."""
    assert repr(PIPELINE.build()) == "Plan(load > tell; n, label -> xs, text)"
    many = Pipeline()
    for index in range(20):
        many = many.stage(f"s{index}", lambda: 1).through(int)
    shown = "Plan(s0 > s1 > s2 > s3 > s4 > s5 > ... > s19; no inputs -> s0, s1, s2, s3, s4, s5, s6, s7, ...)"
    assert repr(many.build()) == shown


async def test_a_result_shows_shortened_values() -> None:
    """In one line, whatever is in them."""
    result = await PIPELINE.build().run(n=100_000, label="x")
    shown = repr(result)
    assert shown.startswith("PipelineResult(n=100000, label='x', xs=[0, 1, 2, 3, 4, 5, ...], text='a")
    assert len(shown) < 200
    assert "\n" not in shown
