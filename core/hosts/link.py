"""One host's agent at the other end of a connection: programs sent if it lacks them, requests asked, answers read.

Knows how to carry a question, not what it means.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import shlex
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Any

import asyncssh

from core.hosts.connection import Unreachable, connected
from core.hosts.settings import HostSettings
from core.transcript import clean

ANSWER_S = 60.0  # a driver, or Slurm, may take its time
GREETING_S = 30.0
PIECE = 1 << 19  # bytes of a file in one request
FAR = Path(__file__).with_name("far")
SHARED = Path(__file__).parents[1] / "executors"
PROGRAMS = (
    *(FAR / name for name in ("agent.py", "leases.py", "perform.py", "slurm.py")),
    *(SHARED / name for name in ("runner.py", "local_child.py", "local_folder.py", "local_processes.py")),
    SHARED / "local_environment.py",
)


class Link:
    """`hello`: what the host said of itself; `skew_s`: its clock minus ours."""

    def __init__(
        self,
        host: HostSettings,
        connection: asyncssh.SSHClientConnection,
        process: asyncssh.SSHClientProcess[bytes],
    ) -> None:
        self.host, self._connection, self._process = host, connection, process
        self.hello: dict[str, Any] = {}
        self._asking = asyncio.Lock()

    async def ask(self, op: str, **what: object) -> dict[str, Any]:
        """The answer. Raises Unreachable if the connection breaks before it is there."""
        async with self._asking:
            try:
                async with asyncio.timeout(ANSWER_S):
                    self._process.stdin.write(json.dumps({"op": op, **what}).encode() + b"\n")
                    await self._process.stdin.drain()
                    line = await self._process.stdout.readline()
                answer = json.loads(line)
            except (OSError, asyncssh.Error, TimeoutError, ValueError) as error:
                raise Unreachable(await self._silence(error)) from error
        return answer if isinstance(answer, dict) else {}

    async def send(self, files: Collection[bytes]) -> None:
        """Those that the host does not have. Raises Unreachable, or OSError with what the host's disk says."""
        by_digest = {hashlib.sha256(data).hexdigest(): data for data in files}
        for digest in _good(await self.ask("lacks", digests=list(by_digest)))["digests"]:
            data = by_digest[digest]
            for begin in range(0, len(data) or 1, PIECE):
                part = base64.b64encode(data[begin : begin + PIECE]).decode()
                last = begin + PIECE >= len(data)
                _good(await self.ask("put", digest=digest, data=part, first=begin == 0, last=last))

    async def perform(self, order: Mapping[str, object], hear: Callable[[str], None]) -> int:
        """Does a command (see far/perform.py) and tells its lines as they come; its exit code. Raises Unreachable."""
        program = f"{self.hello['root']}/tools/{_bundle()[0]}/perform.py"
        try:
            command = shlex.join(["python3", "-I", "-u", program])
            async with self._connection.create_process(command, encoding=None) as process:
                process.stdin.write(json.dumps(order).encode() + b"\n")
                while line := await process.stdout.readline():
                    hear(clean(line.decode(errors="replace").rstrip(), 500))
                done = await process.wait()
        except (OSError, asyncssh.Error) as error:
            raise Unreachable(f"{self.host.name} stopped answering: {error}.") from error
        return 1 if done.exit_status is None else done.exit_status

    async def greet(self, digest: str, body: bytes) -> None:
        """Waits for the bootstrap's word, past whatever a login prints, and sends the programs if it wants them."""
        try:
            async with asyncio.timeout(GREETING_S):
                while not (line := await self._process.stdout.readline()).startswith(b"autoresearch-tui "):
                    if not line:
                        raise OSError("the agent did not start")
            if line.split()[1] == b"wants":
                self._process.stdin.write(body)
        except (OSError, asyncssh.Error, TimeoutError) as error:
            raise Unreachable(await self._silence(error)) from error

    async def _silence(self, error: Exception) -> str:
        """What stderr says, if it says something; else that it is gone."""
        said = b""
        if isinstance(error, ValueError | OSError) and not isinstance(error, TimeoutError):
            try:
                async with asyncio.timeout(1.0):
                    said = await self._process.stderr.read(4000)
            except (OSError, asyncssh.Error, TimeoutError):
                said = b""
        last = (said.decode(errors="replace").strip().splitlines() or [""])[-1]
        if "python3" in last:
            return f"{self.host.name} has no python3 ({last}): install Python 3.9 or newer there."
        return f"{self.host.name} stopped answering{f': {last}' if last else ''}."


@asynccontextmanager
async def linked(host: HostSettings, session: str) -> AsyncIterator[Link]:
    """Raises Unreachable."""
    async with connected(host) as connection:
        try:
            process = await connection.create_process(_command(host), encoding=None)
        except (OSError, asyncssh.Error) as error:
            raise Unreachable(f"{host.name} starts no program ({error}): it must allow commands.") from error
        link = Link(host, connection, process)
        await link.greet(*_bundle())
        link.hello = await link.ask("hello", session=session)
        if said := link.hello.get("error"):
            raise Unreachable(f"{host.name} has no use of {host.folder} ({said}): set hosts.{host.name}.folder.")
        yield link


def _command(host: HostSettings) -> str:
    """Words that every shell takes alike; nothing secret: others on the host can see them."""
    digest, body = _bundle()
    packed = base64.b64encode((FAR / "bootstrap.py").read_bytes()).decode()
    code = f'exec(__import__("base64").b64decode("{packed}"))'
    return shlex.join(["python3", "-I", "-u", "-c", code, digest, host.folder, str(len(body))])


@cache
def _bundle() -> tuple[str, bytes]:
    """The programs as JSON, and their digest."""
    body = json.dumps({path.name: path.read_text(encoding="utf-8") for path in PROGRAMS}).encode()
    return hashlib.sha256(body).hexdigest()[:24], body


def _good(answer: Mapping[str, Any]) -> Mapping[str, Any]:
    if "error" in answer:
        raise OSError(answer.get("errno") or 0, str(answer["error"]))
    return answer
