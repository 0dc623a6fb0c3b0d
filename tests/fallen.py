"""Pods as the cluster shows them after a run ended, and what is made of them."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from labelled import h100

from core.executor import Ended
from core.executors.local_outcome import Limits
from core.ids import RunId
from core.transcript import Reader
from k8s.causes import Case, outcome
from k8s.shapes import (
    Condition,
    ContainerState,
    ContainerStatus,
    Event,
    Job,
    Meta,
    Node,
    Pod,
    PodSpec,
    PodStatus,
    Terminated,
)

RUN = RunId("e1-1")
THEN = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
RESULT = "fingerprint: abc\n---\nval_bpb:          0.997900\ntraining_seconds: 300.0\n"
LIMITS = Limits(timeout_s=720, output_mb=64, memory_mb=4096)
EVICTED_BY_NODE = "Container app was using 188Ki, request is 0, has larger consumption of "


def log(text: str) -> Reader:
    reader = Reader()
    reader.feed(text.encode())
    return reader


def message(**said: object) -> str:
    return json.dumps({"exit_code": None, "signal": None, "cause": "", "reason": "", "log": "", **said})


def ended(code: int, *, reason: str = "Error", message: str = "", signal: int = 0) -> ContainerState:
    end = Terminated(exit_code=code, signal=signal, reason=reason, message=message, started_at=THEN, finished_at=THEN)
    return ContainerState(terminated=end)


def pod(
    state: ContainerState | None = None,
    *,
    phase: str = "Failed",
    reason: str = "",
    message: str = "",
    deleted: bool = False,
    disrupted: str = "",
    at: datetime = THEN,
) -> Pod:
    """On n1; without a state of its container unless one is given."""
    target = (Condition(type="DisruptionTarget", status="True", reason=disrupted, message="told"),) if disrupted else ()
    return Pod(
        metadata=Meta(name="p", uid="p1", creation_timestamp=at, deletion_timestamp=THEN if deleted else None),
        spec=PodSpec(node_name="n1"),
        status=PodStatus(
            phase=phase,
            reason=reason,
            message=message,
            conditions=target,
            container_statuses=(ContainerStatus(name="train", state=state),) if state else (),
        ),
    )


def told(
    *pods: Pod,
    text: str = "",
    job: Job | None = Job(metadata=Meta(name="j")),  # noqa: B008  frozen
    node: Node | None = h100(),  # noqa: B008  frozen
    last_node: Node | None = None,
    events: tuple[Event, ...] = (),
    cancelled: bool = False,
) -> Ended | None:
    case = Case(
        run=RUN,
        job=job,
        pods=pods,
        node=node,
        last_node=last_node,
        events=events,
        log=log(text) if text else None,
        limits=LIMITS,
        cancelled=cancelled,
        now=5.0,
    )
    return outcome(case)


def end_of(
    *pods: Pod,
    text: str = "",
    node: Node | None = h100(),  # noqa: B008  frozen
    last_node: Node | None = None,
    cancelled: bool = False,
) -> Ended:
    end = told(*pods, text=text, node=node, last_node=last_node, cancelled=cancelled)
    assert end is not None
    return end


def down() -> Node:
    return Node(metadata=Meta(name="n1"))
