"""What is kept of a run and found again: checkpoints, files, the cache, and the plan of a resume."""
