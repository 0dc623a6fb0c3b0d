"""One run as the cluster has it: its Job, its pod, and what the two together say. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from core.ids import GpuId, RunId
from k8s.jobs import CONTAINER
from k8s.logs import Place
from k8s.scheduling import Waits
from k8s.shapes import Job, Node, Pod, Terminated, seconds
from k8s.waits import quota

SKEW_S = 3.0  # a cluster's clock that is further from ours is believed; else what is seen happens when it is seen


@dataclass
class Run:
    """One that has not ended. It is never doubted that a Job exists until it was seen."""

    id: RunId
    name: str  # of its Job
    gpu_type: str = ""
    is_ordered: bool = False  # its Job is being made, or was
    held: Waits | None = None  # why not all of it could be made yet
    is_tried: bool = False  # the cluster may have heard of it
    made_at: float | None = None
    job: Job | None = None  # as last seen
    pod: Pod | None = None
    node: Node | None = None  # of its pod, as it was when that last changed
    is_job_gone: bool = False
    is_pod_gone: bool = False
    started_at: float | None = None  # set once it was reported
    gpu: GpuId | None = None
    cancelled_at: float | None = None
    is_ending: bool = False
    why: str = ""  # it is given up, whatever the cluster says

    def refused(self, over_quota: str) -> None:
        """What the server said when it made one of its parts not; "" once it does."""
        self.held = quota(over_quota) if over_quota else None

    @property
    def is_wanted(self) -> bool:
        return self.cancelled_at is None and not self.is_ending

    @property
    def is_seen(self) -> bool:
        return self.job is not None or self.pod is not None


def terminated(pod: Pod) -> Terminated | None:
    """The end of the container that trains."""
    found = [each.state.terminated for each in pod.status.container_statuses if each.name == CONTAINER]
    return next(filter(None, found), None)


def started(pod: Pod) -> datetime | None:
    """When the container began; None if it did not. A pod that was never begun may have ended nevertheless."""
    for each in pod.status.container_statuses:
        state = each.state.running or each.state.terminated
        if each.name == CONTAINER and state is not None and state.started_at is not None:
            return state.started_at
    return None


def is_over(run: Run) -> bool:
    """Its end is there to be read, or it is gone without one."""
    if run.why:
        return True
    if run.pod is not None:
        return run.pod.has_ended or terminated(run.pod) is not None or run.is_pod_gone
    failed = run.job is not None and any(
        condition.type == "Failed" and condition.status == "True" for condition in run.job.status.conditions
    )
    return failed or run.is_job_gone


def moment(stamp: datetime | None, now: float) -> float:
    """Seconds since the epoch of what is seen now; the cluster's stamps are whole seconds of its own clock."""
    at = seconds(stamp, now)
    return now if abs(now - at) <= SKEW_S else min(at, now)


def place(pod: Pod) -> Place:
    return Place(pod.metadata.namespace, pod.name, CONTAINER)
