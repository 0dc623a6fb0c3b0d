"""The first run: in a folder that is no workspace, what can be done, what would happen and what it costs.

`survey` looks at folder and machine; `offers` says it in words, purely; `carry_out` makes the workspace. The screen is
`tui.screens.first_run`.
"""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import msgspec

from core import settings
from core.errors import AutoresearchError, WorkspaceError
from core.workspace import Workspace
from tui import template
from tui.preferences import Preferences
from tui.safe import line

Kind = Literal["here", "demo", "simulator"]
WRITTEN = (*template.FILES, settings.FILE, ".gitignore")
DATA = "7 MB of Python's own source text, tokenised in 5 to 20 s; nothing is downloaded"  # measured, one core
CPU_RUN, GPU_RUN = "8 s of CPU time", "5 min"
SIMULATOR: dict[str, Any] = {"executor": "simulator"}


class Choice(msgspec.Struct, frozen=True):
    """What was chosen, made and prepared: the workspace and the flags to start its engine with."""

    workspace: Path
    flags: dict[str, Any]


class Survey(msgspec.Struct, frozen=True, kw_only=True):
    """What is known before anything is done."""

    folder: Path
    why: str = ""  # it cannot be researched in as it is
    present: tuple[str, ...] = ()  # files of a workspace that are there
    is_git: bool = False
    gpus: dict[str, int] = {}  # by type; empty: none that could be used
    cores: int = 1  # CPU slots where there is no GPU
    free_gb: float = 0.0
    has_torch: bool = True
    demo: Path = Path()
    demo_is_there: bool = False


class Way(msgspec.Struct, frozen=True, kw_only=True):
    """One way to go on: a title and rows of (word, sentence)."""

    kind: Kind
    title: str
    rows: tuple[tuple[str, str], ...]
    warning: str = ""


# --- looking ----------------------------------------------------------------------------------------------------------


def survey(folder: Path) -> Survey:
    folder = folder.expanduser().resolve()
    gpus, cores = _slots()
    demo = template.demo_folder()
    return Survey(
        folder=folder,
        why=_why(folder),
        present=tuple(name for name in WRITTEN if (folder / name).exists()),
        is_git=any((each / ".git").exists() for each in (folder, *folder.parents)),
        gpus=gpus,
        cores=cores,
        free_gb=_free_gb(folder),
        has_torch=find_spec("torch") is not None,
        demo=demo,
        demo_is_there=(demo / "train.py").exists(),
    )


def _why(folder: Path) -> str:
    try:
        Workspace.open(folder)
    except WorkspaceError as error:
        return str(error)
    return ""


def _slots() -> tuple[dict[str, int], int]:
    from core.executors.gpus import local_slots

    try:
        found = Counter(slot.gpu.type for slot in local_slots(None))
    except AutoresearchError:
        return {}, 0
    cores = found.pop("cpu", 0)
    return dict(found), cores


def _free_gb(folder: Path) -> float:
    there = next((each for each in (folder, *folder.parents) if each.exists()), Path("/"))
    try:
        return shutil.disk_usage(there).free / 1e9
    except OSError:
        return 0.0


# --- in words ---------------------------------------------------------------------------------------------------------


def ways(known: Survey) -> tuple[Way, ...]:
    """All that can be done, the likeliest first."""
    return (_here(known), _demo(known), _SIMULATOR)


def shown(path: Path) -> str:
    """A path as people write it: ~/gpt."""
    home = str(Path.home())
    text = str(path)
    return line("~" + text.removeprefix(home) if text.startswith(home + "/") else text, 200)


def _here(known: Survey) -> Way:
    missing = [name for name in WRITTEN if name not in known.present]
    keeps = f"; {', '.join(known.present)} stay as they are" if known.present else ""
    own_data = "prepare.py" in known.present
    rows = (
        ("writes", (", ".join(missing) or "nothing") + keeps),
        ("git", "one commit in the repository that is there" if known.is_git else "a new repository with one commit"),
        ("data", "your prepare.py is run; what it downloads and builds is up to it" if own_data else DATA),
        ("then runs", _runs(known)),
        ("until", "you stop it with Q, or a limit: --max-hours, --max-experiments, --target-bpb"),
        ("disk", f"{known.free_gb:,.0f} GB free here; each run leaves its log and its train.py, about 50 kB"),
    )
    return Way(kind="here", title=f"Make a workspace in {shown(known.folder)}", rows=rows, warning=_torch(known))


def _demo(known: Survey) -> Way:
    there = "is there already and goes on" if known.demo_is_there else "is made"
    rows = (
        ("where", f"{shown(known.demo)}, which {there}; this folder stays untouched"),
        ("does", "improves a small GPT from the template, for real"),
        ("data", DATA),
        ("then runs", _runs(known)),
    )
    return Way(kind="demo", title="Watch the demo", rows=rows, warning=_torch(known))


_SIMULATOR = Way(
    kind="simulator",
    title="Look around in the simulator",
    rows=(
        ("does", "13 H100 and 3 H200 that do not exist, 60 times as fast as real ones; everything says SIMULATED"),
        ("costs", "a little of one core; no data, no torch, no GPU"),
        ("where", "a folder of its own in your data folder; this folder stays untouched"),
    ),
)


def _runs(known: Survey) -> str:
    if known.gpus:
        fleet = ", ".join(f"{count} {line(kind, 40)}" for kind, count in known.gpus.items())
        return f"one run per GPU at a time on {fleet}; {GPU_RUN} of training each"
    if not known.cores:
        return "nothing yet: neither a GPU nor a CPU slot can be used; `autoresearch-tui doctor` says why"
    return f"{known.cores} at a time on CPU cores, {CPU_RUN} each; no GPU was found"


def _torch(known: Survey) -> str:
    if known.has_torch:
        return ""
    return "PyTorch is not installed: run `pip install 'autoresearch-tui[train]'` first, or set python in the settings."


# --- doing ------------------------------------------------------------------------------------------------------------


def carry_out(kind: Kind, known: Survey, flags: dict[str, Any], tell: Callable[[str], None]) -> Choice:
    """Makes and prepares what was chosen; `tell` gets a line per step. May take minutes.

    Raises AutoresearchError, OSError.
    """
    flags = {**flags, **SIMULATOR} if kind == "simulator" else flags
    folder = known.folder if kind == "here" else template.demo_folder(simulated=kind == "simulator")
    chosen = settings.load(folder, os.environ, flags).settings
    template.prepare_demo(folder, chosen, tell)
    return Choice(folder, flags)


def offer(workspace: Path, flags: dict[str, Any], chosen: Preferences) -> Choice | None:
    """Asks on the whole screen; None if it was left."""
    from tui.screens.first_run import FirstRunApp

    return FirstRunApp(survey(workspace), flags, chosen).run()
