"""The service's own key: made on the first start, readable by its owner only, and told for known_hosts.

Knows files and key formats; no connection.
"""

from __future__ import annotations

import contextlib
import os
import socket
import stat
from pathlib import Path

import asyncssh

from core.errors import UsageError

ANYWHERE = ("0.0.0.0", "::", "")  # noqa: S104  compared with, not bound to


def host_key(path: Path) -> asyncssh.SSHKey:
    """The key in `path`, made if there is none. Raises UsageError for one that others can read or that is none."""
    if not path.exists():
        _make(path)
    mode = path.stat().st_mode
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise UsageError(
            f"The host key {path} can be read by others: `chmod 600 {path}`, or remove it to get a new one."
        )
    try:
        return asyncssh.read_private_key(str(path))
    except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError) as error:
        raise UsageError(f"{path} holds no private key without a passphrase ({error}); choose another.") from error


def tell(path: Path, key: asyncssh.SSHKey, host: str, port: int) -> Path:
    """Writes the line for known_hosts beside the key; returns where."""
    told = path.with_name(f"{path.name}.known_hosts")
    told.write_text(known_hosts(key, host, port), encoding="ascii")
    return told


def known_hosts(key: asyncssh.SSHKey, host: str, port: int) -> str:
    names = [socket.gethostname(), "localhost", "127.0.0.1"] if host in ANYWHERE else [host]
    names += ["localhost"] if host == "127.0.0.1" else []
    marks = ",".join(name if port == 22 else f"[{name}]:{port}" for name in names)
    kind, data = key.export_public_key().decode("ascii").split()[:2]
    return f"{marks} {kind} {data}\n"


def _make(path: Path) -> None:
    """Complete or not at all, and never over another's."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fresh.unlink(missing_ok=True)
    data = asyncssh.generate_private_key("ssh-ed25519", comment="autoresearch-tui").export_private_key()
    descriptor = os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        with contextlib.suppress(FileExistsError):
            os.link(fresh, path)
    finally:
        fresh.unlink(missing_ok=True)
