"""For people who test their pipelines and sweeps, or add a member: crashes, recording hooks, a virtual clock, conformance."""

from metta_sweep.testing.bandits import deterministic_expander, make_deterministic_runner, naive_best
from metta_sweep.testing.caches import clear_cache
from metta_sweep.testing.crashes import Crashed, CrashPlan, NeverReached, crash_at
from metta_sweep.testing.executor_conformance import ExecutorConformance
from metta_sweep.testing.optimizer_conformance import OptimizerConformance
from metta_sweep.testing.optimizer_driver import OptimizerDriver
from metta_sweep.testing.recording import RecordedCall, RecordingHooks
from metta_sweep.testing.scheduler_conformance import SchedulerConformance
from metta_sweep.testing.store_conformance import StoreConformance
from metta_sweep.testing.virtual import NothingToWaitFor, VirtualLoop, run_virtual

__all__ = [
    "CrashPlan",
    "Crashed",
    "ExecutorConformance",
    "NeverReached",
    "NothingToWaitFor",
    "OptimizerConformance",
    "OptimizerDriver",
    "RecordedCall",
    "RecordingHooks",
    "SchedulerConformance",
    "StoreConformance",
    "VirtualLoop",
    "clear_cache",
    "crash_at",
    "deterministic_expander",
    "make_deterministic_runner",
    "naive_best",
    "run_virtual",
]
