"""Workspaces made from the trainer template: `init` and `demo`.

The template is read as files; nothing of it is imported here. On a machine with a GPU the constants named in its
profiles.toml replace those for one CPU core, once, before the first commit.
"""

from __future__ import annotations

import os
import subprocess
import threading
import tomllib
from collections import deque
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from core import knobs, settings, simulated
from core.claude.keys import without_keys
from core.errors import NothingRuns
from core.executors.gpus import local_slots
from core.settings import Settings
from core.workspace import Workspace

FILES = ("train.py", "prepare.py", "corpus.py", "program.md")
IGNORED = ".autoresearch/\n.venv/\n__pycache__/\nresults.tsv\nrun.log\n"
PREPARE_WITHIN_S = 3600.0
REMEMBERED = 50  # lines of what prepare.py prints


def demo_folder(*, simulated: bool = False) -> Path:
    from platformdirs import user_data_path

    return user_data_path("autoresearch-tui") / ("demo-simulated" if simulated else "demo")


def template_folder() -> Path:
    spec = find_spec("trainer")
    if spec is None or not spec.submodule_search_locations:
        raise NothingRuns("The trainer template is missing from this installation; install autoresearch-tui again.")
    return Path(spec.submodule_search_locations[0])


def files(*, has_gpu: bool) -> dict[str, bytes]:
    """What a new workspace holds, for this kind of machine."""
    folder = template_folder()
    found = {name: (folder / name).read_bytes() for name in FILES}
    if has_gpu:
        profile = tomllib.loads((folder / "profiles.toml").read_text())["gpu"]
        found["train.py"] = knobs.settings(found["train.py"].decode(), profile).encode()
    return {**found, ".gitignore": IGNORED.encode()}


def make(workspace: Path, say: Callable[[str], None], *, has_gpu: bool | None = None) -> None:
    """For a machine with a GPU or without; None: for this one. Raises WorkspaceError."""
    if has_gpu is None:
        has_gpu = any(slot.gpu.type != "cpu" for slot in local_slots(None))
    for sentence in Workspace.init(workspace, files(has_gpu=has_gpu), settings.template()):
        say(sentence)


def prepare_demo(folder: Path, chosen: Settings, tell: Callable[[str], None]) -> None:
    """All that a demo needs before its engine starts; `tell` gets a sentence per step. May take minutes.

    What is there already is left as it is. Raises WorkspaceError, NothingRuns.
    """
    imagined = simulated.is_simulated(chosen)
    make(folder, tell, has_gpu=True if imagined else None)
    if not imagined:
        prepare(folder, chosen, tell)


def prepare(workspace: Path, chosen: Settings, tell: Callable[[str], None]) -> None:
    """Runs prepare.py of the workspace, telling what it prints; it returns at once where the data is there.

    Raises NothingRuns.
    """
    python = chosen.interpreter(workspace)
    try:
        code, last = _run(python, workspace, chosen, tell)
    except OSError as error:
        raise NothingRuns(f"The data cannot be prepared with {python}: {error}.") from error
    if code != 0:
        raise NothingRuns(_why(python, last))


def _run(python: str, workspace: Path, chosen: Settings, tell: Callable[[str], None]) -> tuple[int, str]:
    """Its exit code, and the last lines that it printed."""
    last: deque[str] = deque(maxlen=REMEMBERED)
    failing = False  # a traceback is told in one sentence
    with subprocess.Popen(
        [python, "prepare.py"],
        cwd=workspace,
        env={**without_keys(os.environ), **chosen.env, "PYTHONUNBUFFERED": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        limit = threading.Timer(PREPARE_WITHIN_S, process.kill)
        limit.start()
        try:
            for text in process.stdout or ():
                last.append(text.rstrip())
                failing = failing or text.startswith("Traceback ")
                if not failing:
                    tell(last[-1])
        finally:
            limit.cancel()
    return process.returncode, "\n".join(last)


def _why(python: str, output: str) -> str:
    if "No module named 'torch'" in output:
        return f"{python} has no torch; install the trainer's needs with `pip install 'autoresearch-tui[train]'`."
    last = (output.strip().splitlines() or ["no output"])[-1]
    return f"`{python} prepare.py` failed: {last}. Run it in the workspace to see everything it says."
