"""Running a stage: attempts, deadlines, threads and processes, and who is told."""
