"""What a cluster has for us, and what to do about what is missing: the questions of `doctor` about Kubernetes.

Asks and changes nothing: what is made is made as a dry run. One finding per question, each with a remedy.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import NamedTuple

import msgspec
import yaml

from core.clock import Clock
from core.errors import NothingRuns
from core.events import Gpu
from core.executor import Job
from core.ids import RunId, SessionId
from k8s import jobs
from k8s.client import ClusterError, Connection
from k8s.inventory import Offer, fleet, offer, placement
from k8s.permissions import PERMISSIONS, Permission, granting, missing, signed_in
from k8s.settings import ClusterSettings
from k8s.shapes import Node, decode_list
from k8s.watching import Query

OLDEST = 23  # of version 1: from here on the server removes ended Jobs by itself
VARIABLE = "AUTORESEARCH_DATA"
PAGE = 500  # nodes per page
_TRIAL = Job(run=RunId("doctor"), source="", seed=0, gpu_type="")


class Finding(NamedTuple):
    name: str
    is_good: bool
    found: str
    remedy: str = ""
    is_fatal: bool = True
    to_apply: str = ""  # YAML


class _Version(msgspec.Struct, frozen=True):
    gitVersion: str = ""  # noqa: N815  as the server spells it
    minor: str = ""

    @property
    def is_old(self) -> bool:
        digits = re.match(r"\d+", self.minor)  # "27+" on some clouds
        return digits is not None and int(digits[0]) < OLDEST


async def survey(settings: ClusterSettings, env: Mapping[str, str], clock: Clock) -> AsyncIterator[Finding]:
    """`env`: the variables of runs. Raises nothing that a cluster or a kubeconfig does."""
    connection = Connection(
        clock=clock, kubeconfig=settings.kubeconfig, context=settings.context, namespace=settings.namespace
    )
    try:
        async with connection:
            version = await _version(connection)
            yield Finding("cluster", True, f"{version.gitVersion} at {connection.host}, context {connection.context!r}")
            if version.is_old:
                remedy = "Ended Jobs stay there if no engine comes back: delete them by hand, or update the cluster."
                yield Finding("version", False, f"older than 1.{OLDEST}", remedy, is_fatal=False)
            async for finding in _inside(connection, settings):
                yield finding
    except NothingRuns as error:  # a ClusterError, too
        yield Finding("cluster", False, str(error), "Mend that first; what else there is to say comes after it.")
    yield _image(settings)
    yield _data(settings, env)


async def _version(connection: Connection) -> _Version:
    try:
        return msgspec.json.decode(await connection.request("GET", "/version"), type=_Version)
    except ValueError as error:
        raise ClusterError(f"{connection.host} is no Kubernetes API server; look at the context's server.") from error


async def _inside(connection: Connection, settings: ClusterSettings) -> AsyncIterator[Finding]:
    lacking = await missing(connection)
    async for finding in _permitted(connection, lacking):
        yield finding
    absent = {str(each) for each in lacking}
    offers: tuple[Offer, ...] = ()
    if "list nodes" not in absent:
        offers = tuple(offer(node, settings) for node in await _nodes(connection))
        yield _fleet(offers)
    if not absent & {"create jobs", "create configmaps"}:
        yield await _trial(connection, settings, offers)


async def _permitted(connection: Connection, lacking: Sequence[Permission]) -> AsyncIterator[Finding]:
    """One finding if all is well, else one for each permission that is missing."""
    if not lacking:
        yield Finding("rights", True, f"all {len(PERMISSIONS)} that are used, in namespace {connection.namespace}")
        return
    objects = granting(lacking, connection.namespace, await signed_in(connection))
    text = "---\n".join(yaml.safe_dump(each, sort_keys=False, default_flow_style=None) for each in objects)
    for each in lacking:
        is_last = each is lacking[-1]
        remedy = "Have an administrator of the cluster apply what is printed at the end." if is_last else ""
        found = f"may not {each}: {each.why}" if each.is_needed else f"may not {each}, so it stays unknown {each.why}"
        yield Finding("rights", False, found, remedy, each.is_needed, text if is_last else "")


async def _nodes(connection: Connection) -> list[Node]:
    nodes: list[Node] = []
    token = ""
    while True:
        query: Query = {"limit": PAGE, **({"continue": token} if token else {})}
        try:
            page = decode_list(Node, await connection.request("GET", "/api/v1/nodes", query))
        except ValueError as error:
            raise ClusterError("What the API server says of its nodes cannot be read.") from error
        nodes += page.items or ()
        token = page.metadata.continue_
        if not token:
            return nodes


def _fleet(offers: Sequence[Offer]) -> Finding:
    """By type, and how many of them nothing can start on: whoever holds the others is not asked."""
    gpus = fleet(offers, (), session="", places={})
    if not gpus:
        remedy = "GPU nodes need their vendor's device plugin, and labels that name the product (feature discovery)."
        remedy += " If they are left out by kubernetes.node_selector, change that."
        return Finding("GPUs", False, f"none on {_counted(len(offers))}", remedy)
    nodes = _counted(sum(bool(found.slots) for found in offers))
    found = ", ".join(_told(kind, [gpu for gpu in gpus if gpu.type == kind]) for kind in _types(gpus))
    is_good = any(not gpu.broken and not gpu.held_by for gpu in gpus)
    remedy = "Nothing can start on any of them: uncordon nodes, or add to kubernetes.tolerations."
    return Finding("GPUs", is_good, f"{found} on {nodes}", remedy, is_fatal=False)


def _counted(nodes: int) -> str:
    return f"{nodes} node{'s' * (nodes != 1)}"


def _types(gpus: Sequence[Gpu]) -> list[str]:
    """The plentiful first."""
    return [kind for kind, _ in Counter(gpu.type for gpu in gpus).most_common()]


def _told(kind: str, gpus: Sequence[Gpu]) -> str:
    why = Counter(gpu.held_by or "broken" for gpu in gpus if gpu.held_by or gpu.broken)
    closed = f" ({', '.join(f'{count} {reason}' for reason, count in why.most_common())})" if why else ""
    return f"{len(gpus)} × {kind}{closed}"


async def _trial(connection: Connection, settings: ClusterSettings, offers: Sequence[Offer]) -> Finding:
    """Would the server take the ConfigMap and the Job of a run? Nothing is made."""
    space, campaign = connection.namespace, jobs.Campaign(session=SessionId("doctor"), files={}, timeout_s=600.0)
    types = sorted({kind.type for found in offers for kind in found.kinds})
    try:
        config_map = jobs.config_map(_TRIAL, campaign, settings, owner_uid="doctor")
        await connection.request("POST", f"/api/v1/namespaces/{space}/configmaps", {"dryRun": "All"}, config_map)
        for kind in types[:1]:
            body = jobs.job(msgspec.structs.replace(_TRIAL, gpu_type=kind), campaign, settings, placement(kind, offers))
            await connection.request("POST", f"/apis/batch/v1/namespaces/{space}/jobs", {"dryRun": "All"}, body)
    except ClusterError as error:
        if error.reason == "NotFound":
            return Finding("namespace", False, f"there is no {space}", _make_namespace(space))
        return Finding("Jobs", False, str(error), "Change the [kubernetes] table of autoresearch.toml, or the quota.")
    return Finding("Jobs", True, f"the cluster would take ours in namespace {space}")


def _make_namespace(space: str) -> str:
    return f"`kubectl create namespace {space}`, or set kubernetes.namespace to one that is there."


def _image(settings: ClusterSettings) -> Finding:
    """Nobody but a node can say whether it can pull an image; one that names no registry is hardly ever there."""
    remedy = "Build trainer/Dockerfile, push it where the nodes can pull it, and set kubernetes.image to that name."
    is_named = "/" in settings.image or settings.pull_policy == "Never"
    found = settings.image if is_named else f"{settings.image} names no registry"
    return Finding("image", is_named, found, remedy, is_fatal=False)


def _data(settings: ClusterSettings, env: Mapping[str, str]) -> Finding:
    path = env.get(VARIABLE, "")
    volume = next((v for v in settings.volumes if path and f"{path}/".startswith(f"{v.mount.rstrip('/')}/")), None)
    if volume is None:
        found = f"{VARIABLE} is {path}, which is on none of the volumes" if path else f"{VARIABLE} is not set"
        remedy = "Run `autoresearch-tui manifests`: it says what to add; not needed if the image holds the data."
        return Finding("data", False, found, remedy, is_fatal=False)
    source = volume.claim or volume.host_path or volume.config_map
    return Finding("data", True, f"{path} on volume {source}")
