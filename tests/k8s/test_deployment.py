"""Manifests filled in from the settings."""

from __future__ import annotations

import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from manifested import FILES, ON_DATA, objects, only, pod_of

from core import settings
from core.errors import NothingRuns
from k8s.deployment import DATA, ENGINE, TRAINER, Object, Wanted, deployed, text
from k8s.permissions import PERMISSIONS, rules
from k8s.settings import ClusterSettings, Volume, checked

ROOT = Path(__file__).parents[2]
MANIFESTS = ROOT / "k8s" / "manifests"


def parts(thing: Any) -> Iterator[dict[str, Any]]:
    if isinstance(thing, dict):
        yield thing
    for part in thing.values() if isinstance(thing, dict) else thing if isinstance(thing, list) else ():
        yield from parts(part)


def toml_of(things: list[Object]) -> str:
    found: str = only(things, "ConfigMap")["data"]["autoresearch.toml"]
    return found


def test_the_roles_of_the_manifests_are_exactly_the_table() -> None:
    things = objects(others=True)
    here = [each for each in PERMISSIONS if not each.everywhere]
    nodes = [each for each in PERMISSIONS if each.everywhere and each.is_needed]
    others = [each for each in PERMISSIONS if each.everywhere and not each.is_needed]
    assert only(things, "Role")["rules"] == rules(here)
    assert only(things, "ClusterRole", "nodes")["rules"] == rules(nodes)
    assert only(things, "ClusterRole", "others")["rules"] == rules(others)


def test_who_else_holds_gpus_and_a_network_policy_come_on_request_alone() -> None:
    plain = {(each["kind"], each["metadata"]["name"]) for each in objects()}
    asked = {(each["kind"], each["metadata"]["name"]) for each in objects(others=True, no_egress=True)}
    assert asked - plain == {
        ("ClusterRole", "autoresearch-others"),
        ("ClusterRoleBinding", "autoresearch-others"),
        ("NetworkPolicy", "autoresearch-runs"),
    }
    assert "egress" not in only(objects(no_egress=True), "NetworkPolicy")["spec"]


def test_everything_is_in_the_namespace_of_the_settings_and_that_is_not_made() -> None:
    things = objects({"kubernetes": {"namespace": "lab"}}, engine=True, others=True, no_egress=True)
    assert "Namespace" not in {each["kind"] for each in things}
    assert {each["metadata"].get("namespace", "lab") for each in things} == {"lab"}
    assert {each["namespace"] for thing in things for each in thing.get("subjects", ())} == {"lab"}
    assert only(things, "ClusterRoleBinding", "nodes")["metadata"]["name"] == "autoresearch-nodes-lab"


def test_images_are_those_of_the_settings() -> None:
    cluster = checked({"image": "r/trainer:2", "pull_secrets": ["r"], "user": 7})
    things = objects(cluster=cluster, engine=True, engine_image="r/engine:3")
    images = {each["image"] for thing in things for each in parts(thing) if isinstance(each.get("image"), str)}
    assert images == {"r/trainer:2", "r/engine:3"}
    for thing in (only(things, "Job"), only(things, "Deployment")):
        pod = pod_of(thing)
        assert pod["imagePullSecrets"] == [{"name": "r"}]
        assert [pod["securityContext"][key] for key in ("runAsUser", "fsGroup")] == [7, 7]
    assert {TRAINER, ENGINE} & images == set()


def test_an_engine_in_the_cluster_reads_settings_with_which_its_runs_find_the_data(tmp_path: Path) -> None:
    table = {"kubeconfig": "/home/me/config", "context": "mine", "cpu": "8", "node_selector": {"a/b": "c"}}
    given = {"max_hours": 2.0, "env": {"A": 'say "x"'}, "factors": ("LR",), "target_bpb": None, "kubernetes": table}
    (tmp_path / "autoresearch.toml").write_text(toml_of(objects(given)))
    found = settings.load(tmp_path, {}, {}).settings
    assert found.executor == "kubernetes", "the control room there may start an engine, too"
    assert (found.max_hours, found.factors, found.target_bpb) == (2.0, ("LR",), None)
    assert found.env == {"A": 'say "x"', "AUTORESEARCH_DATA": "/data"}
    cluster = checked(found.kubernetes)
    expected = checked({**table, "kubeconfig": "", "context": "", "namespace": "autoresearch"})
    assert cluster == msgspec.structs.replace(expected, volumes=(DATA,))


def test_what_the_settings_here_lack_is_told() -> None:
    lines = deployed(Wanted(given={}, cluster=ClusterSettings(), files=FILES)).missing
    assert tomllib.loads("\n".join(lines)) == {
        "executor": "kubernetes",
        "env": {"AUTORESEARCH_DATA": "/data"},
        "kubernetes": {
            "namespace": "autoresearch",
            "image": "autoresearch-trainer",
            "volumes": [{"mount": "/data", "claim": "autoresearch-data"}],
        },
    }
    given = tomllib.loads("\n".join(lines))
    again = deployed(Wanted(given=given, cluster=checked(given["kubernetes"]), files=FILES))
    assert again.missing == ()


def test_data_on_a_claim_of_ones_own_is_prepared_there_and_no_claim_is_made() -> None:
    table = {"volumes": [{"mount": "/corpora", "claim": "shared"}], "python": "/opt/python"}
    things = objects({"env": {"AUTORESEARCH_DATA": "/corpora/c4"}, "kubernetes": table})
    pod = pod_of(only(things, "Job"))
    (container,) = pod["containers"]
    assert container["command"][-1] == "/opt/python"
    assert {"name": "AUTORESEARCH_DATA", "value": "/corpora/c4"} in container["env"]
    assert {"name": "data", "persistentVolumeClaim": {"claimName": "shared"}} in pod["volumes"]
    assert {"name": "data", "mountPath": "/corpora"} in container["volumeMounts"]
    assert "PersistentVolumeClaim" not in {each["kind"] for each in things}


def test_data_in_the_image_needs_no_job() -> None:
    cluster = ClusterSettings(volumes=(Volume(mount="/cache", host_path="/var/cache"),))
    things = objects(cluster=cluster, engine=True)
    assert "Job" not in {each["kind"] for each in things}
    pod = pod_of(only(things, "Deployment"))
    assert [each["name"] for each in pod["initContainers"]] == ["workspace"], "it waits for no data"
    assert "data" not in {each["name"] for each in pod["volumes"]}


def test_a_schedule_makes_a_cron_job_and_each_volume_has_its_own_storage_class() -> None:
    things = objects(schedule="5 4 * * *", data_class="shared", session_class="fast")
    assert only(things, "CronJob")["spec"]["schedule"] == "5 4 * * *"
    claims = [each["spec"]["storageClassName"] for each in things if each["kind"] == "PersistentVolumeClaim"]
    assert claims == ["shared", "fast"]
    assert "Deployment" not in {each["kind"] for each in things}


def test_an_engine_is_started_again_by_new_settings_and_by_nothing_else() -> None:
    def applied(given: dict[str, Any], **files: bytes) -> Object:
        things = objects(given, engine=True, files={**FILES, **{f"{name}.md": text for name, text in files.items()}})
        found: Object = only(things, "Deployment")["spec"]["template"]
        return found

    first = applied({"max_hours": 1.0})
    assert applied({"max_hours": 1.0}) == first
    assert applied({"max_hours": 2.0})["metadata"] != first["metadata"]
    assert applied({"max_hours": 1.0}, program=b"Be bold.")["metadata"] != first["metadata"]
    assert applied({"max_hours": 1.0}, other=b"x")["metadata"] == first["metadata"]


def test_the_job_of_the_data_can_be_applied_again_whatever_changed() -> None:
    """The server refuses to change a Job that is there: what differs has to be another one."""

    def job(given: dict[str, Any] | None = None, **wishes: Any) -> Object:
        return only(objects(given, **wishes), "Job")

    jobs = [
        job(),
        job(cluster=checked({"image": "r/trainer:2"})),
        job({"env": {"AUTORESEARCH_DATA": "/data/c4"}, "kubernetes": {"volumes": [ON_DATA]}}),
        job(files={**FILES, "more.py": b""}),
        job(files={**FILES, "prepare.py": b"SHARDS = 2"}),
    ]
    assert len({each["metadata"]["name"] for each in jobs}) == len(jobs)
    assert job({"max_hours": 2.0}) == job(), "settings that do not concern the data"
    assert all(each["metadata"]["name"].startswith("autoresearch-data-") for each in jobs)


@pytest.mark.parametrize("wish", [{"engine": True}, {"schedule": "0 0 * * *"}], ids=["engine", "nightly"])
def test_the_engine_gets_the_keys_of_a_secret_if_there_is_one(wish: dict[str, Any]) -> None:
    pod = pod_of(objects(**wish)[-1])
    (container,) = pod["containers"]
    assert container["envFrom"] == [{"secretRef": {"name": "autoresearch-keys", "optional": True}}]
    assert not any("envFrom" in each for each in pod["initContainers"])


def test_kubectl_exec_needs_no_name_of_a_container() -> None:
    template = only(objects(engine=True), "Deployment")["spec"]["template"]
    assert template["metadata"]["annotations"]["kubectl.kubernetes.io/default-container"] == "engine"


def test_what_the_cluster_has_to_have_before_is_said() -> None:
    def needed(table: dict[str, Any], **wishes: Any) -> tuple[str, ...]:
        return deployed(Wanted(given={"kubernetes": table}, cluster=checked(table), files=FILES, **wishes)).needed

    many = "The volume autoresearch-data is read by many nodes: "
    assert needed({}) == (f"{many}the default storage class has to offer ReadWriteMany; --data-class names another.",)
    assert needed({"namespace": "lab"}, data_class="nfs") == (
        "The namespace lab must be there, and is not printed: `kubectl create namespace lab`.",
        f"{many}the storage class nfs has to offer ReadWriteMany.",
    )
    assert needed({"volumes": [ON_DATA]}) == ()


def test_files_of_any_path_and_content_travel() -> None:
    things = objects()
    held = only(things, "ConfigMap")
    (volume,) = [each for each in pod_of(only(things, "Job"))["volumes"] if each["name"] == "workspace"]
    paths = {each["path"]: each["key"] for each in volume["configMap"]["items"]}
    assert set(paths) == {*FILES, "autoresearch.toml"}
    assert held["data"][paths["lib/model.py"]] == "import os\n"
    assert held["binaryData"] == {"vocabulary": "/wA="}


def test_a_workspace_too_large_for_a_config_map_is_refused() -> None:
    with pytest.raises(NothingRuns, match="take 1000 kB, and a ConfigMap holds 900 kB"):
        objects(files={"train.py": b"x" * 1_000_000})


def test_the_text_reads_back_as_what_was_meant() -> None:
    things = objects(engine=True, others=True, no_egress=True)
    assert list(yaml.safe_load_all(text(things))) == things


@pytest.mark.parametrize("folder", ["base", "session", "engine", "nightly"])
def test_kustomize_takes_the_manifests_as_they_are(folder: str) -> None:
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("Install kubectl to build the manifests with kustomize.")
    done = subprocess.run([kubectl, "kustomize", MANIFESTS / folder], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert all(each["metadata"].get("namespace", "autoresearch") for each in yaml.safe_load_all(done.stdout))


def test_every_option_is_a_component_for_kustomize(tmp_path: Path) -> None:
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("Install kubectl to build the manifests with kustomize.")
    shutil.copytree(MANIFESTS, tmp_path / "manifests")
    mine = {"resources": ["../manifests/engine"], "components": ["../manifests/options/no-egress"]}
    mine["components"].append("../manifests/options/others")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "kustomization.yaml").write_text(yaml.safe_dump({**mine, "namespace": "lab"}))
    done = subprocess.run([kubectl, "kustomize", tmp_path / "mine"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    kinds = {each["kind"]: each for each in yaml.safe_load_all(done.stdout)}
    assert kinds["NetworkPolicy"]["metadata"]["namespace"] == "lab"
    assert kinds["ClusterRoleBinding"]["subjects"][0]["namespace"] == "lab"


# --- the images -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("file", ["trainer/Dockerfile", "k8s/Dockerfile"])
def test_images_are_not_roots(file: str) -> None:
    lines = (ROOT / file).read_text().splitlines()
    users = [line for line in lines if line.startswith("USER ")]
    assert users[-1:] == [f"USER {ClusterSettings().user}:{ClusterSettings().user}"]


def test_the_image_of_runs_has_what_the_trainer_needs() -> None:
    needs = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]["train"]
    said = (ROOT / "trainer" / "Dockerfile").read_text()
    torch = next(each for each in needs if each.startswith("torch=="))
    assert f"ARG TORCH={torch.removeprefix('torch==')}\n" in said
    assert all(f'"{each}"' in said for each in needs if each != torch)


def test_the_image_of_the_engine_is_made_of_the_packages_of_the_wheel() -> None:
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    lines = (ROOT / "k8s" / "Dockerfile.dockerignore").read_text().splitlines()
    assert {f"!{name}" for name in wheel["packages"]} <= set(lines)
