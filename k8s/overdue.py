"""What never comes as a change: a run whose end nobody will report, by the time that has passed. Pure."""

from __future__ import annotations

import math

from core.executors.local_outcome import Limits
from k8s.run import Run
from k8s.settings import ClusterSettings
from k8s.shapes import Node, Pod, seconds
from k8s.spot import by_cloud
from k8s.waits import waiting

STRANDED_S = 5.0  # after the end of a pod's grace on a node that does not answer
OVERDUE_S = 30.0  # beyond its grace, until a pod that does not stop is believed to have


def overdue(run: Run, node: Node | None, settings: ClusterSettings, limits: Limits, now: float) -> str:
    """Why a run is given up, whatever the cluster says; "" while it is not. `node`: that of its pod, if it is there."""
    if run.cancelled_at is not None and now > run.cancelled_at + settings.grace_s + OVERDUE_S:
        return "it was stopped, and its pod did not end"
    if run.pod is not None and is_stranded(run.pod, node, now):
        return silent(run.pod, node or run.node)
    if run.started_at is not None and now > run.started_at + limits.timeout_s + 2 * settings.grace_s + OVERDUE_S:
        return "its time was over, and its pod did not end"  # its starter kills it long before
    placed_at = seconds(run.pod.status.start_time, now) if run.pod is not None else now
    if run.started_at is None and now > placed_at + settings.start_s:
        waits = run.held or waiting(run.job, run.pod)
        return f"its pod did not start within {settings.start_s:g} s" + (f": {waits.reason}" if waits else "")
    return ""


def is_stranded(pod: Pod, node: Node | None, now: float = math.inf) -> bool:
    """It was to be removed, and its node is not there to do it."""
    going = pod.metadata.deletion_timestamp
    return going is not None and (node is None or not node.is_ready) and now > seconds(going) + STRANDED_S


def silent(pod: Pod, node: Node | None) -> str:
    """`node`: as it was last seen."""
    return by_cloud(f"its node {pod.spec.node_name} stopped answering", node)
