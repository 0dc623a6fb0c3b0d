"""Accounts on a real cluster with the rights of the manifests, or fewer: what tests of permissions share."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any

import yaml
from lab import Lab

from core.clock import SystemClock
from k8s.client import ClusterError, Connection
from k8s.deployment import Object, Wanted, deployed
from k8s.settings import ClusterSettings

ROLES = "/apis/rbac.authorization.k8s.io/v1"
FOLDERS = {
    "ServiceAccount": "/api/v1/namespaces/{}/serviceaccounts",
    "ConfigMap": "/api/v1/namespaces/{}/configmaps",
    "PersistentVolumeClaim": "/api/v1/namespaces/{}/persistentvolumeclaims",
    "Role": f"{ROLES}/namespaces/{{}}/roles",
    "RoleBinding": f"{ROLES}/namespaces/{{}}/rolebindings",
    "ClusterRole": f"{ROLES}/clusterroles",
    "ClusterRoleBinding": f"{ROLES}/clusterrolebindings",
    "NetworkPolicy": "/apis/networking.k8s.io/v1/namespaces/{}/networkpolicies",
    "Job": "/apis/batch/v1/namespaces/{}/jobs",
    "CronJob": "/apis/batch/v1/namespaces/{}/cronjobs",
    "Deployment": "/apis/apps/v1/namespaces/{}/deployments",
}
RIGHTS = ("ServiceAccount", "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding")


def all_of(namespace: str, **wishes: Any) -> tuple[Object, ...]:
    cluster = ClusterSettings(namespace=namespace, image="registry.example/trainer:1")
    files = {"train.py": b"", "prepare.py": b"", "lib/model.py": b""}
    return deployed(Wanted(given={}, cluster=cluster, files=files, others=True, no_egress=True, **wishes)).objects


@contextlib.asynccontextmanager
async def admin(lab: Lab) -> AsyncIterator[Connection]:
    async with Connection(clock=SystemClock(), kubeconfig=lab.kubeconfig, namespace=lab.namespace) as connection:
        yield connection


@contextlib.asynccontextmanager
async def account(lab: Lab, connection: Connection, things: list[Object]) -> AsyncIterator[str]:
    """A kubeconfig of the account of the manifests, with the rights among `things`."""
    for thing in things:
        await put(connection, lab, thing)
    try:
        path = f"{FOLDERS['ServiceAccount'].format(lab.namespace)}/autoresearch/token"
        token = json.loads(await connection.request("POST", path, body=TOKEN))["status"]["token"]
        given = yaml.safe_load(await asyncio.to_thread(Path(lab.kubeconfig).read_text))
        for user in given["users"]:
            user["user"] = {"token": token}
        file = lab.folder / "account.kubeconfig"
        file.write_text(json.dumps(given))
        yield str(file)
    finally:
        for thing in things:
            await connection.request("DELETE", path_of(lab, thing))


TOKEN = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}


def path_of(lab: Lab, thing: Object) -> str:
    return f"{FOLDERS[thing['kind']].format(lab.namespace)}/{thing['metadata']['name']}"


async def put(connection: Connection, lab: Lab, thing: Object) -> None:
    try:
        await connection.request("POST", FOLDERS[thing["kind"]].format(lab.namespace), body=thing)
    except ClusterError as error:
        if error.reason != "AlreadyExists":
            raise
        await connection.request("PUT", path_of(lab, thing), body=thing)


def rights(lab: Lab) -> list[Object]:
    return [thing for thing in renamed(lab, all_of(lab.namespace)) if thing["kind"] in RIGHTS]


def renamed(lab: Lab, things: Iterable[Object]) -> list[Object]:
    """With names of their own where they are the whole cluster's, which may have such already."""
    things = list(things)
    for thing in things:
        if thing["kind"] == "ClusterRole":
            thing["metadata"]["name"] += f"-{lab.namespace}"
        if thing["kind"] == "ClusterRoleBinding":  # is named after its namespace already
            thing["roleRef"]["name"] += f"-{lab.namespace}"
    return things
