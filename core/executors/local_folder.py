"""A run's folder: what the supervisor leaves there for whoever comes later, and how it is read with care.

`claim` exists once the run was begun and is locked while its supervisor looks after it; `started.json`, `run.log` and
`exit.json` say the rest. The run can write here too, so a reader follows no link, waits for no pipe and believes no
`exit.json` as long as the claim is locked. Imports the standard library alone: the supervisor imports it by path.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import shutil
import stat
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal

State = Literal["absent", "alive", "ended", "dead"]
OURS = frozenset({"claim", "stop", "started.json", "exit.json", "run.log"})  # never copied from a workspace
SOURCES = frozenset({"train.py", "prepare.py", "run.log"})  # never cleared away
NOTE = 1 << 16  # bytes that are read of a note
LARGE = 16 << 20  # bytes; what a run leaves behind beyond that is a checkpoint


def claim(folder: Path, text: str) -> int:
    """A locked descriptor of the new file `claim`. Raises FileExistsError if there is one.

    It is locked before it gets its name, so nobody ever sees it unlocked before its run has ended.
    """
    draft = folder / f".claim-{os.getpid()}"
    fd = os.open(draft, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o644)
    try:
        write_all(fd, text.encode())
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.link(draft, folder / "claim")
    except BaseException:
        os.close(fd)
        raise
    finally:
        draft.unlink()
    return fd


def state(folder: Path) -> State:
    """Free of the reuse of process ids: a lock dies with its holder. "dead": its supervisor vanished before its end."""
    try:
        fd = os.open(folder / "claim", os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return "absent"
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return "alive"
    finally:
        os.close(fd)
    return "ended" if read_json(folder / "exit.json") else "dead"


def write_json(path: Path, note: dict[str, object]) -> None:
    """All or nothing, also if the power fails."""
    draft = path.with_name(f".{path.name}-{os.getpid()}")
    fd = os.open(draft, os.O_CREAT | os.O_WRONLY | os.O_TRUNC | os.O_NOFOLLOW, 0o644)
    try:
        write_all(fd, json.dumps(note).encode())
        os.fsync(fd)
    finally:
        os.close(fd)
    draft.replace(path)


def write_all(fd: int, data: bytes) -> None:
    while data:
        data = data[os.write(fd, data) :]


def open_regular(path: Path) -> int:
    """A descriptor for reading. Raises OSError for anything but a file: a pipe in its place would make us wait."""
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    if stat.S_ISREG(os.fstat(fd).st_mode):
        return fd
    os.close(fd)
    raise OSError(errno.EINVAL, "not a regular file", str(path))


def read(path: Path, limit: int = -1) -> bytes:
    """Empty if it cannot be read."""
    try:
        with os.fdopen(open_regular(path), "rb") as file:
            return file.read(limit)
    except OSError:
        return b""


def read_json(path: Path) -> dict[str, Any]:
    """Empty if there is none, or none that can be read."""
    try:
        note = json.loads(read(path, NOTE))
    except (ValueError, RecursionError):
        return {}
    return note if isinstance(note, dict) else {}


def digest(path: Path) -> str:
    """Its sha256 in hex."""
    return hashlib.sha256(read(path, LARGE)).hexdigest()


# --- made before a run, cleared after it ------------------------------------------------------------------------------


def build(folder: Path, *, base: Path, source: str, links: Iterable[Path] = ()) -> None:
    """The workspace's files with `source` as train.py, complete or not at all. An existing folder stays as it is."""
    if folder.exists():
        return
    draft = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        _fill(draft, base, source, links)
        draft.rename(folder)
    except OSError:
        shutil.rmtree(draft, ignore_errors=True)
        if not folder.exists():  # another engine was quicker
            raise


def _fill(draft: Path, base: Path, source: str, links: Iterable[Path]) -> None:
    for path in workspace_files(base, without=draft.parent):
        target = draft / path.relative_to(base)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    (draft / "train.py").write_text(source, encoding="utf-8")
    for link in links:
        if not (draft / link.name).exists():
            (draft / link.name).symlink_to(link.resolve())


def workspace_files(base: Path, without: Path) -> Iterator[Path]:
    """Regular files below `base`. No links; nothing hidden: .git is large, .env holds secrets."""
    for parent, folders, names in os.walk(base):
        here = Path(parent)
        folders[:] = [name for name in folders if name[0] != "." and name != "__pycache__" and here / name != without]
        for name in names:
            taken = here == base and name in OURS
            if name[0] != "." and not taken and stat.S_ISREG((here / name).lstat().st_mode):
                yield here / name


def clear(folder: Path) -> None:
    """Removes large files that the run left; its sources, log and notes stay. Never raises: it is only tidying."""
    if folder.is_symlink():
        return
    for parent, _, names in os.walk(folder):
        for name in names:
            kept = Path(parent) == folder and (name in SOURCES or name.endswith(".json"))
            with contextlib.suppress(OSError):
                path = Path(parent, name)
                found = path.lstat()
                if not kept and stat.S_ISREG(found.st_mode) and found.st_size > LARGE:
                    path.unlink()
