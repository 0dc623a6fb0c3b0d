"""What became of a run on the cluster: `outcome`. The experiment's fault is a crash, the cluster's makes it lost.

A complete result counts, whatever happened to the pod afterwards. Otherwise the pod's own words decide, from the most
telling to the least: who took it away, which limit it broke, what the starter wrote, how the process ended. Reads no
log and asks no cluster; how the end of a process and its log are judged is known by core.executors.local_outcome.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import msgspec

from core.executor import Ended
from core.executors.local_outcome import Exit, Limits, ended
from core.ids import RunId
from core.transcript import Reader, clean
from k8s.jobs import CONTAINER
from k8s.shapes import Event, Job, Node, Pod, Terminated, seconds, true
from k8s.spot import by_cloud

_GONE_NODES = {
    "NodeLost": "its node stopped answering",
    "NodeShutdown": "its node was shut down",
    "Shutdown": "its node was shut down",
    "Terminated": "its node was shut down",
    "Preempting": "a more important pod took its place",
    "NodeAffinity": "its node refused it: labels had changed",
}
_DISRUPTIONS = {
    "PreemptionByScheduler": "preempted: a more important pod took its place",
    "DeletionByTaintManager": "its node failed or was reserved, and it was evicted",
    "EvictionByEvictionAPI": "evicted: its node is being drained",
    "DeletionByPodGC": "its node is gone",
    "TerminationByKubelet": "its node had to let go of it",
}
_EVENTS = {
    "Preempted": _DISRUPTIONS["PreemptionByScheduler"],
    "TaintManagerEviction": _DISRUPTIONS["DeletionByTaintManager"],
    "NodeNotReady": _GONE_NODES["NodeLost"],
}
_NODE_GONE = _DISRUPTIONS["DeletionByPodGC"]
_WITH_ITS_NODE = frozenset(
    {
        *(_GONE_NODES[reason] for reason in ("NodeLost", "NodeShutdown")),
        *(_DISRUPTIONS[reason] for reason in _DISRUPTIONS if reason != "PreemptionByScheduler"),
    }
)
_NOT_BEGUN = frozenset({"StartError", "ContainerCannotRun", "RunContainerError", "CreateContainerError"})
_OWN_LIMIT = re.compile(
    r"^(Usage of EmptyDir volume|Pod ephemeral local storage usage|Container \S+ exceeded its local)"
)
_LOW = re.compile(r"low on resource: ([\w./-]*\w)")
_REJECTED = ("UnexpectedAdmissionError", "OutOf", "Admission", "TopologyAffinityError")
SIGTERM_CODE = 143
CLOSE_S = 2.0


class Message(msgspec.Struct, frozen=True):
    """The container's termination message, as starter.py writes it. The run could have written it too."""

    at: float = 0.0  # seconds since the epoch, by its node's clock
    exit_code: int | None = None
    signal: int | None = None
    cause: str = ""
    reason: str = ""
    log: str = ""  # the lines that matter


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """All that is known of a run whose end is to be told."""

    run: RunId
    job: Job | None  # None: it is gone
    pods: tuple[Pod, ...] = ()
    node: Node | None = None  # of the latest pod; None: gone, or not to be seen
    last_node: Node | None = None  # as it was when its pod last changed; it may be gone since
    events: tuple[Event, ...] = ()
    log: Reader | None = None  # the whole log, if it could be had
    limits: Limits
    cancelled: bool = False  # by ourselves
    now: float

    @property
    def pod(self) -> Pod | None:
        """The latest: a Job makes another where the one before vanished."""
        return max(self.pods, key=lambda pod: seconds(pod.metadata.creation_timestamp), default=None)


def outcome(case: Case) -> Ended | None:
    """None while it goes on or waits. "lost" is the cluster's fault and says nothing of the experiment."""
    pod, state = case.pod, _terminated(case.pod)
    if pod is None:
        return _without_pod(case)
    if state is None and not pod.has_ended and not _is_abandoned(case, pod):
        return None
    message = _message(state)
    reader = _reader(case.log, message)
    at = _moment(case, state, message)
    end = _exit(at, state, message)
    if case.cancelled:
        end = msgspec.structs.replace(end, cause="stopped")
    elif not (reader.summary() and end.cause in ("", "timeout", "stopped")) and (lost := _lost(case, pod, state, end)):
        return _ended(case, at, "lost", lost, end, reader)
    elif limit := _broken_limit(case, pod, state):
        return _ended(case, at, "crashed", limit, end, reader)
    elif end.cause == "stopped":  # after its result: nobody was waiting for more
        end = msgspec.structs.replace(end, cause="")
    return ended(case.run, end, reader, case.limits, is_void=False)


def is_infrastructure(end: Ended) -> bool:
    """Whether the run may be repeated at no cost to the experiment."""
    return end.outcome == "lost"


# --- without an end of its own ----------------------------------------------------------------------------------------


def _without_pod(case: Case) -> Ended | None:
    failed = true(case.job.status.conditions, "Failed") if case.job else None
    complete = true(case.job.status.conditions, "Complete") if case.job else None
    if case.job is not None and not (failed or complete or case.job.metadata.deletion_timestamp):
        return None
    reader = case.log or Reader()
    if case.cancelled:
        return _ended(case, case.now, "cancelled", "", None, reader)
    if case.job is None or case.job.metadata.deletion_timestamp:
        why = "somebody else deleted its Job"
    elif failed and failed.reason == "DeadlineExceeded":
        why = "the Job's deadline passed"
    else:
        why = _told_by_events(case) or "its pod is gone, and nothing says why"
    if reader.summary():
        return ended(case.run, Exit(case.now, exit_code=0), reader, case.limits, is_void=False)
    return _ended(case, case.now, "lost", why, None, reader)


def _is_abandoned(case: Case, pod: Pod) -> bool:
    """To be deleted from a node that does not answer, so that nobody will ever report its end."""
    is_silent = case.node is None or not case.node.is_ready
    return pod.metadata.deletion_timestamp is not None and (is_silent or not pod.spec.node_name)


# --- whose fault ------------------------------------------------------------------------------------------------------


def _lost(case: Case, pod: Pod, state: Terminated | None, end: Exit) -> str:
    """Why it was taken from us; "" if it was not."""
    readings: tuple[Callable[[], str], ...] = (
        lambda: _evicted(pod),
        lambda: _disrupted(pod),
        lambda: _refused(pod),
        lambda: _not_begun(case, pod, state),
        lambda: _told_to_stop(case, pod, state, end),
    )
    why = next((why for read in readings if (why := read())), "")
    return by_cloud(why, case.node or case.last_node) if why in _WITH_ITS_NODE else why


def _evicted(pod: Pod) -> str:
    """By its node; what the run did itself is its own fault."""
    if pod.status.reason != "Evicted" or _OWN_LIMIT.match(pod.status.message):
        return ""
    low = _LOW.search(pod.status.message)
    what = {"memory": "memory", "ephemeral-storage": "disk space"}.get(low[1], low[1]) if low else ""
    return f"evicted: its node ran out of {what}" if what else f"evicted: {pod.status.message or 'no reason given'}"


def _disrupted(pod: Pod) -> str:
    if told := true(pod.status.conditions, "DisruptionTarget"):
        is_eviction = pod.status.reason == "Evicted"  # by its own doing: that was looked at before
        return "" if is_eviction else _DISRUPTIONS.get(told.reason, told.message or "the cluster took it away")
    return _GONE_NODES.get(pod.status.reason, "")


def _refused(pod: Pod) -> str:
    """By the node that it was sent to, as when two pods are sent to the last free GPU."""
    if not pod.status.reason.startswith(_REJECTED):
        return ""
    message = pod.status.message.removeprefix("Pod was rejected: ")
    is_race = "Allocate failed" in message or pod.status.reason.startswith("OutOf")
    return f"its node had no free GPU for it after all: {message}" if is_race else f"its node refused it: {message}"


def _not_begun(case: Case, pod: Pod, state: Terminated | None) -> str:
    if state is not None and state.reason in _NOT_BEGUN:
        return f"its container could not start: {state.message or state.reason}"
    if state is not None and state.started_at is not None:
        return ""
    if pod.status.reason == "DeadlineExceeded":
        return "its container did not start in time: the image takes long to pull, or a volume to mount"
    waits = next((status.state.waiting for status in pod.status.container_statuses if status.state.waiting), None)
    if waits and pod.has_ended and waits.reason not in ("ContainerCreating", "PodInitializing"):
        return f"its container could not start: {waits.message or waits.reason}"
    return ""


def _told_to_stop(case: Case, pod: Pod, state: Terminated | None, end: Exit) -> str:
    """Nobody of us did."""
    is_asked = end.cause == "stopped" or (state is None and not pod.has_ended) or end.exit_code == SIGTERM_CODE
    is_deleted = pod.metadata.deletion_timestamp is not None
    if not (is_asked or (is_deleted and not end.cause and end.code != 0)):
        return ""
    if case.node is not None and not case.node.is_ready:
        return _GONE_NODES["NodeLost"]
    if told := _told_by_events(case):
        return told
    if pod.status.reason == "DeadlineExceeded":
        return ""
    return _by_somebody(case, state) if is_deleted else "the cluster told it to stop and did not say why"


def _by_somebody(case: Case, state: Terminated | None) -> str:
    if case.job is None or case.job.metadata.deletion_timestamp is not None:
        return "somebody else deleted its Job"
    if true(case.job.status.conditions, "Suspended"):
        return "the queue took its place back"
    return _NODE_GONE if case.node is None and state is None else "somebody else deleted its pod"


def _told_by_events(case: Case) -> str:
    pod = case.pod
    names = {pod.metadata.uid, pod.name} if pod else set()
    for event in sorted(case.events, key=lambda event: event.at, reverse=True):
        about = event.involved_object
        if event.reason in _EVENTS and (not names or about.uid in names or about.name in names):
            return _EVENTS[event.reason]
    return ""


def _broken_limit(case: Case, pod: Pod, state: Terminated | None) -> str:
    """Which of its limits the run broke; "" if none."""
    if pod.status.reason == "Evicted" and _OWN_LIMIT.match(pod.status.message):
        return f"wrote more to disk than it may, and was killed: {pod.status.message}"
    if state is not None and state.reason == "OOMKilled":
        memory = f" ({case.limits.memory_mb} MB)" if case.limits.memory_mb else ""
        return f"used more main memory than it may{memory} and was killed"
    if pod.status.reason == "DeadlineExceeded":
        return f"ran longer than {case.limits.timeout_s:g} s and was killed"
    return ""


# --- what it left behind ----------------------------------------------------------------------------------------------


def _terminated(pod: Pod | None) -> Terminated | None:
    """The end of our container."""
    statuses = pod.status.container_statuses if pod else ()
    return next((status.state.terminated for status in statuses if status.name == CONTAINER), None)


def _message(state: Terminated | None) -> Message | None:
    try:
        return msgspec.json.decode(state.message if state else "", type=Message)
    except ValueError:
        return None


def _moment(case: Case, state: Terminated | None, message: Message | None) -> float:
    """When it ended. The API server knows whole seconds; the message is finer, and believed as far as both agree."""
    finished = seconds(state.finished_at if state else None, case.now)
    return message.at if message and abs(message.at - finished) <= CLOSE_S else finished


def _exit(at: float, state: Terminated | None, message: Message | None) -> Exit:
    if message is not None:
        return Exit(at, message.exit_code, message.signal, message.cause, clean(message.reason, 500))
    if state is None:
        return Exit(at, reason="its pod ended, and nothing says how")
    number = state.signal or (state.exit_code - 128 if 128 < state.exit_code <= 192 else 0)
    if number and state.exit_code != SIGTERM_CODE:
        return Exit(at, signal=number)
    return Exit(at, exit_code=state.exit_code)


def _reader(log: Reader | None, message: Message | None) -> Reader:
    """The log, unless the message has the result and the log does not."""
    if message is None or (log is not None and log.summary()):
        return log or Reader()
    short = Reader()
    short.feed(message.log.encode())
    return log if log is not None and not short.summary() and log.tail(1) else short


def _ended(case: Case, at: float, kind: str, reason: str, end: Exit | None, reader: Reader) -> Ended:
    return Ended(
        run=case.run,
        at=at,
        outcome="lost" if kind == "lost" else "cancelled" if kind == "cancelled" else "crashed",
        fingerprint=reader.fingerprint,
        corpus=reader.corpus,
        exit_code=end.code if end else None,
        reason=clean(reason, 500),
        tail=reader.tail(40),
    )
