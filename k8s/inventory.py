"""The GPUs of a cluster and who holds each: `fleet(offers, pods)`; and where a run of a GPU type may go.

A node is read once per change (`offer`), as reading labels costs more than all the rest. The API server does not say
which of a node's GPUs a pod has, so pods are given the free ones in order and keep them (`places`). Asks no cluster.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

import msgspec

from core.errors import NothingRuns
from core.events import Gpu
from core.ids import GpuId
from k8s.labels import HOSTNAME, Kind, gpu_kinds, whole
from k8s.settings import ClusterSettings, Toleration
from k8s.shapes import Node, Pod, Taint

MANAGER = "app.kubernetes.io/managed-by"
MANAGED = "autoresearch-tui"
SESSION = "autoresearch-tui/session"
OTHERS = "others"  # who exactly cannot be seen
_PLAIN = frozenset({"nvidia.com/gpu", "amd.com/gpu", "gpu.intel.com/i915", "gpu.intel.com/xe"})
_CONDITIONS = ("node.kubernetes.io/", "node.cloudprovider.kubernetes.io/")

Places = dict[str, tuple[GpuId, ...]]  # the GPUs that a pod on a node has, by the pod's uid; () if it asked for none


class Slot(msgspec.Struct, frozen=True):
    gpu: Gpu  # held_by says why nothing can start there, "" where something can
    resource: str


class Offer(msgspec.Struct, frozen=True):
    """What a node has for us; nothing if the settings leave it out."""

    node: Node
    kinds: tuple[Kind, ...] = ()
    slots: tuple[Slot, ...] = ()
    ids: frozenset[GpuId] = frozenset()


class Placement(msgspec.Struct, frozen=True):
    """How a pod gets a GPU of a type: what it asks for, and the terms of its node affinity, of which one must hold."""

    resource: str
    terms: tuple[dict[str, Any], ...]


def offer(node: Node, settings: ClusterSettings) -> Offer:
    labels = node.metadata.labels
    if any(labels.get(key) != value for key, value in settings.node_selector.items()):
        return Offer(node)
    kinds = gpu_kinds(node)
    why, is_broken = _closed(node, settings.tolerated)
    slots = tuple(_slots(node, kinds, why, is_broken))
    return Offer(node, kinds, slots, frozenset(slot.gpu.id for slot in slots))


def fleet(offers: Iterable[Offer], pods: Iterable[Pod], *, session: str, places: Places) -> tuple[Gpu, ...]:
    """All GPUs, in a stable order. Those that our own pods have are not held; others' are, by their namespace.

    `session` is the value of the session's label, `places` what the function of that name told.
    """
    holders = {gpu: _holder(pod, session) for pod in pods for gpu in places.get(pod.metadata.uid, ())}
    slots = [slot.gpu for found in sorted(offers, key=lambda found: found.node.name) for slot in found.slots]
    return tuple(_held(gpu, holders.get(gpu.id)) for gpu in slots)


def places(offers: Iterable[Offer], pods: Iterable[Pod], before: Mapping[str, tuple[GpuId, ...]]) -> Places:
    """GPUs by pod. A pod keeps what it had `before`; a new one gets the first that are free on its node."""
    by_node: dict[str, list[Pod]] = defaultdict(list)
    for pod in pods:
        if pod.spec.node_name and not pod.has_ended:
            by_node[pod.spec.node_name].append(pod)
    found: Places = {}
    for at in offers:
        if at.slots and (here := by_node.get(at.node.name)):
            found |= _as_before(at, here, before) or _seated(at, here, before)
    return found


def placement(gpu_type: str, offers: Collection[Offer]) -> Placement:
    """By the nodes' own labels; by node names where a label does not tell the type from another. Raises NothingRuns."""
    here = [(found, kind) for found in offers for kind in found.kinds if kind.type == gpu_type]
    if not here:
        there = ", ".join(sorted({kind.type for found in offers for kind in found.kinds})) or "no GPU at all"
        raise NothingRuns(f"There is no {gpu_type} in this cluster, only {there}: change the tier's GPU types.")
    counts: Counter[str] = Counter()
    for _, kind in here:
        counts[kind.resource] += kind.count + kind.broken
    resource = max(sorted(counts), key=lambda name: counts[name])
    chosen = [(found, kind) for found, kind in here if kind.resource == resource]
    types = _types_by_label({kind.key for _, kind in chosen}, resource, offers)
    values: dict[str, set[str]] = defaultdict(set)
    for found, kind in chosen:
        is_clear = types[kind.key, kind.value] == {gpu_type}
        key, value = (kind.key, kind.value) if is_clear else (HOSTNAME, _hostname(found.node))
        values[key].add(value)
    return Placement(resource, tuple(_term(key, sorted(values[key])) for key in sorted(values)))


def requested(pod: Pod) -> dict[str, int]:
    """GPUs by resource that a pod asks for; containers that prepare it run one after the other, before it."""
    wanted: Counter[str] = Counter()
    for container in pod.spec.containers:
        wanted.update(_gpus(container.resources.limits or container.resources.requests))
    for container in pod.spec.init_containers:
        wanted |= Counter(_gpus(container.resources.limits or container.resources.requests))
    return dict(wanted)


def is_ours(pod: Pod, session: str) -> bool:
    labels = pod.metadata.labels
    return labels.get(MANAGER) == MANAGED and labels.get(SESSION) == session


def tolerates(tolerations: Iterable[Toleration], taint: Taint) -> bool:
    """By the rules of the scheduler."""
    return any(
        (not given.effect or given.effect == taint.effect)
        and (given.key == taint.key or (not given.key and given.operator == "Exists"))
        and (given.operator == "Exists" or given.value == taint.value)
        for given in tolerations
    )


# --- nodes ------------------------------------------------------------------------------------------------------------


def _closed(node: Node, tolerations: tuple[Toleration, ...]) -> tuple[str, bool]:
    """Why nothing of ours can start on a node, and whether the node itself is the reason; "" if it can."""
    if not node.is_ready:
        return "not ready", True
    if node.spec.unschedulable:
        return "cordoned", True
    for taint in node.spec.taints:
        if taint.effect in ("NoSchedule", "NoExecute") and not tolerates(tolerations, taint):
            prefix = next((start for start in _CONDITIONS if taint.key.startswith(start)), "")
            return (taint.key.removeprefix(prefix), True) if prefix else (f"reserved ({taint.key})", False)
    return "", False


def _slots(node: Node, kinds: tuple[Kind, ...], why: str, is_broken: bool) -> Iterator[Slot]:
    for kind in kinds:
        middle = "" if kind.resource in _PLAIN else kind.resource.rpartition("/")[2] + "/"
        fault = "MIG is not set up" if kind.flavour == "invalid" else "unhealthy"
        for index in range(kind.count + kind.broken):
            is_faulty = index >= kind.count
            gpu = Gpu(
                GpuId(f"{node.name}/{middle}{index}"),
                kind.type,
                kind.memory_mb,
                why or (fault if is_faulty else ""),
                is_broken or is_faulty,
            )
            yield Slot(gpu, kind.resource)


# --- pods -------------------------------------------------------------------------------------------------------------


def _gpus(amounts: Mapping[str, str]) -> dict[str, int]:
    return {name: count for name, text in amounts.items() if _is_gpu(name) and (count := whole(text))}


def _is_gpu(resource: str) -> bool:
    return resource in _PLAIN or resource.startswith(("nvidia.com/gpu", "nvidia.com/mig-"))


def _as_before(at: Offer, pods: list[Pod], before: Mapping[str, tuple[GpuId, ...]]) -> Places:
    """Of most nodes at most times nothing changed; {} if it did."""
    had = {uid: before[uid] for pod in pods if (uid := pod.metadata.uid) in before}
    is_same = len(had) == len(pods) and all(at.ids.issuperset(gpus) for gpus in had.values())
    return had if is_same else {}


def _seated(at: Offer, pods: list[Pod], before: Mapping[str, tuple[GpuId, ...]]) -> Places:
    free: dict[str, list[GpuId]] = defaultdict(list)
    for slot in sorted(at.slots, key=lambda slot: slot.gpu.held_by == "unhealthy"):
        free[slot.resource].append(slot.gpu.id)
    wanted = {pod.metadata.uid: requested(pod) for pod in sorted(pods, key=_age)}
    found = {uid: _kept(before.get(uid, ()), asked, free) for uid, asked in wanted.items()}
    for uid, asked in wanted.items():
        if asked and not found[uid]:
            found[uid] = tuple(gpu for name, count in asked.items() for gpu in _taken(free[name], count))
    return {uid: gpus for uid, gpus in found.items() if gpus or not wanted[uid]}


def _age(pod: Pod) -> tuple[float, str]:
    created = pod.metadata.creation_timestamp
    return (created.timestamp() if created else 0.0, pod.metadata.uid)


def _kept(had: tuple[GpuId, ...], asked: Mapping[str, int], free: dict[str, list[GpuId]]) -> tuple[GpuId, ...]:
    """What a pod had, taken out of `free`; () if it is not all there any more."""
    there = [gpu for name in asked for gpu in free[name]]
    if len(had) != sum(asked.values()) or not set(had) <= set(there):
        return ()
    for name in asked:
        free[name] = [gpu for gpu in free[name] if gpu not in had]
    return had


def _taken(free: list[GpuId], count: int) -> list[GpuId]:
    taken, free[:] = free[:count], free[count:]
    return taken


def _holder(pod: Pod, session: str) -> str:
    if is_ours(pod, session):
        return ""
    labels = pod.metadata.labels
    if labels.get(MANAGER) == MANAGED and (other := labels.get(SESSION)):
        return f"session {other}"
    return pod.metadata.namespace or OTHERS


def _held(gpu: Gpu, holder: str | None) -> Gpu:
    """`holder`: "" for ourselves, None for nobody."""
    return gpu if holder is None or holder == gpu.held_by else msgspec.structs.replace(gpu, held_by=holder)


# --- placement --------------------------------------------------------------------------------------------------------


def _types_by_label(keys: set[str], resource: str, offers: Iterable[Offer]) -> dict[tuple[str, str], set[str]]:
    """GPU types that nodes with a label's value give for a resource: a label that says one type says it clearly."""
    types: dict[tuple[str, str], set[str]] = defaultdict(set)
    for found in offers:
        labels = found.node.metadata.labels
        for key in keys & labels.keys():
            types[key, labels[key]].update(kind.type for kind in found.kinds if kind.resource == resource)
    return types


def _hostname(node: Node) -> str:
    return node.metadata.labels.get(HOSTNAME, node.name)


def _term(key: str, values: list[str]) -> dict[str, Any]:
    return {"matchExpressions": [{"key": key, "operator": "In", "values": values}]}
