"""How a stage comes to its output: attempts with retry, each checked and gated, within a total time; else a replacement."""

from __future__ import annotations

import asyncio
import inspect
from typing import TYPE_CHECKING, Any, NoReturn

from metta_sweep.errors import ContractError, GateError, message_of
from metta_sweep.pipeline.contracts.typeforms import brief
from metta_sweep.pipeline.event_forms import log_failure, log_retry
from metta_sweep.pipeline.events import StageFailed, StageRetried
from metta_sweep.pipeline.proof.signature import is_coroutine_callable
from metta_sweep.pipeline.retry import as_retry
from metta_sweep.pipeline.running.attempts import Attempt, worth_retrying
from metta_sweep.pipeline.running.deadline import Deadline, Limit
from metta_sweep.pipeline.running.run import Scope, note_place
from metta_sweep.pipeline.stage_context import stage_seed

if TYPE_CHECKING:
    from metta_sweep.pipeline.parts.stage import StageSpec
    from metta_sweep.pipeline.proof.binding import Binding

__all__ = ["Trying", "cancel_count", "cancelled_since", "end_cancelled"]


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
            from metta_sweep.pipeline.running.processes import ProcessCall  # starts what few pipelines need

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

    async def output(self, scope: Scope, address: str) -> tuple[Any, int, bool]:
        """The checked output, the number of attempts that it took, and whether it is a replacement that ``on_error`` gave."""
        attempts = [1]
        cancelling = cancel_count()
        replaced = False
        try:
            if self.only_call is not None:
                scope.node, scope.attempt = self.name, 1
                output = await self._gated(await self.only_call(scope), address)
            elif self._total is None:
                output = await self._attempts(scope, address, attempts, cancelling)
            else:
                with Deadline(self._total, scope, address):
                    output = await self._attempts(scope, address, attempts, cancelling)
        except Exception as error:  # noqa: BLE001  # it is raised there, unless there is a replacement
            output, replaced = await self._failed(error, scope, address, attempts[0], cancelling), True
        if cancelled_since(cancelling):
            await end_cancelled()
        return output, attempts[0], replaced

    async def _failed(self, error: Exception, scope: Scope, address: str, attempts: int, cancelling: int) -> Any:
        """The replacement that ``on_error`` gives; else the error stands, and says where it happened."""
        try:
            if self.on_error is None or scope.run.broken is not None or cancelled_since(cancelling):
                raise error
            return await self._replacement(error, address, cancelling)
        except Exception as last:
            note_place(last, self.name, address, attempts, 1 + (self.retry.retries if self.retry else 0))
            log_failure(address, last, attempts)
            if scope.run.listeners:
                scope.run.tell(StageFailed(address, self.name, last, attempts))
            raise

    async def _attempts(self, scope: Scope, address: str, attempts: list[int], cancelling: int) -> Any:
        while True:
            scope.attempt = attempts[0]
            try:
                raw = await self._attempt.run(scope, address, attempts[0])
                return self._check(raw) if self.validate is None else await self._gated(raw, address)
            except Exception as error:
                number = attempts[0]
                if self.retry is None or number > self.retry.retries or not worth_retrying(error, self.retry):
                    raise
                if scope.run.broken is not None or cancelled_since(cancelling):
                    raise  # what a cancelled or broken run raises ends it: there is no other attempt
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
            try:
                verdict = self.validate(output)
                if inspect.isawaitable(verdict):
                    verdict = await verdict
            except Exception as error:
                error.add_note(f"in hook 'validate' of stage {self.name!r} at {address}")
                raise
            if verdict is not None and not verdict:
                raise GateError(f"stage {self.name!r} at {address}: its validate hook refused the output {brief(output, 200)}.")
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
                error.add_note(f"its on_error hook raised {type(raised).__name__}: {message_of(raised)}")
            raise error from error.__cause__
        if replacement is None:
            raise error
        try:
            return await self._gated(replacement, address)
        except (ContractError, GateError) as refused:
            refused.add_note(f"this is the replacement that its on_error hook gave for {type(error).__name__}: {message_of(error)}")
            raise


def cancel_count() -> int:
    """How often the task that runs now was asked to end."""
    task = asyncio.current_task()
    return 0 if task is None else task.cancelling()


def cancelled_since(cancelling: int) -> bool:
    """Whether the task was asked to end since then. Whatever its stage made of that, the run does not go on."""
    return cancel_count() > cancelling


async def end_cancelled() -> NoReturn:
    """End a task that was asked to end and went on: what it has made since is too late, and is written nowhere."""
    await asyncio.sleep(0)  # where the cancellation has not come yet, it comes here
    raise asyncio.CancelledError
