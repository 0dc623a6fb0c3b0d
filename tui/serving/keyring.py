"""Who may come in: an authorized-keys file with a role per key, read again when it changes. Knows files, no network.

    role="operator",from="10.0.0.0/8",expiry-time="20270101" ssh-ed25519 AAAA… ada

The comment is the name that goes into the log. Without `role` a key looks and can do nothing else. A line that is not
understood to its last option lets nobody in.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

import msgspec

from tui.serving.entries import Entry, parse

UNKNOWN = "its key is not in {path}"


class Refusal(msgspec.Struct, frozen=True):
    reason: str  # the rest of a sentence about the one refused


class Keyring:
    """The keys of a file; `complaints` of its last reading are sentences about lines that let nobody in."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.entries: tuple[Entry, ...] = ()
        self.complaints: tuple[str, ...] = ()
        self._seen: object = ""  # nothing yet, not even that there is no file

    def look(self) -> bool:
        """Reads the file again if it is another than before; whether it is. Without a file nobody is let in."""
        seen = self._mark()
        if seen == self._seen:
            return False
        self._seen = seen
        self.entries, self.complaints = self._read()
        return True

    def find(self, blob: bytes, address: str, now: float) -> Entry | Refusal:
        """Who owns the public key `blob` (SSH wire format) and may come from `address` at `now`, or why nobody does."""
        reason = UNKNOWN.format(path=self.path.name)
        for entry in self.entries:
            if entry.blob == blob and not (reason := entry.why_not(address, now)):
                return entry
        return Refusal(reason)

    def _mark(self) -> object:
        try:
            found = self.path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino

    def _read(self) -> tuple[tuple[Entry, ...], tuple[str, ...]]:
        try:
            with self.path.open("rb") as file:
                if complaint := _is_open_to_others(self.path, os.fstat(file.fileno())):
                    return (), (complaint,)
                text = file.read(1 << 20).decode("utf-8", "replace")
        except OSError as error:
            return (), (f"{self.path} cannot be read ({error.strerror}): nobody is let in until it can.",)
        return parse(text, self.path.name)


def _is_open_to_others(path: Path, found: os.stat_result) -> str:
    """As sshd has it: who can write the file decides who comes in."""
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return f"{path} can be written by others: nobody is let in until `chmod go-w {path}`."
    if found.st_uid not in (0, os.getuid()):
        return f"{path} belongs to another user: nobody is let in until it is yours (`chown`)."
    return ""
