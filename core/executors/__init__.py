"""Places where runs happen. Each module here is one kind of place behind `core.executor.Executor`."""
