"""Why a run waits, in plain words: `waiting`. Of all that the scheduler counts, what stands between it and a GPU.

Nodes that are not of its type do not count: that none of them takes it is as it should be. Asks no cluster.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Literal

import msgspec

from core.transcript import clean
from k8s.shapes import Condition, Event, Job, Pod, true

Kind = Literal["starting", "gpu", "room", "nodes", "taint", "scaling", "queue", "quota", "image", "volume", "config"]
_IMAGE = frozenset(
    {"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError"}
    | {"RegistryUnavailable"}
)
_CONFIG = frozenset({"CreateContainerConfigError", "CreateContainerError", "RunContainerError", "CrashLoopBackOff"})
_COUNT = re.compile(r"(\d+) (.+?)(?=, \d+ |\.?$)")
_TAINT = re.compile(r"taint\w* \{([^:}]+)")
_ILL = {  # what the cluster itself finds wrong with a node, by its taint
    "node.kubernetes.io/unreachable": "unreachable",
    "node.kubernetes.io/not-ready": "not ready",
    "node.kubernetes.io/unschedulable": "cordoned",
    "node.kubernetes.io/memory-pressure": "short of memory",
    "node.kubernetes.io/disk-pressure": "short of disk",
    "node.kubernetes.io/pid-pressure": "short of process ids",
    "node.kubernetes.io/network-unavailable": "without network",
    "node.kubernetes.io/out-of-service": "out of service",
    "node.cloudprovider.kubernetes.io/uninitialized": "not set up yet",
    "node.cloudprovider.kubernetes.io/shutdown": "shut down",
}
_ELSEWHERE = re.compile(r"didn't match|did not match|affinity|selector")


class Waits(msgspec.Struct, frozen=True):
    kind: Kind
    reason: str  # completes "e12-1 waits: …"

    @property
    def needs_a_person(self) -> bool:
        """It does not pass by itself, or not soon."""
        return self.kind in ("image", "config", "nodes", "taint", "quota")


def absent(gpu_type: str, types: Iterable[str]) -> Waits:
    """No node has such a GPU now; `types`: those that there are."""
    there = ", ".join(sorted(types))
    return Waits("nodes", f"there is no {gpu_type} in the cluster now{f', only {there}' if there else ''}")


def waiting(job: Job | None, pod: Pod | None, events: Iterable[Event] = ()) -> Waits | None:
    """None once it runs or has ended. `events` of the Job and its pod."""
    told = sorted(events, key=lambda event: event.at, reverse=True)
    if pod is None:
        return _without_pod(job, told)
    if pod.status.phase not in ("Pending", ""):
        return None
    scheduled = next((found for found in pod.status.conditions if found.type == "PodScheduled"), Condition())
    if scheduled.status == "False":
        return _unscheduled(scheduled, told)
    return _on_its_node(pod, told)


def _without_pod(job: Job | None, events: list[Event]) -> Waits | None:
    if job is None:
        return None
    if true(job.status.conditions, "Suspended"):
        return Waits("queue", "the queue has not let it go yet")
    failed = next((event.message for event in events if event.reason == "FailedCreate"), "")
    if "exceeded quota" in failed:
        return quota(failed)
    if failed:
        return Waits("config", f"its pod cannot be made: {clean(failed, 300)}")
    return Waits("starting", "its pod is being made")


def quota(message: str) -> Waits:
    """Of what the server says when it refuses a Job, a ConfigMap or a pod."""
    return Waits(
        "quota", f"the namespace's quota is used up: {clean(message.partition('exceeded quota: ')[2] or message, 200)}"
    )


def _unscheduled(condition: Condition, events: list[Event]) -> Waits:
    if condition.reason == "SchedulingGated":
        return Waits("queue", "the queue has not let it go yet")
    if any(event.reason == "TriggeredScaleUp" for event in events):
        return Waits("scaling", "a node is being added for it")
    return scheduling(condition.message)


def scheduling(message: str) -> Waits:
    """Of the scheduler's message, such as "0/7 nodes are available: 3 Insufficient nvidia.com/gpu, 4 node(s) …"."""
    counts = message.partition("nodes are available: ")[2].partition("preemption:")[0].strip().rstrip(".")
    reasons = [(int(match[1]), match[2]) for match in _COUNT.finditer(counts)]
    ours = [(count, reason) for count, reason in reasons if not _ELSEWHERE.search(reason)]
    for read in (_full, _reserved, _cramped, _ill):
        if waits := read(ours):
            return waits
    if reasons and not ours:
        return Waits("nodes", "no node has this GPU type and the labels that are asked for")
    return Waits("room", clean(message, 300) or "the scheduler has not looked at it yet")


Counts = list[tuple[int, str]]


def _full(counts: Counts) -> Waits | None:
    for count, reason in counts:
        resource = reason.removeprefix("Insufficient ")
        if resource != reason and "/" in resource:
            return Waits("gpu", f"no GPU is free on the {_nodes(count)} that could take it{_besides(counts)}")
    return None


def _besides(counts: Counts) -> str:
    """More nodes of the type, and what keeps it from them."""
    said = [f"{_nodes(count)} {what}" for count, what in _sick(counts)]
    said += [f"{_nodes(count)} reserved ({taint})" for count, taint in _taints(counts)]
    return f"; {', '.join(said)}" if said else ""


def _sick(counts: Counts) -> Counts:
    """Nodes that take nothing at present, and why."""
    found = [
        (count, "cordoned" if "were unschedulable" in reason else _ILL.get(_taint(reason))) for count, reason in counts
    ]
    return [(count, what) for count, what in found if what is not None]


def _taints(counts: Counts) -> Counts:
    """Nodes that are kept for others, and the taint that says so."""
    found = [(count, _taint(reason)) for count, reason in counts if "taint" in reason]
    return [(count, taint) for count, taint in found if taint not in _ILL]


def _reserved(counts: Counts) -> Waits | None:
    for count, taint in _taints(counts):
        return Waits(
            "taint", f"{_are(count, 'reserved')} by the taint {taint}: wait, or add it to kubernetes.tolerations"
        )
    return None


def _cramped(counts: Counts) -> Waits | None:
    for count, reason in counts:
        if reason.startswith("Insufficient "):
            return Waits(
                "room",
                f"too little {reason.removeprefix('Insufficient ')} is free on {_nodes(count)}{_besides(counts)}",
            )
    return None


def _ill(counts: Counts) -> Waits | None:
    sick = _sick(counts)
    if not sick or len(sick) < len(counts):
        return None
    return Waits("nodes", f"{' and '.join(_are(*each) for each in sick)}: no other has this GPU type")


def _taint(reason: str) -> str:
    match = _TAINT.search(reason)
    return clean(match[1].strip(), 80) if match else "that is not tolerated"


def _nodes(count: int) -> str:
    return f"{count} node" if count == 1 else f"{count} nodes"


def _are(count: int, what: str) -> str:
    return f"{_nodes(count)} {'is' if count == 1 else 'are'} {what}"


def _on_its_node(pod: Pod, events: list[Event]) -> Waits:
    waits = [status.state.waiting for status in pod.status.container_statuses if status.state.waiting]
    for state in waits:
        if state.reason in _IMAGE:
            return Waits("image", f"its image cannot be pulled: {clean(state.message or state.reason, 300)}")
        if state.reason in _CONFIG:
            return Waits("config", f"its container cannot be made: {clean(state.message or state.reason, 300)}")
    for event in events:
        if event.reason in ("FailedMount", "FailedAttachVolume"):
            return Waits("volume", f"a volume cannot be mounted: {clean(event.message, 300)}")
        if event.reason == "Pulling":
            return Waits("starting", f"{pod.spec.node_name} pulls the image")
        if event.reason in ("Pulled", "Created"):
            break
    return Waits("starting", f"{pod.spec.node_name or 'a node'} prepares it")
