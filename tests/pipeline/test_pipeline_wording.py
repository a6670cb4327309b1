"""How messages name values and types: in the words of Python, each once, and the same in every run."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field, field_validator

from metta_sweep.errors import BuildError, ContractError, InvalidInput, InvalidName
from metta_sweep.pipeline import Pipeline
from metta_sweep.pipeline.contracts.contract import Contract
from metta_sweep.pipeline.contracts.typeforms import brief


class Options(BaseModel):
    """A model with a rule of its own."""

    name: str
    size: int = 1

    @field_validator("size")
    @classmethod
    def positive(cls, value: int) -> int:
        """Refuse what is below zero."""
        if value < 0:
            raise ValueError("a size is never below zero")
        return value


class Trainer:
    """Has a method."""

    def restart(self) -> None:
        """Begin again."""


def restart() -> None:
    """Begin again."""


@pytest.mark.parametrize(
    ("form", "value", "said"),
    [
        (int, "3", "found '3' (str), expected int"),
        (float, "x", "found 'x' (str), expected float"),
        (str, 3, "found 3 (int), expected str"),
        (bool, 1, "found 1 (int), expected bool"),
        (list[int], 3, "found 3 (int), expected a list"),
        (int | str, 2.5, "int: found 2.5 (float), expected int; str: found 2.5 (float), expected str"),
        (int, restart, "found the function restart, expected int"),
        (dt.date, "x", "found 'x' (str), expected a date"),
        (frozenset[int], {1}, "found {1} (set), expected a frozenset"),
        (Annotated[int, Field(gt=0)], -1, "found -1 (int), expected a value greater than 0"),
        (Literal["a", "b"], "c", "found 'c' (str), expected 'a' or 'b'"),
    ],
)
def test_types_are_called_as_in_python(form: Any, value: Any, said: str) -> None:
    """Not as pydantic calls them."""
    with pytest.raises(ContractError) as caught:
        Contract("s", {"x": form}).check(value)
    assert f"field 'x': {said} (contract: " in str(caught.value)


def test_messages_of_users_stay() -> None:
    """What a validator of theirs says is what they read."""
    with pytest.raises(ContractError, match="found -1 \\(int\\), Value error, a size is never below zero"):
        Contract.of("s", Options).check({"name": "a", "size": -1})


async def test_an_input_is_told_once() -> None:
    """What was found, and what is expected."""
    with pytest.raises(InvalidInput) as caught:
        await Pipeline(n=str).stage("s", lambda n: None).build().run(n=3)
    assert str(caught.value).count("found") == 1
    assert str(caught.value).count("expected") == 1
    assert caught.value.found == 3


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (restart, "the function restart"),
        (lambda: None, "a lambda"),
        (Trainer, "the class Trainer"),
        (len, "the function len"),
        (3, "3"),
    ],
)
def test_things_are_told_without_their_addresses(value: Any, text: str) -> None:
    """Where they lie says nothing, and differs from run to run."""
    assert brief(value) == text


def test_nothing_leaks_an_address() -> None:
    """Neither methods, nor instances, nor values in errors of arguments."""
    assert brief(Trainer().restart) == "the method Trainer.restart"
    assert "0x" not in brief([Trainer(), restart])
    assert "0x" not in str(InvalidInput("here", "wrong", found=Trainer()))


def test_white_space_has_no_meaning() -> None:
    """Addresses just cannot hold it; the signs between their parts mean something."""
    with pytest.raises(InvalidName, match="holds ' ', which addresses cannot hold"):
        Pipeline().stage("a b", restart)
    with pytest.raises(InvalidName, match="holds '/', which has a meaning in addresses"):
        Pipeline().stage("a/b", restart)


def test_a_second_contract() -> None:
    """The first one is named."""
    with pytest.raises(BuildError, match="there is a contract already \\(a: int\\); found a second one; expected one"):
        Pipeline().stage("a", lambda: 1).through(int).through(rows=int).build()


@pytest.mark.parametrize(("found", "remedy"), [("int", "Write n=int, without quotes."), (3, "Write n=int.")])
def test_an_input_that_is_no_type(found: Any, remedy: str) -> None:
    """The remedy is what was meant."""
    with pytest.raises(BuildError) as caught:
        Pipeline(n=found).stage("s", restart).build()
    assert caught.value.faults[0].message.endswith(remedy)
