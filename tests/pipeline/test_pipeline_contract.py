"""What a stage's output must be."""

# ruff: noqa: D103  # stages and helpers; each test says what it shows
from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, NamedTuple, NotRequired, Protocol, TypedDict

import pytest
from pydantic import BaseModel, ConfigDict, Field

from metta_sweep.errors import ContractError
from metta_sweep.pipeline import Context, Contract
from metta_sweep.pipeline.keeping.payload import from_payload, to_payload


class Open(BaseModel):
    score: float
    tags: list[str] = []


class Closed(BaseModel):
    model_config = ConfigDict(frozen=True)
    score: float


@dataclass(frozen=True)
class Frozen:
    score: float
    note: str = "-"


@dataclass
class Mutable:
    score: float


class Pair(NamedTuple):
    left: int
    right: str | None = None


class Aliased(BaseModel):
    rate: float = Field(alias="lr")


class Machine:
    """A class that pydantic knows nothing of."""


class Options(TypedDict):
    """Pydantic refuses this kind before Python 3.12."""

    name: str
    size: NotRequired[int]


class Scored(Protocol):
    score: float


def written(contract: Contract, raw: Any) -> dict[str, Any]:
    return contract.view(contract.check(raw))


@pytest.mark.parametrize("value", [Closed(score=1.0), Frozen(1.0), Pair(1, "a")], ids=lambda value: type(value).__name__)
def test_frozen_instances_pass_by_identity(value: Any) -> None:
    """An instance of exactly the frozen class is the output itself."""
    assert Contract.of("s", type(value)).check(value) is value


def test_a_models_fields_join_the_context() -> None:
    """A model, dataclass or named tuple writes one value per field."""
    assert written(Contract.of("s", Open), Open(score=1.5)) == {"score": 1.5, "tags": []}
    assert written(Contract.of("s", Frozen), Frozen(2.0)) == {"score": 2.0, "note": "-"}
    assert written(Contract.of("s", Pair), Pair(3)) == {"left": 3, "right": None}


def test_a_mapping_becomes_the_model() -> None:
    """A stage may return a plain dict with the fields of its model."""
    assert Contract.of("s", Open).check({"score": 1.0}) == Open(score=1.0)
    assert Contract.of("s", Frozen).check({"score": 1.0}) == Frozen(1.0)
    assert Contract.of("s", Pair).check({"left": 1}) == Pair(1)


def test_mutable_instances_are_looked_at_again() -> None:
    """A model that became invalid after it was made is noticed."""
    spoiled = Open(score=1.0)
    vars(spoiled)["score"] = "high"
    with pytest.raises(ContractError, match="'score'"):
        Contract.of("s", Open).check(spoiled)
    with pytest.raises(ContractError, match=r"'score'.*'high'"):
        Contract.of("s", Mutable).check(Mutable("high"))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("form", "value"),
    [
        (int, "3"),
        (int, True),
        (int, 3.0),
        (float, "0.5"),
        (str, 3),
        (bool, 1),
        (list[int], ["1"]),
        (dict[str, float], {"a": "x"}),
        (int | None, "3"),
        (Annotated[int, Field(gt=0)], -1),
        (Machine, 3),
        (type(None), 0),
        (Options, {"name": 3}),
        (Options, {"size": 3}),
        (Options, {"name": "a", "more": 3}),
        (Options, ["name"]),
    ],
)
def test_nothing_is_converted(form: Any, value: Any) -> None:
    """Contracts are strict: a value of another type is refused, naming stage and field."""
    with pytest.raises(ContractError, match="stage 'train': field 'result"):
        Contract("train", {"result": form}).check(value)


@pytest.mark.parametrize(
    ("form", "value"),
    [
        (int, 3),
        (Options, {"name": "a"}),
        (Options, {"name": "a", "size": 3}),
        (list[Options], [{"name": "a"}]),
        (float, 0.5),
        (int | None, None),
        (list[int], [1]),
        (Machine, Machine()),
        (Any, "x"),
        (Scored, 3),
        (object, 1),
        (Pair, Pair(1)),
    ],
)
def test_right_values_pass(form: Any, value: Any) -> None:
    """Values of the type pass unchanged."""
    assert Contract("train", {"result": form}).check(value) == value


def test_the_message_has_a_path() -> None:
    """A mistake deep in a value is named by its path."""
    with pytest.raises(ContractError, match=r"'result\.rows\[1\]'.*'no'"):
        Contract("train", {"result": dict[str, list[int]]}).check({"rows": [1, "no"]})


def test_one_field_unpacks_a_mapping_of_its_name() -> None:
    """One-field contracts take the bare value, and a mapping whose only key is the field's name."""
    contract = Contract("s", {"n": int})
    assert contract.check(3) == contract.check({"n": 3}) == 3
    same = Contract("s", {"n": dict[str, int]})
    assert same.check({"n": 3}) == {"n": 3}, "a value of the type itself stays what it is"


def test_several_fields_take_mappings_models_and_dataclasses() -> None:
    """Named fields are read from whatever names them."""
    contract = Contract("s", {"score": float, "note": str})
    for raw in ({"score": 1.0, "note": "-"}, Frozen(1.0)):
        output = contract.check(raw)
        assert isinstance(output, Context)
        assert (output.score, output["note"]) == (1.0, "-")


@pytest.mark.parametrize("raw", [(1.0, "-"), [1.0, "-"], 3, None, {"score": 1.0}, {"score": 1.0, "note": "-", "more": 1}])
def test_several_fields_take_nothing_else(raw: Any) -> None:
    """Tuples, missing and additional fields are refused."""
    with pytest.raises(ContractError, match="stage 's'"):
        Contract("s", {"score": float, "note": str}).check(raw)


def test_a_pending_result_is_refused() -> None:
    """A value that was never awaited fits no contract, not even Any; also where it cannot even be shown."""

    class Pending:
        def __await__(self) -> Any:
            yield

        def __repr__(self) -> str:
            raise RuntimeError("await me first")

    contracts = [
        Contract("s", {"x": Any}),
        Contract("s", {"x": int}),
        Contract("s", {"x": Machine}),
        Contract.of("s", Open),
        Contract("s", {}),
    ]
    for contract in (*contracts, Contract("s", {"x": int, "y": int})):
        with pytest.raises(ContractError, match="never awaited"):
            contract.check(Pending())


def test_nothing_takes_none_only() -> None:
    """Without a contract a stage must return None; the message says how to give it one."""
    contract = Contract("s", {})
    assert contract.check(None) is None
    with pytest.raises(ContractError, match="through"):
        contract.check(3)


@pytest.mark.parametrize("names", [("copy", "json"), ("validate", "schema"), ("keys", "items"), ("get", "values")])
def test_fields_may_be_called_like_methods(names: tuple[str, str]) -> None:
    """No field name is shadowed by a method of what shows it."""
    output = Contract("s", dict.fromkeys(names, int)).check({names[0]: 1, names[1]: 2})
    assert (getattr(output, names[0]), getattr(output, names[1])) == (1, 2)


def test_other_models_fit_by_their_fields() -> None:
    """A model of another class is taken where it has the fields."""
    assert Contract.of("s", Open).check(Frozen(1.0)) == Open(score=1.0)
    assert Contract.of("s", Frozen).check(Open(score=2.0)) == Frozen(2.0)
    with pytest.raises(ContractError, match="'score'"):
        Contract.of("s", Open).check(Pair(1))


@pytest.mark.parametrize(
    ("form", "value"),
    [
        (dict[int, str], {1: "a"}),
        (datetime, datetime(2024, 1, 2, tzinfo=UTC)),
        (set[int], {1, 2}),
        (bytes, b"ab"),
        (float, math.inf),
        (Path, Path("a") / "b"),
        (list[Aliased], [Aliased(lr=0.5)]),
        (dict[str, Frozen | None], {"a": Frozen(1.0), "b": None}),
    ],
)
def test_values_without_a_json_type_of_their_own(form: Any, value: Any) -> None:
    """What JSON has no type for comes back as it was."""
    contract = Contract("s", {"x": form})
    assert from_payload(contract, to_payload(contract, contract.check(value))) == value


def test_json_there_and_back() -> None:
    """What is recorded is read back as it was."""
    for contract, raw in (
        (Contract.of("s", Open), Open(score=1.0, tags=["a"])),
        (Contract.of("s", Frozen), Frozen(1.0)),
        (Contract.of("s", Pair), Pair(1, "b")),
        (Contract("s", {"n": int}), 3),
        (Contract("s", {"t": tuple[int, ...]}), (1, 2)),
        (Contract("s", {}), None),
    ):
        assert from_payload(contract, to_payload(contract, contract.check(raw))) == raw
    fields = Contract("s", {"a": int, "b": float})
    assert dict(from_payload(fields, to_payload(fields, fields.check({"a": 1, "b": 2.0})))) == {"a": 1, "b": 2.0}


def test_a_recorded_value_that_no_longer_fits_names_its_field() -> None:
    """A changed contract is a clear error."""
    payload = to_payload(Contract("s", {"n": int}), 3)
    with pytest.raises(ContractError, match="field 'n'"):
        from_payload(Contract("s", {"n": str}), payload)


def test_the_schema_digest_follows_the_contract() -> None:
    """Other names or types, another digest."""
    contracts: list[Mapping[str, Any]] = [{"n": int}, {"m": int}, {"n": str}, {"n": list[int]}, {"n": list[str]}]
    assert len({Contract("s", fields).schema_digest for fields in contracts}) == len(contracts)
