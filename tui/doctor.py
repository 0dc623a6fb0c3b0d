"""`doctor`: what this machine and workspace have, and what to do about what is missing.

Every check is tried, whatever the others say; each failure comes with a remedy. The last one is a real training run of
five seconds in a folder of its own; where runs are a cluster's or other hosts', these are asked instead.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from core import log
from core.errors import AutoresearchError
from core.executors.gpus import local_slots
from core.executors.local_environment import base_environment
from core.knobs import find
from core.settings import Loaded
from core.transcript import Reader
from core.workspace import Workspace

LOW_DISK_BYTES = 2e9
TRIAL_S = 5.0
TRIAL_WITHIN_S = 300.0
NETWORK_FILE_SYSTEMS = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "fuse.sshfs", "lustre", "ceph", "glusterfs"}
)


class Check(msgspec.Struct, frozen=True):
    name: str
    is_good: bool
    found: str
    remedy: str = ""
    is_fatal: bool = True
    to_apply: str = ""  # YAML for a cluster


def examine(path: Path, loaded: Loaded, say: Callable[[str], None]) -> int:
    """Prints settings and checks as they come; 0 if research can start here, else 3."""
    say("Settings (value, and where it comes from):")
    for name, origin in loaded.origins.items():
        value = getattr(loaded.settings, "for_" if name == "for" else name)
        say(f"  {name:<16} {_shown(name, value):<24} {origin}")
    say("Checks:")
    failed, to_apply = False, ""
    for check in _checks(path, loaded):
        glyph = "✓" if check.is_good else "✗" if check.is_fatal else "!"
        say(f"  {glyph} {check.name:<10} {check.found}")
        if check.remedy and not check.is_good:
            say(f"    → {check.remedy}")
        failed |= check.is_fatal and not check.is_good
        to_apply += check.to_apply
    say("Research cannot start here yet: see → above." if failed else "Research can start: `autoresearch-tui`.")
    if to_apply:
        say(f"For `kubectl apply -f -`:\n\n{to_apply}")
    return 3 if failed else 0


def _shown(name: str, value: object) -> str:
    """Values of variables for runs may be secrets: only their names are shown. A table is too long for a line."""
    if name in ("env", "kubernetes", "hosts", "claude") and isinstance(value, dict):
        return ", ".join(value) or "none"
    if value in (None, (), ""):
        return {"factors": "all", "slots": "all", "python": ".venv, else ours"}.get(name, "none")
    return ", ".join(value) if isinstance(value, tuple) else str(value)


def _checks(path: Path, loaded: Loaded) -> Iterator[Check]:
    yield _python()
    yield _git()
    yield _disk(path)
    yield _local_disk(path)
    elsewhere = {"kubernetes": _cluster, "ssh": _hosts}.get(loaded.settings.executor)
    python = loaded.settings.interpreter(path.resolve())
    yield from elsewhere(loaded) if elsewhere else (_gpus(loaded), _torch(python))
    if loaded.settings.researcher == "claude":
        yield from _claude(loaded)
    try:
        workspace = Workspace.open(path)
    except AutoresearchError as error:
        yield Check("workspace", False, str(error))
        return
    yield Check("workspace", True, f"{workspace.root} at {workspace.head()}")
    yield _session(workspace)
    yield _factors(workspace)
    yield _seed(workspace)
    if not elsewhere:
        yield _trainer(workspace, python, loaded)


def _python() -> Check:
    version = ".".join(map(str, sys.version_info[:3]))
    return Check(
        "python", sys.version_info >= (3, 11), f"{version} ({sys.executable})", "Install Python 3.11 or newer."
    )


def _git() -> Check:
    path = shutil.which("git")
    return Check("git", path is not None, path or "not found", "Install git; research is kept as commits.")


def _disk(path: Path) -> Check:
    there = next((p for p in (path.resolve(), *path.resolve().parents) if p.exists()), Path("/"))
    free = shutil.disk_usage(there).free
    remedy = "Free some space: logs and run folders live in .autoresearch/ of the workspace."
    return Check(
        "disk", free > LOW_DISK_BYTES, f"{free / 1e9:.1f} GB free", remedy, is_fatal=free < LOW_DISK_BYTES / 20
    )


def _local_disk(path: Path) -> Check:
    import psutil

    mounts = {Path(part.mountpoint): part.fstype for part in psutil.disk_partitions(all=True)}
    here = path.resolve()
    kind = next((mounts[p] for p in (here, *here.parents) if p in mounts), "unknown")
    remedy = "Put the workspace on a local disk: SQLite's write-ahead log does not work over network file systems."
    return Check("filesystem", kind not in NETWORK_FILE_SYSTEMS, kind, remedy, is_fatal=False)


def _gpus(loaded: Loaded) -> Check:
    try:
        slots = local_slots(loaded.settings.slots)
    except AutoresearchError as error:
        return Check("slots", False, str(error), "Set `slots` to 1 or more.")
    types = dict.fromkeys(slot.gpu.type for slot in slots)
    return Check("slots", True, ", ".join(f"{sum(s.gpu.type == t for s in slots)} × {t}" for t in types))


def _cluster(loaded: Loaded) -> Iterator[Check]:
    """What the cluster has for us; asked all at once."""
    from core.clock import SystemClock
    from k8s.settings import checked
    from k8s.survey import survey

    async def asked() -> list[Check]:
        settings = checked(loaded.settings.kubernetes)
        return [Check(*finding) async for finding in survey(settings, loaded.settings.env, SystemClock())]

    try:
        yield from asyncio.run(asked())
    except AutoresearchError as error:
        yield Check("settings", False, str(error))


def _hosts(loaded: Loaded) -> Iterator[Check]:
    """What each host has for us."""
    from core.hosts.settings import checked
    from core.hosts.survey import survey

    async def asked() -> list[Check]:
        hosts = checked(loaded.settings.hosts)
        return [Check(*finding) async for finding in survey(hosts, loaded.settings.env)]

    try:
        yield from asyncio.run(asked())
    except AutoresearchError as error:
        yield Check("settings", False, str(error))


def _claude(loaded: Loaded) -> Iterator[Check]:
    """Whether its models answer: one call of a few tokens to each."""
    from core.claude.settings import checked
    from core.claude.trial import trials

    async def asked() -> list[Check]:
        settings = checked(loaded.settings.claude)
        is_fatal = settings.stand_in == "none"
        return [Check("claude", t.is_good, t.found, t.remedy, is_fatal=is_fatal) async for t in trials(settings)]

    try:
        yield from asyncio.run(asked())
    except AutoresearchError as error:
        yield Check("claude", False, str(error), "Correct the table [claude] of autoresearch.toml.")


def _torch(python: str) -> Check:
    code = (
        "import torch; print(torch.__version__, 'CUDA ' + torch.version.cuda if torch.cuda.is_available() else 'CPU')"
    )
    remedy = f"Install it for {python}: `pip install 'autoresearch-tui[train]'`."
    try:
        done = subprocess.run([python, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return Check(
            "torch", False, str(error), "Set `python` in autoresearch.toml to the interpreter of your trainer."
        )
    said = (done.stdout if done.returncode == 0 else done.stderr).strip().splitlines() or ["no answer"]
    return Check("torch", done.returncode == 0, said[-1], remedy)


def _session(workspace: Workspace) -> Check:
    file = workspace.state / log.FILE
    if not file.exists():
        return Check("session", True, "none yet")
    try:
        facts = log.read_all(file)
    except AutoresearchError as error:
        return Check("session", False, str(error))
    engine = "an engine runs" if log.is_held(file) else "no engine runs"
    return Check("session", True, f"{len(facts):,} facts, {engine}")


def _factors(workspace: Workspace) -> Check:
    names = [k.name for k in find(workspace.train_source()) if isinstance(k.value, int | float)]
    remedy = "Write what may be varied at the top level of train.py as NAME = number, in capitals."
    return Check("factors", bool(names), ", ".join(names) or "train.py has no constants to vary", remedy)


def _seed(workspace: Workspace) -> Check:
    reads = "AUTORESEARCH_SEED" in workspace.train_source()
    remedy = 'With `int(os.environ.get("AUTORESEARCH_SEED", 0))` replicates measure more than the noise of the machine.'
    found = "train.py reads AUTORESEARCH_SEED" if reads else "train.py does not read AUTORESEARCH_SEED"
    return Check("seed", reads, found, remedy, is_fatal=False)


def _trainer(workspace: Workspace, python: str, loaded: Loaded) -> Check:
    """The workspace's train.py with a budget of five seconds; a fixed budget of its own may make it longer."""
    begun = time.monotonic()
    environment = base_environment(os.environ, loaded.settings.env, TRIAL_S)
    with tempfile.TemporaryDirectory() as scratch:
        folder = workspace.base_files(Path(scratch))
        try:
            done = subprocess.run(
                [python, "train.py"],
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=TRIAL_WITHIN_S,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return Check("trainer", False, str(error), "Run `python train.py` in the workspace and mend what it says.")
    reader = Reader()
    reader.feed(done.stdout)
    summary = reader.summary()
    if summary is None:
        reason = reader.failure() or f"exit code {done.returncode}, no result block"
        remedy = (
            "Run `python prepare.py`, then `python train.py`; it must end with the lines `---` and `val_bpb: NUMBER`."
        )
        return Check("trainer", False, reason, remedy)
    return Check("trainer", True, f"val_bpb {summary.val_bpb:.4f} after {time.monotonic() - begun:.1f} s in all")
