"""A cluster with GPU nodes that these tests may use, a namespace of their own in it, and executors that are watched."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from lab import Lab

from core.clock import SystemClock
from k8s.client import ClusterError, Connection

VARIABLE = "AUTORESEARCH_TEST_KUBECONFIG"
SHARED = "AUTORESEARCH_TEST_SHARED_FILES"
HOW = (
    f"Set {VARIABLE} to the kubeconfig of a cluster with GPU nodes whose pods may be created and deleted; "
    "AUTORESEARCH_TEST_PYTHON and AUTORESEARCH_TEST_IMAGE say what its pods run."
)


@pytest.fixture(scope="session")
def kubeconfig() -> str:
    path = os.environ.get(VARIABLE, "")
    if not path:
        pytest.skip(HOW)
    return path


@pytest.fixture
def shared_files() -> None:
    """Its pods see the files of this machine."""
    if not os.environ.get(SHARED):
        pytest.skip(f"Set {SHARED} to 1 if pods see the files of this machine, and its Python with torch.")


@pytest.fixture(scope="session")
def namespace(kubeconfig: str) -> Iterator[str]:
    with made(kubeconfig) as name:
        yield name


@pytest.fixture
def place(kubeconfig: str) -> Iterator[str]:
    """A namespace of one test alone."""
    with made(kubeconfig) as name:
        yield name


@contextlib.contextmanager
def made(kubeconfig: str) -> Iterator[str]:
    """A new namespace."""
    name = f"autoresearch-test-{secrets.token_hex(3)}"
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
    asyncio.run(_ask(kubeconfig, "POST", "/api/v1/namespaces", body))
    account = f"/api/v1/namespaces/{name}/serviceaccounts/default"
    asyncio.run(_until_there(kubeconfig, account))  # until then no pod is admitted
    try:
        yield name
    finally:
        asyncio.run(_ask(kubeconfig, "DELETE", f"/api/v1/namespaces/{name}", None))


@pytest.fixture
def lab(kubeconfig: str, namespace: str, tmp_path: Path) -> Lab:
    return Lab(kubeconfig, namespace, tmp_path)


async def _ask(kubeconfig: str, method: str, path: str, body: Mapping[str, object] | None) -> object:
    async with Connection(clock=SystemClock(), kubeconfig=kubeconfig) as connection:
        return json.loads(await connection.request(method, path, body=body))


async def _until_there(kubeconfig: str, path: str) -> None:
    async with Connection(clock=SystemClock(), kubeconfig=kubeconfig) as connection:
        for _ in range(200):
            try:
                await connection.request("GET", path)
            except ClusterError:  # not yet
                await asyncio.sleep(0.1)
            else:
                return
