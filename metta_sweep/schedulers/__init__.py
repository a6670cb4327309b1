"""When trials start, and how long they run. One scheduler per file; add one by adding its file and its line here."""

from metta_sweep.schedulers.asha import ASHAScheduler as ASHAScheduler
from metta_sweep.schedulers.batch import BatchScheduler as BatchScheduler
from metta_sweep.schedulers.batch import SynchronousBatchScheduler as SynchronousBatchScheduler
from metta_sweep.schedulers.contextual_ucb import ContextualUCB as ContextualUCB
from metta_sweep.schedulers.discounted_ucb import DiscountedUCB as DiscountedUCB
from metta_sweep.schedulers.fifo import FIFOScheduler as FIFOScheduler
from metta_sweep.schedulers.hyperband import HyperbandScheduler as HyperbandScheduler
from metta_sweep.schedulers.iteration import IterationScheduler as IterationScheduler
from metta_sweep.schedulers.linear_ucb import LinearUCB as LinearUCB
from metta_sweep.schedulers.median_stopping import MedianStoppingScheduler as MedianStoppingScheduler
from metta_sweep.schedulers.pareto_ucb import ParetoUCB as ParetoUCB
from metta_sweep.schedulers.pbt import PBTScheduler as PBTScheduler
from metta_sweep.schedulers.pbt_schedule import ParameterSchedule as ParameterSchedule
from metta_sweep.schedulers.picking import BranchPicker as BranchPicker
from metta_sweep.schedulers.picking import SuggestionPicker as SuggestionPicker
from metta_sweep.schedulers.round_robin import RoundRobin as RoundRobin
from metta_sweep.schedulers.scheduler import Follow as Follow
from metta_sweep.schedulers.scheduler import Offer as Offer
from metta_sweep.schedulers.scheduler import Scheduler as Scheduler
from metta_sweep.schedulers.scheduler import Waiting as Waiting

__all__ = [name for name in dir() if name[0].isupper()]  # pyright: ignore[reportUnsupportedDunderAll]
