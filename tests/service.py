"""The SSH service for tests: keys, a session to look at, the service in this process or as one of its own, clients.

`Served` is what all of them share: the folder with the keys of ada and ben (operators), cleo (viewer), old (expired)
and wrong (in no file). Clients are the OpenSSH program, or asyncssh where a client has to misbehave.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import asyncssh
import pytest
import stub
from glass import Glass
from story import E0, Story

from core import log as logs
from tui.serving.door import Limits
from tui.serving.server import Plan, Service

needs_ssh = pytest.mark.skipif(
    any(not any((Path(p) / name).exists() for p in os.get_exec_path()) for name in ("ssh", "ssh-agent")),
    reason="needs the OpenSSH client",
)
ROLES = {"ada": 'role="operator" ', "ben": 'role="operator" ', "cleo": "", "old": 'expiry-time="20200101" '}
QUICK = Limits(burst=1000, grace_s=3.0)


class Served:
    """`lines`: what the service has said; `workspace` has a session that stands still."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.lines, self.port = folder, list[str](), 0
        self.workspace = folder / "work"
        self.service: Service | None = None
        for name in (*ROLES, "wrong"):
            key = asyncssh.generate_private_key("ssh-ed25519", comment=name)
            with open(os.open(folder / name, os.O_CREAT | os.O_WRONLY, 0o600), "wb") as file:  # noqa: PTH123
                file.write(key.export_private_key())
            (folder / f"{name}.pub").write_bytes(key.export_public_key())
        self.allow(**ROLES)

    def allow(self, **options: str) -> None:
        """These and no others may come in."""
        rows = [before + (self.folder / f"{name}.pub").read_text() for name, before in options.items()]
        fresh = self.folder / "fresh"
        fresh.write_text("".join(rows))
        fresh.chmod(0o600)
        fresh.rename(self.folder / "authorized_keys")

    def session(self) -> None:
        """A finished one: nothing is needed to look at it."""
        story = Story().score(E0, 2.5, 2.5)
        for _ in range(3):
            story.wave({"DEPTH": "2"})
        file = self.workspace / ".autoresearch" / logs.FILE
        file.parent.mkdir(parents=True)
        logs.create(file)
        logs.append_all(file, story.facts)

    def plan(self, limits: Limits = QUICK) -> Plan:
        return Plan(
            workspace=self.workspace, flags={}, host="127.0.0.1", port=0, limits=limits,
            authorized_keys=self.folder / "authorized_keys", host_key=self.folder / "host_key",
        )  # fmt: skip

    async def refused(self, count: int) -> list[str]:
        """So many refusals, once they are told; and no more a moment later."""
        deadline = time.monotonic() + 10
        while len(self.refusals()) < count and time.monotonic() < deadline:  # noqa: ASYNC110  it is said by real clients
            await asyncio.sleep(0.02)
        await asyncio.sleep(0.05)
        return self.refusals()

    def refusals(self) -> list[str]:
        return [line.partition("refused ")[2] for line in self.lines if "refused " in line]

    def ssh(self, name: str, *arguments: str, program: str = "ssh") -> list[str]:
        """The OpenSSH client with that key and no settings of its own."""
        options = {
            "BatchMode": "yes", "IdentitiesOnly": "yes", "StrictHostKeyChecking": "yes", "Port": str(self.port),
            "UserKnownHostsFile": str(self.folder / "host_key.known_hosts"), "GlobalKnownHostsFile": os.devnull,
            "LogLevel": "INFO",
        }  # fmt: skip
        named = [part for key, value in options.items() for part in ("-o", f"{key}={value}")]
        return [program, "-F", os.devnull, *named, "-i", str(self.folder / name), *arguments]

    def glass(self, name: str, *arguments: str, **given: Any) -> Glass:
        """A window of that person, in a terminal."""
        return Glass(self.ssh(name, "-tt", *arguments, "127.0.0.1"), **{"size": (120, 40), **given})

    async def run(self, command: list[str], within_s: float = 15.0, **environ: str) -> tuple[int, str]:
        """Exit code and all output of a client that is given no input."""
        process = await asyncio.create_subprocess_exec(
            *command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            env={**os.environ, **environ},
        )  # fmt: skip
        output, _ = await asyncio.wait_for(process.communicate(), within_s)
        return process.returncode or 0, output.decode(errors="replace")

    def connect(self, name: str, **options: Any) -> Any:
        """asyncssh's client, for what OpenSSH's does not do."""
        keys = [str(self.folder / name)] if name else None
        given = {"client_keys": keys, "known_hosts": None, "username": "x", "agent_path": None, "config": None}
        return asyncssh.connect("127.0.0.1", self.port, **{**given, **options})

    async def until(self, text: str, within_s: float = 10.0) -> str:
        """The line with that text, once it is said."""
        deadline = time.monotonic() + within_s
        while not (found := [line for line in self.lines if text in line]):
            assert time.monotonic() < deadline, f"{text!r} was not said:\n" + "\n".join(self.lines)
            await asyncio.sleep(0.02)
        return found[0]


@contextlib.asynccontextmanager
async def serving(folder: Path, limits: Limits = QUICK) -> AsyncIterator[Served]:
    """The service in this very loop, on a session that stands still."""
    served = Served(folder)
    served.session()
    served.service = Service(served.plan(limits), served.lines.append)
    task = asyncio.create_task(served.service.run())
    try:
        while not any("operator" in line or task.done() for line in served.lines):
            await asyncio.sleep(0.01)
            assert not task.done(), task
        served.port = served.service.port
        yield served
    finally:
        served.service.stopping.set()
        await task


@contextlib.contextmanager
def service(folder: Path, *arguments: str, workspace: Path | None = None) -> Iterator[Served]:
    """The service as a person starts it, a process of its own; on `workspace` if given."""
    served = Served(folder)
    if workspace is None:
        served.session()
    served.workspace = workspace or served.workspace
    files = ["--authorized-keys", str(folder / "authorized_keys"), "--host-key", str(folder / "host_key")]
    command = [sys.executable, "-m", "tui", "-C", str(served.workspace), "serve", "--port", "0", *files, *arguments]
    with (folder / "serve.log").open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, env=stub.environment(), cwd=stub.ROOT)
    try:
        log = folder / "serve.log"
        stub.until(lambda: process.poll() is not None or "operator" in log.read_text(), 20)
        served.port = int(re.findall(r"port (\d+);", log.read_text())[0])
        yield served
    finally:
        process.terminate()
        process.wait(10)
        served.lines[:] = (folder / "serve.log").read_text().splitlines()
