"""What of the API server's JSON is read: nodes, pods, jobs, events, and the frames of a watch.

Only the fields that something here uses; whatever else the server sends is skipped while decoding. Knows no connection.
Everything is optional, as servers leave out what is empty and send null for some of the rest.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Generic, Literal, NamedTuple, TypeVar

import msgspec

Labels = dict[str, str]


class _Part(msgspec.Struct, frozen=True, rename="camel"):
    pass


class Owner(_Part, frozen=True):
    kind: str = ""
    name: str = ""
    uid: str = ""


class Meta(_Part, frozen=True):
    name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    labels: Labels = {}
    annotations: dict[str, str] = {}
    owner_references: tuple[Owner, ...] = ()
    creation_timestamp: datetime | None = None
    deletion_timestamp: datetime | None = None


class Condition(_Part, frozen=True):
    type: str = ""
    status: str = ""  # "True", "False" or "Unknown"
    reason: str = ""
    message: str = ""
    last_transition_time: datetime | None = None


def true(conditions: tuple[Condition, ...], kind: str) -> Condition | None:
    """The condition of this type, if it holds."""
    return next((found for found in conditions if found.type == kind and found.status == "True"), None)


# --- nodes ------------------------------------------------------------------------------------------------------------


class Taint(_Part, frozen=True):
    key: str = ""
    value: str = ""
    effect: str = ""  # NoSchedule, PreferNoSchedule or NoExecute


class NodeSpec(_Part, frozen=True):
    unschedulable: bool = False
    taints: tuple[Taint, ...] = ()
    provider_id: str = msgspec.field(default="", name="providerID")


class NodeStatus(_Part, frozen=True):
    allocatable: dict[str, str] = {}  # quantities, as texts
    capacity: dict[str, str] = {}
    conditions: tuple[Condition, ...] = ()


class Node(_Part, frozen=True):
    metadata: Meta = Meta()
    spec: NodeSpec = NodeSpec()
    status: NodeStatus = NodeStatus()

    @property
    def name(self) -> str:
        return self.metadata.name

    @property
    def is_ready(self) -> bool:
        """False also for Unknown: a node that no longer reports."""
        return true(self.status.conditions, "Ready") is not None


# --- pods -------------------------------------------------------------------------------------------------------------


class Resources(_Part, frozen=True):
    limits: dict[str, str] = {}
    requests: dict[str, str] = {}


class Container(_Part, frozen=True):
    name: str = ""
    resources: Resources = Resources()


class PodSpec(_Part, frozen=True):
    node_name: str = ""
    containers: tuple[Container, ...] = ()
    init_containers: tuple[Container, ...] = ()


class Waiting(_Part, frozen=True):
    reason: str = ""
    message: str = ""


class Running(_Part, frozen=True):
    started_at: datetime | None = None


class Terminated(_Part, frozen=True):
    exit_code: int = 0
    signal: int = 0
    reason: str = ""
    message: str = ""
    started_at: datetime | None = None
    finished_at: datetime | None = None


class ContainerState(_Part, frozen=True):
    waiting: Waiting | None = None
    running: Running | None = None
    terminated: Terminated | None = None


class ContainerStatus(_Part, frozen=True):
    name: str = ""
    image: str = ""
    restart_count: int = 0
    state: ContainerState = ContainerState()


class PodStatus(_Part, frozen=True):
    phase: str = ""  # Pending, Running, Succeeded, Failed or Unknown
    reason: str = ""
    message: str = ""
    start_time: datetime | None = None  # when the node took it, before images are pulled
    conditions: tuple[Condition, ...] = ()
    container_statuses: tuple[ContainerStatus, ...] = ()
    init_container_statuses: tuple[ContainerStatus, ...] = ()


class Pod(_Part, frozen=True):
    metadata: Meta = Meta()
    spec: PodSpec = PodSpec()
    status: PodStatus = PodStatus()

    @property
    def name(self) -> str:
        return self.metadata.name

    @property
    def has_ended(self) -> bool:
        return self.status.phase in ("Succeeded", "Failed")


# --- jobs and events --------------------------------------------------------------------------------------------------


class JobStatus(_Part, frozen=True):
    active: int = 0
    succeeded: int = 0
    failed: int = 0
    start_time: datetime | None = None
    completion_time: datetime | None = None
    conditions: tuple[Condition, ...] = ()  # Complete, Failed, Suspended


class Job(_Part, frozen=True):
    metadata: Meta = Meta()
    status: JobStatus = JobStatus()

    @property
    def name(self) -> str:
        return self.metadata.name


class Involved(_Part, frozen=True):
    kind: str = ""
    name: str = ""
    namespace: str = ""
    uid: str = ""


class Event(_Part, frozen=True):
    metadata: Meta = Meta()
    involved_object: Involved = Involved()
    type: str = ""  # Normal or Warning
    reason: str = ""
    message: str = ""
    count: int | None = None
    first_timestamp: datetime | None = None
    last_timestamp: datetime | None = None
    event_time: datetime | None = None

    @property
    def at(self) -> float:
        """Seconds since the epoch at which it was seen last; 0 if it does not say."""
        return seconds(self.last_timestamp or self.event_time or self.metadata.creation_timestamp)


def seconds(moment: datetime | None, otherwise: float = 0.0) -> float:
    """Since the epoch."""
    return otherwise if moment is None else moment.timestamp()


# --- lists and watches ------------------------------------------------------------------------------------------------

Thing = TypeVar("Thing", Node, Pod, Job, Event)


class ListMeta(_Part, frozen=True):
    resource_version: str = ""
    continue_: str = msgspec.field(default="", name="continue")  # there is more: ask with this token


class Listed(_Part, Generic[Thing], frozen=True):
    """One page of a list."""

    metadata: ListMeta = ListMeta()
    items: tuple[Thing, ...] = ()


class Failure(_Part, frozen=True):
    """What the server says when it refuses: the body of an error, or the object of an ERROR frame."""

    code: int = 0
    reason: str = ""
    message: str = ""


class Bookmark(NamedTuple):
    resource_version: str  # a watch may go on from here


class Changed(NamedTuple, Generic[Thing]):
    kind: Literal["ADDED", "MODIFIED", "DELETED"]
    object: Thing


class _Frame(msgspec.Struct, frozen=True):
    type: Literal["ADDED", "MODIFIED", "DELETED", "BOOKMARK", "ERROR"]
    object: msgspec.Raw


class _Versioned(_Part, frozen=True):
    metadata: Meta = Meta()


_frame = msgspec.json.Decoder(_Frame)


def decode(kind: type[Thing], body: bytes) -> Thing:
    """Raises ValueError for anything that is no such object, such as a proxy's page of HTML."""
    return msgspec.json.decode(body, type=kind)


def decode_list(kind: type[Thing], body: bytes) -> Listed[Thing]:
    """As `decode`, for one page of a list of such objects."""
    of: Any = Listed  # which kind is known only here
    page: Listed[Thing] = msgspec.json.decode(body, type=of[kind])
    return page


def decode_frame(kind: type[Thing], line: bytes) -> Changed[Thing] | Bookmark | Failure:
    """One line of a watch. Raises ValueError for a line that is no frame."""
    frame = _frame.decode(line)
    if frame.type == "ERROR":
        return decode_failure(frame.object)
    if frame.type == "BOOKMARK":
        return Bookmark(msgspec.json.decode(frame.object, type=_Versioned).metadata.resource_version)
    return Changed(frame.type, msgspec.json.decode(frame.object, type=kind))


def decode_failure(body: bytes | msgspec.Raw) -> Failure:
    """What an answer says that is no success; an empty one for a body that is not the API server's."""
    try:
        return msgspec.json.decode(body, type=Failure)
    except ValueError:  # a proxy's page
        return Failure()
