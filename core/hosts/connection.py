"""A connection to a host, made with care: known hosts always, keys only, nothing forwarded; and why there is none.

Knows nothing of runs. Imports asyncssh.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncssh

from core.errors import NothingRuns
from core.hosts.settings import HostSettings

CONNECT_S = 10.0
KEEPALIVE_S = 5.0
MISSED = 3  # answers to keep-alives, after which a connection is given up
_JUMP = re.compile(r"(?:(?P<user>[^@:\s]+)@)?(?P<address>[^@\s]+?)(?::(?P<port>\d{1,5}))?")


class Unreachable(NothingRuns):
    """A sentence about one host. `is_final`: no waiting mends it."""

    def __init__(self, sentence: str, *, is_final: bool = False) -> None:
        super().__init__(sentence)
        self.is_final = is_final


@asynccontextmanager
async def connected(host: HostSettings) -> AsyncIterator[asyncssh.SSHClientConnection]:
    """Raises Unreachable."""
    async with contextlib.AsyncExitStack() as stack:
        gate = await stack.enter_async_context(_one(_gate(host), None)) if host.jump else None
        yield await stack.enter_async_context(_one(host, gate))


@asynccontextmanager
async def _one(
    host: HostSettings, through: asyncssh.SSHClientConnection | None
) -> AsyncIterator[asyncssh.SSHClientConnection]:
    try:
        connection = await asyncssh.connect(**options(host), tunnel=through or ())
    except (OSError, asyncssh.Error, ValueError) as error:  # ValueError: a key file that is none
        raise _why(host, error) from error
    try:
        yield connection
    finally:
        connection.abort()
        await connection.wait_closed()


def options(host: HostSettings) -> dict[str, Any]:
    """What asyncssh.connect gets. ~/.ssh/config may name addresses, users and keys; it cannot loosen anything."""
    given: dict[str, Any] = {"host": host.address}
    if host.port != 22:
        given["port"] = host.port
    if host.user:
        given["username"] = host.user
    if host.key:
        given |= {"client_keys": [str(Path(host.key).expanduser())], "agent_path": None}
    return given | {
        "known_hosts": list(host.trusted) or b"",  # never None: that would trust anybody
        "preferred_auth": "publickey",
        "agent_forwarding": False,
        "x11_forwarding": False,
        "send_env": None,
        "env": None,
        "connect_timeout": CONNECT_S,
        "login_timeout": CONNECT_S,
        "keepalive_interval": KEEPALIVE_S,
        "keepalive_count_max": MISSED,
    }


def _gate(host: HostSettings) -> HostSettings:
    found = _JUMP.fullmatch(host.jump)
    if found is None:
        raise Unreachable(f"hosts.{host.name}.jump is {host.jump!r}; write it like user@gate:22.", is_final=True)
    port = int(found["port"] or 22)
    return HostSettings(
        name=f"{host.name}'s jump host",
        address=found["address"],
        user=found["user"] or "",
        port=port,
        key=host.key,
        known_hosts=host.known_hosts,
    )


def _why(host: HostSettings, error: Exception) -> Unreachable:
    """The sentence that names what to do."""
    name, where = host.name, f"{host.address}:{host.port}" if host.port != 22 else host.address
    match error:
        case asyncssh.HostKeyNotVerifiable():
            port = f"-p {host.port} " if host.port != 22 else ""
            file = shlex.quote(host.known_hosts[0]).replace("'~/", "~/'") if host.known_hosts else "~/.ssh/known_hosts"
            return Unreachable(
                f"The host key of {name} ({where}) is not the known one, or not known: compare its fingerprint with "
                f"what its owner says, then run `ssh-keyscan {port}{host.address} >> {file}`.",
                is_final=True,
            )
        case asyncssh.PermissionDenied():
            return Unreachable(
                f"{name} ({where}) does not take our key: add its public half to ~/.ssh/authorized_keys there, or set "
                f"hosts.{name}.user and hosts.{name}.key.",
                is_final=True,
            )
        case asyncssh.KeyImportError() | ValueError():
            return Unreachable(f"The key of {name} cannot be read ({error}): set hosts.{name}.key.", is_final=True)
        case FileNotFoundError() if host.key:
            return Unreachable(f"The key of {name} is not there ({host.key}): set hosts.{name}.key.", is_final=True)
        case TimeoutError():
            return Unreachable(f"{name} ({where}) does not answer: check that it is up and reached from here.")
        case OSError() if error.errno:
            said = os.strerror(error.errno)
            return Unreachable(f"{name} ({where}) cannot be reached ({said}): check its address and its SSH server.")
    return Unreachable(f"{name} ({where}) cannot be reached ({error}): check its address and its SSH server.")
