"""GPUs that others hold where we may not see others: the scheduler gave a run that waits none of them.

How many, not which: the API server does not say which GPU of a node a pod has. It remembers, so that a GPU between two
runs of ours is not taken for somebody else's, and asks nobody.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterable

from core.events import Gpu
from core.ids import GpuId

SETTLE_S = 15.0  # a scheduler may look at a waiting pod again only 10 s after a GPU is freed
FORGET_S = 30.0  # without a run that waits in vain, as many may be free again: the next one that waits will tell


class Hidden:
    def __init__(self) -> None:
        self._idle_since: dict[GpuId, float] = {}
        self._counts: Counter[str] = Counter()
        self._blocked_at: dict[str, float] = {}  # by type: when a run of it waited in vain last

    def remember(self, held: Iterable[Gpu], now: float) -> None:
        """`held`: what others had when they were seen last. They are believed to have it for a while."""
        for gpu in held:
            self._idle_since[gpu.id] = -math.inf
            self._counts[gpu.type] += 1
            self._blocked_at[gpu.type] = now

    def forget(self) -> None:
        """Others are seen again."""
        self._idle_since.clear()
        self._counts.clear()
        self._blocked_at.clear()

    def among(self, idle: Iterable[Gpu], blocked: Collection[str], now: float) -> frozenset[GpuId]:
        """Those of `idle`, which nobody is known to have, that are not free. `blocked`: types of runs that wait."""
        gpus = {gpu.id: gpu for gpu in idle}
        self._idle_since = {name: self._idle_since.get(name, now) for name in gpus}
        self._blocked_at |= dict.fromkeys(blocked, now)
        long = Counter(gpu.type for name, gpu in gpus.items() if now - self._idle_since[name] >= SETTLE_S)
        for kind in blocked:
            self._counts[kind] = max(self._counts[kind], long[kind])
        for kind in list(self._counts):
            if now - self._blocked_at[kind] >= FORGET_S:
                del self._counts[kind]
        return frozenset(name for kind, count in self._counts.items() for name in self._longest(gpus, kind)[:count])

    def _longest(self, gpus: dict[GpuId, Gpu], kind: str) -> list[GpuId]:
        """Of this type, what has been idle longest first: what was ours just now is the last to be believed lost."""
        return sorted((name for name, gpu in gpus.items() if gpu.type == kind), key=self._idle_since.__getitem__)
