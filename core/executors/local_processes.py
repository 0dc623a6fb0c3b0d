"""Processes seen by the supervisor: signalled by group, counted with their descendants.

Knows nothing of runs. Imports the standard library alone: the workspace's Python runs it.
"""

from __future__ import annotations

import contextlib
import os
import resource
from pathlib import Path


def strike(pid: int, number: int) -> None:
    """Signals a process group; its leader alone if it did not get to make one."""
    if not strike_group(pid, number):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def strike_group(group: int, number: int) -> bool:
    """False if nobody is left in it."""
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):  # EPERM on macOS: only zombies are left
        return False
    return True


def children() -> list[int]:
    """Our own, zombies included (Linux). Kernels without CONFIG_PROC_CHILDREN make us look at every process."""
    me = os.getpid()
    try:
        return [int(pid) for pid in Path(f"/proc/self/task/{me}/children").read_text().split()]
    except OSError:
        return [pid for pid, (parent, _) in processes().items() if parent == me]


def processes() -> dict[int, tuple[int, int]]:
    """Parent and resident bytes of every process (Linux)."""
    page = resource.getpagesize()
    table: dict[int, tuple[int, int]] = {}
    for name in os.listdir("/proc"):  # noqa: PTH208  half the cost of Path.iterdir
        if name.isdigit():
            with contextlib.suppress(OSError), open(f"/proc/{name}/stat", "rb") as file:  # noqa: PTH123
                fields = file.read().rpartition(b")")[2].split()  # the name in front may hold anything
                table[int(name)] = (int(fields[1]), int(fields[21]) * page)
    return table


def resident(pid: int, table: dict[int, tuple[int, int]]) -> int:
    """Bytes of a process and all its descendants. Pages they share count once for each: an upper bound."""
    offspring: dict[int, list[int]] = {}
    for child, (parent, _) in table.items():
        offspring.setdefault(parent, []).append(child)
    total, pending = 0, [pid]
    while pending:
        member = pending.pop()
        total += table.get(member, (0, 0))[1]
        pending += offspring.get(member, [])
    return total
