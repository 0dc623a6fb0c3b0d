"""Why a run waits, in plain words."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from k8s.scheduling import Waits
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
from k8s.waits import waiting

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


def test_of_the_schedulers_message_what_matters_is_told() -> None:
    waits = why(pending("0/4 nodes are available: 4 node(s) didn't match Pod's node affinity/selector."))
    assert waits == Waits("nodes", "no node has this GPU type and the labels that are asked for")


def test_a_volume_claim_that_is_not_there_needs_a_person() -> None:
    waits = why(pending('0/2 nodes are available: persistentvolumeclaim "corpus" not found.'))
    assert waits.needs_a_person


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
