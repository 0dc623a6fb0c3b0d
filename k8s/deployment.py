"""The manifests as they are applied: those of manifests/, filled in from the settings, with the workspace's files.

Pure: texts in, objects out. Knows no connection; what the manifests mean is written in them.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from importlib import resources
from typing import Any, NamedTuple

import msgspec
import yaml

from core.errors import NothingRuns
from k8s.permissions import NAME
from k8s.settings import ClusterSettings, Volume

WORKSPACE = "autoresearch-workspace"
TRAINER, ENGINE = "autoresearch-trainer", "autoresearch-engine"  # images, as the manifests name them
DATA = Volume(mount="/data", claim="autoresearch-data")
MOST_BYTES = 900_000  # of a ConfigMap; the server takes 1 MiB, in which names count too
PREPARE, PREPARES = "prepare", "prepare.py"  # the container that prepares the data, and what it runs
VARIABLE = "AUTORESEARCH_DATA"  # of prepare.py
SETTINGS = "autoresearch.toml"
FOLLOWED = (SETTINGS, "program.md")  # what an engine that is there already takes over from what is applied
APPLIED = "autoresearch-tui/applied"  # their digest: the engine is started again when it changes
_ELSEWHERE = ("kubeconfig", "context")  # an engine in the cluster has its own account
Object = dict[str, Any]


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be deployed. `given`: the settings that are no defaults, by name; `cluster`: their `kubernetes`."""

    given: Mapping[str, Any]
    cluster: ClusterSettings
    files: Mapping[str, bytes]  # of the workspace, by path
    engine: bool = False
    schedule: str = ""  # of a CronJob instead of a Deployment, as cron writes it
    engine_image: str = ENGINE
    no_egress: bool = False
    others: bool = False  # the right to see who else holds GPUs
    data_class: str = ""  # storage class of the data; "": the cluster's own
    session_class: str = ""

    @property
    def env(self) -> Mapping[str, str]:
        found: Mapping[str, str] = self.given.get("env", {})
        return found

    @property
    def namespace(self) -> str:
        return self.cluster.namespace or NAME

    @property
    def data(self) -> Volume | None:
        """The volume with the corpus; None where the settings put it elsewhere."""
        path = self.env.get(VARIABLE, "")
        if not self.cluster.volumes and not path:
            return DATA
        claims = [volume for volume in self.cluster.volumes if volume.claim and not volume.sub_path]
        return next((each for each in claims if f"{path}/".startswith(f"{each.mount.rstrip('/')}/")), None)


class Deployed(NamedTuple):
    objects: tuple[Object, ...]
    missing: tuple[str, ...]  # lines that autoresearch.toml lacks for an engine outside the cluster
    needed: tuple[str, ...]  # sentences: what the cluster has to have before


def deployed(wanted: Wanted) -> Deployed:
    """Raises NothingRuns where the workspace is too large."""
    here = _needed(wanted)
    missing = [f"{name} = {_toml(value)}" for name, value in here.items() if wanted.given.get(name) != value]
    there = {**wanted.given, **here}
    there["kubernetes"] = {key: value for key, value in here["kubernetes"].items() if key not in _ELSEWHERE}
    files = {**wanted.files, SETTINGS: "".join(f"{key} = {_toml(value)}\n" for key, value in there.items()).encode()}
    objects = [_filled(thing, wanted, files) for thing in _things(wanted)]
    at = next(i for i, thing in enumerate(objects) if thing["kind"] not in ("Namespace", "ServiceAccount"))
    return Deployed(
        (*objects[:at], _config_map(files, wanted.namespace), *objects[at:]), tuple(missing), tuple(_before(wanted))
    )


def text(objects: Iterable[Object]) -> str:
    """As YAML, one document each."""
    return "---\n".join(
        yaml.dump(each, Dumper=_Plain, sort_keys=False, default_flow_style=False, width=120, allow_unicode=True)
        for each in objects
    )


def _before(wanted: Wanted) -> Iterator[str]:
    space = wanted.namespace
    if space != NAME:
        yield f"The namespace {space} must be there, and is not printed: `kubectl create namespace {space}`."
    if wanted.data == DATA:
        chosen = f"the storage class {wanted.data_class}" if wanted.data_class else "the default storage class"
        other = "" if wanted.data_class else "; --data-class names another"
        yield f"The volume {DATA.claim} is read by many nodes: {chosen} has to offer ReadWriteMany{other}."


class _Plain(yaml.SafeDumper):
    """Without references between parts, and with texts of several lines as blocks."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _block(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)


_Plain.add_representer(str, _block)


# --- what is needed ---------------------------------------------------------------------------------------------------


def _needed(wanted: Wanted) -> dict[str, Any]:
    """Settings with which runs find what is deployed."""
    table = {**wanted.given.get("kubernetes", {}), "namespace": wanted.namespace, "image": wanted.cluster.image}
    env = {}
    if wanted.data == DATA:
        env = {"env": {**wanted.env, VARIABLE: wanted.env.get(VARIABLE, DATA.mount)}}
        table.setdefault("volumes", [{"mount": DATA.mount, "claim": DATA.claim}])
    return {"executor": "kubernetes", **env, "kubernetes": table}


def _toml(value: object) -> str:
    match value:
        case None:
            return '"none"'
        case dict():
            return f"{{ {', '.join(f'{_name(key)} = {_toml(part)}' for key, part in value.items())} }}"
        case list() | tuple():
            return f"[{', '.join(map(_toml, value))}]"
    return msgspec.json.encode(value).decode()  # the same in TOML


def _name(key: str) -> str:
    return key if re.fullmatch(r"[-\w]+", key, re.ASCII) else _toml(key)


def _things(wanted: Wanted) -> Iterator[Object]:
    parts = ["base/namespace"] if wanted.namespace == NAME else []  # another is somebody's already
    parts += ["base/access"]
    parts += ["options/others/access"] if wanted.others else []
    parts += ["options/no-egress/network-policy"] if wanted.no_egress else []
    parts += ["base/data"] if wanted.data else []
    if wanted.engine or wanted.schedule:
        parts += ["session/claim", "nightly/cronjob" if wanted.schedule else "engine/engine"]
    for part in parts:
        for thing in yaml.safe_load_all(_read(f"{part}.yaml")):
            is_theirs = thing["metadata"]["name"] == DATA.claim and wanted.data and wanted.data.claim != DATA.claim
            if not (is_theirs and thing["kind"] == "PersistentVolumeClaim"):
                yield thing


def _read(path: str) -> str:
    return resources.files("k8s").joinpath("manifests", path).read_text(encoding="utf-8")


# --- filling in -------------------------------------------------------------------------------------------------------


def _filled(thing: Object, wanted: Wanted, files: Mapping[str, bytes]) -> Object:
    meta, space = thing["metadata"], wanted.namespace
    if "namespace" in meta:
        meta["namespace"] = space
    if thing["kind"] == "ClusterRoleBinding" and space != NAME:
        meta["name"] += f"-{space}"  # one cluster, several namespaces with an engine
    for subject in thing.get("subjects", ()):
        subject["namespace"] = space
    if thing["kind"] == "PersistentVolumeClaim":
        chosen = wanted.data_class if meta["name"] == DATA.claim else wanted.session_class
        thing["spec"] |= {"storageClassName": chosen} if chosen else {}
    if thing["kind"] == "CronJob":
        thing["spec"]["schedule"] = wanted.schedule
    for pod in _pods(thing):
        _fill_pod(pod, wanted, files)
    if thing["kind"] == "Deployment":
        followed = [files.get(name, b"") for name in FOLLOWED]
        thing["spec"]["template"]["metadata"]["annotations"][APPLIED] = _digest(*followed)
    if thing["kind"] == "Job":  # it cannot be changed while it is there: what differs is another one
        meta["name"] += f"-{_digest(msgspec.json.encode(thing['spec'], order='sorted'), files.get(PREPARES, b''))[:8]}"
    return thing


def _digest(*parts: bytes) -> str:
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def _pods(thing: Any) -> Iterator[Object]:
    """The pod templates in an object."""
    if isinstance(thing, dict):
        if "containers" in thing:
            yield thing
        for part in thing.values():
            yield from _pods(part)


def _fill_pod(pod: Object, wanted: Wanted, files: Mapping[str, bytes]) -> None:
    settings = wanted.cluster
    pod["securityContext"] |= {"runAsUser": settings.user, "runAsGroup": settings.user, "fsGroup": settings.user}
    if settings.pull_secrets:
        pod["imagePullSecrets"] = [{"name": name} for name in settings.pull_secrets]
    for container in (*pod.get("initContainers", ()), *pod["containers"]):
        container["image"] = settings.image if container["image"] == TRAINER else wanted.engine_image
        container["imagePullPolicy"] = settings.pull_policy
    for volume in pod["volumes"]:
        if (held := volume.get("configMap")) is not None and held["name"] == WORKSPACE:
            held["items"] = [{"key": key, "path": path} for key, path in _keys(files).items()]
    _fill_data(pod, wanted)


def _fill_data(pod: Object, wanted: Wanted) -> None:
    """Where the data is; nothing of it if it is not on a volume."""
    if wanted.data is None:
        pod["volumes"] = [each for each in pod["volumes"] if each["name"] != "data"]
        pod["initContainers"] = [each for each in pod["initContainers"] if each["name"] != "data"]
        return
    for volume in pod["volumes"]:
        if volume["name"] == "data":
            volume["persistentVolumeClaim"]["claimName"] = wanted.data.claim
    for container in (*pod.get("initContainers", ()), *pod["containers"]):
        for mount in container["volumeMounts"]:
            if mount["name"] == "data":
                mount["mountPath"] = wanted.data.mount
                _fill_variables(container, wanted, wanted.data.mount)


def _fill_variables(container: Object, wanted: Wanted, mount: str) -> None:
    env = wanted.env if container["name"] == PREPARE else {}
    given = {**env, VARIABLE: wanted.env.get(VARIABLE, mount)}
    kept = [each for each in container["env"] if each["name"] not in given]
    container["env"] = [*({"name": key, "value": value.replace("$", "$$")} for key, value in given.items()), *kept]
    if container["name"] == PREPARE:
        container["command"][-1] = wanted.cluster.python


# --- the workspace's files --------------------------------------------------------------------------------------------


def _config_map(files: Mapping[str, bytes], space: str) -> Object:
    if (size := sum(map(len, files.values()))) > MOST_BYTES:
        raise NothingRuns(
            f"The workspace's files take {size // 1000} kB, and a ConfigMap holds {MOST_BYTES // 1000} kB: "
            "take what the trainer does not need out of the repository, or onto a volume."
        )
    texts, binaries = {}, {}
    for key, path in _keys(files).items():
        try:
            texts[key] = files[path].decode()
        except UnicodeDecodeError:
            binaries[key] = base64.b64encode(files[path]).decode()
    held = {"data": texts, "binaryData": binaries}
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": WORKSPACE, "namespace": space},
        **{key: value for key, value in held.items() if value},
    }


def _keys(files: Mapping[str, bytes]) -> dict[str, str]:
    """Path by key: a key knows no folders."""
    return {
        path if re.fullmatch(r"[-\w.]+", path, re.ASCII) else f"folded-{i}": path
        for i, path in enumerate(sorted(files))
    }
