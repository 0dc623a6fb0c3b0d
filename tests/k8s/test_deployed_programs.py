"""The little programs in the manifests: how an engine's workspace is made and kept, waits for its data, and ends."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from checkout import git
from manifested import ON_DATA, objects, only, pod_of
from stub import until

from core import settings


@pytest.mark.parametrize("wish", [{"engine": True}, {"schedule": "0 0 * * *"}], ids=["engine", "nightly"])
def test_the_workspace_is_made_once_from_the_files_as_they_are_mounted(tmp_path: Path, wish: dict[str, Any]) -> None:
    mounted(tmp_path / "start", {"train.py": "LR = 1\n", ".gitignore": "", "lib/model.py": ""})
    for _ in range(2):
        made = prepared(tmp_path, **wish)
        (made / "train.py").write_text("LR = 2\n")
    assert git(made, "ls-files").split() == [".gitignore", "lib/model.py", "train.py"]
    assert (made / "train.py").read_text() == "LR = 2\n", "what is there stays"


@pytest.mark.parametrize("wish", [{"engine": True}, {"schedule": "0 0 * * *"}], ids=["engine", "nightly"])
def test_settings_that_are_applied_later_reach_an_engine_that_is_there(tmp_path: Path, wish: dict[str, Any]) -> None:
    before = {"train.py": "LR = 1\n", "autoresearch.toml": "max_hours = 1\n"}
    mounted(tmp_path / "start", before)
    first = git(prepared(tmp_path, **wish), "rev-parse", "HEAD")
    assert git(prepared(tmp_path, **wish), "rev-parse", "HEAD") == first, "nothing changed"
    after = {"train.py": "LR = 9\n", "autoresearch.toml": "max_hours = 2\n", "program.md": "Be bold.\n"}
    mounted(tmp_path / "start", after)
    made = prepared(tmp_path, **wish)
    assert settings.load(made, {}, {}).settings.max_hours == 2.0
    assert (made / "program.md").read_text() == "Be bold.\n"
    assert (made / "train.py").read_text() == "LR = 1\n", "what the session began with stays"
    assert git(made, "status", "--porcelain") == "", "it is committed"
    assert git(made, "show", "HEAD:autoresearch.toml") == "max_hours = 2"


def test_what_somebody_is_about_to_commit_there_is_left_alone(tmp_path: Path) -> None:
    mounted(tmp_path / "start", {"train.py": "LR = 1\n", "autoresearch.toml": "max_hours = 1\n"})
    made = prepared(tmp_path, engine=True)
    (made / "train.py").write_text("LR = 2\n")
    git(made, "add", "train.py")
    mounted(tmp_path / "start", {"train.py": "LR = 1\n", "autoresearch.toml": "max_hours = 2\n"})
    prepared(tmp_path, engine=True)
    assert git(made, "status", "--porcelain") == "M  train.py"


def test_settings_hold_where_git_is_in_the_way(tmp_path: Path) -> None:
    mounted(tmp_path / "start", {"train.py": "LR = 1\n", "autoresearch.toml": "max_hours = 1\n"})
    made = prepared(tmp_path, engine=True)
    (made / ".git" / "index.lock").touch()  # of a git that was killed
    mounted(tmp_path / "start", {"train.py": "LR = 1\n", "autoresearch.toml": "max_hours = 2\n"})
    prepared(tmp_path, engine=True)
    assert (made / "autoresearch.toml").read_text() == "max_hours = 2\n"


def prepared(folder: Path, **wish: Any) -> Path:
    """The workspace after the engine's first container; `folder` stands for the root."""
    container = pod_of(objects(**wish)[-1])["initContainers"][0]
    session = folder / "session"
    session.mkdir(exist_ok=True)
    script = container["args"][0].replace("/session", str(session)).replace("/start", str(folder / "start"))
    subprocess.run([*container["command"], script], check=True, env={"PATH": os.environ["PATH"], "HOME": "/"})
    return session / "workspace"


def mounted(folder: Path, files: dict[str, str]) -> None:
    """As a kubelet mounts a ConfigMap."""
    shutil.rmtree(folder, ignore_errors=True)
    there = folder / "..2026_11_23"
    for name, content in files.items():
        (there / name).parent.mkdir(parents=True, exist_ok=True)
        (there / name).write_text(content)
    (folder / "..data").symlink_to("..2026_11_23")
    for name in {Path(each).parts[0] for each in files}:
        (folder / name).symlink_to(f"..data/{name}")


def test_the_engine_waits_until_the_data_is_prepared(tmp_path: Path) -> None:
    things = objects({"env": {"AUTORESEARCH_DATA": "/data/c4"}, "kubernetes": {"volumes": [ON_DATA]}}, engine=True)
    (job,), (_, waiting) = (pod_of(only(things, "Job"))["containers"], pod_of(things[-1])["initContainers"])
    assert {"name": "AUTORESEARCH_DATA", "value": "/data/c4"} in waiting["env"]
    env = {"PATH": os.environ["PATH"], "AUTORESEARCH_DATA": str(tmp_path / "c4")}
    with subprocess.Popen([*waiting["command"], *waiting["args"]], env=env, start_new_session=True) as process:
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.3)
        os.killpg(process.pid, signal.SIGKILL)
    (tmp_path / "prepare.py").write_text("import os; open(os.environ['AUTORESEARCH_DATA'] + '/corpus', 'w')")
    subprocess.run([*job["command"][:-1], sys.executable], env=env, cwd=tmp_path, check=True)
    subprocess.run([*waiting["command"], *waiting["args"]], env=env, check=True, timeout=20)
    assert (tmp_path / "c4" / "corpus").exists()


def test_data_that_cannot_be_prepared_is_not_taken_for_ready(tmp_path: Path) -> None:
    (container,) = pod_of(only(objects(), "Job"))["containers"]
    env = {"PATH": os.environ["PATH"], "AUTORESEARCH_DATA": str(tmp_path)}
    (tmp_path / "prepare.py").write_text("raise SystemExit(1)")
    done = subprocess.run([*container["command"][:-1], sys.executable], env=env, cwd=tmp_path, check=False)
    assert done.returncode == 1
    assert not (tmp_path / ".prepared").exists()


@contextlib.contextmanager
def started(tmp_path: Path, program: str) -> Iterator[subprocess.Popen[bytes]]:
    """The engine's container with another engine."""
    (container,) = pod_of(only(objects(engine=True), "Deployment"))["containers"]
    (tmp_path / "autoresearch-tui").write_text(f"#!/bin/sh\necho $@ > {tmp_path}/asked\n{program}\n")
    (tmp_path / "autoresearch-tui").chmod(0o755)
    env = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    process = subprocess.Popen([*container["command"], *container["args"]], env=env, start_new_session=True)
    try:
        until(lambda: (tmp_path / "asked").exists())
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def test_a_pod_that_is_to_go_ends_its_engine_gracefully(tmp_path: Path) -> None:
    program = f"trap 'echo bye > {tmp_path}/said; exit 143' TERM\ntouch {tmp_path}/ready; while :; do sleep 0.05; done"
    with started(tmp_path, program) as process:
        until(lambda: (tmp_path / "ready").exists())
        process.terminate()
        assert process.wait(20) == 0
    assert (tmp_path / "said").read_text() == "bye\n"
    assert (tmp_path / "asked").read_text() == "--executor kubernetes --no-ui --on-exit leave\n"


def test_an_engine_that_fails_ends_its_pod_with_its_code(tmp_path: Path) -> None:
    with started(tmp_path, "exit 3") as process:
        assert process.wait(20) == 3


def test_a_session_at_its_end_leaves_the_pod_to_be_looked_at(tmp_path: Path) -> None:
    with started(tmp_path, "exit 0") as process:
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.5)
        process.terminate()
        assert process.wait(20) == 0
