"""What the scheduler is offered when it picks: free slots, waiting suggestions, and the optimizer behind them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from metta_sweep.core.events import Draw, Event, Paused, Pick, Resume, Stop, Wait
from metta_sweep.core.suggestions import check_suggestion
from metta_sweep.core.trial import Suggestion, Verdict
from metta_sweep.errors import MetricError, SchedulerError
from metta_sweep.experiments.fold import SweepState
from metta_sweep.experiments.live import LiveTrial
from metta_sweep.experiments.strategies import Strategies
from metta_sweep.experiments.taken_ids import TakenIds
from metta_sweep.experiments.wish import Wish
from metta_sweep.schedulers.scheduler import Waiting

__all__ = ["MAX_DRAWS_FOR_BRANCH", "SweepOffer"]

MAX_DRAWS_FOR_BRANCH: Final = 32
"""How many suggestions are drawn in search of one of a branch, from an optimizer that cannot suggest within it."""


class SweepOffer:
    """One turn's offer. It changes nothing: what is drawn and picked is returned as events.

    ``undrawn`` holds suggestions that an attempt before this one drew and nobody recorded: they are used first, so that a pick
    stage that is tried again asks no optimizer twice.
    """

    def __init__(
        self, state: SweepState, strategies: Strategies, taken: TakenIds, undrawn: list[Draw], free: int, busy: int
    ) -> None:
        self._state = state
        self._strategies = strategies
        self._taken = taken
        self._undrawn = undrawn
        self._reused = 0
        self._drawn = 0
        """Suggestions drawn in this offer, those of pruned branches included."""
        self._fresh: list[Draw] = []
        self._fresh_waiting: dict[int, Draw] = {}
        """Those of them that were not picked, oldest first."""
        self._head: Draw | None = None
        self._gone: set[int] = set()
        self._new_ids: set[str] = set()
        self._oldest: Iterator[Draw] | None = None
        self._free = free
        self._busy = busy
        self._why = ""
        self.limit: int | None = None
        """How many more trials the budget allows; None: any number."""
        self.events: list[Event] = []
        self.picks = 0
        self._new = 0
        """How many of them are new trials."""
        self._picked: list[tuple[Pick, Draw]] = []
        self._taken_up: set[str] = set()
        """Paused trials that go on, or end, by this offer."""
        self.idle_why: str | None = None
        self.dry = False
        """Whether the optimizer was asked and had nothing to give."""

    @property
    def free(self) -> int:
        """Slots still free, as far as the budget allows to fill them."""
        return self._free if self.limit is None else min(self._free, self.limit)

    @property
    def idle(self) -> int:
        """Slots still free, whatever the budget of trials allows: what paused trials may go on in."""
        return self._free

    @property
    def busy(self) -> int:
        """Slots in use."""
        return self._busy

    @property
    def why(self) -> str:
        """Why ``next`` returned None the last time."""
        return self._why

    @property
    def fresh(self) -> Sequence[Draw]:
        """All suggestions drawn in this offer so far, picked ones too; not those of pruned branches."""
        return self._fresh

    def next(self, fixed: Mapping[str, Any] | None = None, branch: str | None = None) -> Waiting | None:
        """The suggestion that has waited longest, or a newly drawn one; with ``fixed`` or ``branch``, one that has these."""
        wish = Wish(fixed, branch) if fixed or branch is not None else None
        found = self._oldest_waiting() if wish is None else self._oldest_with(wish)
        if found is not None:
            return found
        wanted = 1 if wish is not None else self.free
        granted = wish is not None and self._strategies.grants(wish)
        if wish is not None and not granted and len(self._state.pool) + len(self._fresh_waiting) >= MAX_DRAWS_FOR_BRANCH:
            self._why = f"{len(self._state.pool) + len(self._fresh_waiting)} suggestions wait, and none has {wish}"
            return None
        before = self._drawn
        while self._drawn - before < max(wanted, MAX_DRAWS_FOR_BRANCH):
            drawn = self._draw(wanted, wish if granted else None)
            if not drawn:
                return None
            for draw in drawn:
                if draw.suggestion in self._fresh_waiting and (wish is None or wish.met_by(draw)):
                    return draw
        if wish is not None:
            self._why = f"{self._drawn - before} suggestions were drawn and none had {wish}"
        else:
            self._why = f"{self._drawn - before} suggestions were drawn and all were of pruned branches"
        return None

    def draw(self, count: int, *, spare: bool = False) -> int:
        """Have up to ``count`` suggestions wait, as far as the budget allows (or with ``spare``); returns how many wait now."""
        if self.limit is not None and not spare:
            count = min(count, self.limit)
        in_vain = 0
        while (missing := count - self._waiting_count()) > 0 and in_vain < MAX_DRAWS_FOR_BRANCH:
            before = len(self._fresh)
            drawn = self._draw(missing, None)
            if not drawn:
                break
            in_vain = 0 if len(self._fresh) > before else in_vain + len(drawn)
        if in_vain:
            self._why = f"{in_vain} suggestions were drawn and all were of pruned branches"
        return self._waiting_count()

    def _waiting_count(self) -> int:
        return len(self._state.pool) - len(self._gone) + len(self._fresh_waiting)

    def waiting(self, index: int) -> Waiting:
        """The waiting suggestion of that number."""
        draw = self._find(index)
        if draw is None:
            raise SchedulerError("Offer.waiting", f"no suggestion number {index} is waiting", found=index)
        return draw

    def pick(
        self,
        waiting: Waiting,
        *,
        branch: str | None = None,
        score: float | None = None,
        mean: float | None = None,
        bonus: float | None = None,
        runs: int | None = None,
        pending: int | None = None,
        others: tuple[tuple[str, float], ...] = (),
        compared: int = 0,
        why: str = "",
    ) -> None:
        """Start this suggestion."""
        index = waiting.suggestion
        draw = self._find(index)
        if draw is None:
            raise SchedulerError(
                "Offer.pick", f"suggestion number {index} is not waiting", found=index, remedy="Pick each one once"
            )
        if self.free < 1:
            raise SchedulerError(
                "Offer.pick", "no slot is free", found=0, expected="offer.free >= 1", remedy="Check offer.free before each pick"
            )
        if self._fresh_waiting.pop(index, None) is None:
            self._gone.add(index)
        number = self._state.picked + self._new
        pick = Pick(
            index,
            draw.id or self._number_as_id(number),
            number,
            draw.branch if branch is None else branch,
            score,
            mean,
            bonus,
            runs,
            pending,
            others,
            compared,
            self._busy,
            self._free,
            why,
        )
        self.events.append(pick)
        self._picked.append((pick, draw))
        self.picks += 1
        self._new += 1
        self._free -= 1
        self._busy += 1
        if self.limit is not None:
            self.limit -= 1

    def resume(
        self,
        trial_id: str,
        *,
        source: Paused | None = None,
        params: Mapping[str, Any] | None = None,
        queue: bool = False,
        why: str = "",
    ) -> None:
        """Let a paused trial run on."""
        live = self._paused(trial_id, "resume")
        if self._free < 1 and not queue:
            raise SchedulerError("Offer.resume", "no slot is free", found=0, expected="offer.idle >= 1", remedy="Check offer.idle")
        if source is not None:
            self._check_source(source)
        step = (live.step or 0) if source is None else source.step
        checkpoint = live.checkpoint if source is None else source.checkpoint
        origin = None if source is None or source.trial_id == trial_id else source.trial_id
        new = None if params is None else check_suggestion(Suggestion(params=params), "Offer.resume").params  # type: ignore[arg-type]
        self.events.append(Resume(trial_id, live.branch, step, checkpoint, origin, new, self._busy, self._free, why))
        self.picks += 1
        if self._free > 0:
            self._free -= 1
            self._busy += 1

    def _check_source(self, source: Paused) -> None:
        """Only the checkpoints that trials in flight paused with, or go on from, are kept."""
        if not isinstance(source, Paused):
            raise SchedulerError(
                "Offer.resume(source=)",
                "it is no pause of a trial",
                found=source,
                expected="a Paused event, which tells the step and the checkpoint",
                remedy="Keep the last one of each trial, as apply() is told of it",
            )
        owner = self._state.live.get(source.trial_id)
        if owner is None or (owner.step, owner.checkpoint) != (source.step, source.checkpoint):
            where = "it has ended" if owner is None else f"it goes on from step {owner.step or 0}"
            raise SchedulerError(
                "Offer.resume(source=)",
                f"what trial {source.trial_id!r} held after step {source.step} is not kept: {where}",
                found=source.trial_id,
                expected="the last pause of a trial that has not ended",
                remedy="Forget a trial's pause at its next one, when it goes on from another one's, and at its score",
            )

    def end(self, trial_id: str, *, complete: bool = False, why: str = "") -> None:
        """End a paused trial: it is COMPLETED with the metrics of its last report, or STOPPED."""
        live = self._paused(trial_id, "end")
        if complete:
            self._check_scored(live)
        verdict = Verdict.COMPLETE if complete else Verdict.STOP
        self.events.append(Stop(verdict.value, why, trial_id, live.branch, live.step))
        self.picks += 1

    def _check_scored(self, live: LiveTrial) -> None:
        try:
            self._state.goal.scores(live.reports[-1].metrics if live.reports else {})
        except MetricError as wrong:
            # refused before it is recorded: what is in the journal without a score could never be scored
            raise MetricError(f"trial[{live.id}] cannot be completed with its last report: {wrong}") from None

    def _paused(self, trial_id: str, call: str) -> LiveTrial:
        live = self._state.paused.get(trial_id)
        if live is None or trial_id in self._taken_up:
            raise SchedulerError(
                f"Offer.{call}", f"trial {trial_id!r} is not paused", found=trial_id, expected="a paused trial, once in a turn"
            )
        self._taken_up.add(trial_id)
        return live

    def wait(self, why: str) -> None:
        """Leave the free slots idle for now, for this reason."""
        self.idle_why = why

    def finish(self) -> tuple[Event, ...]:
        """The events of this turn; a ``wait`` event among them when slots stay idle for a new reason."""
        if self._free > 0:
            why = self.idle_why or ("the budget of trials is spent" if self.limit == 0 else "") or self._why
            if why and (self.picks or why != self._state.waiting_why):
                self.events.append(Wait(why, self._busy, self._free))
        return tuple(self.events)

    # -- drawing ---------------------------------------------------------------------------------------------------------------

    def draw_all(self) -> None:
        """Draw a finite optimizer whole."""
        left = self._strategies.remaining()
        if left:
            self._draw(left, None)

    def _draw(self, wanted: int, wish: Wish | None) -> list[Draw]:
        if self._reused < len(self._undrawn):
            drawn = self._undrawn[self._reused :]
            self._new_ids.update(draw.id for draw in drawn if draw.id is not None)
        else:
            index = self._state.suggested + self._drawn
            drawn = self._strategies.suggest(wanted, index, self._state.drawn + self._drawn, wish, self._picked)
            for draw in drawn:
                self._taken.check(draw, self._new_ids)
            self._undrawn.extend(drawn)
        self._reused = len(self._undrawn)
        self._drawn += len(drawn)
        for draw in drawn:
            self.events.append(draw)
            if not self._state.is_pruned(draw.branch):
                self._fresh.append(draw)
                self._fresh_waiting[draw.suggestion] = draw
        if not drawn:
            self.dry = True
            in_flight = bool(self._state.live or self._state.pool or self._fresh)
            self._why = self._strategies.why_none(made=self._state.drawn + self._drawn, in_flight=in_flight)
        return drawn

    def _oldest_waiting(self) -> Draw | None:
        if self._oldest is None:
            self._oldest = iter(self._state.pool.values())
            self._head = next(self._oldest, None)
        while self._head is not None and self._head.suggestion in self._gone:
            self._head = next(self._oldest, None)
        if self._head is not None:
            return self._head
        return next(iter(self._fresh_waiting.values()), None)

    def _oldest_with(self, wish: Wish) -> Draw | None:
        for source in (self._state.pool, self._fresh_waiting):
            for draw in source.values():
                if draw.suggestion not in self._gone and wish.met_by(draw):
                    return draw
        return None

    def _find(self, index: int) -> Draw | None:
        """A suggestion that waits, by number."""
        found = self._fresh_waiting.get(index)
        return found if found is not None or index in self._gone else self._state.pool.get(index)

    def _number_as_id(self, number: int) -> str:
        name = str(number)
        if not self._state.numbered_ids and not self._new_ids:
            return name
        while name in self._state.explicit_ids or name in self._new_ids or name in self._taken:
            name += "-"
        return name
