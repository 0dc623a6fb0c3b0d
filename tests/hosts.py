"""Hosts to run on: real SSH servers on loopback with keys of their own, Debian's and asyncssh's, and what befalls them.

Each has a folder that stands for its disk, and a first entry on its PATH for programs such as a fake nvidia-smi.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any

import asyncssh
import psutil
import pytest
from place import processes_in, until
from watched import PREPARE, Watched, watching

from core.clock import SystemClock
from core.executors.local_outcome import Limits
from core.hosts.campaign import Campaign, digest
from core.hosts.executor import SshExecutor
from core.hosts.settings import HostSettings
from core.ids import RunId, SessionId

SSHD = shutil.which("sshd") or shutil.which("/usr/sbin/sshd")
NO_SSHD = "OpenSSH's server is not installed here (Debian: openssh-server); asyncssh's own is used instead."
SESSION = SessionId("2026-11-23-a1b2c3")
SMI = """\
#!{python}
import sys
apps = "compute-apps" in sys.argv[1]
sys.stdout.write(open({folder!r} + ("/apps" if apps else "/gpus")).read())
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Box:
    """A host: its disk, its programs, its keys. A subclass has its server."""

    def __init__(self, root: Path, name: str = "box1") -> None:
        self.name, self.root, self.port = name, root / name, free_port()
        self.disk, self.bin = self.root / "disk", self.root / "bin"
        for folder in (self.disk, self.bin):
            folder.mkdir(parents=True)
        (self.bin / "python3").symlink_to(sys.executable)
        self.key, self.host_key = root / "id", self.root / "host_key"
        for file in (self.key, self.host_key):
            if not file.exists():
                key = asyncssh.generate_private_key("ssh-ed25519")
                key.write_private_key(str(file))
                key.write_public_key(str(file.with_suffix(".pub")))
                file.chmod(0o600)
        public = self.host_key.with_suffix(".pub").read_text()
        self.known_hosts = self.root / "known_hosts"
        self.known_hosts.write_text(f"[127.0.0.1]:{self.port} {public}")

    def settings(self, **changes: Any) -> HostSettings:
        given: dict[str, Any] = {
            "name": self.name,
            "address": "127.0.0.1",
            "port": self.port,
            "key": str(self.key),
            "known_hosts": (str(self.known_hosts),),
            "gpus": "cpu:1",
            "folder": str(self.disk),
            "python": sys.executable,
            "leases": str(self.root / "leases"),
        }
        return HostSettings(**given | changes)

    def table(self, **changes: Any) -> str:
        """As it stands in autoresearch.toml."""
        settings = self.settings(**changes)
        rows = [f"[hosts.{self.name}]"]
        names = ("address", "key", "gpus", "folder", "python", "leases")
        rows += [f'{name} = "{getattr(settings, name)}"' for name in names]
        rows += [f"port = {settings.port}", f"grace_s = {settings.grace_s}"]
        rows.append(f'known_hosts = ["{self.known_hosts}"]')
        return "\n".join(rows) + "\n"

    def run(self, run: str) -> Path:
        return self.disk / "runs" / SESSION / run

    def program(self, name: str, text: str) -> None:
        path = self.bin / name
        path.write_text(textwrap.dedent(text))
        path.chmod(0o755)

    def has_gpus(self, *lines: str) -> None:
        """What its nvidia-smi lists: "0, GPU-1, NVIDIA H100 80GB HBM3, 81559, Disabled"."""
        self.program("nvidia-smi", SMI.format(python=sys.executable, folder=str(self.root)))
        (self.root / "gpus").write_text("".join(f"{line}\n" for line in lines))
        self.has_apps()

    def has_apps(self, *lines: str) -> None:
        """Who computes there: "GPU-1, 4711, python"."""
        (self.root / "apps").write_text("".join(f"{line}\n" for line in lines))


class Sshd(Box):
    """Debian's server, a process of its own."""

    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(exist_ok=True)  # it insists
        config = self.root / "sshd_config"
        config.write_text(
            f"Port {self.port}\nListenAddress 127.0.0.1\nHostKey {self.host_key}\nPidFile none\nUsePAM no\n"
            f"AuthorizedKeysFile {self.key.with_suffix('.pub')}\nStrictModes no\nPasswordAuthentication no\n"
            f"KbdInteractiveAuthentication no\nPermitRootLogin prohibit-password\nPrintMotd no\n"
            f"SetEnv PATH={self.bin}:{os.environ['PATH']}\n"
        )
        log = (self.root / "sshd.log").open("ab")
        command = [str(SSHD), "-D", "-e", "-f", str(config)]
        self.process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        log.close()
        self._await_port()

    def _await_port(self) -> None:
        deadline = time.monotonic() + 10
        while True:
            with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
                return
            assert time.monotonic() < deadline, (self.root / "sshd.log").read_text()
            time.sleep(0.02)

    def kill(self) -> None:
        """The server and all its connections; what was started through them stays."""
        if self.process is not None:
            connections = psutil.Process(self.process.pid).children(recursive=True)
            self.process.kill()
            self.process.wait()
            for each in connections:
                with suppress(psutil.Error):
                    if each.name().startswith("sshd"):
                        each.kill()
            self.process = None


@contextmanager
def sshd(root: Path, name: str = "box1") -> Iterator[Sshd]:
    box = Sshd(root, name)
    box.start()
    try:
        yield box
    finally:
        box.kill()


class AsyncSshd(Box):
    """asyncssh's server in this process: it runs commands as the other one does."""

    async def start(self) -> None:
        self.children: list[asyncio.subprocess.Process] = []
        self.server = await asyncssh.create_server(
            asyncssh.SSHServer,
            "127.0.0.1",
            self.port,
            server_host_keys=[str(self.host_key)],
            authorized_client_keys=str(self.key.with_suffix(".pub")),
            process_factory=self._perform,
            encoding=None,
        )

    async def _perform(self, process: asyncssh.SSHServerProcess[bytes]) -> None:
        env = {**os.environ, "PATH": f"{self.bin}:{os.environ['PATH']}"}
        pipe = asyncio.subprocess.PIPE
        child = await asyncio.create_subprocess_shell(
            process.command or "", stdin=pipe, stdout=pipe, stderr=pipe, env=env, start_new_session=True
        )
        self.children.append(child)
        assert child.stdin is not None
        assert child.stdout is not None
        assert child.stderr is not None
        there = asyncio.create_task(self._pass(process.stdin, child.stdin), name="stdin")
        await asyncio.gather(self._pass(child.stdout, process.stdout), self._pass(child.stderr, process.stderr))
        process.exit(await child.wait())
        await there

    async def _pass(self, reader: Any, writer: Any) -> None:
        with suppress(OSError, asyncssh.Error):
            while data := await reader.read(1 << 16):
                writer.write(data)
                await writer.drain()
        if isinstance(writer, asyncio.StreamWriter):
            writer.close()

    async def stop(self) -> None:
        self.server.close()
        for child in self.children:
            with suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            await child.wait()
        await self.server.wait_closed()


@asynccontextmanager
async def asyncsshd(root: Path, name: str = "box1") -> AsyncIterator[AsyncSshd]:
    box = AsyncSshd(root, name)
    await box.start()
    try:
        yield box
    finally:
        await box.stop()


@contextmanager
def small_disk(folder: Path, size_mb: int = 210) -> Iterator[None]:
    """A file system of its own on `folder`; the test is skipped where there can be none."""
    command = ["mount", "-t", "tmpfs", "-o", f"size={size_mb}m", "none", str(folder)]
    if subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("a tmpfs cannot be mounted here")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def filled_disk(folder: Path) -> Path:
    """The file that takes all that was free."""
    file = folder / "rubbish"
    with file.open("wb", buffering=0) as rubbish, suppress(OSError):
        while True:
            rubbish.write(bytes(1 << 16))
    return file


class Cable:
    """A way to a host that can be cut: its connections break and new ones are refused, or nothing passes any more."""

    def __init__(self, port: int) -> None:
        self._to, self._writers = port, set[asyncio.StreamWriter]()
        self._flows, self._is_cut = asyncio.Event(), False
        self._flows.set()

    @asynccontextmanager
    async def laid(self) -> AsyncIterator[int]:
        server = await asyncio.start_server(self._carry, "127.0.0.1", 0)
        try:
            yield int(server.sockets[0].getsockname()[1])
        finally:
            self.mend()
            self.cut()
            server.close()

    def cut(self) -> None:
        self._is_cut = True
        for writer in self._writers:
            writer.transport.abort()

    def stall(self) -> None:
        self._flows.clear()

    def mend(self) -> None:
        self._is_cut = False
        self._flows.set()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._is_cut:
            writer.transport.abort()
            return
        there, back = await asyncio.open_connection("127.0.0.1", self._to)
        self._writers |= {writer, back}
        await asyncio.gather(self._pass(reader, back), self._pass(there, writer))

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(1 << 16):
                await self._flows.wait()
                writer.write(data)
                await writer.drain()
        writer.close()


class Site:
    """A workspace and engines over hosts."""

    def __init__(self, root: Path, *boxes: Box) -> None:
        self.runs, self.boxes = root / "runs", boxes
        self.files = {"prepare.py": PREPARE}

    def put(self, path: str, body: bytes) -> None:
        """Into the workspace."""
        self.files[path] = body

    @asynccontextmanager
    async def engine(self, *open_runs: RunId, **changes: Any) -> AsyncIterator[Watched[SshExecutor]]:
        """`changes`: of the hosts, of the limits (timeout_s, output_mb, memory_mb), of the campaign (variables, links).

        `places`: CPU slots per host."""
        limits = Limits(
            changes.pop("timeout_s", 60), output_mb=changes.pop("output_mb", 64), memory_mb=changes.pop("memory_mb", 0)
        )
        campaign = Campaign(
            session=SESSION,
            files=self.files,
            prepare_digest=digest(PREPARE),
            limits=limits,
            env=changes.pop("variables", {}),
            grace_s=changes.pop("stop_s", 0.3),
            time_budget=changes.pop("time_budget", None),
            links=changes.pop("links", ()),
        )
        if "places" in changes:
            changes["gpus"] = f"cpu:{changes.pop('places')}"
        hosts = [box.settings(**changes) for box in self.boxes]
        executor = SshExecutor(hosts=hosts, campaign=campaign, runs=self.runs, clock=SystemClock())
        async with watching(executor, open_runs) as watched:
            yield watched

    async def meanwhile(self, run: RunId) -> None:
        await until(lambda: any((box.run(run) / "exit.json").exists() for box in self.boxes))

    async def left(self) -> list[str]:
        return [process for box in self.boxes for process in processes_in(box.disk)]

    def log(self, run: RunId) -> str:
        return (self.runs / run / "run.log").read_text()


def supervisor_of(folder: Path) -> int:
    return int((folder / "claim").read_text().split()[0])


def kill_supervisor(folder: Path) -> None:
    os.kill(supervisor_of(folder), signal.SIGKILL)
