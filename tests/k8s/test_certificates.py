"""Certificates that are replaced while an engine runs, proxies, and a pod's own account."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import threading
from base64 import b64encode
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from certificates import Authority, server
from wire import Asked, Reply, kubeconfig, serve

from core.clock import SystemClock
from k8s import client
from k8s.client import ClusterError, Connection
from k8s.credentials import BadAccess, access

EXPIRED = timedelta(days=-1)


async def fine(_: Asked, reply: Reply) -> None:
    await reply.full(200, b"{}")


def opened(config: str, **more: Any) -> Connection:
    return Connection(clock=SystemClock(), kubeconfig=config, **more)


def trusting(folder: Path, port: int, ca: bytes, **user: Any) -> str:
    """A kubeconfig that names the authority by its file."""
    (folder / "ca.crt").write_bytes(ca)
    cluster = {"certificate-authority": str(folder / "ca.crt")}
    return kubeconfig(folder, f"https://127.0.0.1:{port}", cluster=cluster, **user)


# --- the server's -----------------------------------------------------------------------------------------------------


async def test_a_server_with_a_new_authority_is_trusted_once_its_file_says_so(tmp_path: Path) -> None:
    old, new = Authority("old"), Authority("new")
    async with serve(fine, tls=server(tmp_path, old.certificate())) as wire:
        config = trusting(tmp_path, wire.port, old.ca)
        connection = await opened(config).__aenter__()
        assert await connection.request("GET", "/x") == b"{}"
    async with serve(fine, port=wire.port, tls=server(tmp_path, new.certificate())):
        (tmp_path / "ca.crt").write_bytes(new.ca)
        assert await connection.request("GET", "/x") == b"{}"
        await connection.__aexit__(None, None, None)


async def test_an_authority_written_into_the_kubeconfig_is_read_again_too(tmp_path: Path) -> None:
    def written(port: int, ca: bytes) -> str:
        cluster = {"certificate-authority-data": b64encode(ca).decode()}
        return kubeconfig(tmp_path, f"https://127.0.0.1:{port}", cluster=cluster)

    old, new = Authority("old"), Authority("new")
    async with serve(fine, tls=server(tmp_path, new.certificate())) as wire, opened(written(wire.port, old.ca)) as it:
        written(wire.port, new.ca)
        assert await it.request("GET", "/x") == b"{}"


async def test_a_stranger_is_not_trusted_and_the_file_not_read_for_every_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads = 0

    async def counted(*asked: str, **more: Any) -> Any:
        nonlocal reads
        reads += 1
        return await access(*asked, **more)

    monkeypatch.setattr(client, "access", counted)
    stranger, trusted = Authority("stranger"), Authority("trusted")
    async with (
        serve(fine, tls=server(tmp_path, stranger.certificate())) as wire,
        opened(trusting(tmp_path, wire.port, trusted.ca)) as connection,
    ):
        answers = [connection.request("GET", "/x") for _ in range(20)]
        found = await asyncio.gather(*answers, return_exceptions=True)
        with pytest.raises(ClusterError, match="shows a certificate that the kubeconfig does not trust") as caught:
            await connection.request("GET", "/x")
    assert all(isinstance(each, ClusterError) for each in found)
    assert caught.value.may_pass, "its file may still be written"
    assert reads == 2
    assert not wire.asked


async def test_once_the_wait_is_over_the_file_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "RETRY_S", 0.2)
    old, new = Authority("old"), Authority("new")
    async with (
        serve(fine, tls=server(tmp_path, new.certificate())) as wire,
        opened(trusting(tmp_path, wire.port, old.ca)) as connection,
    ):
        with pytest.raises(ClusterError):
            await connection.request("GET", "/x")
        (tmp_path / "ca.crt").write_bytes(new.ca)
        with contextlib.suppress(ClusterError):  # a little too early, where the machine is quick
            await connection.request("GET", "/x")
        await asyncio.sleep(0.2)
        assert await connection.request("GET", "/x") == b"{}"


async def test_half_a_file_is_no_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "RETRY_S", 0.0)
    old, new = Authority("old"), Authority("new")
    async with (
        serve(fine, tls=server(tmp_path, new.certificate())) as wire,
        opened(trusting(tmp_path, wire.port, old.ca)) as connection,
    ):
        (tmp_path / "ca.crt").write_bytes(new.ca[:100])
        with pytest.raises(ClusterError, match="does not trust"):
            await connection.request("GET", "/x")
        (tmp_path / "ca.crt").write_bytes(new.ca)
        assert await connection.request("GET", "/x") == b"{}"


# --- the client's -----------------------------------------------------------------------------------------------------


def known(folder: Path, port: int, ca: bytes, own: bytes) -> str:
    (folder / "own.pem").write_bytes(own)
    files = {"client-certificate": str(folder / "own.pem"), "client-key": str(folder / "own.pem")}
    return trusting(folder, port, ca, **files)


@contextlib.contextmanager
def blunt(context: ssl.SSLContext) -> Iterator[int]:
    """A server that says why it refuses a certificate: that of asyncio only hangs up."""

    def meet(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False) as safe:
            try:
                safe.do_handshake()
                safe.recv(1 << 16)
                safe.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
            except ssl.SSLError:
                socket.socket.shutdown(safe, socket.SHUT_WR)
                socket.socket.recv(safe, 1 << 16)  # what is unread when it closes would take the alert along

    def listen() -> None:
        with contextlib.suppress(OSError):
            while True:
                meet(listening.accept()[0])

    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=listen, daemon=True, name="blunt").start()
        yield listening.getsockname()[1]
        listening.shutdown(socket.SHUT_RDWR)


async def test_a_client_certificate_that_expired_is_read_again_from_its_file(tmp_path: Path) -> None:
    root = Authority("root")
    with blunt(server(tmp_path, root.certificate(), clients=root.ca)) as port:
        config = known(tmp_path, port, root.ca, root.certificate("engine", lasts=EXPIRED))
        async with opened(config) as connection:
            with pytest.raises(ClusterError, match=r"refuses our certificate: .*expired") as caught:
                await connection.request("GET", "/x")
            assert caught.value.may_pass
        async with opened(config) as connection:
            (tmp_path / "own.pem").write_bytes(root.certificate("engine"))
            assert await connection.request("GET", "/x") == b"{}"


async def test_a_server_that_only_hangs_up_on_a_certificate_is_tried_with_the_new_one(tmp_path: Path) -> None:
    root = Authority("root")
    async with (
        serve(fine, tls=server(tmp_path, root.certificate(), clients=root.ca)) as wire,
        opened(known(tmp_path, wire.port, root.ca, root.certificate(lasts=EXPIRED))) as connection,
    ):
        (tmp_path / "own.pem").write_bytes(root.certificate("engine"))
        assert await connection.request("GET", "/x") == b"{}"


async def test_a_client_certificate_that_the_api_server_refuses_is_read_again(tmp_path: Path) -> None:
    """Kubernetes takes any certificate in the handshake and answers 401 to one that it does not accept."""
    root, status = Authority("root"), 401

    async def answer(_: Asked, reply: Reply) -> None:
        nonlocal status
        await reply.full(status, b"{}")
        status = 200

    async with serve(answer, tls=server(tmp_path, root.certificate())) as wire:
        config = known(tmp_path, wire.port, root.ca, root.certificate("engine"))
        async with opened(config) as connection:
            (tmp_path / "own.pem").write_bytes(root.certificate("engine"))
            assert await connection.request("GET", "/x") == b"{}"


# --- proxies ----------------------------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def tunnel(asked: list[str]) -> Any:
    """A proxy that connects whoever asks to whatever listens."""

    async def meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        asked.append(head.partition("\r\n")[0])
        host, port = head.split(" ")[1].split(":")
        far_reader, far_writer = await asyncio.open_connection(host, int(port))
        writer.write(b"HTTP/1.1 200 Connected\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            await asyncio.gather(_poured(reader, far_writer), _poured(far_reader, writer))

    async with await asyncio.start_server(meet, "127.0.0.1", 0) as listening:
        yield listening.sockets[0].getsockname()[1]


async def _poured(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while content := await reader.read(1 << 16):
        writer.write(content)
        await writer.drain()
    writer.close()


async def test_the_proxy_of_a_kubeconfig_is_gone_through(tmp_path: Path) -> None:
    root, asked = Authority("root"), list[str]()
    (tmp_path / "ca.crt").write_bytes(root.ca)
    async with serve(fine, tls=server(tmp_path, root.certificate())) as wire, tunnel(asked) as port:
        cluster = {"certificate-authority": str(tmp_path / "ca.crt"), "proxy-url": f"http://127.0.0.1:{port}"}
        config = kubeconfig(tmp_path, f"https://127.0.0.1:{wire.port}", cluster=cluster)
        async with opened(config) as connection:
            assert await connection.request("GET", "/x") == b"{}"
    assert asked == [f"CONNECT 127.0.0.1:{wire.port} HTTP/1.1"]


async def test_a_proxy_that_is_not_there_is_told_as_such(tmp_path: Path) -> None:
    cluster = {"proxy-url": "http://ada:s3cret@127.0.0.1:1"}
    async with opened(kubeconfig(tmp_path, "https://127.0.0.1:2", cluster=cluster)) as connection:
        with pytest.raises(ClusterError) as caught:
            await connection.request("GET", "/x")
    assert str(caught.value) == (
        "The proxy 127.0.0.1:1 of context 'test', on the way to https://127.0.0.1:2, cannot be reached: "
        "Connection refused."
    )


async def test_a_proxy_that_refuses_is_told_as_such(tmp_path: Path) -> None:
    async def refused(_: Asked, reply: Reply) -> None:
        await reply.full(403, b"")

    async with serve(refused) as wire:
        cluster = {"proxy-url": f"http://127.0.0.1:{wire.port}"}
        async with opened(kubeconfig(tmp_path, "https://127.0.0.1:2", cluster=cluster)) as connection:
            with pytest.raises(ClusterError, match="does not let us through: 403"):
                await connection.request("GET", "/x")


# --- a pod's own account ----------------------------------------------------------------------------------------------


@pytest.fixture
def account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """As Kubernetes mounts it; nobody's kubeconfig is in the way."""
    folder = tmp_path / "account"
    folder.mkdir()
    for name, text in (("token", "s3cret"), ("namespace", "lab\n"), ("ca.crt", "")):
        (folder / name).write_text(text)
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    return folder


async def test_a_pod_signs_in_with_its_own_account(
    account: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = Authority("root")
    (account / "ca.crt").write_bytes(root.ca)
    async with serve(fine, tls=server(tmp_path, root.certificate())) as wire:
        monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(wire.port))
        async with opened("", account=account) as connection:
            assert await connection.request("GET", "/x") == b"{}"
            assert (connection.context, connection.namespace) == ("in-cluster", "lab")
        async with opened("", account=account, namespace="other") as connection:
            assert connection.namespace == "other"
    assert wire.asked[0].headers["authorization"].lower() == "bearer s3cret"


async def test_a_pod_follows_a_new_authority_and_a_new_token(
    account: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def answer(asked: Asked, reply: Reply) -> None:
        await reply.full(200 if asked.headers["authorization"].endswith("new") else 401, b"{}")

    old, new = Authority("old"), Authority("new")
    (account / "ca.crt").write_bytes(old.ca)
    async with serve(answer, tls=server(tmp_path, new.certificate())) as wire:
        monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(wire.port))
        async with opened("", account=account) as connection:
            (account / "ca.crt").write_bytes(new.ca)
            (account / "token").write_text("new")
            assert await connection.request("GET", "/x") == b"{}"


@pytest.mark.parametrize("name", ["token", "ca.crt", "namespace"])
async def test_an_account_that_is_not_mounted_is_told(account: Path, name: str) -> None:
    (account / "ca.crt").write_text("some")
    (account / name).unlink()
    with pytest.raises(
        BadAccess, match=r"The service account of this pod cannot be used: .*automountServiceAccountToken"
    ):
        await access(account=account)


async def test_a_kubeconfig_goes_before_the_pods_account(account: Path, tmp_path: Path) -> None:
    (tmp_path / ".kube").mkdir()
    Path(kubeconfig(tmp_path, "http://127.0.0.1:1")).rename(tmp_path / ".kube" / "config")
    assert (await access(account=account)).context == "test"
