"""The connection to one API server: requests answered with bytes, and streams of bytes.

Signs in again when one side no longer takes what the other shows: a token, a certificate, or one signed by a new
authority. Says of each failure in a sentence what it was and whether waiting may mend it, and repeats nothing else by
itself. Knows no Jobs and no pods.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import ssl
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp
from kubernetes.aio import client

from core.clock import Clock
from core.errors import NothingRuns
from k8s.credentials import SERVICE_ACCOUNT, Access, BadAccess, access
from k8s.shapes import decode_failure

REQUEST_S = 30.0
CONNECT_S = 5.0
RETRY_S = 10.0  # between attempts to sign in again while that does not help
SPARE = 32  # connections beside the logs that are followed: watches and requests
CLOSING_S = 0.1
NO_ANSWER = 0
PATCH = "application/strategic-merge-patch+json"


class ClusterError(NothingRuns):
    """One request that failed: `status` as HTTP has it (0: no answer), `reason` as Kubernetes has it."""

    def __init__(
        self, sentence: str, status: int = NO_ANSWER, reason: str = "", *, wait_s: float | None = None
    ) -> None:
        super().__init__(sentence)
        self.status, self.reason = status, reason
        self.wait_s = wait_s  # the server's own wish

    @property
    def may_pass(self) -> bool:
        """Whether the same request may be answered later."""
        return self.status in (NO_ANSWER, 408, 410, 429) or self.status >= 500

    @property
    def is_refusal(self) -> bool:
        return self.status in (401, 403)


class Connection:
    """Every method raises ClusterError."""

    def __init__(
        self,
        *,
        clock: Clock,
        kubeconfig: str = "",
        context: str = "",
        namespace: str = "",
        followed: int = 0,
        account: Path = SERVICE_ACCOUNT,
    ) -> None:
        """`followed`: how many logs will be followed at once; each holds a connection. `account`: of this pod."""
        self._asked = (kubeconfig, context, namespace)
        self._account = account
        self._clock = clock
        self._size = followed + SPARE
        self._access: Access | None = None
        self._api: client.ApiClient | None = None
        self._signing_in = asyncio.Lock()
        self._signed_in = 0  # how often
        self._signed_with = b""
        self._vain_until = 0.0  # signing in again did not help

    async def __aenter__(self) -> Self:
        await self._sign_in(self._signed_in)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._api is not None:
            await self._api.close()
            self._api = None
            await asyncio.sleep(CLOSING_S)  # the server's goodbyes are still to come, and the loop may be about to end

    @property
    def namespace(self) -> str:
        return self._access.namespace if self._access else ""

    @property
    def context(self) -> str:
        return self._access.context if self._access else ""

    @property
    def host(self) -> str:
        return str(self._access.configuration.host) if self._access else ""

    async def request(
        self,
        method: str,
        path: str,
        query: Mapping[str, str | int] | None = None,
        body: Mapping[str, Any] | None = None,
        *,
        timeout_s: float = REQUEST_S,
    ) -> bytes:
        """The body of a good answer."""
        limits = aiohttp.ClientTimeout(total=timeout_s, sock_connect=CONNECT_S)
        async with self._answer(method, path, query or {}, body, limits) as answer:
            with self._told():
                return await answer.read()

    @contextlib.asynccontextmanager
    async def stream(
        self, path: str, query: Mapping[str, str | int] | None = None, *, inactive_s: float
    ) -> AsyncIterator[aiohttp.StreamReader]:
        """The bytes of a good answer as they come; a failure while they do is a ClusterError of no answer.

        `inactive_s`: a stream that is silent for so long has failed.
        """
        limits = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S, sock_read=inactive_s)
        async with self._answer("GET", path, query or {}, None, limits) as answer:
            with self._told():
                yield answer.content

    # --- one answer ---

    @contextlib.asynccontextmanager
    async def _answer(
        self,
        method: str,
        path: str,
        query: Mapping[str, str | int],
        body: Mapping[str, Any] | None,
        limits: aiohttp.ClientTimeout,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        for may_repeat in (True, False):
            if self._is_expiring():
                await self._sign_in(self._signed_in)
            before = self._signed_in
            try:
                answer = await self._send(method, path, query, body, limits)
            except ClusterError as error:
                if may_repeat and self._may_be_certificate(error) and await self._sign_in_again(before):
                    continue
                raise
            try:
                if may_repeat and answer.status == 401 and await self._sign_in_again(before):
                    continue
                if answer.status >= 300:
                    raise await self._refused(method, path, answer)
                yield answer
                return
            finally:
                answer.close()  # not released: what is left of a stream may never end

    async def _send(
        self,
        method: str,
        path: str,
        query: Mapping[str, str | int],
        body: Mapping[str, Any] | None,
        limits: aiohttp.ClientTimeout,
    ) -> aiohttp.ClientResponse:
        api = self._api
        if api is None:
            raise ClusterError("There is no connection to the cluster any more.")
        with self._told():
            verb, url, headers, *_ = await api.param_serialize(
                method,
                path,
                query_params=list(query.items()),
                header_params={"Content-Type": PATCH} if method == "PATCH" else {},
                auth_settings=["BearerToken"],
            )
            sent = await api.call_api(verb, url, headers, body=body, _request_timeout=limits)
        answer: aiohttp.ClientResponse = sent.response
        return answer

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except (aiohttp.ClientError, ssl.SSLError, TimeoutError, OSError) as error:
            raise self._unreachable(error) from error

    def _unreachable(self, error: BaseException) -> ClusterError:
        what = f"The API server {self.host} of context {self.context!r}"
        match error:
            case aiohttp.ClientConnectorCertificateError() | ssl.SSLCertVerificationError():
                return ClusterError(f"{what} shows a certificate that the kubeconfig does not trust: {_short(error)}.")
            case aiohttp.ClientSSLError() | ssl.SSLError():
                return ClusterError(f"{what} cannot be reached by TLS: {_short(error)}.")
            case aiohttp.ClientOSError() if _is_about_tls(error):
                return ClusterError(f"{what} broke off TLS, as it does if it refuses our certificate: {_short(error)}.")
            case aiohttp.ClientProxyConnectionError(os_error=cause):
                return ClusterError(f"{self._proxy} cannot be reached: {_told_by(cause)}.")
            case aiohttp.ClientHttpProxyError(status=status, message=message):
                return ClusterError(f"{self._proxy} does not let us through: {status} {message}".rstrip() + ".")
            case aiohttp.ClientConnectorError(os_error=cause):
                return ClusterError(f"{what} cannot be reached: {_told_by(cause)}.")
            case TimeoutError():
                return ClusterError(f"{what} does not answer; check the network and the context.")
            case aiohttp.ClientPayloadError() | aiohttp.ServerDisconnectedError():
                return ClusterError(f"{what} broke the connection.")
        return ClusterError(f"{what} cannot be reached: {_short(error)}.")

    @property
    def _proxy(self) -> str:
        address = str(self._access.configuration.proxy) if self._access else ""
        return f"The proxy {address.rpartition('@')[2]} of context {self.context!r}, on the way to {self.host},"

    async def _refused(self, method: str, path: str, answer: aiohttp.ClientResponse) -> ClusterError:
        with self._told():
            said = decode_failure(await answer.content.read(1 << 16))
        status, wait = answer.status, answer.headers.get("Retry-After", "")
        wait_s = float(wait) if wait.isdecimal() else None
        message = said.message.rstrip(".") or f"it answered {status} {answer.reason or ''}".rstrip()
        match status:
            case 401:
                text = f"The API server no longer accepts the credentials of context {self.context!r}; sign in again."
            case 403 if "exceeded quota" not in message:
                text = f"The cluster does not allow it: {message}. `autoresearch-tui doctor` prints the missing Role."
            case 404 if not said.reason:
                text = f"{self.host} has no {path}: is this a Kubernetes API server? {message}."
            case _ if said.reason:
                text = f"The API server refused {method} {path}: {message}."
            case _:
                text = (
                    f"Not the API server but something before it answered {status} {answer.reason or ''}".rstrip() + "."
                )
        return ClusterError(text, status, said.reason, wait_s=wait_s)

    # --- signing in ---

    def _is_expiring(self) -> bool:
        found = self._access
        return found is not None and found.renew_at is not None and self._clock.now() >= found.renew_at

    async def _sign_in_again(self, before: int) -> bool:
        """Whether it is worth to ask once more: what it signs in with was refused, or the server's certificate."""
        async with self._signing_in:
            if self._signed_in == before and self._clock.now() < self._vain_until:
                return False
            helps = await self._signed(before)
            self._vain_until = 0.0 if helps else self._clock.now() + RETRY_S
            return helps

    def _may_be_certificate(self, error: ClusterError) -> bool:
        """One that either side refuses. A server may break the connection before it has said that it does."""
        broke = isinstance(error.__cause__, aiohttp.ServerDisconnectedError | aiohttp.ClientOSError)
        has_own = self._access is not None and bool(self._access.configuration.cert_file)
        return _is_about_tls(error) or (broke and has_own)

    async def _sign_in(self, before: int) -> bool:
        async with self._signing_in:
            return await self._signed(before)

    async def _signed(self, before: int) -> bool:
        """Unless somebody else did since `before`. False if it just did, so that it would not help."""
        if self._signed_in != before:
            return True
        was = self._access
        try:
            found = await access(*self._asked, account=self._account)
            mark = await asyncio.to_thread(_mark, found)
            if was is not None and mark == self._signed_with:
                self._access = found
                return False
            found.configuration.connection_pool_maxsize = self._size
            fresh = await asyncio.to_thread(client.ApiClient, found.configuration)  # reads certificates
        except (BadAccess, OSError, ssl.SSLError, ValueError) as error:
            if was is not None:  # a file being replaced, or a command that fails for now: the next answer says so
                self._access = was._replace(renew_at=self._clock.now() + RETRY_S if was.renew_at else None)
                return False
            if isinstance(error, BadAccess):
                raise
            raise BadAccess(f"The certificates of the kubeconfig cannot be used: {_short(error)}.") from error
        old, self._api, self._access, self._signed_with = self._api, fresh, found, mark
        self._signed_in += 1
        if old is not None:
            await old.close()  # its streams break and are taken up again
        return True


def _mark(found: Access) -> bytes:
    """Changes when what it signs in with or trusts does, a certificate that was replaced in its file included."""
    settings = found.configuration
    files = (settings.cert_file, settings.key_file, settings.ssl_ca_cert)
    names = (settings.host, settings.proxy, settings.tls_server_name, *settings.api_key.values())
    parts = [str(name or "").encode() for name in names]
    return hashlib.sha256(b"\0".join([*parts, *(Path(file).read_bytes() for file in files if file)])).digest()


def _is_about_tls(error: BaseException) -> bool:
    """A certificate that one side refuses is told by the connection's error or by what caused that."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, ssl.SSLError | aiohttp.ClientSSLError):
        cause = cause.__cause__
    return cause is not None


def _told_by(cause: OSError) -> str:
    return os.strerror(cause.errno) if cause.errno else _short(cause)


def _short(error: BaseException) -> str:
    return (" ".join(str(error).split()) or type(error).__name__)[:300].rstrip(".")
