"""How a stage comes to its output: attempts with retry, each checked and gated, within a total time; else a replacement."""

from __future__ import annotations

import asyncio
import inspect
from typing import TYPE_CHECKING, Any

from metta_sweep.errors import ContractError, GateError
from metta_sweep.pipeline.attempts import Attempt, worth_retrying
from metta_sweep.pipeline.deadline import Deadline, Limit
from metta_sweep.pipeline.event_forms import log_failure, log_retry
from metta_sweep.pipeline.events import StageFailed, StageRetried
from metta_sweep.pipeline.retry import as_retry
from metta_sweep.pipeline.run import Scope, note_place
from metta_sweep.pipeline.signature import is_coroutine_callable
from metta_sweep.pipeline.stage_context import stage_seed

if TYPE_CHECKING:
    from metta_sweep.pipeline.binding import Binding
    from metta_sweep.pipeline.stage import StageSpec

__all__ = ["Trying", "cancelled_since"]


class Trying:
    """Runs the function of a stage until there is an output that its contract and its gate take, as far as its policies go.

    Args:
        spec: the stage.
        binding: how its function is called.
    """

    def __init__(self, spec: StageSpec, binding: Binding) -> None:
        hooks = spec.hooks
        self.name = spec.name
        self.retry = as_retry(hooks.get("retry"))
        self.on_error = hooks.get("on_error")
        self.validate = hooks.get("validate")
        self._check = spec.contract.check
        on_loop = is_coroutine_callable(spec.fn)
        in_process = hooks.get("timeout_mode") == "process" and not on_loop
        timeout, total = hooks.get("timeout"), hooks.get("total_timeout")
        process = None
        if in_process:
            from metta_sweep.pipeline.processes import ProcessCall  # starts what few pipelines need

            process = ProcessCall(spec.name, spec.fn, binding.arguments)
        self._attempt = Attempt(
            spec.name,
            binding.call,
            place="loop" if on_loop else "process" if in_process else "thread",
            timeout=timeout,
            needs_context=binding.needs_stage_context,
            process=process,
        )
        self._total = None if total is None else Limit(spec.name, total, "total_timeout")
        plain = on_loop and timeout is None and total is None and self.retry is None and self.on_error is None
        self.only_call = binding.call if plain else None
        """The call of a coroutine function that is tried once, without a deadline."""

    async def output(self, scope: Scope, address: str) -> tuple[Any, int]:
        """The checked output, and the number of attempts that it took."""
        attempts = [1]
        try:
            if self.only_call is None:
                return await self._tried(scope, address, attempts), attempts[0]
            scope.node = self.name
            return await self._gated(await self.only_call(scope), address), 1
        except Exception as error:
            note_place(error, self.name, address, attempts[0], 1 + (self.retry.retries if self.retry else 0))
            log_failure(address, error, attempts[0])
            if scope.run.listeners:
                scope.run.tell(StageFailed(address, self.name, error, attempts[0]))
            raise

    async def _tried(self, scope: Scope, address: str, attempts: list[int]) -> Any:
        """The output of the first attempt that succeeds, or the replacement that ``on_error`` gives."""
        task = asyncio.current_task()
        cancelling = task.cancelling() if task is not None else 0
        try:
            if self._total is None:
                return await self._attempts(scope, address, attempts, cancelling)
            with Deadline(self._total, scope, address):
                return await self._attempts(scope, address, attempts, cancelling)
        except Exception as error:
            if cancelled_since(cancelling):
                raise asyncio.CancelledError from error
            if self.on_error is None:
                raise
            return await self._replacement(error, address, cancelling)

    async def _attempts(self, scope: Scope, address: str, attempts: list[int], cancelling: int) -> Any:
        while True:
            try:
                return await self._gated(await self._attempt.run(scope, address, attempts[0]), address)
            except Exception as error:
                number = attempts[0]
                if self.retry is None or number > self.retry.retries or not worth_retrying(error, self.retry):
                    raise
                if cancelled_since(cancelling):
                    raise asyncio.CancelledError from error
                delay = self.retry.delay(number, stage_seed(scope.run.seed, address))
                log_retry(address, number, error, delay)
                if scope.run.listeners:
                    scope.run.tell(StageRetried(address, self.name, number, error, delay))
            attempts[0] += 1
            if delay:
                await asyncio.sleep(delay)

    async def _gated(self, raw: Any, address: str) -> Any:
        output = self._check(raw)
        if self.validate is not None:
            verdict = self.validate(output)
            if inspect.isawaitable(verdict):
                verdict = await verdict
            if verdict is not None and not verdict:
                raise GateError(f"stage {self.name!r} at {address}: its validate hook refused the output {output!r:.200}.")
        return output

    async def _replacement(self, error: Exception, address: str, cancelling: int) -> Any:
        if self.on_error is None:
            raise error
        try:
            replacement = self.on_error(error)
            if inspect.isawaitable(replacement):
                replacement = await replacement
        except Exception as raised:  # the first error stands, with a note of this one
            if cancelled_since(cancelling):
                raise asyncio.CancelledError from raised
            if raised is not error:
                error.add_note(f"its on_error hook raised {type(raised).__name__}: {raised}")
            raise error from error.__cause__
        if replacement is None:
            raise error
        try:
            return await self._gated(replacement, address)
        except (ContractError, GateError) as refused:
            refused.add_note(f"this is the replacement that its on_error hook gave for {type(error).__name__}: {error}")
            raise


def cancelled_since(cancelling: int) -> bool:
    """Whether the task was asked to end since its ``cancelling()`` was counted: an error that came of it is no error."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > cancelling
