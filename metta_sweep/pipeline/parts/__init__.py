"""The parts of a pipeline, as described and as they run: stages, loops, branches, maps, pipelines within pipelines."""
