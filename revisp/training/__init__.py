"""Training under Lightning: the task, its callbacks, and the run."""
