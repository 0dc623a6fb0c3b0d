"""Keeps Python's garbage collector away from work that makes many objects and no garbage: reading a long session.

Measured on a million facts: the collector looks again and again at what was read before, a quarter of the time. On a
window with 10,000 experiments, a full collection holds up a key for 70 ms.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def no_collection() -> Iterator[None]:
    """For some milliseconds, as it holds for the whole process; afterwards collection is as it was."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def set_apart() -> None:
    """What there is now is never looked at again: a session that was read stays until its window closes."""
    gc.freeze()
