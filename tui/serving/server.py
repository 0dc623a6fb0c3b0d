"""The SSH service: listens, looks after the connections, and sees them off at the end. Knows asyncssh.

Public keys are the only way in. What one connection may do is decided in `caller`, what it gets in `visit`.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import asyncssh
import msgspec

from core.errors import UsageError
from tui import numbers
from tui.serving.caller import Caller
from tui.serving.door import Door, Limits
from tui.serving.entries import KINDS, fingerprint
from tui.serving.hostkey import host_key, tell
from tui.serving.journal import Journal
from tui.serving.keyring import Keyring

KEX = ("mlkem768x25519-sha256", "curve25519-sha256", "curve25519-sha256@libssh.org", "ecdh-sha2-nistp256")
CIPHERS = ("chacha20-poly1305@openssh.com", "aes256-gcm@openssh.com", "aes128-gcm@openssh.com")
MACS = ("hmac-sha2-256-etm@openssh.com", "hmac-sha2-512-etm@openssh.com")
SIGNATURES = (*sorted(KINDS - {"ssh-rsa"}), "rsa-sha2-256", "rsa-sha2-512")
BACKLOG = 1024  # connections that the kernel keeps until they are looked at; one that it drops hangs
SWEEP_S = 1.0  # between two looks at who may still be here
TYPED = 65_536  # bytes that a client may send ahead
ALIVE_S, ALIVE_TIMES = 15, 4  # a client that answers nothing for a minute is gone
GOODBYE_S = 3.0


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What `serve` was asked for."""

    workspace: Path
    flags: dict[str, Any]
    host: str
    port: int
    authorized_keys: Path
    host_key: Path
    limits: Limits = Limits()


class Service:
    """All connections. `run` serves until it is told to stop."""

    def __init__(self, plan: Plan, say: Callable[[str], None]) -> None:
        self.plan, self.journal = plan, Journal(say)
        self.door, self.keyring = Door(plan.limits), Keyring(plan.authorized_keys)
        self.stopping = asyncio.Event()
        self.port = plan.port
        self._say = say
        self._callers: set[Caller] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Raises UsageError where it cannot begin."""
        logging.getLogger("asyncssh").setLevel(logging.CRITICAL)  # what matters is in the journal
        key = host_key(self.plan.host_key)
        acceptor = await self._listening(key)
        self.port = acceptor.get_port() or self.plan.port
        self._greet(key)
        sweeping = asyncio.create_task(self._sweep(), name="sweep")
        try:
            await self.stopping.wait()
        finally:
            acceptor.close()
            sweeping.cancel()
            await self._see_all_off()
            self.journal.tick(is_last=True)

    def start(self, work: Coroutine[Any, Any, None], *, name: str) -> asyncio.Task[None]:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def came(self, caller: Caller) -> None:
        self._callers.add(caller)

    def left(self, caller: Caller) -> None:
        self._callers.discard(caller)

    async def _listening(self, key: asyncssh.SSHKey) -> asyncssh.SSHAcceptor:
        try:
            return await asyncssh.listen(
                self.plan.host, self.plan.port, server_factory=lambda: Caller(self), server_host_keys=[key],
                server_version="autoresearch-tui", encoding=None, line_editor=False, rdns_lookup=False, window=TYPED,
                public_key_auth=True, password_auth=False, kbdint_auth=False, host_based_auth=False,
                gss_host=None, gss_kex=False, gss_auth=False,
                agent_forwarding=False, x11_forwarding=False, allow_scp=False,
                kex_algs=KEX, encryption_algs=CIPHERS, mac_algs=MACS, signature_algs=SIGNATURES,
                compression_algs=["none"], backlog=BACKLOG, login_timeout=self.plan.limits.grace_s,
                keepalive_interval=ALIVE_S, keepalive_count_max=ALIVE_TIMES,
            )  # fmt: skip
        except OSError as error:
            where = f"{self.plan.host}:{self.plan.port}"
            raise UsageError(
                f"Cannot listen on {where}: {error.strerror}; choose another with --host, --port."
            ) from error

    def _greet(self, key: asyncssh.SSHKey) -> None:
        told = tell(self.plan.host_key, key, self.plan.host, self.port)
        self._say(f"Serving {self.plan.workspace} on {self.plan.host} port {self.port}; Ctrl-C ends it.")
        self._say(f"Host key {fingerprint(key.public_data)}; its line for known_hosts is in {told}.")
        self._look_at_keys()
        if not self.keyring.entries:
            self._say(
                f'Nobody can come in yet: add lines like `role="operator" ssh-ed25519 AAAA… name` to '
                f"{self.plan.authorized_keys}; a key without a role only looks."
            )

    def _look_at_keys(self) -> None:
        if not self.keyring.look():
            return
        entries = self.keyring.entries
        acting = sum(entry.role == "operator" for entry in entries)
        self.journal.note(
            f"{self.keyring.path.name}: {numbers.count(acting, 'operator')}, "
            f"{numbers.count(len(entries) - acting, 'viewer')}"
        )
        for complaint in self.keyring.complaints:
            self.journal.note(complaint)

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_S)
            self._look_at_keys()
            for caller in tuple(self._callers):
                caller.check(time.monotonic())
            self.journal.tick()

    async def _see_all_off(self) -> None:
        """Windows give their terminals back before the connections go."""
        for caller in tuple(self._callers):
            caller.see_off("the service ends")
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=GOODBYE_S)
        for caller in tuple(self._callers):
            caller.conn.close()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def serve(plan: Plan, say: Callable[[str], None]) -> None:
    """Until a signal. Raises UsageError where it cannot begin."""
    service = Service(plan, say)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, service.stopping.set)
    await service.run()
