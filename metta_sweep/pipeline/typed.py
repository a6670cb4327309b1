"""What type checkers know of pipelines: the types of their parameters, of stage functions and of hooks.

Nothing here acts at run time. ``Pipeline[In, Cur]`` takes ``In`` and has come to ``Cur``; ``Any`` stands for fields read by name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from typing import Any, ClassVar, Concatenate, Generic, Literal, ParamSpec, Protocol, TypeAlias, TypedDict, final

    from pydantic import BaseModel
    from typing_extensions import TypeVar

    from metta_sweep.pipeline.builder import Pipeline
    from metta_sweep.pipeline.cache import Cache
    from metta_sweep.pipeline.parts.guest import AsStage
    from metta_sweep.pipeline.retry import Retry
    from metta_sweep.pipeline.stage_context import StageContext

    class _Dataclass(Protocol):
        __dataclass_fields__: ClassVar[dict[str, Any]]

    class _NamedTuple(Protocol):
        @property
        def _fields(self) -> tuple[str, ...]: ...
        def _asdict(self) -> dict[str, Any]: ...

    In = TypeVar("In", contravariant=True, default=Any)  # noqa: PLC0105
    Cur = TypeVar("Cur", covariant=True, default=In)  # noqa: PLC0105
    Model = TypeVar("Model", bound=BaseModel | _Dataclass | _NamedTuple)
    Out = TypeVar("Out")
    _S = TypeVar("_S")
    P = ParamSpec("P")
    """The constants of a stage."""

    Runs: TypeAlias = Callable[..., Any] | Pipeline[Any, Any] | AsStage
    """What can be a stage."""
    Given: TypeAlias = Awaitable[Out] | Out
    """What a stage function gives, async or sync."""
    Takes: TypeAlias = Callable[Concatenate[_S, P], Out]
    """Takes what flows there, and constants."""
    TakesBoth: TypeAlias = Callable[Concatenate[_S, StageContext, P], Out] | Callable[Concatenate[StageContext, _S, P], Out]
    """The same, and the context."""
    TakesContext: TypeAlias = Callable[Concatenate[StageContext, P], Out]
    """Takes the context and constants."""

    @final
    class Dynamic:
        """No model: only ``Any`` is as good as it, so that an overload for it is for pipelines whose fields are read by name."""

    class HookOptions(TypedDict, Generic[Out], total=False):
        """The hooks of a stage whose output is ``Out``. A value of None is a hook that is not set this time."""

        before: Callable[[Any], Any] | None
        after: Callable[[Out], Any] | None
        validate: Callable[[Out], Any] | None
        on_error: Callable[[Any], Any] | None
        metrics: Callable[[dict[str, Any]], Any] | None
        retry: int | Retry | None
        timeout: float | None
        total_timeout: float | None
        timeout_mode: Literal["thread", "process"] | None
        checkpoint: bool | None
        cache: bool | Cache | None
        on_code_change: Literal["warn", "rerun", "refuse"] | None
        migrate: Callable[[Any], Any] | None
        profile: bool | None

    class GlobalHookOptions(TypedDict, total=False):
        """The hooks of a whole pipeline."""

        before: Callable[[Any, Any], Any] | None
        after: Callable[[Any, Any], Any] | None
        profile: bool | None

    class LoopOptions(TypedDict, total=False):
        """The options of a loop."""

        max_iterations: int | None
        name: str | None

else:  # defaults and bounds need a newer Python, or libraries that are slow to import
    from typing import TypeVar

    In = TypeVar("In", contravariant=True)  # noqa: PLC0105
    Cur = TypeVar("Cur", covariant=True)  # noqa: PLC0105
