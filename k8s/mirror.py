"""What the cluster looks like now: nodes, pods and the session's Jobs, kept by watches.

Says which of our Jobs something happened to, and since when what is known may be old. Decides nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Generic

from core.clock import Clock
from k8s.client import Connection
from k8s.shapes import Changed, Job, Node, Pod, Thing
from k8s.watching import Query, Stale, Synced, watch

Key = tuple[str, str]  # namespace, name
BOUND = "spec.nodeName!=,status.phase!=Succeeded,status.phase!=Failed"  # pods that hold something of a node
REFUSED_S = 3.0  # a server that was started just now says no to this and that for a moment
DOUBTED_S = 10.0  # after which what cannot be seen anew, for another reason, is not believed any more
JOB_LABELS = ("batch.kubernetes.io/job-name", "job-name")


def key_of(thing: Thing) -> Key:
    return thing.metadata.namespace, thing.metadata.name


def job_of(pod: Pod) -> str:
    """The name of its Job; "" for a pod of something else."""
    return next((pod.metadata.labels[label] for label in JOB_LABELS if label in pod.metadata.labels), "")


class Seen(Generic[Thing]):
    """Things of one kind, by namespace and name. `happened` gets each that came, changed or went."""

    def __init__(self, kind: type[Thing], path: str, query: Query, happened: Callable[[Thing, bool], None]) -> None:
        self.kind: type[Thing] = kind
        self.path, self.query = path, query
        self._happened: Callable[[Thing, bool], None] = happened
        self.things: dict[Key, Thing] = {}
        self.stale: Stale | None = None
        self.is_synced = False  # ever
        self.listed_at = 0.0

    def take(self, seen: Synced[Thing] | Changed[Thing] | Stale) -> None:
        match seen:
            case Stale():
                self.stale = seen
            case Synced(items):
                self._replace(items)
            case Changed("DELETED", thing):
                self.things.pop(key_of(thing), None)
                self._happened(thing, True)
            case Changed(_, thing):
                self._put(thing)

    def _put(self, thing: Thing) -> None:
        was = self.things.get(key_of(thing))
        self.things[key_of(thing)] = thing
        if was is not None and was.metadata.uid != thing.metadata.uid:  # gone and made anew between two looks
            self._happened(was, True)
        if was != thing:
            self._happened(thing, False)

    def _replace(self, items: Iterable[Thing]) -> None:
        fresh = {key_of(thing): thing for thing in items}
        gone = [thing for key, thing in self.things.items() if key not in fresh]
        for thing in gone:
            del self.things[key_of(thing)]
        for thing in fresh.values():
            self._put(thing)
        self.stale, self.is_synced = None, True
        for thing in gone:  # after what is there: a run whose pod went may have another
            self._happened(thing, True)


class Mirror:
    def __init__(
        self,
        connection: Connection,
        *,
        clock: Clock,
        selector: str,
        job_changed: Callable[[Job, bool], None],
        pod_changed: Callable[[Pod, bool], None],
        node_changed: Callable[[Node, bool], None],
        others_changed: Callable[[Pod, bool], None],
    ) -> None:
        """`selector`: of the session's own Jobs and pods. The callbacks' second argument: it is gone."""
        self._connection, self._clock = connection, clock
        here, ours = connection.namespace, {"labelSelector": selector}
        self.jobs = Seen(Job, f"/apis/batch/v1/namespaces/{here}/jobs", ours, job_changed)
        self.pods = Seen(Pod, f"/api/v1/namespaces/{here}/pods", ours, pod_changed)
        self.nodes = Seen(Node, "/api/v1/nodes", {}, node_changed)
        self.all_pods = Seen(Pod, "/api/v1/pods", {"fieldSelector": BOUND}, others_changed)
        self.looked = asyncio.Event()  # something was seen, or could not be

    async def keep(self, tasks: asyncio.TaskGroup) -> None:
        tasks.create_task(self._keep(self.jobs), name="watch of Jobs")
        tasks.create_task(self._keep(self.pods), name="watch of our pods")
        tasks.create_task(self._keep(self.nodes), name="watch of nodes")
        tasks.create_task(self._keep(self.all_pods), name="watch of all pods")

    async def _keep(self, seen: Seen[Thing]) -> None:
        async for news in watch(self._connection, seen.kind, seen.path, seen.query, clock=self._clock):
            seen.take(news)
            if isinstance(news, Synced):
                seen.listed_at = self._clock.now()
            self.looked.set()

    @property
    def is_synced(self) -> bool:
        """What decides about runs was seen once."""
        return all(seen.is_synced for seen in (self.jobs, self.pods, self.nodes))

    @property
    def sees_others(self) -> bool:
        """Whether the pods of all namespaces are known, and not only as they once were.

        Many a Role does not allow it, or does no longer. While ours cannot be seen either, it is the connection.
        """
        stale = self.all_pods.stale
        if stale is None or self.stale is not None or not self.all_pods.is_synced:
            return self.all_pods.is_synced
        since = max(stale.since, *(seen.listed_at for seen in (self.jobs, self.pods, self.nodes)))
        return self._clock.now() - since <= (REFUSED_S if stale.is_refused else DOUBTED_S)

    @property
    def is_blind(self) -> bool:
        """The cluster was asked for others' pods, and does not show them."""
        return self.all_pods.stale is not None and not self.sees_others

    @property
    def stale(self) -> Stale | None:
        """The oldest of what may be old."""
        found = (seen.stale for seen in (self.jobs, self.pods, self.nodes))
        return min(filter(None, found), key=lambda each: each.since, default=None)

    def job(self, name: str) -> Job | None:
        return self.jobs.things.get((self._connection.namespace, name))

    def pods_of(self, job: str) -> list[Pod]:
        """Looks through all of ours: for the start, not for every change."""
        return [pod for pod in self.pods.things.values() if job_of(pod) == job]

    def node_of(self, pod: Pod | None) -> Node | None:
        return self.nodes.things.get(("", pod.spec.node_name)) if pod is not None else None
