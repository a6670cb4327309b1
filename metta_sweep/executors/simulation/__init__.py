"""The parts of ``SimulatedExecutor``: courses of trial functions, their cost, attempts, and courses that are paused."""
