"""Why a run waits, in plain words: `waiting`. What the scheduler says of it is read in `k8s.scheduling`.

Asks no cluster.
"""

from __future__ import annotations

from collections.abc import Iterable

from core.transcript import clean
from k8s.scheduling import Waits, scheduling
from k8s.shapes import Condition, Event, Job, Pod, true

_IMAGE = frozenset(
    {"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError"}
    | {"RegistryUnavailable"}
)
_CONFIG = frozenset({"CreateContainerConfigError", "CreateContainerError", "RunContainerError", "CrashLoopBackOff"})


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
        return Waits("quota", f"the namespace's quota is used up: {_quota(failed)}")
    if failed:
        return Waits("config", f"its pod cannot be made: {clean(failed, 300)}")
    return Waits("starting", "its pod is being made")


def _quota(message: str) -> str:
    return clean(message.partition("exceeded quota: ")[2] or message, 200)


def _unscheduled(condition: Condition, events: list[Event]) -> Waits:
    if condition.reason == "SchedulingGated":
        return Waits("queue", "the queue has not let it go yet")
    if any(event.reason == "TriggeredScaleUp" for event in events):
        return Waits("scaling", "a node is being added for it")
    return scheduling(condition.message)


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
