"""The file of keys and the service's own key: read again when they change, and only if nobody else could write them."""

from __future__ import annotations

import os
from pathlib import Path

import asyncssh
import pytest

from core.errors import UsageError
from tui.serving.entries import Entry
from tui.serving.hostkey import host_key, known_hosts, tell
from tui.serving.keyring import Keyring, Refusal


def written(path: Path, *names: str, **roles: str) -> dict[str, bytes]:
    """Fresh keys by name, in the file."""
    keys = {name: asyncssh.generate_private_key("ssh-ed25519", comment=name) for name in names}
    rows = [f'role="{roles.get(name, "viewer")}" {key.export_public_key().decode()}' for name, key in keys.items()]
    path.write_text("".join(rows))
    path.chmod(0o600)
    return {name: key.public_data for name, key in keys.items()}


def test_a_changed_file_counts_at_once(tmp_path: Path) -> None:
    keyring = Keyring(tmp_path / "keys")
    assert keyring.find(b"x", "10.0.0.1", 0.0) == Refusal("its key is not in keys")
    keys = written(keyring.path, "ada")
    assert keyring.look()
    assert isinstance(keyring.find(keys["ada"], "10.0.0.1", 0.0), Entry)
    assert not keyring.look(), "nothing changed"
    written(keyring.path, "ben")
    assert keyring.look()
    assert isinstance(keyring.find(keys["ada"], "10.0.0.1", 0.0), Refusal)
    keyring.path.unlink()
    assert keyring.look()
    assert keyring.entries == ()


def test_a_file_that_others_can_write_lets_nobody_in(tmp_path: Path) -> None:
    keyring = Keyring(tmp_path / "keys")
    written(keyring.path, "ada")
    keyring.path.chmod(0o620)
    keyring.look()
    assert keyring.entries == ()
    assert "chmod go-w" in keyring.complaints[0]


def test_the_host_key_is_made_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "ssh" / "host_key"
    os.umask(0)
    try:
        first = host_key(path)
    finally:
        os.umask(0o022)
    assert path.stat().st_mode & 0o777 == 0o600
    assert host_key(path).public_data == first.public_data
    assert sorted(each.name for each in path.parent.iterdir()) == ["host_key"], "nothing is left behind"


def test_a_host_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    host_key(tmp_path / "key")
    (tmp_path / "key").chmod(0o640)
    with pytest.raises(UsageError, match="chmod 600"):
        host_key(tmp_path / "key")


def test_a_file_that_is_no_key_is_refused(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("nonsense")
    (tmp_path / "key").chmod(0o600)
    with pytest.raises(UsageError, match="no private key"):
        host_key(tmp_path / "key")


def test_the_line_for_known_hosts_names_address_and_port(tmp_path: Path) -> None:
    key = host_key(tmp_path / "key")
    assert known_hosts(key, "10.0.0.1", 8022).startswith("[10.0.0.1]:8022 ssh-ed25519 AAAA")
    assert known_hosts(key, "127.0.0.1", 22).startswith("127.0.0.1,localhost ssh-ed25519 ")
    told = tell(tmp_path / "key", key, "127.0.0.1", 8022)
    assert "PRIVATE" not in told.read_text()
