"""Every scheduler of the package passes the conformance suite."""

from __future__ import annotations

import pytest

from metta_sweep.schedulers import (
    ASHAScheduler,
    ContextualUCB,
    DiscountedUCB,
    FIFOScheduler,
    HyperbandScheduler,
    IterationScheduler,
    LinearUCB,
    MedianStoppingScheduler,
    PBTScheduler,
    RoundRobin,
    Scheduler,
    SynchronousBatchScheduler,
)
from metta_sweep.testing import SchedulerConformance


class TestASHAScheduler(SchedulerConformance):
    """Promotion, as in the paper."""

    trials = 14

    def make_scheduler(self) -> Scheduler:
        """Rungs at 1 and 3 epochs."""
        return ASHAScheduler(max_epochs=9, grace_period=1)


class TestASHASchedulerInBrackets(SchedulerConformance):
    """Promotion in three brackets."""

    trials = 12

    def make_scheduler(self) -> Scheduler:
        """The last bracket lets its trials run to their end."""
        return ASHAScheduler(max_epochs=9, reduction_factor=2, grace_period=2, brackets=3)


class TestASHASchedulerStopping(SchedulerConformance):
    """Trials are stopped at rungs."""

    def make_scheduler(self) -> Scheduler:
        """As in the textbook."""
        return ASHAScheduler(max_epochs=9, grace_period=1, mode="stopping")


class TestASHASchedulerRay(SchedulerConformance):
    """By the rule of Ray Tune."""

    def make_scheduler(self) -> Scheduler:
        """In two brackets."""
        return ASHAScheduler(max_epochs=9, grace_period=1, rule="ray", brackets=2)


class TestASHASchedulerSyneTune(SchedulerConformance):
    """By the rule of Syne Tune."""

    def make_scheduler(self) -> Scheduler:
        """In one bracket."""
        return ASHAScheduler(max_epochs=9, grace_period=1, rule="syne_tune")


class TestMedianStoppingScheduler(SchedulerConformance):
    """Vizier's rule."""

    trials = 12

    def make_scheduler(self) -> Scheduler:
        """As soon as two have completed."""
        return MedianStoppingScheduler(min_trials=2)


class TestMedianStoppingSchedulerRay(SchedulerConformance):
    """By the rule of Ray Tune."""

    def make_scheduler(self) -> Scheduler:
        """As soon as there are two others."""
        return MedianStoppingScheduler(min_trials=2, grace_period=2, max_epochs=9, rule="ray")


class TestFIFOScheduler(SchedulerConformance):
    """In the order of suggestions, to the end."""

    def make_scheduler(self) -> Scheduler:
        """As it comes."""
        return FIFOScheduler()


class TestHyperbandScheduler(SchedulerConformance):
    """Three brackets."""

    trials = 22

    def make_scheduler(self) -> Scheduler:
        """Of 9, 5 and 3 trials; then the first again, which the budget cuts short."""
        return HyperbandScheduler(max_epochs=9)


class TestSuccessiveHalving(SchedulerConformance):
    """Hyperband's first bracket alone."""

    def make_scheduler(self) -> Scheduler:
        """Of 9 trials, of which the budget lets 8 start."""
        return HyperbandScheduler(max_epochs=9, brackets=1)


class TestIterationScheduler(SchedulerConformance):
    """Two branches; rewards in [0, 1], which falling curves have not."""

    symmetric = False

    def make_scheduler(self) -> Scheduler:
        """Branches by ``arm``."""
        return IterationScheduler(branch_by="arm", prune_floor=0.4, prune_after_runs=2)


class TestIterationSchedulerDiscounted(SchedulerConformance):
    """Branches by discounted UCB."""

    symmetric = False

    def make_scheduler(self) -> Scheduler:
        """Branches by ``arm``."""
        return IterationScheduler(branch_by="arm", picker=DiscountedUCB())


class TestIterationSchedulerRoundRobin(SchedulerConformance):
    """Branches in turn."""

    symmetric = False

    def make_scheduler(self) -> Scheduler:
        """Branches by ``arm``."""
        return IterationScheduler(branch_by="arm", picker=RoundRobin())


class TestIterationSchedulerLinear(SchedulerConformance):
    """Suggestions by LinUCB over their parameters."""

    symmetric = False

    def make_scheduler(self) -> Scheduler:
        """Chosen of six at a time."""
        return IterationScheduler(picker=LinearUCB(candidates=6))


class TestIterationSchedulerContextual(SchedulerConformance):
    """A bandit for each value of ``arm``."""

    symmetric = False

    def make_scheduler(self) -> Scheduler:
        """Chosen of six at a time."""
        return IterationScheduler(picker=ContextualUCB("arm", candidates=6))


class TestSynchronousBatchScheduler(SchedulerConformance):
    """Batches of three."""

    def make_scheduler(self) -> Scheduler:
        """The last batch is short."""
        return SynchronousBatchScheduler(batch_size=3)


class TestSynchronousBatchSchedulerWithStragglers(SchedulerConformance):
    """Batches of four, and the next one when three have ended."""

    trials = 12

    def make_scheduler(self) -> Scheduler:
        """Stragglers run on beside the next batch."""
        return SynchronousBatchScheduler(batch_size=4, min_finished=0.75)


class TestPBTScheduler(SchedulerConformance):
    """Truncation, and parameters that are perturbed."""

    def make_scheduler(self) -> Scheduler:
        """Six members, compared after each step."""
        return PBTScheduler(population_size=6, num_generations=9)


class TestPBTSchedulerTournament(SchedulerConformance):
    """Tournaments, and parameters that are drawn anew."""

    def make_scheduler(self) -> Scheduler:
        """Five members, compared after every second step; the last step comes after the last generation."""
        return PBTScheduler(
            population_size=5, num_generations=4, epochs_per_generation=2, exploit_method="tournament", explore_method="resample"
        )


MEMBERS = [
    member
    for member in list(globals().values())
    if isinstance(member, type) and issubclass(member, SchedulerConformance) and member is not SchedulerConformance
]


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("member", MEMBERS)
def test_a_run_killed_after_any_record_decides_as_one_that_was_not(member: type[SchedulerConformance]) -> None:
    """Not only after some of them."""
    whole: SchedulerConformance = type(f"Whole{member.__name__}", (member,), {"kill_points": 1_000_000})()
    whole.test_a_killed_run_goes_on_as_if_nothing_had_happened()
