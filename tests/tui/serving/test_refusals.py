"""What `serve` refuses, with real clients: every way in but a key, and everything but a window. Each is told once."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import asyncssh
import psutil
import pytest
import pytest_asyncio
from service import Served, needs_ssh, serving

pytestmark = needs_ssh
SECRET = "hunter2"  # noqa: S105  nobody's


@pytest_asyncio.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    async with serving(tmp_path) as found:
        yield found


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[str]:
    """The address of an agent that holds ada's key."""
    path = str(tmp_path / "agent")
    process = subprocess.Popen(["ssh-agent", "-D", "-a", path], stdout=subprocess.DEVNULL)
    yield path
    process.terminate()
    process.wait()


def children() -> list[psutil.Process]:
    return psutil.Process().children(recursive=True)


@pytest.mark.parametrize(
    ("name", "reason"),
    [("wrong", "its key is not in authorized_keys"), ("old", "the key of old expired at 2020-01-01")],
)
async def test_a_key_that_is_not_good_is_refused_and_told_once(served: Served, name: str, reason: str) -> None:
    code, output = await served.run(served.ssh(name, "-tt", "127.0.0.1"))
    assert code == 255
    assert "Permission denied (publickey)" in output
    (told,) = await served.refused(1)
    assert reason in told


async def test_without_a_key_or_with_a_password_nobody_comes_in(served: Served) -> None:
    with pytest.raises(asyncssh.PermissionDenied):
        await served.connect("", client_keys=[], password=SECRET, preferred_auth="password,keyboard-interactive")
    with pytest.raises(asyncssh.PermissionDenied):
        await served.connect("", client_keys=[], preferred_auth="none")
    assert await served.refused(2) == ["127.0.0.1: it showed no key"] * 2
    assert SECRET not in "".join(served.lines)


async def test_a_key_may_only_come_from_where_it_is_bound_to(served: Served) -> None:
    served.allow(ada='role="operator",from="10.0.0.0/8" ')
    code, _ = await served.run(served.ssh("ada", "-tt", "127.0.0.1"))
    assert code == 255
    assert await served.refused(1) == ["127.0.0.1: the key of ada may not come from there"]


async def test_the_known_hosts_line_names_the_very_key_that_the_service_shows(served: Served) -> None:
    (served.folder / "host_key.known_hosts").write_text("")
    code, output = await served.run(served.ssh("ada", "-tt", "127.0.0.1"))
    assert code == 255
    assert "Host key verification failed" in output


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["127.0.0.1", "id"], "runs no commands"),
        (["-tt", "127.0.0.1", "sh", "-i"], "runs no commands"),
        (["-T", "127.0.0.1"], "needs a terminal"),
        (["-s", "127.0.0.1", "sftp"], "no files to fetch"),
        (["-W", "127.0.0.1:22", "127.0.0.1"], "nothing is forwarded here"),
        (["-N", "-o", "ExitOnForwardFailure=yes", "-R", "0:127.0.0.1:22", "127.0.0.1"], "forward"),
        (["-N", "-o", "ExitOnForwardFailure=yes", "-R", "/x.sock:127.0.0.1:22", "127.0.0.1"], "forward"),
    ],
    ids=["command", "shell", "no terminal", "subsystem", "stdio forward", "remote forward", "unix forward"],
)
async def test_an_operator_gets_a_window_and_nothing_else(served: Served, arguments: list[str], says: str) -> None:
    before = children()
    code, output = await served.run(served.ssh("ada", *arguments))
    assert code != 0
    assert says in output
    assert "uid=" not in output
    assert [each for each in children() if each not in before] == [], "nothing was started"
    (told,) = await served.refused(1)
    assert told.startswith("ada (127.0.0.1): ")


async def test_files_can_be_neither_fetched_nor_put(served: Served, tmp_path: Path) -> None:
    (tmp_path / "evil").write_text("x")
    for program, arguments in (
        ("sftp", ["-b", "/dev/null", "127.0.0.1"]),
        ("scp", [str(tmp_path / "evil"), "127.0.0.1:put"]),
        ("scp", ["-O", str(tmp_path / "evil"), "127.0.0.1:put"]),
    ):
        command = [part for part in served.ssh("ada", *arguments, program=program) if part]
        code, output = await served.run(command)
        assert code != 0
        assert "autoresearch-tui: refused: this is a control room" in output
    assert len(await served.refused(3)) == 3


async def test_a_local_forward_opens_nothing(served: Served) -> None:
    with socket.create_server(("127.0.0.1", 0)) as inside:
        inside.settimeout(0.3)
        async with served.connect("ada") as connection:
            with pytest.raises(asyncssh.ChannelOpenError, match="nothing is forwarded here"):
                await connection.open_connection("127.0.0.1", inside.getsockname()[1])
            with pytest.raises(asyncssh.ChannelOpenError, match="nothing is forwarded here"):
                await connection.open_unix_connection(str(served.folder))
        with pytest.raises(TimeoutError):
            inside.accept()
    assert len(await served.refused(2)) == 2


async def test_agent_and_display_are_not_forwarded_and_the_guest_is_told(served: Served, agent: str) -> None:
    await served.run(["ssh-add", "-q", str(served.folder / "ada")], SSH_AUTH_SOCK=agent)
    command = [*served.ssh("ada", "-A", "-tt", "127.0.0.1")]
    process = await asyncio.create_subprocess_exec(
        *command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        env={**os.environ, "SSH_AUTH_SOCK": agent, "TERM": "xterm"},
    )  # fmt: skip
    assert process.stdout is not None
    seen = await _read_until(process.stdout, b"\x1b[?1049h")
    assert b"autoresearch-tui: no agent is forwarded here: nothing would use it." in seen
    (window,) = [each for each in children() if "tui.serving.child" in " ".join(each.cmdline())]
    assert "SSH_AUTH_SOCK" not in {name for name in window.environ() if name not in os.environ}
    process.kill()
    await process.wait()
    async with served.connect("ada") as connection:
        with contextlib.suppress(asyncssh.ChannelOpenError):
            await connection.create_process(term_type="xterm", x11_forwarding="ignore_failure", x11_display="x:0")
    assert any("no agent is forwarded" in told for told in served.refusals())


async def test_what_a_client_sends_as_environment_reaches_no_program(served: Served) -> None:
    sent = {"LD_PRELOAD": "/evil.so", "PYTHONPATH": "/evil", "AUTORESEARCH_EXECUTOR": "evil", "COLORTERM": "truecolor"}
    async with served.connect("cleo") as connection:
        await connection.create_process(term_type="xterm-256color", term_size=(100, 30), env=sent, encoding=None)
        await served.until("cleo (viewer) came")
        window = await _window()
        environ = window.environ()
    assert environ["COLORTERM"] == "truecolor"
    assert "LD_PRELOAD" not in environ
    assert "AUTORESEARCH_EXECUTOR" not in environ
    assert "/evil" not in environ.get("PYTHONPATH", "")


async def test_old_algorithms_are_not_spoken(served: Served) -> None:
    weak: list[dict[str, Any]] = [
        {"kex_algs": ["diffie-hellman-group14-sha1"]},
        {"encryption_algs": ["aes128-cbc"]},
        {"encryption_algs": ["aes128-ctr"], "mac_algs": ["hmac-sha1"]},
        {"server_host_key_algs": ["ssh-rsa"]},
    ]
    for options in weak:
        with pytest.raises(asyncssh.KeyExchangeFailed):
            await served.connect("ada", **options)


async def test_too_many_keys_end_the_connection(served: Served) -> None:
    keys = [asyncssh.generate_private_key("ssh-ed25519") for _ in range(12)]
    with pytest.raises(asyncssh.DisconnectError):
        await served.connect("", client_keys=keys)
    await served.until("offered too many keys")
    assert len(await served.refused(1)) == 1


async def _read_until(stream: asyncio.StreamReader, mark: bytes, within_s: float = 15.0) -> bytes:
    seen = b""
    async with asyncio.timeout(within_s):
        while mark not in seen and (data := await stream.read(65536)):
            seen += data
    return seen


async def _window() -> psutil.Process:
    """The window process, once it is itself."""
    for _ in range(500):
        for each in children():
            with contextlib.suppress(psutil.Error):
                if "tui.serving.child" in " ".join(each.cmdline()):
                    return each
        await asyncio.sleep(0.01)
    raise AssertionError("no window")
