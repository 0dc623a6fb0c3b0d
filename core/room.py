"""How many more runs may be launched now, by GPU type: on GPUs that are free, and beyond them to wait for the next one.

Neither goes beyond the operator's limit, which counts all that runs or waits. Pure; what to launch is known elsewhere.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from core.ids import RunId
from core.state import State


class Room:
    """Is used up as launches are planned: `take` takes one place."""

    def __init__(self, free: Counter[str], ready: Counter[str]) -> None:
        self.free, self.ready = free, ready  # on GPUs, and in the queue beyond them

    def take(self, kind: str, *, may_wait: bool) -> bool:
        """Whether there was a place; one in the queue only for what is worth waiting for."""
        place = self.free if self.free[kind] > 0 else self.ready if may_wait else Counter[str]()
        if place[kind] <= 0:
            return False
        place[kind] -= 1
        return True

    def close(self, kind: str, *, but: int = 0) -> None:
        """Leaves `but` places on GPUs of this type, and none to wait for one."""
        self.free[kind], self.ready[kind] = min(self.free[kind], but), 0

    def widest(self, kinds: Iterable[str]) -> str:
        """The type with most places, free ones first; "" without any type."""
        return max(kinds, key=lambda kind: (self.free[kind], self.ready[kind]), default="")


def room(state: State) -> Room:
    usable = Counter(gpu.type for gpu in state.gpus if not gpu.held_by)
    taken = Counter(state.runs[run].gpu_type for run in state.active)
    free, queue = Counter[str](), Counter[str]()
    for kind in dict.fromkeys(gpu.type for gpu in state.gpus):
        under = limit(state, kind) - taken[kind]
        free[kind] = max(0, min(usable[kind] - taken[kind], under))
        beyond = max(0, taken[kind] - usable[kind])
        queue[kind] = max(0, min(ready(state, kind) - beyond, under - free[kind]))
    return Room(free, queue)


def limit(state: State, kind: str) -> int:
    """GPUs that runs of ours may have or wait for; all there are, and what may wait, where the operator set none."""
    most = state.max_gpus.get(kind)
    return len(state.gpus) + len(state.active) + ready(state, kind) if most is None else most


def ready(state: State, kind: str) -> int:
    """Runs that may wait beyond the free GPUs. None for a type of which no GPU works."""
    working = sum(gpu.type == kind and not gpu.broken for gpu in state.gpus)
    if not state.ready.gpus_each or not working:
        return 0
    return state.ready.by_type.get(kind, max(1, working // state.ready.gpus_each))


def stepped(state: State, kind: str, change: int) -> int | None:
    """The limit with so many GPUs more or fewer than now. None once it limits nothing: all there are may be taken, and
    all that may wait do."""
    there = sum(gpu.type == kind for gpu in state.gpus)
    now = state.max_gpus.get(kind)
    if now is None:
        return max(0, there + change) if change < 0 else None
    return now + change if change < 0 or now + change < there + ready(state, kind) else None


def holds_back(state: State) -> bool:
    """Whether the executor keeps runs that wait, which can be taken back from it and cost nothing yet."""
    return state.ready.gpus_each > 0


def surplus(state: State, *, nothing_may_start: bool) -> list[RunId]:
    """Runs that wait at the executor and are not to start any more: all while nothing may, else those beyond a limit.

    The latest are taken back first. What runs already is let finish.
    """
    waiting = [name for name in reversed(state.active) if state.runs[name].started_at is None]
    if nothing_may_start:
        return waiting if holds_back(state) else []
    if not state.max_gpus:
        return []
    over = Counter(state.runs[name].gpu_type for name in state.active)
    over.subtract(state.max_gpus)
    return [name for name in waiting if (kind := state.runs[name].gpu_type) in state.max_gpus and _one_of(over, kind)]


def _one_of(over: Counter[str], kind: str) -> bool:
    over[kind] -= 1
    return over[kind] >= 0
