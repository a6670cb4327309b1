"""How it flows: stages with contracts, hooks and loops, checked as a whole before anything runs. Knows nothing of trials."""

from __future__ import annotations

from metta_sweep.pipeline.builder import Pipeline
from metta_sweep.pipeline.cache import Cache
from metta_sweep.pipeline.context import Context
from metta_sweep.pipeline.contracts.contract import Contract
from metta_sweep.pipeline.describe import DescribedPart, Description
from metta_sweep.pipeline.event_forms import event_line, event_to_dict
from metta_sweep.pipeline.events import (
    BranchTaken,
    HookFailed,
    LoopIterationStarted,
    PipelineEvent,
    PipelineListener,
    StageFailed,
    StageFinished,
    StageRetried,
    StageReused,
    StageStarted,
)
from metta_sweep.pipeline.hooks import HookSet, hooks
from metta_sweep.pipeline.item_failure import ItemFailure
from metta_sweep.pipeline.keeping.artifact import Artifact
from metta_sweep.pipeline.keeping.recording import StoreRecorder
from metta_sweep.pipeline.keeping.resume_plan import ResumePlan, ResumeRow
from metta_sweep.pipeline.plan import PipelineResult, Plan
from metta_sweep.pipeline.proof.binding import accepted_keywords
from metta_sweep.pipeline.proof.outline import Wire
from metta_sweep.pipeline.proof.signature import Parameter, ReadSignature, read_signature
from metta_sweep.pipeline.ref import Ref, ref
from metta_sweep.pipeline.retry import Retry
from metta_sweep.pipeline.running.profile import StageFigures
from metta_sweep.pipeline.stage_context import StageContext
from metta_sweep.pipeline.stream import PlanStream
from metta_sweep.pipeline.through import FieldSet, fields

__all__ = [
    "Artifact",
    "BranchTaken",
    "Cache",
    "Context",
    "Contract",
    "DescribedPart",
    "Description",
    "FieldSet",
    "HookFailed",
    "HookSet",
    "ItemFailure",
    "LoopIterationStarted",
    "Parameter",
    "Pipeline",
    "PipelineEvent",
    "PipelineListener",
    "PipelineResult",
    "Plan",
    "PlanStream",
    "ReadSignature",
    "Ref",
    "ResumePlan",
    "ResumeRow",
    "Retry",
    "StageContext",
    "StageFailed",
    "StageFigures",
    "StageFinished",
    "StageRetried",
    "StageReused",
    "StageStarted",
    "StoreRecorder",
    "Wire",
    "accepted_keywords",
    "event_line",
    "event_to_dict",
    "fields",
    "hooks",
    "read_signature",
    "ref",
]
