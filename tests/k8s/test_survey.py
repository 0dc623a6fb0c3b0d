"""What `doctor` says of a cluster, by what an API server answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from labelled import PRODUCT
from wire import Asked, Reply, kubeconfig, serve

from core.clock import SystemClock
from k8s.permissions import PERMISSIONS, REVIEWS, WHOAMI
from k8s.settings import ClusterSettings, Volume
from k8s.survey import Finding, survey

H100: dict[str, Any] = {
    "metadata": {"name": "n1", "labels": {PRODUCT: "NVIDIA-H100-80GB-HBM3"}},
    "status": {"allocatable": {"nvidia.com/gpu": "8"}, "conditions": [{"type": "Ready", "status": "True"}]},
}
CORDONED = {
    **H100,
    "metadata": {"name": "n2", "labels": {PRODUCT: "NVIDIA-H100-80GB-HBM3"}},
    "spec": {"unschedulable": True},
}
FULL = ClusterSettings(image="r/trainer:1", volumes=(Volume(mount="/data", claim="corpus"),))
ENV = {"AUTORESEARCH_DATA": "/data"}


class Server:
    """As an API server: `refused` are permissions, as "verb resource"; `answers` replace whole answers, by path."""

    def __init__(self, *nodes: Any, refused: tuple[str, ...] = (), **answers: tuple[int, Any]) -> None:
        self.nodes, self.refused, self.answers = nodes, refused, answers

    async def __call__(self, asked: Asked, reply: Reply) -> None:
        last = asked.path.rsplit("/", 1)[-1]
        if last in self.answers:
            await reply.full(*self.answers[last])
        elif asked.path == REVIEWS:
            await reply.full(201, {"status": {"allowed": self._allows(json.loads(asked.body)["spec"])}})
        elif asked.path == WHOAMI:
            await reply.full(201, {"status": {"userInfo": {"username": "ada"}}})
        elif last == "version":
            await reply.full(200, {"gitVersion": "v1.32.4", "minor": "32+"})
        elif last == "nodes":
            await reply.full(200, {"metadata": {"resourceVersion": "1"}, "items": list(self.nodes)})
        else:
            assert asked.query == {"dryRun": "All"}, "doctor makes nothing"
            await reply.full(201, {})

    def _allows(self, spec: Any) -> bool:
        asked = spec["resourceAttributes"]
        resource = "/".join(filter(None, (asked["resource"], asked["subresource"])))
        where = "" if asked["namespace"] or resource == "nodes" else " in all namespaces"
        return f"{asked['verb']} {resource}{where}" not in self.refused


async def surveyed(folder: Path, server: Server, settings: ClusterSettings = FULL) -> dict[str, Finding]:
    async with serve(server) as wire:
        path = kubeconfig(folder, f"http://127.0.0.1:{wire.port}")
        asked = msgspec.structs.replace(settings, kubeconfig=path)
        return {finding.name: finding async for finding in survey(asked, ENV, SystemClock())}


async def test_a_cluster_with_all_that_is_needed_is_good(tmp_path: Path) -> None:
    found = await surveyed(tmp_path, Server(H100, CORDONED))
    assert {name: finding.is_good for name, finding in found.items()} == dict.fromkeys(
        ("cluster", "rights", "GPUs", "Jobs", "image", "data"), True
    )
    assert found["cluster"].found.startswith("v1.32.4 at http://127.0.0.1:")
    assert found["rights"].found == f"all {len(PERMISSIONS)} that are used, in namespace lab"
    assert found["GPUs"].found == "16 × H100 (8 cordoned) on 2 nodes"
    assert found["data"].found == "/data on volume corpus"


async def test_a_missing_right_is_named_with_its_reason_and_its_role(tmp_path: Path) -> None:
    found = await surveyed(tmp_path, Server(H100, refused=("get pods/log",)))
    rights = found["rights"]
    assert (rights.is_good, rights.is_fatal) == (False, True)
    assert rights.found == "may not get pods/log: val_bpb is read from the log"
    role, binding = yaml.safe_load_all(rights.to_apply)
    assert {"apiGroups": [""], "resources": ["pods/log"], "verbs": ["get"]} in role["rules"]
    assert (role["metadata"]["namespace"], role["metadata"]["name"]) == ("lab", binding["roleRef"]["name"])
    assert binding["subjects"] == [{"kind": "User", "name": "ada", "apiGroup": "rbac.authorization.k8s.io"}]


async def test_research_goes_on_without_the_right_to_see_others(tmp_path: Path) -> None:
    found = await surveyed(tmp_path, Server(H100, refused=("list pods in all namespaces",)))
    assert (found["rights"].is_good, found["rights"].is_fatal) == (False, False)
    assert found["rights"].found == "may not list pods in all namespaces, so it stays unknown who else holds GPUs"
    (role, _) = yaml.safe_load_all(found["rights"].to_apply)
    assert (role["kind"], role["metadata"]["name"]) == ("ClusterRole", "autoresearch-ada-lab")


async def test_an_old_server_that_does_not_say_who_is_asking_leaves_a_name_to_fill_in(tmp_path: Path) -> None:
    unknown = {"kind": "Status", "reason": "NotFound", "code": 404}
    server = Server(
        H100,
        refused=("watch nodes",),
        version=(200, {"gitVersion": "v1.20.2", "minor": "20"}),
        selfsubjectreviews=(404, unknown),
    )
    found = await surveyed(tmp_path, server)
    assert found["version"].found == "older than 1.23"
    assert not found["version"].is_fatal
    assert "THE-USER-NAME" in found["rights"].to_apply


@pytest.mark.parametrize(
    ("reason", "message", "name", "said"),
    [
        ("NotFound", 'namespaces "lab" not found', "namespace", "there is no lab"),
        ("Forbidden", "exceeded quota: gpus", "Jobs", "exceeded quota: gpus"),
    ],
)
async def test_what_the_server_would_not_take_is_told(
    tmp_path: Path, reason: str, message: str, name: str, said: str
) -> None:
    status = {"kind": "Status", "reason": reason, "message": message, "code": 403}
    found = await surveyed(tmp_path, Server(H100, configmaps=(403, status)))
    assert not found[name].is_good
    assert said in found[name].found


async def test_a_cluster_without_gpus_says_what_gpu_nodes_need(tmp_path: Path) -> None:
    bare = {"metadata": {"name": "n0"}, "status": {"allocatable": {"cpu": "8"}}}
    found = await surveyed(tmp_path, Server(bare))
    assert (found["GPUs"].is_good, found["GPUs"].found) == (False, "none on 1 node")
    assert "device plugin" in found["GPUs"].remedy


async def test_what_cannot_be_reached_is_told_once_and_the_settings_are_looked_at_all_the_same(tmp_path: Path) -> None:
    path = kubeconfig(tmp_path, "http://127.0.0.1:1")
    settings = ClusterSettings(kubeconfig=path)
    found = {each.name: each async for each in survey(settings, {}, SystemClock())}
    assert list(found) == ["cluster", "image", "data"]
    assert "cannot be reached: Connection refused" in found["cluster"].found
    assert found["cluster"].is_fatal
    assert (found["image"].found, found["image"].is_fatal) == ("autoresearch-trainer names no registry", False)
    assert found["data"].found == "AUTORESEARCH_DATA is not set"


async def test_something_else_at_that_address_is_not_taken_for_a_cluster(tmp_path: Path) -> None:
    found = await surveyed(tmp_path, Server(version=(200, b"<html>")))
    assert "is no Kubernetes API server" in found["cluster"].found
