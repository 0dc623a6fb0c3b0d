"""Who has which GPU of this host: leases by `flock`, which die with their holder, and what the NVIDIA driver reports.

Knows no runs. Imports the standard library alone.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import pwd
import subprocess
import time
from pathlib import Path
from typing import Any

SMI_WITHIN_S = 15.0
GPU_FIELDS = "index,uuid,name,memory.total,mig.mode.current"
APP_FIELDS = "gpu_uuid,pid,process_name"


def take(path: Path, within_s: float = 0.0) -> int | None:
    """A descriptor that holds the lease as long as it, or a copy of it, is open; None if somebody else has it.

    A folder that all users share has a sticky bit: a file of another user is opened, never made anew.
    """
    fd, deadline = _opened(path), time.monotonic() + within_s
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() < deadline:
                time.sleep(0.02)
                continue
            os.close(fd)
            return None
        return fd


def is_taken(path: Path) -> bool:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


def _opened(path: Path) -> int:
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
    with contextlib.suppress(FileNotFoundError):
        return os.open(path, flags)
    _shared(path.parent)
    try:
        fd = os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o644)
    except FileExistsError:
        return os.open(path, flags)
    os.fchmod(fd, 0o644)  # others need to open it, whatever our umask is
    return fd


def _shared(folder: Path) -> None:
    """Made for everybody, as /tmp is."""
    if not folder.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(OSError):
            folder.chmod(0o1777)


# --- the driver -------------------------------------------------------------------------------------------------------


def gpus() -> tuple[list[dict[str, Any]], str]:
    """What nvidia-smi lists, and what is wrong with it, "" if nothing; no GPU and "" where there is no driver."""
    rows, trouble = _smi("gpu", GPU_FIELDS)
    if trouble:  # an old driver knows no MIG
        rows, trouble = _smi("gpu", GPU_FIELDS.rpartition(",")[0])
    good = [row for row in rows if len(row) >= 4 and row[0].isdigit()]
    return [_gpu(row) for row in good], trouble


def _gpu(row: list[str]) -> dict[str, Any]:
    memory = int(row[3]) if row[3].isdigit() else 0
    return {"index": int(row[0]), "uuid": row[1], "name": row[2], "memory_mb": memory, "mig": row[4:] == ["Enabled"]}


def users() -> dict[str, str]:
    """By the GPU's uuid, who computes on it: "alice (python, process 4711)"."""
    rows, _ = _smi("compute-apps", APP_FIELDS)
    return {row[0]: _user(row[1], row[2]) for row in rows if len(row) >= 3}


def _user(pid: str, program: str) -> str:
    name = "somebody"
    with contextlib.suppress(OSError, KeyError):
        uid = Path("/proc", pid).stat().st_uid
        name = str(uid)
        name = pwd.getpwuid(uid).pw_name
    return f"{name} ({program.rsplit('/', 1)[-1]}, process {pid})"


def _smi(what: str, fields: str) -> tuple[list[list[str]], str]:
    command = ["nvidia-smi", f"--query-{what}={fields}", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=SMI_WITHIN_S, check=False, stdin=subprocess.DEVNULL
        )
    except FileNotFoundError:
        return [], ""
    except (OSError, subprocess.TimeoutExpired) as error:
        return [], f"nvidia-smi does not answer: {error}"
    if done.returncode:
        said = (done.stdout + done.stderr).strip().splitlines() or ["nothing"]
        return [], f"nvidia-smi says: {said[-1]}"
    return [[part.strip() for part in line.split(",")] for line in done.stdout.splitlines() if line.strip()], ""
