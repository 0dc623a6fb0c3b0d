"""What the cluster has to allow, and why; what of it is missing, by asking; and the Role that would allow it.

`PERMISSIONS` is the whole list: the manifests, `doctor` and the tests are made from it. Grants nothing by itself.
"""

from __future__ import annotations

import asyncio
import re
from collections import defaultdict
from collections.abc import Collection, Iterable
from typing import Any, NamedTuple

import msgspec

from k8s.client import ClusterError, Connection

NAME = "autoresearch"  # of the account, and of what belongs to it
RBAC = "rbac.authorization.k8s.io"
REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
WHOAMI = "/apis/authentication.k8s.io/v1/selfsubjectreviews"


class Permission(NamedTuple):
    verb: str
    resource: str  # with its part, like "pods/log"
    why: str
    group: str = ""
    everywhere: bool = False  # in all namespaces, or of what has none
    is_needed: bool = True  # else research goes on without, and knows less

    def __str__(self) -> str:
        where = " in all namespaces" if self.everywhere and self.resource != "nodes" else ""
        return f"{self.verb} {self.resource}{where}"


PERMISSIONS = (
    Permission("create", "jobs", "every run is a Job", "batch"),
    Permission("get", "jobs", "a Job that was made before an engine died is found again", "batch"),
    Permission("list", "jobs", "runs are found again after a restart", "batch"),
    Permission("watch", "jobs", "the end of a run is seen when it happens", "batch"),
    Permission("delete", "jobs", "a run is stopped, and nothing is left behind", "batch"),
    Permission("create", "configmaps", "a run's train.py travels in a ConfigMap"),
    Permission("list", "pods", "what became of a run is told by its pod"),
    Permission("watch", "pods", "a run's start and end are seen when they happen"),
    Permission("delete", "pods", "a stopped run frees its GPU at once"),
    Permission("get", "pods/log", "val_bpb is read from the log"),
    Permission("list", "nodes", "which GPUs there are", everywhere=True),
    Permission("watch", "nodes", "a node that fails or comes is seen", everywhere=True),
    Permission("list", "events", "why a run waits, or was taken away", is_needed=False),
    Permission("list", "pods", "who else holds GPUs", everywhere=True, is_needed=False),
    Permission("watch", "pods", "who else takes and frees GPUs", everywhere=True, is_needed=False),
)


async def missing(connection: Connection) -> tuple[Permission, ...]:
    """Those of PERMISSIONS that whoever is signed in does not have. Raises ClusterError."""
    async with asyncio.TaskGroup() as tasks:
        asked = [(each, tasks.create_task(_is_allowed(connection, each))) for each in PERMISSIONS]
    return tuple(each for each, answer in asked if not answer.result())


async def _is_allowed(connection: Connection, permission: Permission) -> bool:
    resource, _, part = permission.resource.partition("/")
    asked = {
        "verb": permission.verb,
        "group": permission.group,
        "resource": resource,
        "subresource": part,
        "namespace": "" if permission.everywhere else connection.namespace,
    }
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": asked},
    }
    answer = await connection.request("POST", REVIEWS, body=review)
    return msgspec.json.decode(answer, type=_Review).status.allowed


class _Verdict(msgspec.Struct, frozen=True):
    allowed: bool = False


class _Review(msgspec.Struct, frozen=True):
    status: _Verdict = _Verdict()


# --- roles ------------------------------------------------------------------------------------------------------------


def rules(permissions: Iterable[Permission]) -> list[dict[str, Any]]:
    """As a Role has them: one per resource, in the order of the list."""
    verbs: dict[tuple[str, str], list[str]] = defaultdict(list)
    for each in permissions:
        verbs[each.group, each.resource].append(each.verb)
    return [
        {"apiGroups": [group], "resources": [resource], "verbs": found} for (group, resource), found in verbs.items()
    ]


def granting(lacking: Collection[Permission], namespace: str, subject: dict[str, str]) -> list[dict[str, Any]]:
    """The objects that allow `subject` what it lacks: a Role, a ClusterRole, or both, each whole and bound.

    Whole, and named after the subject, so that applying it takes nothing from anybody, whatever was applied before.
    """
    name = f"{NAME}-{re.sub(r'[^a-z0-9]+', '-', subject['name'].lower()).strip('-')}"
    here, everywhere = ([each for each in PERMISSIONS if each.everywhere is where] for where in (False, True))
    return [
        *(_bound("Role", name, namespace, here, subject) if set(here) & set(lacking) else []),
        *(
            _bound("ClusterRole", f"{name}-{namespace}", "", everywhere, subject)
            if set(everywhere) & set(lacking)
            else []
        ),
    ]


def _bound(
    kind: str, name: str, namespace: str, permissions: Iterable[Permission], subject: dict[str, str]
) -> list[dict[str, Any]]:
    meta = {"name": name, **({"namespace": namespace} if namespace else {})}
    version = f"{RBAC}/v1"
    return [
        {"apiVersion": version, "kind": kind, "metadata": meta, "rules": rules(permissions)},
        {
            "apiVersion": version,
            "kind": f"{kind}Binding",
            "metadata": meta,
            "roleRef": {"apiGroup": RBAC, "kind": kind, "name": name},
            "subjects": [subject],
        },
    ]


async def signed_in(connection: Connection) -> dict[str, str]:
    """Whoever is signed in, as the subject of a binding; a name to fill in where the server does not tell (< 1.28)."""
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    try:
        answer = await connection.request("POST", WHOAMI, body=body)
        name = msgspec.json.decode(answer, type=_Whoami).status.userInfo.username
    except (ClusterError, ValueError):
        name = ""
    return subject(name or "THE-USER-NAME")


def subject(user: str) -> dict[str, str]:
    """Of a binding: a service account for names like "system:serviceaccount:lab:default", else a user."""
    match user.split(":"):
        case ["system", "serviceaccount", namespace, name]:
            return {"kind": "ServiceAccount", "name": name, "namespace": namespace}
    return {"kind": "User", "name": user, "apiGroup": RBAC}


class _Info(msgspec.Struct, frozen=True):
    username: str = ""


class _Status(msgspec.Struct, frozen=True):
    userInfo: _Info = _Info()  # noqa: N815  as the server spells it


class _Whoami(msgspec.Struct, frozen=True):
    status: _Status = _Status()
