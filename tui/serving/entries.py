"""Lines of an authorized-keys file, in OpenSSH's syntax with one option of our own, `role`. Pure.

sshd does not know `role` and lets nobody in by such a line: a key for the control room never becomes a key for a shell
by a file put in the wrong place.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import struct
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Literal, get_args

import msgspec

from tui.safe import line as safe
from tui.serving.origins import is_from, misspelt

Role = Literal["operator", "viewer"]
ROLES: tuple[Role, ...] = get_args(Role)
KINDS = frozenset(
    (
        "ssh-ed25519",
        "ssh-rsa",
        *(f"ecdsa-sha2-nistp{bits}" for bits in (256, 384, 521)),
        *("sk-ssh-ed25519@openssh.com", "sk-ecdsa-sha2-nistp256@openssh.com"),
    )
)
# What OpenSSH lets a line take away, and nothing here gives.
HARMLESS = frozenset(
    ("restrict", "no-pty", "no-port-forwarding", "no-agent-forwarding", "no-x11-forwarding", "no-user-rc")
)
RSA_BITS = 2048
NAME = 40  # characters
_OPTION = re.compile(r'([A-Za-z0-9-]+)(?:=("(?:[^"\\]|\\.)*"))?(,|[ \t]+|$)')


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    blob: bytes  # the public key, in SSH's wire format
    name: str  # goes into the log with every command
    role: Role = "viewer"
    sources: tuple[str, ...] = ()  # patterns as `from=` has them; all must match
    expires: float | None = None  # seconds since the epoch

    @property
    def fingerprint(self) -> str:
        return fingerprint(self.blob)

    def why_not(self, address: str, now: float) -> str:
        """ "" if it may come in; else the rest of a sentence."""
        if self.expires is not None and now >= self.expires:
            return f"the key of {self.name} expired at {datetime.fromtimestamp(self.expires, UTC):%Y-%m-%d %H:%M} UTC"
        if not all(is_from(address, source) for source in self.sources):
            return f"the key of {self.name} may not come from there"
        return ""


class _Wrong(Exception):  # noqa: N818  a sentence about one line
    pass


def fingerprint(blob: bytes) -> str:
    """As `ssh-keygen -l` shows it."""
    return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")


def parse(text: str, source: str) -> tuple[tuple[Entry, ...], tuple[str, ...]]:
    """The keys of a file, and a sentence per line that is none; `source` is its name in those."""
    entries, complaints = [], []
    for number, row in enumerate(text.splitlines(), 1):
        if not row.strip() or row.lstrip().startswith("#"):
            continue
        try:
            entries.append(_entry(row.strip()))
        except _Wrong as wrong:
            complaints.append(f"{source}:{number}: {safe(str(wrong), 200)}; it lets nobody in.")
    return tuple(entries), tuple(complaints)


def _entry(row: str) -> Entry:
    options, rest = ({}, row) if row.split()[0] in KINDS else _options(row)
    kind, _, rest = rest.partition(" ")
    data, _, comment = rest.strip().partition(" ")
    blob = _blob(kind, data)
    return Entry(
        blob=blob,
        name=safe(comment.strip(), NAME) or fingerprint(blob)[:15],
        role=_role(options.get("role", ["viewer"])),
        sources=tuple(_checked(pattern) for pattern in options.get("from", [])),
        expires=min(map(_time, options["expiry-time"])) if "expiry-time" in options else None,
    )


def _options(row: str) -> tuple[dict[str, list[str]], str]:
    """What stands before the kind of the key, by name in lower case, and the rest."""
    found: dict[str, list[str]] = {}
    for name, value, end in _tokens(row):
        if name in HARMLESS and value is None:
            pass
        elif name not in ("role", "from", "expiry-time") or value is None:
            raise _Wrong(f"{name} is no option here (there are role, from, expiry-time, restrict) and no kind of key")
        else:
            found.setdefault(name, []).append(value)
        rest = row[end:]
    return found, rest.strip()


def _tokens(row: str) -> Iterator[tuple[str, str | None, int]]:
    at = 0
    while match := _OPTION.match(row, at):
        value = None if match[2] is None else re.sub(r"\\(.)", r"\1", match[2][1:-1])
        at = match.end()
        yield match[1].lower(), value, at
        if match[3] != ",":
            return
    raise _Wrong("it is neither a public key nor options and a public key")


def _blob(kind: str, data: str) -> bytes:
    if kind not in KINDS:
        raise _Wrong(f"{kind or 'nothing'} is no kind of key that is taken (ssh-ed25519, ecdsa, RSA, security keys)")
    try:
        blob = base64.b64decode(data, validate=True)
        named, *numbers = _fields(blob)
    except (binascii.Error, struct.error, ValueError) as error:
        raise _Wrong("the key is cut or damaged") from error
    if named != kind.encode() or not numbers:
        raise _Wrong("the key is not of the kind that it says")
    if kind == "ssh-rsa" and int.from_bytes(numbers[-1], "big").bit_length() < RSA_BITS:
        raise _Wrong(f"an RSA key needs {RSA_BITS:,} bits or more")
    return blob


def _fields(blob: bytes) -> Iterator[bytes]:
    """RFC 4251: strings with their length before them."""
    while blob:
        (size,) = struct.unpack_from(">I", blob)
        if len(blob) < 4 + size:
            raise ValueError("cut")
        yield blob[4 : 4 + size]
        blob = blob[4 + size :]


def _role(values: list[str]) -> Role:
    for role in ROLES:
        if values == [role]:
            return role
    raise _Wrong(f'role="{values[-1]}" is none of {", ".join(ROLES)}')


def _checked(pattern: str) -> str:
    if wrong := misspelt(pattern):
        raise _Wrong(f'from="{pattern}": {wrong}')
    return pattern


def _time(text: str) -> float:
    """YYYYMMDD, YYYYMMDDHHMM or YYYYMMDDHHMMSS in the time zone of this machine; with a Z behind it UTC."""
    digits, zone = text.removesuffix("Z"), UTC if text.endswith("Z") else None
    forms = {8: "%Y%m%d", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}
    try:
        moment = datetime.strptime(digits, forms[len(digits)])  # noqa: DTZ007  the zone is set below
        return moment.replace(tzinfo=zone).timestamp()
    except (KeyError, ValueError, OverflowError) as error:
        raise _Wrong(f'expiry-time="{text}" is no time like "20270131" or "202701311800Z"') from error
