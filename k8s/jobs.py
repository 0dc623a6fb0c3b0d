"""The Job of a run and the ConfigMap with its files, as the API server takes them: pure functions of what is to run.

The name follows from session and run, so that creating it twice is refused by the server, and the refusal means "mine".
The Job comes first and owns the ConfigMap, for which its pod waits: whatever is removed, nothing is left behind.
Creates nothing; how a run is placed is known by inventory, what it did there by causes.
"""

from __future__ import annotations

import hashlib
import re
from typing import Any

import msgspec

from core.executor import Job
from core.ids import RunId, SessionId
from k8s import packing
from k8s.inventory import MANAGED, MANAGER, SESSION, Placement
from k8s.settings import ClusterSettings, Toleration, Volume

RUN = "autoresearch-tui/run"
TYPE = "autoresearch-tui/gpu-type"
QUEUE = "kueue.x-k8s.io/queue-name"
CONTAINER = "train"
SOURCE, ROOT = "/autoresearch/source", "/autoresearch/run"
WORK, HOME, TEMPORARY = f"{ROOT}/work", f"{ROOT}/home", f"{ROOT}/temporary"
MESSAGE = "/dev/termination-log"


class Campaign(msgspec.Struct, frozen=True, kw_only=True):
    """What all runs of a session have in common."""

    session: SessionId
    files: dict[str, bytes]  # of the workspace, by path inside it; train.py is each run's own
    prepare_digest: str = ""  # sha256; "": it is not checked
    timeout_s: float
    output_mb: float = 64.0
    memory_mb: int = 0  # 0: no limit
    time_budget: float | None = None
    env: dict[str, str] = {}


def name(session: SessionId, run: RunId) -> str:
    """Of the Job and its ConfigMap: at most 63 characters, as it is also a label's value."""
    return _legal(f"autoresearch-{session}-{run}")


def labels(campaign: Campaign, run: RunId, settings: ClusterSettings) -> dict[str, str]:
    ours = {MANAGER: MANAGED, SESSION: session_label(campaign.session), RUN: _legal(run)}
    return {**settings.labels, **ours}


def about(job: Job, campaign: Campaign) -> dict[str, str]:
    """What it is, for people who look at the cluster: names in full, where labels may have to shorten them."""
    said = {
        SESSION: campaign.session,
        TYPE: job.gpu_type,
        "autoresearch-tui/experiment": job.experiment,
        "autoresearch-tui/wave": job.wave,
        "autoresearch-tui/tier": job.tier,
    }
    return {key: value for key, value in said.items() if value}


def session_label(session: SessionId) -> str:
    """The value of the label by which a session finds its own."""
    return _legal(session)


def job(job: Job, campaign: Campaign, settings: ClusterSettings, placement: Placement) -> dict[str, Any]:
    """A batch/v1 Job. Raises NothingRuns for files too large."""
    marks = labels(campaign, job.run, settings)
    queue = {QUEUE: settings.queue} if settings.queue else {}
    meta = {"labels": marks, "annotations": {**settings.annotations, **about(job, campaign)}}
    template = {"metadata": meta, "spec": _pod(job, campaign, settings, placement)}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {**meta, "name": name(campaign.session, job.run), "labels": {**marks, **queue}},
        "spec": {
            "backoffLimit": 0,
            "completions": 1,
            "parallelism": 1,
            "podReplacementPolicy": "Failed",  # never two at a time; older servers drop what they do not know
            "ttlSecondsAfterFinished": int(settings.keep_s),
            **({"suspend": True} if settings.queue else {}),  # Kueue lets it go when there is room
            "template": merged(template, settings.template),
        },
    }


def config_map(job: Job, campaign: Campaign, settings: ClusterSettings, *, owner_uid: str) -> dict[str, Any]:
    """With everything that the pod of `job` mounts. `owner_uid` is the Job's. Raises NothingRuns if it is too large."""
    own = name(campaign.session, job.run)
    parcel = packing.parcel(job.source, campaign.files)
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": own,
            "labels": labels(campaign, job.run, settings),
            "ownerReferences": [{"apiVersion": "batch/v1", "kind": "Job", "name": own, "uid": owner_uid}],
        },
        "immutable": True,
        "data": parcel.texts,
        "binaryData": parcel.binaries,
    }


def environment(job: Job, campaign: Campaign) -> dict[str, str]:
    """Of the container: the settings' as they are, and what the contract with the trainer says."""
    env = {"HOME": HOME, "TMPDIR": TEMPORARY, **campaign.env, "AUTORESEARCH_SEED": str(job.seed)}
    if campaign.time_budget is not None:
        env["AUTORESEARCH_TIME_BUDGET"] = f"{campaign.time_budget:g}"
    return env | {"PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1"}


def merged(base: Any, more: Any) -> Any:
    """`more` on top of `base`: maps merge, lists of named things by name; other lists are added, the rest replaces."""
    if isinstance(base, dict) and isinstance(more, dict):
        return {**base, **{key: merged(base[key], value) if key in base else value for key, value in more.items()}}
    if isinstance(base, list) and isinstance(more, list):
        return _listed(base, more)
    return more


# --- the pod ----------------------------------------------------------------------------------------------------------


def _pod(job: Job, campaign: Campaign, settings: ClusterSettings, placement: Placement) -> dict[str, Any]:
    optional = {
        "priorityClassName": settings.priority_class,
        "runtimeClassName": settings.runtime_class,
        "schedulerName": settings.scheduler,
        "nodeSelector": settings.node_selector,
        "imagePullSecrets": [{"name": secret} for secret in settings.pull_secrets],
    }
    return {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        # The pod's own deadline, which begins when a node takes it: a Job's would count the time in the queue.
        "activeDeadlineSeconds": int(settings.start_s + campaign.timeout_s + 2 * settings.grace_s) + 1,
        "terminationGracePeriodSeconds": int(settings.grace_s) + 5,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": settings.user,
            "runAsGroup": settings.user,
            "fsGroup": settings.user,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "affinity": {
            "nodeAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": list(placement.terms)}
            }
        },
        "tolerations": [*(_toleration(given) for given in settings.tolerated), *_patience(settings)],
        "containers": [_container(job, campaign, settings, placement.resource)],
        "volumes": _volumes(job, campaign, settings),
        **{key: value for key, value in optional.items() if value},
    }


def _container(job: Job, campaign: Campaign, settings: ClusterSettings, resource: str) -> dict[str, Any]:
    memory = settings.memory or (f"{campaign.memory_mb}Mi" if campaign.memory_mb else "")
    return {
        "name": CONTAINER,
        "image": settings.image,
        "imagePullPolicy": settings.pull_policy,
        "command": [settings.python, "-I", "-u", f"{SOURCE}/{packing.STARTER}", _order(campaign, settings)],
        "env": [{"name": key, "value": _literal(value)} for key, value in environment(job, campaign).items()],
        "resources": {
            "limits": {resource: "1", **({"memory": memory} if memory else {})},
            "requests": {resource: "1", **({"cpu": settings.cpu} if settings.cpu else {})},
        },
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "privileged": False,
            "readOnlyRootFilesystem": settings.read_only_root,
            "capabilities": {"drop": ["ALL"]},
        },
        "terminationMessagePath": MESSAGE,
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": _mounts(settings),
    }


def _order(campaign: Campaign, settings: ClusterSettings) -> str:
    """For starter.py."""
    order = {
        "python": settings.python,
        "source": SOURCE,
        "work": WORK,
        "folders": [WORK, HOME, TEMPORARY],
        "message": MESSAGE,
        "timeout_s": campaign.timeout_s,
        "grace_s": settings.grace_s,
        "output_bytes": int(campaign.output_mb * 1_000_000),
        "prepare_digest": campaign.prepare_digest,
        "keep": sorted(campaign.env),
    }
    return _literal(msgspec.json.encode(order).decode())


def _mounts(settings: ClusterSettings) -> list[dict[str, Any]]:
    shared = [("shared-memory", "/dev/shm")] if settings.shared_memory else []  # noqa: S108  in a pod
    scratch = [(f"scratch-{index}", path) for index, path in enumerate(settings.scratch)]
    own = [{"name": key, "mountPath": path} for key, path in (("run", ROOT), *shared, *scratch)]
    given = [_mount(f"volume-{index}", volume) for index, volume in enumerate(settings.volumes)]
    return [{"name": "source", "mountPath": SOURCE, "readOnly": True}, *own, *given]


def _mount(key: str, volume: Volume) -> dict[str, Any]:
    sub = {"subPath": volume.sub_path} if volume.sub_path else {}
    return {"name": key, "mountPath": volume.mount, "readOnly": volume.read_only, **sub}


def _volumes(job: Job, campaign: Campaign, settings: ClusterSettings) -> list[dict[str, Any]]:
    paths = packing.parcel(job.source, campaign.files).paths
    items = [{"key": key, "path": path} for key, path in paths.items()]
    limit = {"sizeLimit": settings.disk} if settings.disk else {}
    shared = {"medium": "Memory", "sizeLimit": settings.shared_memory}
    return [
        {"name": "source", "configMap": {"name": name(campaign.session, job.run), "items": items}},
        {"name": "run", "emptyDir": limit},
        *([{"name": "shared-memory", "emptyDir": shared}] if settings.shared_memory else []),
        *({"name": f"scratch-{index}", "emptyDir": limit} for index in range(len(settings.scratch))),
        *({"name": f"volume-{index}", **_given(volume)} for index, volume in enumerate(settings.volumes)),
    ]


def _given(volume: Volume) -> dict[str, Any]:
    if volume.claim:
        return {"persistentVolumeClaim": {"claimName": volume.claim, "readOnly": volume.read_only}}
    if volume.host_path:
        return {"hostPath": {"path": volume.host_path}}
    return {"configMap": {"name": volume.config_map}}


def _patience(settings: ClusterSettings) -> list[dict[str, Any]]:
    """How long a pod stays bound to a node that is not heard of.

    The cluster's own default is 300 s, a whole run lost for every node that dies. Less than a minute would end runs
    whose node only restarts its kubelet or loses the network for 30 s: they go on meanwhile and lose nothing.
    """
    own = {given.key for given in settings.tolerations}
    keys = (key for key in ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable") if key not in own)
    seconds = int(settings.unreachable_s)
    return [{"key": k, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": seconds} for k in keys]


def _toleration(given: Toleration) -> dict[str, str]:
    return {key: value for key, value in msgspec.structs.asdict(given).items() if value}


# --- texts ------------------------------------------------------------------------------------------------------------


def _legal(text: str) -> str:
    """A name that Kubernetes takes; told apart by a digest where that changes it."""
    legal = re.sub(r"[^a-z0-9-]+", "-", text.lower()).strip("-")
    if legal == text and len(text) <= 63:
        return text
    return f"{legal[:52].rstrip('-')}-{hashlib.sha256(text.encode()).hexdigest()[:10]}".lstrip("-")


def _literal(text: str) -> str:
    """As it is: Kubernetes puts variables in for `$(NAME)`, and takes `$$` for a dollar."""
    return text.replace("$", "$$")


def _listed(base: list[Any], more: list[Any]) -> list[Any]:
    is_named = all(isinstance(thing, dict) and "name" in thing for thing in (*base, *more))
    if not is_named:
        return [*base, *more]
    named = {thing["name"]: thing for thing in base}
    for thing in more:
        named[thing["name"]] = merged(named.get(thing["name"], {}), thing)
    return list(named.values())
