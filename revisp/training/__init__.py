"""Training with Lightning: the task, its callbacks, and the run."""
