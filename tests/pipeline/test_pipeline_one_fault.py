"""One mistake is one fault, which names what was meant."""

from __future__ import annotations

from pydantic import BaseModel

from metta_sweep.errors import BuildError
from metta_sweep.pipeline import Pipeline


class Dataset(BaseModel, frozen=True):
    """What a stage loads."""

    rows: list[float]


def load() -> Dataset:
    """Load it."""
    return Dataset(rows=[])


def fit(dataset: Dataset, scale: float) -> float:
    """Read the data, and a number."""
    return scale * len(dataset.rows)


def halved(loss: float) -> float:
    """One turn of a loop."""
    return loss / 2


def faults(pipeline: Pipeline) -> list[str]:
    """What the build says."""
    try:
        pipeline.build()
    except BuildError as error:
        return [str(fault) for fault in error.faults]
    return []


def test_the_field_that_differs_is_named() -> None:
    """Where a function returns a model that has the field, but of another type, or in another form."""
    start = "load: the stage function returns Dataset, which its contract never takes; expected "
    assert faults(Pipeline().stage("load", load).through(rows=list[int])) == [
        start + "list[int] as 'rows', not a model with a field 'rows' (list[float]). "
        "Write .through(Dataset), or return the value of the field."
    ]
    assert faults(Pipeline().stage("load", load).through(rows=list[float])) == [
        start + "list[float] as 'rows', not a model with a field 'rows' (list[float]). "
        "Write .through(Dataset), or return the value of the field."
    ]
    assert faults(Pipeline().stage("load", load).through(rows=list[float], n=int)) == [
        start + "a mapping, model or dataclass with the fields rows, n; it has no field 'n'. Mend the one or the other."
    ]


def test_a_missing_parameter_may_be_a_constant() -> None:
    """The usual cure is named first, where no field of that name exists anywhere."""
    assert faults(Pipeline(dataset=Dataset).stage("fit", fit)) == [
        (
            "fit: parameter 'scale' needs the field 'scale', which nothing provides; provided here: dataset. "
            "Give it as a constant of the stage, scale=...; declare it, Pipeline(scale=...); or let an earlier stage provide it."
        )
    ]


def test_a_misspelt_constant_is_one_fault() -> None:
    """The parameter that was meant is not missing as well."""
    assert faults(Pipeline(dataset=Dataset).stage("fit", fit, scal=2.0)) == [
        (
            "fit: the constant 'scal' is no parameter of the stage function; found 2.0; expected one of dataset, scale. "
            "Did you mean 'scale'?"
        )
    ]


def test_a_misspelt_carried_field_is_one_fault() -> None:
    """Though the predicate and a stage read what was meant."""
    loop = Pipeline().loop_while(lambda ctx: ctx.loss > 0.1, carry={"los": 1.0}).stage("step", halved).through(loss=float)
    assert faults(loop.end_loop()) == [
        (
            "loop: carry= begins 'los', which nothing in the loop provides, and leaves 'loss' without a first value. "
            "Did you mean carry={'loss': ...}?"
        )
    ]


def test_two_mistakes_are_two_faults() -> None:
    """A carried field that is read under its own name is not taken for another one."""
    loop = Pipeline().loop_while(lambda ctx: ctx.loss > ctx.los, carry={"los": 1.0}).stage("step", halved).through(loss=float)
    found = faults(loop.end_loop())
    assert len(found) == 2
    assert all("carry={'loss': ...}" in fault for fault in found)
