"""`manifests` and `doctor` of a workspace whose runs are a cluster's, from the command line."""

from __future__ import annotations

from pathlib import Path

import pytest
import stub
import yaml
from checkout import git


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    return stub.make_stub(tmp_path / "work")


def test_manifests_print_what_kubectl_applies_and_nothing_else_on_standard_output(workspace: Path) -> None:
    (workspace / "autoresearch.toml").write_text('max_hours = 3\n[kubernetes]\nnamespace = "lab"\n')
    done = stub.run(workspace, "manifests", "--engine", "--image", "r/trainer:1", "--engine-image", "r/engine:1")
    assert done.returncode == 0, done.stderr
    things = {each["kind"]: each for each in yaml.safe_load_all(done.stdout)}
    assert {"Role", "ClusterRole", "PersistentVolumeClaim", "Job", "ConfigMap", "Deployment"} <= set(things)
    files = things["ConfigMap"]["data"]
    assert files["train.py"] == git(workspace, "show", "HEAD:train.py") + "\n"
    assert "max_hours = 3.0\n" in files["autoresearch.toml"]
    assert 'image = "r/trainer:1"' in files["autoresearch.toml"]
    assert 'env = { AUTORESEARCH_DATA = "/data" }' in done.stderr
    assert "`kubectl create namespace lab`" in done.stderr


def test_a_deployment_and_a_cron_job_exclude_each_other(workspace: Path) -> None:
    done = stub.run(workspace, "manifests", "--engine", "--cron", "0 22 * * *")
    assert done.returncode == 2
    assert "choose one" in done.stderr


def test_doctor_asks_the_cluster_instead_of_this_machine(workspace: Path) -> None:
    (workspace / "autoresearch.toml").write_text('[kubernetes]\nkubeconfig = "/nowhere"\n')
    done = stub.run(workspace, "--executor", "kubernetes", "doctor")
    assert done.returncode == 3
    assert "✗ cluster    There is no kubeconfig at /nowhere" in done.stdout
    for local in ("torch", "slots  ", "trainer  "):
        assert f"✓ {local}" not in done.stdout


def test_a_workspace_for_a_cluster_is_made_for_its_gpus(tmp_path: Path) -> None:
    stub.run(tmp_path / "new", "--executor", "kubernetes", "init")
    assert "\nDEPTH = 8 " in (tmp_path / "new" / "train.py").read_text()
