"""The fleet as it is observed: what nodes offer, read once per change, and which GPU each pod has. Asks no cluster."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from core.events import Gpu
from core.ids import GpuId
from k8s.hidden import Hidden
from k8s.inventory import OTHERS, Offer, Places, fleet, is_ours, offer, places
from k8s.mirror import Mirror
from k8s.run import Run
from k8s.settings import ClusterSettings
from k8s.shapes import Node, Pod, seconds
from k8s.waits import waiting

_replace = msgspec.structs.replace

PATIENCE_S = 5.0  # schedulers take a moment to see that a GPU is free again


class Fleet:
    def __init__(self, settings: ClusterSettings, session: str) -> None:
        """`session`: the value of the session's label."""
        self._settings, self._session = settings, session
        self._offers: dict[str, Offer] = {}
        self._places: Places = {}
        self._hidden = Hidden()
        self._others: frozenset[GpuId] = frozenset()  # GPUs that others held when they were seen last

    @property
    def offers(self) -> tuple[Offer, ...]:
        return tuple(self._offers.values())

    @property
    def types(self) -> frozenset[str]:
        return frozenset(kind.type for found in self._offers.values() for kind in found.kinds)

    def node_changed(self, node: Node, gone: bool) -> bool:
        """Whether it has other GPUs than before."""
        before = self._offers.pop(node.name, Offer(node))
        if not gone:
            self._offers[node.name] = offer(node, self._settings)
        return self._offers.get(node.name, Offer(node)).kinds != before.kinds

    def gpus(self, mirror: Mirror, runs: Iterable[Run], now: float) -> tuple[Gpu, ...]:
        """All of them, and who holds each. Where others' pods may not be seen, `runs` that wait tell of them."""
        pods = self._pods(mirror)
        self._places = places(self._offers.values(), pods, self._places)
        found = fleet(self._offers.values(), pods, session=self._session, places=self._places)
        if not mirror.sees_others:
            return self._with_hidden(found, runs, now)
        self._hidden.forget()
        self._others = frozenset(gpu.id for gpu in found if gpu.held_by)
        return found

    def _with_hidden(self, found: tuple[Gpu, ...], runs: Iterable[Run], now: float) -> tuple[Gpu, ...]:
        taken = {gpu for gpus in self._places.values() for gpu in gpus}
        idle = [gpu for gpu in found if not gpu.held_by and gpu.id not in taken]
        self._hidden.remember((gpu for gpu in idle if gpu.id in self._others), now)
        self._others = frozenset()
        hidden = self._hidden.among(idle, {run.gpu_type for run in runs if _needs_gpu(run, now)}, now)
        return tuple(_replace(gpu, held_by=OTHERS) if gpu.id in hidden else gpu for gpu in found)

    def gpu_of(self, pod: Pod, mirror: Mirror) -> GpuId:
        """The first that this pod has; one of its node that nobody is known to have, if it came just now."""
        uid, node = pod.metadata.uid, pod.spec.node_name
        if uid not in self._places and node in self._offers:
            here = {each.metadata.uid: each for each in self._pods(mirror) if each.spec.node_name == node} | {uid: pod}
            self._places |= places([self._offers[node]], here.values(), self._places)
        return next(iter(self._places.get(uid, ())), GpuId(f"{node}/0"))

    def _pods(self, mirror: Mirror) -> list[Pod]:
        """Ours as our own watch has them, which never depends on the right to see others'."""
        others = mirror.all_pods.things.values() if mirror.sees_others else ()
        return [*(pod for pod in others if not is_ours(pod, self._session)), *mirror.pods.things.values()]


def _needs_gpu(run: Run, now: float) -> bool:
    """The scheduler has said for a while that there is none for it, though by our own count there is."""
    if run.started_at is not None or run.pod is None:
        return False
    if now - seconds(run.pod.metadata.creation_timestamp, now) < PATIENCE_S:
        return False
    waits = waiting(run.job, run.pod)
    return waits is not None and waits.kind == "gpu"
