"""A workspace whose training takes a moment: the constants decide the result, the seed adds noise."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from checkout import commit_all, git

from core import log as logs
from core.executors import local_folder
from core.fold import fold
from core.state import State

ROOT = Path(__file__).parents[1]

PREPARE = """\
import math, random

TIME_BUDGET = 0.2


def evaluate_bpb(depth, batch, rate, seed):
    truth = 2.0 + 0.05 * (depth - 2) ** 2 + 0.04 * (math.log2(batch) - 11) ** 2 + 0.1 * math.log2(rate / 0.08) ** 2
    return truth + random.Random(seed).gauss(0, 0.01)
"""

TRAIN = """\
import os, sys, time
from prepare import evaluate_bpb

DEPTH = 4  # layers
TOTAL_BATCH_SIZE = 2**14  # tokens per step
MATRIX_LR = 0.04  # of the matrices
SECONDS = "0.1"  # that a run takes

seed = int(os.environ.get("AUTORESEARCH_SEED", 1))
with open(os.environ["STUB_STARTS"], "a") as starts:
    starts.write(os.path.basename(os.getcwd()) + "\\\\n")
for step in range(5):
    print(f"\\\\rstep {step:05d} ({step * 20:.1f}%) | loss: {6 - step:.6f} | dt: 20ms", end="", flush=True)
    time.sleep(float(SECONDS) / 5)
print("\\\\n---")
print(f"val_bpb:          {evaluate_bpb(DEPTH, TOTAL_BATCH_SIZE, MATRIX_LR, seed):.6f}")
print("training_seconds: 0.1\\\\ntotal_seconds:    0.2\\\\npeak_vram_mb:     1024.0\\\\nnum_steps:        5")
""".replace("\\\\", "\\")


def make_stub(folder: Path, *, train: str = TRAIN, settings: str = "") -> Path:
    """A committed workspace; runs leave their ids in `starts` beside it."""
    folder.mkdir(parents=True)
    (folder / "train.py").write_text(train)
    (folder / "prepare.py").write_text(PREPARE)
    (folder / "program.md").write_text("Lower val_bpb.\n")
    starts = folder.with_name(f"{folder.name}-starts")
    starts.touch()
    (folder / "autoresearch.toml").write_text(
        f'env = {{ STUB_STARTS = "{starts}" }}\nwarm = true\nslots = 2\nstartup_s = 20\n{settings}'
    )
    git(folder, "init", "-q")
    commit_all(folder)
    return folder


def started(folder: Path) -> list[str]:
    """The runs whose train.py began, in order."""
    return folder.with_name(f"{folder.name}-starts").read_text().split()


def command(folder: Path, *arguments: str) -> list[str]:
    return [sys.executable, "-c", "from tui.cli import main; main()", "-C", str(folder), *arguments]


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}


def run(folder: Path, *arguments: str, timeout: float = 90) -> subprocess.CompletedProcess[str]:
    """The command line on this workspace, to its end."""
    return subprocess.run(
        command(folder, *arguments),
        env=environment(),
        cwd=folder.parent,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    """The same in the background."""
    return subprocess.Popen(
        command(folder, *arguments),
        env=environment(),
        cwd=folder.parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def file_of(workspace: Path) -> Path:
    return workspace / ".autoresearch" / logs.FILE


def state_of(workspace: Path) -> State:
    return fold(State(), logs.read_all(file_of(workspace)))


def until(claim: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not claim():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


@contextlib.contextmanager
def engine(workspace: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A live one that has started runs."""
    with start(workspace, "--no-ui", *arguments) as process:
        try:
            until(lambda: process.poll() is not None or len(started(workspace)) > 1)
            yield process
        finally:
            process.kill()


def running(workspace: Path) -> list[str]:
    folders = (workspace / ".autoresearch" / "runs").glob("e*")
    return [folder.name for folder in folders if local_folder.state(folder) == "alive"]
