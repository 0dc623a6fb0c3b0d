"""Why a run waits, in plain words."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from k8s.shapes import (
    Condition,
    ContainerState,
    ContainerStatus,
    Event,
    Job,
    JobStatus,
    Pod,
    PodSpec,
    PodStatus,
    Running,
    Waiting,
)
from k8s.waits import Waits, scheduling, waiting

THEN = datetime(2026, 11, 23, tzinfo=UTC)


def pending(message: str = "", *, reason: str = "Unschedulable") -> Pod:
    condition = Condition(type="PodScheduled", status="False", reason=reason, message=message)
    return Pod(status=PodStatus(phase="Pending", conditions=(condition,)))


def placed(reason: str, message: str = "") -> Pod:
    state = ContainerState(waiting=Waiting(reason, message))
    status = PodStatus(phase="Pending", container_statuses=(ContainerStatus(name="train", state=state),))
    return Pod(spec=PodSpec(node_name="n1"), status=status)


def why(pod: Pod | None, *events: Event, job: Job | None = None) -> Waits:
    waits = waiting(job or Job(), pod, events)
    assert waits is not None
    return waits


@pytest.mark.parametrize(
    ("message", "kind", "words"),
    [
        (
            (
                "0/1 nodes are available: 1 Insufficient nvidia.com/gpu. preemption: 0/1 nodes are available: 1 No "
                "preemption victims found for incoming pod."
            ),
            "gpu",
            "no GPU is free on the 1 node that could take it",
        ),
        (
            (
                "0/7 nodes are available: 3 Insufficient nvidia.com/gpu, 4 node(s) didn't match Pod's node "
                "affinity/selector. preemption: 0/7 nodes are available: 3 No preemption victims found for incoming "
                "pod, 4 Preemption is not helpful for scheduling."
            ),
            "gpu",
            "no GPU is free on the 3 nodes that could take it",
        ),
        (
            (
                "0/3 nodes are available: 1 Insufficient ephemeral-storage, 1 Insufficient nvidia.com/gpu, 2 node(s) "
                "didn't match Pod's node affinity/selector. preemption: 0/3 nodes are available: 1 No preemption "
                "victims found for incoming pod, 2 Preemption is not helpful for scheduling."
            ),
            "gpu",
            "no GPU is free on the 1 node that could take it",
        ),
        (
            (
                "0/317 nodes are available: 2 Insufficient nvidia.com/gpu, 2 node(s) were unschedulable, 313 didn't "
                "match node affinity"
            ),
            "gpu",
            "no GPU is free on the 2 nodes that could take it; 2 nodes cordoned",
        ),
        (
            (
                "0/10 nodes are available: 5 Insufficient nvidia.com/gpu, 5 node(s) had untolerated taint "
                "{gpu-class-reservation=h100: NoSchedule}."
            ),
            "gpu",
            "no GPU is free on the 5 nodes that could take it; 5 nodes reserved (gpu-class-reservation=h100)",
        ),
        (
            (
                "0/6 nodes are available: 5 node(s) had untolerated taint {team: NoSchedule}, 1 node(s) didn't match "
                "Pod's node affinity/selector."
            ),
            "taint",
            "5 nodes are reserved by the taint team: wait, or add it to kubernetes.tolerations",
        ),
        (
            "0/2 nodes are available: 1 node(s) had taint {a: b}, that the pod didn't tolerate, 1 Insufficient cpu.",
            "taint",
            "1 node is reserved by the taint a: wait, or add it to kubernetes.tolerations",
        ),
        (
            (
                "0/16 nodes are available: 12 node(s) had taint {node.kubernetes.io/unreachable: }, that the pod "
                "didn't tolerate, 1 node(s) had taint {node.kubernetes.io/disk-pressure: }, that the pod didn't "
                "tolerate, 3 node(s) didn't match Pod's node affinity."
            ),
            "nodes",
            "12 nodes are unreachable and 1 node is short of disk: no other has this GPU type",
        ),
        (
            (
                "0/5 nodes are available: 3 Insufficient nvidia.com/gpu, 2 node(s) had untolerated taint "
                "{node.kubernetes.io/not-ready: }."
            ),
            "gpu",
            "no GPU is free on the 3 nodes that could take it; 2 nodes not ready",
        ),
        (
            (
                "0/3 nodes are available: 1 node(s) had untolerated taint {node.kubernetes.io/not-ready: }, "
                "2 node(s) had untolerated taint {team: NoSchedule}."
            ),
            "taint",
            "2 nodes are reserved by the taint team: wait, or add it to kubernetes.tolerations",
        ),
        (
            "0/4 nodes are available: 4 node(s) didn't match Pod's node affinity/selector.",
            "nodes",
            "no node has this GPU type and the labels that are asked for",
        ),
        ("0/2 nodes are available: 2 Insufficient cpu.", "room", "too little cpu is free on 2 nodes"),
        (
            "0/2 nodes are available: 2 node(s) were unschedulable.",
            "nodes",
            "2 nodes are cordoned: no other has this GPU type",
        ),
        ("no nodes available to schedule pods", "room", "no nodes available to schedule pods"),
    ],
)
def test_of_the_schedulers_counts_the_one_that_matters_is_told(message: str, kind: str, words: str) -> None:
    waits = scheduling(message)
    assert (waits.kind, waits.reason) == (kind, words)
    assert why(pending(message)) == waits


def test_a_node_that_the_autoscaler_adds_is_worth_waiting_for() -> None:
    waits = why(
        pending("0/1 nodes are available: 1 node(s) didn't match Pod's node affinity."),
        Event(reason="TriggeredScaleUp"),
    )
    assert (waits.kind, waits.needs_a_person) == ("scaling", False)


@pytest.mark.parametrize("reason", ["ErrImagePull", "ImagePullBackOff", "InvalidImageName"])
def test_an_image_that_cannot_be_pulled_needs_a_person(reason: str) -> None:
    waits = why(placed(reason, 'Back-off pulling image "x"'))
    assert waits == Waits("image", 'its image cannot be pulled: Back-off pulling image "x"')
    assert waits.needs_a_person


def test_a_missing_secret_needs_a_person() -> None:
    assert why(placed("CreateContainerConfigError", 'secret "x" not found')).kind == "config"


def test_a_volume_that_cannot_be_mounted_is_told() -> None:
    waits = why(placed("ContainerCreating"), Event(reason="FailedMount", message="claim is lost"))
    assert waits == Waits("volume", "a volume cannot be mounted: claim is lost")


def test_a_node_that_pulls_the_image_says_so() -> None:
    pulling = Event(reason="Pulling", last_timestamp=THEN)
    assert why(placed("ContainerCreating"), pulling).reason == "n1 pulls the image"
    pulled = Event(reason="Pulled", last_timestamp=THEN.replace(minute=1))
    assert why(placed("ContainerCreating"), pulling, pulled).reason == "n1 prepares it"


def test_a_used_up_quota_is_told_by_the_job() -> None:
    refusal = 'pods "x" is forbidden: exceeded quota: gpus, requested: nvidia.com/gpu=1, used: 4, limited: 4'
    waits = why(None, Event(reason="FailedCreate", message=refusal))
    assert waits.kind == "quota"
    assert waits.reason.startswith("the namespace's quota is used up: gpus, requested: nvidia.com/gpu=1")


def test_a_suspended_job_waits_in_the_queue() -> None:
    suspended = Job(status=JobStatus(conditions=(Condition(type="Suspended", status="True"),)))
    assert why(None, job=suspended).kind == "queue"
    assert why(pending(reason="SchedulingGated")).kind == "queue"


def test_what_runs_or_is_over_waits_for_nothing() -> None:
    running = ContainerStatus(name="train", state=ContainerState(running=Running()))
    assert waiting(Job(), Pod(status=PodStatus(phase="Running", container_statuses=(running,)))) is None
    assert waiting(None, None) is None
