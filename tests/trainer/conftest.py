"""A small prepared corpus, a workspace made of the template, and a way to run its files as users do."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

TEMPLATE = Path(__file__).resolve().parents[2] / "trainer"
Run = Callable[..., subprocess.CompletedProcess[str]]


def environment(data: Path, **extra: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AUTORESEARCH_")}
    return {**kept, "AUTORESEARCH_DATA": str(data), "AUTORESEARCH_DEVICE": "cpu", "COLUMNS": "200", **extra}


@pytest.fixture(scope="session")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """About 0.6 MB of ASCII text in about 110 files: some of this Python's own modules."""
    folder = tmp_path_factory.mktemp("texts")
    for path in sorted(Path(sysconfig.get_path("stdlib")).glob("*.py"))[:120]:
        text = path.read_text("utf-8", "replace")[:8000]
        if text.isascii() and text.strip():
            (folder / f"{path.stem}.txt").write_text(text)
    return folder


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """A fresh copy of the template's files."""
    pytest.importorskip("tokenizers", reason="preparing a corpus needs the train extra")
    folder = tmp_path / "workspace"
    folder.mkdir()
    for name in ("train.py", "prepare.py", "corpus.py"):
        shutil.copy(TEMPLATE / name, folder)
    return folder


@pytest.fixture
def run(workspace: Path) -> Run:
    """run("prepare.py", "--data", ..., data=root, SOME_VARIABLE="1"): a real process in the workspace."""

    def start(*arguments: str, data: Path, **extra: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, *arguments]
        done = subprocess.run(
            command, cwd=workspace, env=environment(data, **extra), capture_output=True, timeout=60, check=False
        )  # as bytes: reading as text would turn carriage returns into line ends
        return subprocess.CompletedProcess(command, done.returncode, done.stdout.decode(), done.stderr.decode())

    return start


@pytest.fixture(scope="session")
def prepared(texts: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with a small corpus in force; tests only read it."""
    pytest.importorskip("tokenizers", reason="preparing a corpus needs the train extra")
    root = tmp_path_factory.mktemp("data")
    command = [sys.executable, "prepare.py", "--data", str(texts)]
    subprocess.run(command, cwd=TEMPLATE, env=environment(root, PYTHONDONTWRITEBYTECODE="1"), check=True)
    return root


@pytest.fixture
def prepare(prepared: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """prepare.py as a module of its own, on the small corpus."""
    monkeypatch.setenv("AUTORESEARCH_DATA", str(prepared))
    monkeypatch.setenv("AUTORESEARCH_DEVICE", "cpu")
    monkeypatch.delenv("AUTORESEARCH_TIME_BUDGET", raising=False)
    spec = importlib.util.spec_from_file_location("prepare_under_test", TEMPLATE / "prepare.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]
