"""The connection: how it signs in, again if need be, and what it says of each failure."""

from __future__ import annotations

import asyncio
import json
import socket
import stat
import sys
from pathlib import Path
from typing import Any

import pytest
from wire import Asked, Reply, kubeconfig, serve

from core.clock import SystemClock
from core.errors import NothingRuns
from k8s.client import ClusterError, Connection
from k8s.credentials import BadAccess

GIVEN: dict[str, Any] = {"token": "s3cret"}
FORBIDDEN = 'jobs.batch is forbidden: User "ada" cannot create resource "jobs" in API group "batch"'


def opened(config: str, context: str = "") -> Connection:
    return Connection(clock=SystemClock(), kubeconfig=config, context=context)


async def error_of(config: str, context: str = "", method: str = "GET") -> ClusterError:
    async with opened(config, context) as connection:
        with pytest.raises(ClusterError) as caught:
            await connection.request(method, "/api/v1/pods", timeout_s=2)
    return caught.value


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


async def test_a_request_goes_to_the_context_with_its_token_and_namespace(tmp_path: Path) -> None:
    async def answer(_: Asked, reply: Reply) -> None:
        await reply.full(200, b"{}")

    async with serve(answer) as wire:
        config = kubeconfig(tmp_path, f"http://127.0.0.1:{wire.port}", **GIVEN)
        async with opened(config) as connection:
            assert await connection.request("POST", "/x", {"a": "b c&d"}, {"kind": "Job"}) == b"{}"
            assert (connection.context, connection.namespace) == ("test", "lab")
    (asked,) = wire.asked
    assert (asked.method, asked.path, asked.query) == ("POST", "/x", {"a": "b c&d"})
    assert asked.headers["authorization"] == "Bearer s3cret"
    assert json.loads(asked.body) == {"kind": "Job"}


async def test_a_server_that_is_not_there_is_told_by_its_address(tmp_path: Path) -> None:
    port = free_port()
    error = await error_of(kubeconfig(tmp_path, f"http://127.0.0.1:{port}"))
    assert str(error) == (
        f"The API server http://127.0.0.1:{port} of context 'test' cannot be reached: Connection refused."
    )
    assert error.may_pass


async def test_a_server_that_does_not_speak_tls_is_told(tmp_path: Path) -> None:
    async def meet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(meet, "127.0.0.1", 0) as server:
        error = await error_of(kubeconfig(tmp_path, f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"))
    assert "cannot be reached by TLS" in str(error)


REFUSALS = {
    403: (FORBIDDEN, "Forbidden", f"The cluster does not allow it: {FORBIDDEN}. `autoresearch-tui doctor` prints"),
    401: ("Unauthorized", "Unauthorized", "no longer accepts the credentials of context 'test'; sign in again."),
    422: ("spec: Required value", "Invalid", "The API server refused GET /api/v1/pods: spec: Required value."),
    404: ("", "", "is this a Kubernetes API server?"),
    502: ("", "", "Not the API server but something before it answered 502"),
}


@pytest.mark.parametrize("status", REFUSALS)
async def test_each_refusal_is_a_sentence(tmp_path: Path, status: int) -> None:
    message, reason, sentence = REFUSALS[status]

    async def answer(_: Asked, reply: Reply) -> None:
        body = {"kind": "Status", "code": status, "reason": reason, "message": message}
        await reply.full(status, body if reason else b"<html>no</html>")

    async with serve(answer) as wire:
        error = await error_of(kubeconfig(tmp_path, f"http://127.0.0.1:{wire.port}", **GIVEN))
    assert sentence in str(error)
    assert (error.status, error.reason) == (status, reason)
    assert error.may_pass == (status == 502)
    assert len(wire.asked) == 1


async def test_a_context_that_is_not_there_is_told_with_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(BadAccess, match=r"no context 'prod'; set kubernetes.context to one of: test"):
        await error_of(kubeconfig(tmp_path, "http://127.0.0.1:1"), "prod")


@pytest.mark.parametrize("content", ["", "[", "a: b", "clusters: 5\ncurrent-context: x\ncontexts: 7"])
async def test_a_file_that_is_no_kubeconfig_is_told(tmp_path: Path, content: str) -> None:
    (tmp_path / "config").write_text(content)
    with pytest.raises(NothingRuns, match="kubeconfig"):
        await error_of(str(tmp_path / "config"))


async def test_no_kubeconfig_at_all_is_told_with_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(BadAccess, match=r"There is no kubeconfig at .*/\.kube/config; set KUBECONFIG"):
        await error_of("")


# --- tokens that do not last ------------------------------------------------------------------------------------------


def plugin(folder: Path, body: str) -> dict[str, object]:
    """A command that gives tokens, as a kubeconfig names it."""
    script = folder / "plugin"
    script.write_text(f"#!{sys.executable}\nimport json, sys, pathlib\n{body}")
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    return {"apiVersion": "client.authentication.k8s.io/v1", "command": str(script), "args": []}


COUNTING = """
count = pathlib.Path(__file__ + "-count")
number = int(count.read_text()) + 1 if count.exists() else 1
count.write_text(str(number))
print(json.dumps({"kind": "ExecCredential", "status": {"token": f"t{number}"%s}}))
"""


async def test_a_token_that_has_expired_is_replaced_and_the_request_said_again(tmp_path: Path) -> None:
    async def answer(asked: Asked, reply: Reply) -> None:
        is_good = asked.headers["authorization"] == "Bearer t2"
        await reply.full(200 if is_good else 401, b"{}")

    async with serve(answer) as wire:
        config = kubeconfig(tmp_path, f"http://127.0.0.1:{wire.port}", exec=plugin(tmp_path, COUNTING % ""))
        async with opened(config) as connection:
            assert await connection.request("GET", "/x") == b"{}"
            assert await connection.request("GET", "/x") == b"{}"
    assert len(wire.asked) == 3


async def test_new_tokens_that_are_all_refused_are_told(tmp_path: Path) -> None:
    async def answer(_: Asked, reply: Reply) -> None:
        await reply.full(401, b"{}")

    async with serve(answer) as wire:
        config = kubeconfig(tmp_path, f"http://127.0.0.1:{wire.port}", exec=plugin(tmp_path, COUNTING % ""))
        assert "sign in again" in str(await error_of(config))
    assert len(wire.asked) == 2


async def test_a_token_is_renewed_before_it_expires(tmp_path: Path) -> None:
    async def answer(_: Asked, reply: Reply) -> None:
        await reply.full(200, b"{}")

    soon = ', "expirationTimestamp": "2020-01-01T00:00:00Z"'
    async with serve(answer) as wire:
        config = kubeconfig(tmp_path, f"http://127.0.0.1:{wire.port}", exec=plugin(tmp_path, COUNTING % soon))
        async with opened(config) as connection:
            await connection.request("GET", "/x")
    assert wire.asked[0].headers["authorization"] == "Bearer t2"


async def test_a_token_in_a_file_is_read_again_when_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("old")

    async def answer(asked: Asked, reply: Reply) -> None:
        await reply.full(200 if asked.headers["authorization"] == "Bearer new" else 401, b"{}")

    async with serve(answer) as wire:
        config = kubeconfig(tmp_path, f"http://127.0.0.1:{wire.port}", tokenFile=str(tmp_path / "token"))
        async with opened(config) as connection:
            (tmp_path / "token").write_text("new")
            assert await connection.request("GET", "/x") == b"{}"


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ("input('password: ')", "gave no token: EOFError"),
        ("sys.exit('no login')", "gave no token: no login. Sign in again."),
        ("print(json.dumps({'status': {}}))", "gave neither a token nor a certificate"),
        ("print('hello')", "cannot be used"),
    ],
)
async def test_a_command_that_gives_no_token_is_told_and_gets_no_terminal(
    tmp_path: Path, body: str, sentence: str
) -> None:
    config = kubeconfig(tmp_path, "http://127.0.0.1:1", exec=plugin(tmp_path, body))
    with pytest.raises(BadAccess) as caught:
        await error_of(config)
    assert sentence in str(caught.value)
