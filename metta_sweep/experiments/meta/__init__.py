"""Experiments that search the settings of other experiments."""

from metta_sweep.experiments.meta.meta import MetaExperiment

__all__ = ["MetaExperiment"]
