"""One connection of the SSH service, from its first byte on: who it is, what it may have, how long it may stay.

Knows asyncssh. A window is the only thing to get; forwarding of ports, agents and displays is refused here, and again
where the library would set it up.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

import asyncssh

from tui import engine_process, numbers
from tui.serving import child
from tui.serving.guest import Guest, environment
from tui.serving.keyring import Refusal
from tui.serving.origins import neighbourhood
from tui.serving.visit import Visit

if TYPE_CHECKING:
    from tui.serving.server import Service

CHANNELS = 10  # of one connection
UNREAD = 4 << 20  # bytes that a client leaves unread before it is cut off
FORWARDING = "nothing is forwarded here: this is a control room"


class Caller(asyncssh.SSHServer):
    """One connection, from its first byte on."""

    conn: asyncssh.SSHServerConnection

    def __init__(self, service: Service) -> None:
        self._service, self._door, self._journal = service, service.door, service.journal
        self._visits: list[Visit] = []
        self._guest: Guest | None = None
        self._offered: set[bytes] = set()
        self._reason = "it showed no key"
        self._was_told = False
        self._is_stranger = False
        self._empty_since = 0.0  # when it last had no window
        self.address = self._origin = ""

    # --- coming in ---

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self.conn = conn
        self.address = str((conn.get_extra_info("peername") or ("nowhere",))[0])
        self._origin = neighbourhood(self.address)
        if why_not := self._door.knock(self._origin, time.monotonic()):
            self._refuse(why_not)
            conn.abort()
            return
        self._is_stranger = True
        self._service.came(self)
        # The library asks its options first; should it ever not, it finds nothing to set up here.
        setattr(conn, "create_agent_listener", self._no_agent)  # noqa: B010
        setattr(conn, "attach_x11_listener", self._no_display)  # noqa: B010

    def begin_auth(self, username: str) -> bool:
        return True  # the key decides, whatever the name

    def public_key_auth_supported(self) -> bool:
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        """Called for a key that is shown and again for one that signs. Nothing waits between the signature's check and
        `auth_completed`, so that the last one asked for is the one that signed."""
        self._guest = None
        self._offered.add(key.public_data)
        if len(self._offered) > self._service.plan.limits.keys:
            self._reason = "it offered too many keys"
            self.conn.disconnect(asyncssh.DISC_NO_MORE_AUTH_METHODS_AVAILABLE, "Too many keys: name one with -i.")
            return False
        self._service.keyring.look()
        found = self._service.keyring.find(key.public_data, self.address, time.time())
        if isinstance(found, Refusal):
            self._reason = found.reason
            return False
        self._guest = Guest(name=found.name, role=found.role, fingerprint=found.fingerprint, address=self.address)
        return True

    def auth_completed(self) -> None:
        self._no_stranger()
        self._empty_since = time.monotonic()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._is_stranger:
            self._refuse(self._reason)
        self._no_stranger()
        self._service.left(self)

    def _no_stranger(self) -> None:
        if self._is_stranger:
            self._is_stranger = False
            self._door.known(self._origin)

    def _refuse(self, reason: str) -> None:
        """Once for a connection that does not get in."""
        if not self._was_told:
            self._was_told = True
            self._journal.refused(self.address, reason)

    # --- what is asked for ---

    def session_requested(self) -> Visit:
        if self._guest is None:
            raise asyncssh.ChannelOpenError(asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED, "Nobody is logged in.")
        self._visits = [visit for visit in self._visits if not visit.is_over]
        if len(self._visits) >= CHANNELS:
            raise asyncssh.ChannelOpenError(asyncssh.OPEN_RESOURCE_SHORTAGE, "Too many channels on one connection.")
        visit = Visit(self, self._guest, self._service.start)
        self._visits.append(visit)
        return visit

    def connection_requested(self, dest_host: str, dest_port: int, orig_host: str, orig_port: int) -> bool:
        raise self._not_forwarded()

    def unix_connection_requested(self, dest_path: str) -> bool:
        raise self._not_forwarded()

    def tun_requested(self, unit: int | None) -> bool:
        raise self._not_forwarded()

    def tap_requested(self, unit: int | None) -> bool:
        raise self._not_forwarded()

    def server_requested(self, listen_host: str, listen_port: int) -> bool:
        self._not_forwarded()
        return False

    def unix_server_requested(self, listen_path: str) -> bool:
        self._not_forwarded()
        return False

    def _not_forwarded(self) -> asyncssh.ChannelOpenError:
        self._tell_refusal(FORWARDING)
        return asyncssh.ChannelOpenError(asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED, f"{FORWARDING}.")

    async def _no_agent(self) -> bool:
        self._tell_refusal("no agent is forwarded here: nothing would use it")
        return False

    async def _no_display(self, *_: object) -> None:
        self._tell_refusal("no display is forwarded here: the control room is text")

    def _tell_refusal(self, reason: str) -> None:
        if self._guest is not None:
            self.refused(self._guest, reason)
        for visit in self._visits[-1:]:
            visit.hints.append(reason)

    # --- for the visits ---

    def opens(self, guest: Guest) -> str:
        if why_not := self._is_out() or self._door.opens(guest.fingerprint):
            self.refused(guest, why_not)
        else:
            self._journal.note(f"{guest.name} ({guest.role}) came from {guest.address}")
        return why_not

    def closes(self, guest: Guest, seconds: float, why: str) -> None:
        self._door.closes(guest.fingerprint)
        self._empty_since = time.monotonic()
        because = f": {why}" if why else ""
        self._journal.note(f"{guest.name} left after {numbers.duration(seconds)}{because}")

    def refused(self, guest: Guest, reason: str) -> None:
        self._journal.refused(guest.address, reason, guest.name)

    def window(self, guest: Guest, sent: Mapping[str, str], terminal: str) -> tuple[list[str], dict[str, str]]:
        plan = self._service.plan
        invitation = child.Invitation(
            workspace=str(plan.workspace), name=guest.name, is_viewer=guest.role != "operator", flags=plan.flags
        )
        return child.command(invitation), environment(engine_process.environment(), sent, terminal, guest)

    def backlog(self) -> int:
        """The library leaves the socket's own buffer unwatched, and a client may promise to read and never do so."""
        transport = self.conn._transport  # noqa: SLF001
        return transport.get_write_buffer_size() if transport is not None else 0

    # --- staying ---

    def check(self, now: float) -> None:
        """Who may not stay is seen off: without a window, idle, unread, or with a key that is not good any more."""
        if self.backlog() > UNREAD:
            self.conn.abort()
        if self._guest is None or self._is_stranger:
            return
        limits = self._service.plan.limits
        windows = self._windows()
        if not windows and now - self._empty_since > limits.grace_s:
            self.conn.disconnect(asyncssh.DISC_BY_APPLICATION, "No window was asked for.")
        for visit in windows:
            if now - visit.active_at > limits.idle_s:
                visit.leave(f"no key for {numbers.duration(limits.idle_s)}")
        if why_not := self._is_out():
            self.see_off(why_not)

    def _is_out(self) -> str:
        guest = self._guest
        for entry in self._service.keyring.entries:
            if (
                guest
                and entry.fingerprint == guest.fingerprint
                and (entry.name, entry.role) == (guest.name, guest.role)
            ):
                return entry.why_not(self.address, time.time())
        return "the key is not in the file any more, or has another role"

    def _windows(self) -> list[Visit]:
        return [visit for visit in self._visits if visit.is_open]

    def see_off(self, why: str) -> None:
        windows = self._windows()
        for visit in windows:
            visit.leave(why)
        if not windows:
            self.conn.disconnect(asyncssh.DISC_BY_APPLICATION, why)
