"""The Job and the ConfigMap of a run, as the API server takes them."""

from __future__ import annotations

import base64
import gzip
import json
import random
import re
from typing import Any

import pytest

from core.errors import NothingRuns
from core.executor import Job
from core.ids import ExperimentId, RunId, SessionId, WaveId
from k8s.inventory import Placement
from k8s.jobs import Campaign, config_map, job, merged, name
from k8s.packing import parcel
from k8s.settings import ClusterSettings, Toleration, Volume

SESSION = SessionId("2026-11-23-a1b2c3")
RUN = Job(
    run=RunId("e12-1"),
    source="print(1)\n",
    seed=7,
    gpu_type="H100",
    experiment=ExperimentId("e12"),
    wave=WaveId("w3"),
    tier="validate",
)
HERE = Placement("nvidia.com/gpu", ({"matchExpressions": [{"key": "k", "operator": "In", "values": ["v"]}]},))
CAMPAIGN = Campaign(
    session=SESSION,
    files={"prepare.py": b"P = 1\n", "lib/more.py": b"M = 1\n", "data.bin": b"\xff\x00"},
    prepare_digest="d" * 64,
    timeout_s=720,
    time_budget=300,
    env={"PATH": "/opt/bin", "ODD": "$(PATH) $5"},
)


def made(settings: ClusterSettings | None = None, campaign: Campaign = CAMPAIGN) -> dict[str, Any]:
    return job(RUN, campaign, settings or ClusterSettings(), HERE)


def pod(settings: ClusterSettings | None = None, campaign: Campaign = CAMPAIGN) -> dict[str, Any]:
    spec: dict[str, Any] = made(settings, campaign)["spec"]["template"]["spec"]
    return spec


def container(settings: ClusterSettings | None = None, campaign: Campaign = CAMPAIGN) -> dict[str, Any]:
    only: dict[str, Any] = pod(settings, campaign)["containers"][0]
    return only


def test_the_name_follows_from_session_and_run() -> None:
    assert name(SESSION, RunId("e12-1")) == "autoresearch-2026-11-23-a1b2c3-e12-1"
    assert made()["metadata"]["name"] == name(SESSION, RUN.run)


@pytest.mark.parametrize("session", ["x" * 80, "My Session!", "ünïcode", "-a-"])
def test_any_session_has_a_name_that_kubernetes_takes(session: str) -> None:
    names = {name(SessionId(session), RunId(run)) for run in ("e1-1", "e1-2", "e11-1")}
    assert len(names) == 3
    assert all(len(each) <= 63 and re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", each) for each in names)


def test_labels_find_a_run_and_annotations_tell_about_it() -> None:
    found = made(ClusterSettings(labels={"team": "ml"}, annotations={"cost": "12"}))
    for meta in (found["metadata"], found["spec"]["template"]["metadata"]):
        assert meta["labels"] == {
            "team": "ml",
            "app.kubernetes.io/managed-by": "autoresearch-tui",
            "autoresearch-tui/session": SESSION,
            "autoresearch-tui/run": "e12-1",
        }
        notes = {key.removeprefix("autoresearch-tui/"): value for key, value in meta["annotations"].items()}
        about = {"gpu-type": "H100", "session": SESSION, "experiment": "e12", "wave": "w3", "tier": "validate"}
        assert notes == about | {"cost": "12"}


def test_what_has_no_wave_says_none() -> None:
    start = job(Job(run=RunId("e0-1"), source="", seed=1, gpu_type="H100"), CAMPAIGN, ClusterSettings(), HERE)
    assert "autoresearch-tui/wave" not in start["metadata"]["annotations"]


def test_a_run_is_tried_once_and_its_time_in_the_queue_does_not_count() -> None:
    spec = made()["spec"]
    assert (spec["backoffLimit"], spec["completions"], spec["parallelism"]) == (0, 1, 1)
    assert spec["ttlSecondsAfterFinished"] == 86400
    assert "activeDeadlineSeconds" not in spec
    assert pod()["restartPolicy"] == "Never"
    assert pod()["activeDeadlineSeconds"] > 720 + 1800


def test_a_pod_has_no_rights() -> None:
    spec, only = pod(), container()
    assert spec["automountServiceAccountToken"] is False
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["runAsUser"] == 1000
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert only["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "privileged": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert not {"hostNetwork", "hostPID", "hostIPC", "serviceAccountName"} & set(spec)


def test_a_run_asks_for_one_gpu_of_its_type() -> None:
    limits = container(ClusterSettings(cpu="8", memory="64Gi"))["resources"]
    assert limits == {
        "limits": {"nvidia.com/gpu": "1", "memory": "64Gi"},
        "requests": {"nvidia.com/gpu": "1", "cpu": "8"},
    }
    required = pod()["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    assert required == {"nodeSelectorTerms": list(HERE.terms)}


def test_the_contract_with_the_trainer_is_that_of_runs_on_this_machine() -> None:
    env = {entry["name"]: entry["value"] for entry in container()["env"]}
    assert env["AUTORESEARCH_SEED"] == "7"
    assert env["AUTORESEARCH_TIME_BUDGET"] == "300"
    assert env["PYTHONUNBUFFERED"] == env["PYTHONDONTWRITEBYTECODE"] == "1"
    assert env["PATH"] == "/opt/bin"


def test_a_dollar_in_a_variable_stays_a_dollar() -> None:
    env = {entry["name"]: entry["value"] for entry in container()["env"]}
    assert env["ODD"] == "$$(PATH) $$5"


def test_the_starter_is_ordered_without_a_shell() -> None:
    python, *flags, starter, order = container(ClusterSettings(python="/opt/python"))["command"]
    assert (python, flags, starter) == ("/opt/python", ["-I", "-u"], "/autoresearch/source/starter.py")
    said = json.loads(order)
    assert (said["timeout_s"], said["prepare_digest"], said["output_bytes"]) == (720, "d" * 64, 64_000_000)
    assert said["message"] == container()["terminationMessagePath"]
    assert said["keep"] == ["ODD", "PATH"]


def test_what_is_mounted_is_there_and_is_mounted_once() -> None:
    settings = ClusterSettings(
        scratch=("/tmp",),  # noqa: S108  in a pod
        shared_memory="8Gi",
        volumes=(Volume(mount="/data", claim="corpus"), Volume(mount="/cache", host_path="/mnt", read_only=False)),
    )
    mounts = {mount["name"]: mount["mountPath"] for mount in container(settings)["volumeMounts"]}
    volumes = {volume.pop("name"): volume for volume in pod(settings)["volumes"]}
    assert set(mounts) == set(volumes)
    assert len(set(mounts.values())) == len(mounts)
    assert volumes["volume-0"] == {"persistentVolumeClaim": {"claimName": "corpus", "readOnly": True}}
    assert volumes["volume-1"] == {"hostPath": {"path": "/mnt"}}
    assert volumes["shared-memory"] == {"emptyDir": {"medium": "Memory", "sizeLimit": "8Gi"}}


def test_settings_reach_the_pod() -> None:
    settings = ClusterSettings(
        priority_class="low",
        runtime_class="nvidia",
        scheduler="volcano",
        node_selector={"pool": "ml"},
        pull_secrets=("registry",),
        tolerations=(Toleration(key="team", operator="Exists"),),
        image="ours:1",
    )
    spec = pod(settings)
    assert (spec["priorityClassName"], spec["runtimeClassName"], spec["schedulerName"]) == ("low", "nvidia", "volcano")
    assert (spec["nodeSelector"], spec["imagePullSecrets"]) == ({"pool": "ml"}, [{"name": "registry"}])
    assert {"key": "team", "operator": "Exists"} in spec["tolerations"]
    assert {"key": "nvidia.com/gpu", "operator": "Exists"} in spec["tolerations"]
    assert spec["containers"][0]["image"] == "ours:1"
    assert not {"priorityClassName", "nodeSelector", "imagePullSecrets"} & set(pod())


def test_a_queue_lets_the_job_go() -> None:
    found = made(ClusterSettings(queue="research"))
    assert found["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "research"
    assert found["spec"]["suspend"] is True
    assert "suspend" not in made()["spec"]


def test_the_template_of_the_settings_is_merged_into_the_pod() -> None:
    more = {
        "metadata": {"annotations": {"sidecar": "no"}},
        "spec": {
            "hostIPC": True,
            "containers": [{"name": "train", "env": [{"name": "PATH", "value": "/x"}, {"name": "NEW", "value": "1"}]}],
            "tolerations": [{"operator": "Exists"}],
        },
    }
    found = made(ClusterSettings(template=more))["spec"]["template"]
    (only,) = found["spec"]["containers"]
    env = {entry["name"]: entry["value"] for entry in only["env"]}
    assert (env["PATH"], env["NEW"], env["AUTORESEARCH_SEED"]) == ("/x", "1", "7")
    assert found["metadata"]["annotations"]["sidecar"] == "no"
    assert found["spec"]["hostIPC"] is True
    assert only["image"] == "autoresearch-trainer"
    assert found["spec"]["tolerations"][-1] == {"operator": "Exists"}


def test_what_is_merged_changes_neither_side() -> None:
    base, more = {"a": [{"name": "x", "v": 1}]}, {"a": [{"name": "x", "w": 2}]}
    assert merged(base, more) == {"a": [{"name": "x", "v": 1, "w": 2}]}
    assert (base, more) == ({"a": [{"name": "x", "v": 1}]}, {"a": [{"name": "x", "w": 2}]})


# --- the ConfigMap ----------------------------------------------------------------------------------------------------


def test_the_config_map_belongs_to_its_job() -> None:
    found = config_map(RUN, CAMPAIGN, ClusterSettings(), owner_uid="u1")
    own = name(SESSION, RUN.run)
    assert found["metadata"]["name"] == own
    assert found["metadata"]["ownerReferences"] == [{"apiVersion": "batch/v1", "kind": "Job", "name": own, "uid": "u1"}]
    assert found["immutable"] is True


def test_every_file_arrives_where_it_belongs() -> None:
    assert arrived(CAMPAIGN) == {
        "plain/train.py": b"print(1)\n",
        "plain/prepare.py": b"P = 1\n",
        "plain/lib/more.py": b"M = 1\n",
        "plain/data.bin": b"\xff\x00",
    }


def test_files_that_are_too_large_are_compressed() -> None:
    campaign = Campaign(session=SESSION, files={"prepare.py": b"x = 1\n" * 200_000}, timeout_s=1)
    found = arrived(campaign)
    assert set(found) == {"packed/train.py", "packed/prepare.py"}
    assert gzip.decompress(found["packed/prepare.py"]) == b"x = 1\n" * 200_000
    assert gzip.decompress(found["packed/train.py"]) == b"print(1)\n"


def test_files_that_stay_too_large_are_refused_with_what_to_do() -> None:
    noise = random.Random(0).randbytes(1_100_000)
    with pytest.raises(NothingRuns, match=r"take 1\d\d\d kB even compressed, and a ConfigMap holds 1000 kB: put data"):
        parcel("x", {"data.bin": noise})


def test_keys_are_what_kubernetes_takes_and_never_meet() -> None:
    files = {
        path: path.encode() for path in ("a/b.py", "a_b.py", "ünï.py", ".hidden", "file-1", "starter.py", "x" * 300)
    }
    found = parcel("x", files)
    assert all(re.fullmatch(r"[-._a-zA-Z0-9]{1,253}", key) for key in found.paths)
    assert set(found.paths) == set(found.texts)
    assert sorted(found.paths.values()) == sorted(
        ["starter.py", "plain/train.py", *(f"plain/{path}" for path in files)]
    )
    assert all(
        found.texts[key] == path.removeprefix("plain/") for key, path in found.paths.items() if key[:4] == "file"
    )


def arrived(campaign: Campaign) -> dict[str, bytes]:
    """What the starter finds, by path, as the pod's volume puts it there."""
    held = config_map(RUN, campaign, ClusterSettings(), owner_uid="u1")
    contents = {key: text.encode() for key, text in held["data"].items()}
    contents |= {key: base64.b64decode(text) for key, text in held["binaryData"].items()}
    (source,) = (volume for volume in pod(campaign=campaign)["volumes"] if volume["name"] == "source")
    files = {item["path"]: contents[item["key"]] for item in source["configMap"]["items"]}
    assert b"train.py" in files.pop("starter.py")
    return files
