"""The `[kubernetes]` table of autoresearch.toml: which cluster, what a pod of ours looks like, how much it may take.

`ClusterSettings` is the one table, as in core.settings: names, types, ranges and comments stand there. Reads no file
and asks no cluster.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from core.errors import SettingsError
from core.setting_tables import converted, rows_of

# What a value must be. The description completes the sentence "kubernetes.namespace must be …".
Text = Annotated[str, Meta(description="a text")]
Name = Annotated[str, Meta(pattern=r"^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$", description="a Kubernetes name")]
MaybeName = Annotated[str, Meta(pattern=r"^([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?)?$", description="a Kubernetes name")]
Names = Annotated[tuple[Name, ...], Meta(description='a list of Kubernetes names, like ["registry"]')]
Pull = Annotated[Literal["IfNotPresent", "Always", "Never"], Meta(description='"IfNotPresent", "Always" or "Never"')]
Quantity = Annotated[
    str, Meta(pattern=r"^(\d+(\.\d+)?(m|k|M|G|T|Ki|Mi|Gi|Ti)?)?$", description='a quantity, like "8" or "64Gi"')
]
Switch = Annotated[bool, Meta(description="true or false")]
User = Annotated[int, Meta(ge=1, le=2**31 - 1, description="a user's number above 0")]
Seconds = Annotated[float, Meta(gt=0, le=1e7, description="seconds, above 0")]
Count = Annotated[int, Meta(ge=0, le=10_000, description="a whole number from 0 to 10000")]
Pairs = Annotated[dict[str, str], Meta(description='names with texts, like { "pool" = "gpu" }')]
_Path = Annotated[str, Meta(pattern=r"^/[^:]*$")]
Paths = Annotated[tuple[_Path, ...], Meta(description='a list of absolute paths, like ["/tmp"]')]
Table = Annotated[dict[str, Any], Meta(description="a table: part of a pod template, as in YAML")]
GpuCounts = Annotated[
    dict[Annotated[str, Meta(min_length=1)], Annotated[int, Meta(ge=0, le=10_000)]],
    Meta(description="GPU types with how many, like { H100 = 3 }"),
]


class Toleration(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """As in a pod. No key with operator "Exists" tolerates everything; no effect means every effect."""

    key: str = ""
    operator: Literal["Equal", "Exists"] = "Equal"
    value: str = ""
    effect: Literal["", "NoSchedule", "PreferNoSchedule", "NoExecute"] = ""


READY_EACH = 4  # GPUs for which one run waits: one that frees is taken at once, and others find most of a queue empty

# Marks of GPU nodes and of nodes that may be taken away: runs are what these nodes are there for, or can be repeated.
TOLERATED = (
    Toleration(key="nvidia.com/gpu", operator="Exists"),
    Toleration(key="amd.com/gpu", operator="Exists"),
    Toleration(key="gpu.intel.com/i915", operator="Exists"),
    Toleration(key="gpu.intel.com/xe", operator="Exists"),
    Toleration(key="sku", value="gpu"),
    Toleration(key="kubernetes.azure.com/scalesetpriority", value="spot"),
    Toleration(key="cloud.google.com/gke-spot", operator="Exists"),
    Toleration(key="cloud.google.com/gke-preemptible", operator="Exists"),
)


class Volume(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One thing mounted into every run: a claim, a folder of the node, or a ConfigMap."""

    mount: Annotated[str, Meta(pattern=r"^/[^:]+$")]
    claim: str = ""
    host_path: str = ""
    config_map: str = ""
    read_only: bool = True
    sub_path: str = ""


Tolerations = Annotated[
    tuple[Toleration, ...], Meta(description='a list of tables, like [{ key = "sku", operator = "Exists" }]')
]
Volumes = Annotated[
    tuple[Volume, ...],
    Meta(description='a list of tables, like [{ mount = "/data", claim = "corpus" }], also host_path or config_map'),
]


class ClusterSettings(msgspec.Struct, frozen=True, kw_only=True):
    """All settings of one cluster. The defaults suit a cluster with GPU nodes and an image that holds the trainer."""

    kubeconfig: Annotated[Text, "empty: KUBECONFIG, ~/.kube/config, or the pod's own account"] = ""
    context: Annotated[Text, "of the kubeconfig; empty: the current one"] = ""
    namespace: Annotated[MaybeName, "of the runs; empty: the context's own"] = ""
    image: Annotated[Text, "has Python, torch and what train.py imports"] = "autoresearch-trainer"
    pull_policy: Annotated[Pull, "when the image is pulled"] = "IfNotPresent"
    pull_secrets: Annotated[Names, "Secrets that the image is pulled with"] = ()
    python: Annotated[Text, "interpreter of runs, in the image"] = "python"
    cpu: Annotated[Quantity, "processor cores that a run asks for; empty: none"] = "4"
    memory: Annotated[Quantity, "main memory that a run may use; empty: memory_gb of the settings, or no limit"] = ""
    user: Annotated[User, "number of the user that a run is; never root"] = 1000
    read_only_root: Annotated[Switch, "runs write to their work folder and to `scratch` alone"] = True
    scratch: Annotated[Paths, "more folders that a run finds empty and can write to, such as /tmp"] = ()
    disk: Annotated[Quantity, "what a run may write; empty: no limit"] = "20Gi"
    shared_memory: Annotated[Quantity, "size of /dev/shm, like 8Gi; empty: the runtime's own"] = ""
    volumes: Annotated[Volumes, "data and caches"] = ()
    node_selector: Annotated[Pairs, "labels that a node must have to be part of the fleet"] = {}
    tolerations: Annotated[Tolerations, "more than the taints that mark GPU nodes and spot nodes"] = ()
    priority_class: Annotated[MaybeName, "of the pods"] = ""
    runtime_class: Annotated[MaybeName, "of the pods, such as nvidia"] = ""
    scheduler: Annotated[MaybeName, "name of the scheduler; empty: the cluster's own"] = ""
    queue: Annotated[MaybeName, "Kueue's queue for the Jobs"] = ""
    labels: Annotated[Pairs, "more labels of Jobs and pods"] = {}
    annotations: Annotated[Pairs, "more annotations of Jobs and pods"] = {}
    template: Annotated[Table, "merged into the pod template: maps merge, named things merge by name"] = {}
    start_s: Annotated[Seconds, "a pod that a node took has to begin within this: images are pulled"] = 1800.0
    grace_s: Annotated[Seconds, "between being asked to stop and being killed"] = 10.0
    keep_s: Annotated[Seconds, "ended Jobs are removed after this, even if no engine comes back"] = 86400.0
    ready: Annotated[GpuCounts, "runs that wait for a GPU, by type; others: one per four GPUs, at least one"] = {}
    unreachable_s: Annotated[Seconds, "a node may be out of reach for so long before its run is given up"] = 60.0
    followed_logs: Annotated[Count, "logs that are followed at a time"] = 32

    @property
    def tolerated(self) -> tuple[Toleration, ...]:
        return (*TOLERATED, *self.tolerations)


CLUSTER_SETTINGS = rows_of(ClusterSettings)


def checked(table: Mapping[str, Any], where: str = "autoresearch.toml") -> ClusterSettings:
    """The settings in a raw `[kubernetes]` table. Raises SettingsError, which names the value and what it must be."""
    good = {name: converted(CLUSTER_SETTINGS, "kubernetes", name, value, where) for name, value in table.items()}
    settings = msgspec.structs.replace(ClusterSettings(), **good)
    for volume in settings.volumes:
        if sum(map(bool, (volume.claim, volume.host_path, volume.config_map))) != 1:
            raise SettingsError(
                f"{where}: the volume at {volume.mount} must have one of claim, host_path and config_map."
            )
    return settings
