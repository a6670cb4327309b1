"""Population based training: members are trained side by side, copy those that do better, and change what they copied."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Never

from metta_sweep.core.distributions import Choice, Distribution, LogInteger, Uniform
from metta_sweep.core.events import Event, Reported
from metta_sweep.core.goal import Goal
from metta_sweep.core.search_space import SearchSpace
from metta_sweep.core.seeds import derive_seed, unit_floats
from metta_sweep.core.setup import Setup
from metta_sweep.core.trial import Report, Trial, Verdict
from metta_sweep.errors import refuse_unknown
from metta_sweep.schedulers.checks import check_count
from metta_sweep.schedulers.pbt_explore import Explorer
from metta_sweep.schedulers.pbt_population import Member, Population, quantile_size
from metta_sweep.schedulers.pbt_schedule import ParameterSchedule, schedule_of
from metta_sweep.schedulers.pbt_settings import (
    OPTIONS,
    WHERE,
    Exploit,
    Explore,
    check_explored,
    factors_of,
    methods_of,
    seed_of,
    share_of,
    space_of,
)
from metta_sweep.schedulers.reported_values import higher_is_better, unjudgeable
from metta_sweep.schedulers.scheduler import Offer, Scheduler

if TYPE_CHECKING:
    from pydantic import BaseModel


__all__ = ["PBTScheduler"]


class PBTScheduler(Scheduler):
    """Population based training. SOURCE: Jaderberg et al. 2017, "Population Based Training of Neural Networks", algorithm 1.

    Each member of the population is a trial, which reports every epoch and keeps its state in ``trial.checkpoint_dir``. After every
    ``epochs_per_generation`` steps it pauses. When a slot is free it goes on, those behind first: a member that does badly beside
    the scores of the others takes the checkpoint, the step and the parameters of one that does well (exploit), and changes the
    parameters (explore); any other goes on as it was. After ``num_generations`` it is complete, with its last metrics.
    Nobody waits for anybody. Members that are ahead are compared by their score at the generation of the one that is to go on;
    those behind it count where they do better already. With fewer slots than members they are paused and resumed in turn; when all
    have come to a generation it is decided together for all that are paused there.

    A member that neither takes nor may be taken from goes on without a pause, where each has a slot: by ``"truncation"`` the middle
    of the ranks.

    The first parameters come from the optimizer; random search by default. Wants ``population_size`` slots, and ends the run
    itself. A member that fails for good in the first half of its generations is replaced by a new suggestion, up to
    ``population_size`` times in a run; if it does badly it takes the place of a good one at its first comparison. Later failures
    leave a smaller population. Members that are complete are no longer compared with, nor copied.

    Every decision is in the trace, as ``resume`` events with their reasons; ``schedule(results)`` tells which parameters the best
    trial's state was trained with, step by step, to be used again without a population.

    Args:
        population_size: members, at least 2.
        num_generations: generations of each member, at least 1.
        exploit_method: ``"truncation"``: one of the bottom ``quantile`` takes the place of a member of the top ``quantile``, all
            equally likely (of n members ``ceil(n * quantile)`` are top and as many bottom, at most half of them).
            ``"tournament"``: each compares itself with one other, all equally likely, and takes its place if that one is better.
        explore_method: ``"perturb"``: each parameter is drawn anew with ``resample_probability``, else multiplied by one of
            ``perturb_factors``; whole numbers are rounded, and move at least by one; of a choice of numbers the next larger or
            smaller one is taken; other choices are drawn anew; of an order two neighbours are swapped. ``"resample"``: each
            parameter is drawn anew with ``resample_probability``, else kept. Either way it stays in its domain; what a choice
            brings or takes follows it.
        quantile: share of the population, above 0 and at most 0.5.
        epochs_per_generation: steps between comparisons, at least 1.
        resample_probability: from 0 to 1.
        perturb_factors: numbers above 0.
        search_space: the parameters that may change while a member is trained; others are copied as they are. By default all. Leave
            out those that shape the model, whose checkpoint another one could not load.
        seed: a whole number; None: derived from the sweep's seed. Decisions depend on it, the member and how often it went on.

    Raises:
        SchedulerError: a setting is out of its range.
    """

    needs_reports = True
    needs_pauses = True
    proposes = True
    bounds_itself = True

    tunable: ClassVar[Mapping[str, Distribution]] = {
        "population_size": LogInteger(4, 50),
        "exploit_method": Choice(["truncation", "tournament"]),
        "explore_method": Choice(["perturb", "resample"]),
        "quantile": Uniform(0.05, 0.5),
        "epochs_per_generation": LogInteger(1, 10),
        "resample_probability": Uniform(0.0, 1.0),
        "perturb_factors": Choice([[1.1, 0.9], [1.2, 0.8], [1.5, 0.67], [2.0, 0.5]]),
    }

    def __init__(
        self,
        population_size: int = 20,
        num_generations: int = 50,
        exploit_method: Exploit = "truncation",
        explore_method: Explore = "perturb",
        quantile: float = 0.25,
        epochs_per_generation: int = 1,
        resample_probability: float = 0.25,
        perturb_factors: Sequence[float] = (1.2, 0.8),
        search_space: Mapping[str, Distribution] | type[BaseModel] | SearchSpace | None = None,
        seed: int | None = None,
        **unknown: Never,
    ) -> None:
        refuse_unknown(WHERE, unknown, OPTIONS)
        self.population_size = check_count(f"{WHERE}(population_size=)", population_size, least=2, example=20)
        self.num_generations = check_count(f"{WHERE}(num_generations=)", num_generations, example=50)
        self.exploit_method, self.explore_method = methods_of(exploit_method, explore_method)
        self.quantile = share_of("quantile", quantile, most=0.5, zero=False)
        self.epochs_per_generation = check_count(f"{WHERE}(epochs_per_generation=)", epochs_per_generation, example=1)
        self.resample_probability = share_of("resample_probability", resample_probability, most=1.0, zero=True)
        self.perturb_factors = factors_of(perturb_factors)
        self.search_space = space_of(search_space)
        self.seed = seed_of(seed)
        self.default_slots = self.population_size
        self._population = Population()
        self._goal = Goal()
        self._stream = 0
        self._explorer: Explorer | None = None
        self._each_has_a_slot = False

    def for_run(self, setup: Setup) -> PBTScheduler:
        """A new one with these settings and no history. Raises ``SchedulerError`` when there is nothing to explore."""
        explored = check_explored(self.search_space, setup.search_space)
        factors = self.perturb_factors if self.explore_method == "perturb" else ()
        fresh = copy.deepcopy(self)
        vars(fresh).update(
            _goal=setup.goal,
            _stream=derive_seed(setup.seed, "scheduler") if self.seed is None else self.seed,
            _explorer=Explorer(explored.top, self.resample_probability, factors),
            _each_has_a_slot=setup.slots >= self.population_size,
        )
        return fresh

    # -- decisions -------------------------------------------------------------------------------------------------------------

    def pick(self, offer: Offer) -> None:
        """New members first, then those that are paused.

        When all have come to a generation it is decided for all that are paused there, whether or not a slot is idle: so with few
        slots nobody is compared with members that have been trained longer.
        """
        population = self._population
        new, why = self._start(offer)
        # in this turn nothing more can start: nothing is left, or the budget allows no more
        full = population.started >= self._wanted or bool(why) or offer.idle > offer.free
        for member in population.ready():
            together = full and not new and population.all_at(member.judged)
            if not offer.idle and not together:
                return
            self._go_on(offer, member)
        if offer.idle:
            offer.wait(why or f"all {len(population.members)} members are being trained")

    def judge(self, trial: Trial, report: Report) -> Verdict:
        """At the end of a generation: to pause, that it is complete, or to go on where nothing is to be decided."""
        member = self._population.members[trial.id]
        generation = self._generation(report.step)
        if generation < 1 or generation < member.verdict_from:
            return Verdict.CONTINUE
        if not self._population.any_score and member.verdict is Verdict.CONTINUE:
            raise unjudgeable(WHERE, self._goal, trial, report)
        return member.verdict

    def next_judged(self, trial_id: str, step: int) -> int | None:
        """The end of the next generation."""
        return (max(step, 0) // self.epochs_per_generation + 1) * self.epochs_per_generation

    def finished(self) -> str | None:
        """When all members have ended."""
        population = self._population
        if population.members or population.started < self._wanted:
            return None
        return f"all {population.started} members have ended"

    def apply(self, event: Event) -> None:
        """Take note of one event; what is said of a report is decided here, once."""
        if isinstance(event, Reported):
            self._reported(event)
        else:
            self._population.apply(event, self._generation, self.num_generations / 2)

    @staticmethod
    def schedule(results: Any, trial_id: str | None = None) -> ParameterSchedule:
        """Which parameters the state of a trial was trained with, from its first ancestor on.

        Args:
            results: of a sweep with this scheduler.
            trial_id: the trial; None: the best one.

        Raises:
            SchedulerError: there is no such trial.
        """
        return schedule_of(results.trace, trial_id if trial_id is not None or results.best is None else results.best.id)

    # -- pieces ----------------------------------------------------------------------------------------------------------------

    @property
    def _wanted(self) -> int:
        """How many members there are to be in all."""
        return self.population_size + min(self._population.early_failures, self.population_size)

    def _generation(self, step: int) -> int:
        return step // self.epochs_per_generation

    def _start(self, offer: Offer) -> tuple[int, str]:
        """Start new members; how many, and why there are no more now where there should be."""
        new = 0
        while offer.free and self._population.started + new < self._wanted:
            waiting = offer.next()
            if waiting is None:
                return new, offer.why
            new += 1
            offer.pick(waiting, why=f"member {self._population.started + new} of {self._wanted}")
        return new, ""

    def _go_on(self, offer: Offer, member: Member) -> None:
        """Let a paused member go on, as it was or in the place of another one."""
        ranked = self._population.ranked(member)
        order = [other for other, _ in ranked]
        rank = order.index(member) + 1 if member in order else 0
        here = f"rank {rank} of {len(ranked)}" if rank else "without a score"
        source = self._source(member, ranked, rank)
        taken = None if source is None else source.standing()
        if source is None or taken is None or self._explorer is None:
            offer.resume(member.id, queue=True, why=f"keeps its parameters ({here})")
            return
        params, notes = self._explorer.explore(self._population.params[source.id], self._draws(member))
        place = order.index(source)
        there = f"score {self._goal.sign * ranked[place][1]:.4g}, rank {place + 1} of {len(ranked)}"
        why = f"exploits trial {source.id} ({there}) from {here}: {', '.join(notes) or 'the same parameters'}"
        offer.resume(member.id, source=taken, params=params, queue=True, why=why)

    def _source(self, member: Member, ranked: Sequence[tuple[Member, float]], rank: int) -> Member | None:
        """Whom a member copies; None: nobody."""
        if not rank:
            return None
        if self.exploit_method == "tournament":
            others = [one for one in ranked if one[0] is not member and one[0].standing() is not None]
            other = self._one_of(others, member)
            return other[0] if other is not None and other[1] > ranked[rank - 1][1] else None
        size = quantile_size(len(ranked), self.quantile)
        if rank <= len(ranked) - size:
            return None
        best = self._one_of([one for one in ranked[:size] if one[0].standing() is not None], member)
        return None if best is None else best[0]

    def _one_of(self, members: Sequence[tuple[Member, float]], chooser: Member) -> tuple[Member, float] | None:
        if not members:
            return None
        (unit,) = unit_floats(derive_seed(self._stream, "exploit", chooser.number), chooser.turn, 1)
        return members[int(unit * len(members))]

    def _draws(self, member: Member) -> Callable[[str], list[float]]:
        return lambda name: unit_floats(derive_seed(self._stream, "explore", member.number, name), member.turn, 3)

    def _reported(self, event: Reported) -> None:
        member = self._population.members.get(event.trial_id)
        generation = self._generation(event.step)
        if member is None or generation < 1 or generation < member.judged:
            return
        value = higher_is_better(self._goal, event.metrics)
        if generation == member.judged:
            if event.step == member.judged_step and value is not None:
                self._population.scored(
                    member, generation, value
                )  # of an attempt that begins anew: it is the one whose checkpoint is kept
            return
        member.judged, member.judged_step = generation, event.step
        if value is not None:
            self._population.scored(member, generation, value)
        if member.verdict is not Verdict.PAUSE:
            member.verdict, member.verdict_from = self._verdict(member, generation, scored=value is not None), generation

    def _verdict(self, member: Member, generation: int, *, scored: bool) -> Verdict:
        if generation >= self.num_generations:
            return Verdict.COMPLETE
        if not scored:
            return Verdict.CONTINUE
        if not self._each_has_a_slot or self.exploit_method == "tournament":
            return Verdict.PAUSE
        ranked = [other for other, _ in self._population.ranked(member)]
        rank = ranked.index(member) + 1
        takes = rank > len(ranked) - quantile_size(len(ranked), self.quantile)
        # as if all had a score already: who is among the best of few must be there to be copied
        is_taken_from = rank <= quantile_size(self.population_size, self.quantile)
        return Verdict.PAUSE if takes or is_taken_from else Verdict.CONTINUE
