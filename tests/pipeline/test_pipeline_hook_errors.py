"""Hooks that raise: the exception says which hook of which stage it was."""

from __future__ import annotations

from typing import Any

import pytest

from metta_sweep.pipeline import Pipeline


def refusing(output: int) -> bool:
    """A gate that cannot make up its mind."""
    raise KeyError(output)


async def refusing_later(output: int) -> bool:
    """The same, asynchronous."""
    raise KeyError(output)


@pytest.mark.parametrize("validate", [refusing, refusing_later])
async def test_a_gate_that_raises_is_named(validate: Any) -> None:
    """The note says hook, stage and address, once."""
    with pytest.raises(KeyError) as caught:
        await Pipeline().stage("f", lambda: 1).through(int, validate=validate).build().run()
    assert caught.value.__notes__ == ["in hook 'validate' of stage 'f' at f"]


async def test_attempts_are_told_beside_the_hook() -> None:
    """A gate that raised in the last of several attempts."""
    with pytest.raises(KeyError) as caught:
        await Pipeline().stage("f", lambda: 1).through(int, validate=refusing, retry=1).build().run()
    assert caught.value.__notes__ == ["in hook 'validate' of stage 'f' at f", "in stage 'f' at f (attempt 2 of 2)"]
