"""GPU boxes and Slurm login nodes over SSH: one kind of place behind `core.executor.Executor`."""
