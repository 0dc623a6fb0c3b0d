"""Lines of an authorized-keys file: who they let in, as what, and that a line not understood lets nobody in."""

from __future__ import annotations

import base64
import struct
from datetime import UTC, datetime

import pytest

from tui.serving.entries import Entry, fingerprint, parse

KEY = "AAAAC3NzaC1lZDI1NTE5AAAAIIUhZIz2IWtS9sqy82GRwgazoikzPCkHU4t2XKumWQEZ"
LINE = f"ssh-ed25519 {KEY} ada@laptop"


def only(text: str) -> Entry:
    entries, complaints = parse(text, "keys")
    assert complaints == ()
    (entry,) = entries
    return entry


def complaint(text: str) -> str:
    entries, complaints = parse(text, "keys")
    assert entries == ()
    (sentence,) = complaints
    return sentence


def rsa(bits: int) -> str:
    def field(data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + data

    number = (1 << (bits - 1)).to_bytes(bits // 8 + 1, "big")
    blob = field(b"ssh-rsa") + field(b"\x01\x00\x01") + field(number)
    return f"ssh-rsa {base64.b64encode(blob).decode()} ada"


def test_a_key_without_a_role_only_looks() -> None:
    entry = only(LINE)
    assert (entry.name, entry.role, entry.sources, entry.expires) == ("ada@laptop", "viewer", (), None)


def test_an_operator_is_named_by_an_option() -> None:
    assert only(f'role="operator" {LINE}').role == "operator"
    assert only(f'restrict,ROLE="operator",from="10.0.0.0/8" {LINE}').sources == ("10.0.0.0/8",)


def test_comments_and_empty_lines_are_nothing() -> None:
    assert parse(f"\n# a comment\n   \n{LINE}\n", "keys")[1] == ()


def test_the_fingerprint_is_the_one_that_ssh_keygen_shows() -> None:
    blob = base64.b64decode(KEY)
    assert only(LINE).fingerprint == fingerprint(blob)
    assert fingerprint(blob).startswith("SHA256:")
    assert len(fingerprint(blob)) == 7 + 43


def test_a_key_without_a_comment_is_named_by_its_fingerprint() -> None:
    entry = only(f"ssh-ed25519 {KEY}")
    assert entry.name == entry.fingerprint[:15]


def test_a_name_is_cut_and_holds_no_control_characters() -> None:
    assert only(f"ssh-ed25519 {KEY} \x1b[31mada").name.isprintable()
    assert len(only(f"ssh-ed25519 {KEY} {'a' * 500}").name) <= 40


def test_an_expiry_time_is_a_day_or_a_time_and_utc_with_a_z() -> None:
    assert only(f'expiry-time="20270131Z" {LINE}').expires == datetime(2027, 1, 31, tzinfo=UTC).timestamp()
    assert only(f'expiry-time="202701311800Z" {LINE}').expires == datetime(2027, 1, 31, 18, tzinfo=UTC).timestamp()
    entry = only(f'expiry-time="20200101Z" {LINE}')
    assert "expired at 2020-01-01 00:00 UTC" in entry.why_not("10.0.0.1", now=1.7e9)
    assert entry.why_not("10.0.0.1", now=1.5e9) == ""


def test_from_binds_a_key_to_addresses() -> None:
    entry = only(f'from="10.0.0.0/8,!10.1.*" {LINE}')
    assert entry.why_not("10.2.0.1", 0.0) == ""
    assert "may not come from there" in entry.why_not("10.1.0.1", 0.0)
    assert entry.why_not("192.168.0.1", 0.0)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (f'role="root" {LINE}', "none of operator, viewer"),
        (f'role="viewer",role="operator" {LINE}', "none of"),
        (f'command="/bin/sh" {LINE}', "command is no option here"),
        (f'environment="A=b" {LINE}', "environment is no option"),
        (f"cert-authority {LINE}", "cert-authority is no option"),
        (f"role=operator {LINE}", "neither a public key nor options"),
        (f"role {LINE}", "role is no option"),
        (f'from="*.example.org" {LINE}', "host names are not looked up"),
        (f'from="10.0.0.0/99" {LINE}', "no network"),
        (f'expiry-time="soon" {LINE}', "no time"),
        (f'expiry-time="99990101000000Z9" {LINE}', "no time"),
        (f"ssh-dss {KEY} ada", "no kind of key"),
        (f"ssh-ed25519 {KEY[:40]} ada", "cut or damaged"),
        (f"ecdsa-sha2-nistp256 {KEY} ada", "not of the kind that it says"),
        ("ssh-ed25519", "cut or damaged"),
        (f'role="operator"{LINE}', "neither a public key nor options"),
        (rsa(1024), "2,048 bits or more"),
    ],
)
def test_a_line_that_is_not_understood_lets_nobody_in_and_says_why(line: str, says: str) -> None:
    sentence = complaint(line)
    assert says in sentence
    assert sentence.startswith("keys:1: ")
    assert sentence.endswith("it lets nobody in.")


def test_other_lines_hold_beside_a_wrong_one() -> None:
    entries, complaints = parse(f"nonsense\n{LINE}", "keys")
    assert len(entries) == len(complaints) == 1


def test_an_rsa_key_of_2048_bits_is_taken() -> None:
    assert only(rsa(2048)).name == "ada"


def test_quotes_and_commas_inside_a_value_belong_to_it() -> None:
    assert "\\" not in complaint(rf'role="a\"b,c" {LINE}').split("none of")[0]
