"""Where the API server is and how to sign in: a kubeconfig with its context, or the service account of this pod.

Reads files and runs the command that a kubeconfig names for its tokens. Makes no request.
"""

from __future__ import annotations

import asyncio
import json
import os
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from kubernetes.aio import client, config
from kubernetes.aio.config.incluster_config import InClusterConfigLoader
from kubernetes.aio.config.kube_config import KubeConfigLoader, KubeConfigMerger

from core.errors import NothingRuns

PLUGIN_S = 60.0  # a command that gives tokens may open a browser elsewhere, but not for ever
SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
HEADROOM_S = 60.0  # a token is renewed so long before it expires


class Access(NamedTuple):
    configuration: client.Configuration
    context: str  # "in-cluster" for a pod's own account
    namespace: str
    renew_at: float | None  # seconds since the epoch; None: when the server refuses it


class BadAccess(NothingRuns):
    """The kubeconfig, or what it names, cannot be used."""


async def access(
    kubeconfig: str = "", context: str = "", namespace: str = "", *, account: Path = SERVICE_ACCOUNT
) -> Access:
    """An empty `kubeconfig` means $KUBECONFIG, then ~/.kube/config, then the pod's own account. Raises BadAccess."""
    paths = kubeconfig or os.environ.get("KUBECONFIG", "") or str(Path.home() / ".kube" / "config")
    found = any(Path(path).expanduser().exists() for path in paths.split(os.pathsep) if path)
    if not found and not kubeconfig and "KUBERNETES_SERVICE_HOST" in os.environ:
        return _own(namespace, account)
    if not found:
        raise BadAccess(f"There is no kubeconfig at {paths}; set KUBECONFIG, or kubernetes.kubeconfig in the settings.")
    try:
        return await _from_file(paths, context, namespace)
    except (config.ConfigException, yaml.YAMLError, OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise BadAccess(f"The kubeconfig {paths} cannot be used: {_plain(error)}.") from error


def _own(namespace: str, account: Path) -> Access:
    settings = client.Configuration()
    make: Any = InClusterConfigLoader  # it is not annotated
    try:
        make(str(account / "token"), str(account / "ca.crt")).load_and_set(settings)  # reads the token every minute
        own = (account / "namespace").read_text().strip()
    except (config.ConfigException, OSError) as error:
        raise BadAccess(
            f"The service account of this pod cannot be used: {_plain(error)}. "
            "Set automountServiceAccountToken to true for the engine's pod."
        ) from error
    return Access(settings, "in-cluster", namespace or own, None)


async def _from_file(paths: str, context: str, namespace: str) -> Access:
    merged = KubeConfigMerger(paths).config
    if merged is None:
        raise ValueError("it is empty")
    names = [each["name"] for each in merged.value.get("contexts") or []]
    chosen = context or merged.value.get("current-context") or ""
    if chosen not in names:
        raise BadAccess(
            f"The kubeconfig {paths} has no context {chosen!r}; set kubernetes.context to one of: "
            f"{', '.join(sorted(names)) or 'none is there'}."
        )
    make: Any = _Loader  # its parents are not annotated
    loader = make(config_dict=merged, active_context=chosen)
    settings = client.Configuration()
    await loader.load_and_set(settings)
    named = loader.current_context["context"].get("namespace")
    return Access(settings, chosen, namespace or named or "default", loader.renew_at)


class _Loader(KubeConfigLoader):
    """As the package's, but a command for tokens gets no terminal, ends in time, and its failure is told."""

    renew_at: float | None = None

    async def load_from_exec_plugin(self) -> bool:
        user: Any = self._user
        plugin = user["exec"].value
        cluster: Any = self._cluster
        status = await _run_plugin(plugin, cluster.value)
        if "token" in status:
            self.token = f"Bearer {status['token']}"
        if "clientCertificateData" in status and "clientKeyData" in status:
            self.cert_file = _written(status["clientCertificateData"])
            self.key_file = _written(status["clientKeyData"])
        if not {"token", "clientCertificateData"} & set(status):
            raise BadAccess(f"{plugin['command']} gave neither a token nor a certificate; run it by hand to see why.")
        if expires := status.get("expirationTimestamp"):
            self.renew_at = datetime.fromisoformat(expires).timestamp() - HEADROOM_S
        return True


def _written(text: str) -> str:
    from kubernetes.aio.config.kube_config import FileOrData

    there: str = FileOrData({"x-data": text}, "x", base64_file_content=False).as_file()
    return there


async def _run_plugin(plugin: dict[str, Any], cluster: dict[str, Any]) -> dict[str, Any]:
    """The `status` of the ExecCredential that the command prints."""
    info: dict[str, Any] = {
        "apiVersion": plugin["apiVersion"],
        "kind": "ExecCredential",
        "spec": {"interactive": False},
    }
    if plugin.get("provideClusterInfo"):
        info["spec"]["cluster"] = {"server": cluster.get("server", "")}
    extra = {each["name"]: each["value"] for each in plugin.get("env") or []}
    try:
        process = await asyncio.create_subprocess_exec(
            plugin["command"],
            *(plugin.get("args") or []),
            env={**os.environ, **extra, "KUBERNETES_EXEC_INFO": json.dumps(info)},
            stdin=asyncio.subprocess.DEVNULL,  # one that asks a question must fail, not hang
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
    except OSError as error:
        raise BadAccess(f"{plugin['command']}, which gives the tokens, cannot start: {_plain(error)}.") from error
    try:
        async with asyncio.timeout(PLUGIN_S):
            out, err = await process.communicate()
    except TimeoutError:
        raise BadAccess(f"{plugin['command']} gave no token within {PLUGIN_S:g} s; sign in by hand first.") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        said = err.decode(errors="replace").strip().splitlines()
        raise BadAccess(f"{plugin['command']} gave no token: {said[-1][:300] if said else 'it failed'}. Sign in again.")
    status = json.loads(out).get("status")
    return status if isinstance(status, dict) else {}


def _plain(error: BaseException) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text[:300].rstrip(".")
