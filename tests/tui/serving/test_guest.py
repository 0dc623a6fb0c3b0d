"""What a client says of its terminal is cut to what can do no harm."""

from __future__ import annotations

from typing import Any

import pytest

from tui.serving.guest import COLUMNS, ROWS, Guest, environment, size

SERVER = {"PATH": "/bin", "HOME": "/root", "ANTHROPIC_API_KEY": "secret", "LC_ALL": "POSIX", "TMUX": "/x/y"}
HOSTILE = {
    "LD_PRELOAD": "/evil.so",
    "PYTHONPATH": "/evil",
    "PATH": "/evil",
    "PYTHONSTARTUP": "/evil.py",
    "AUTORESEARCH_EXECUTOR": "local",
    "TEXTUAL_DRIVER": "evil:Driver",
    "GIT_SSH_COMMAND": "evil",
    "COLORTERM": "true\x1bcolor",
}


def made(sent: dict[str, str], terminal: str = "xterm", **guest: Any) -> dict[str, str]:
    given = {"name": "ada", "role": "operator", "fingerprint": "SHA256:x", "address": "10.0.0.1", **guest}
    return environment(SERVER, sent, terminal, Guest(**given))


def test_nothing_that_a_client_sends_reaches_a_program_but_the_look_of_its_terminal() -> None:
    assert made(HOSTILE) == made({})
    assert made({"COLORTERM": "truecolor"})["COLORTERM"] == "truecolor"


def test_a_viewers_window_inherits_no_secret_and_an_operators_can_start_the_engine() -> None:
    assert "ANTHROPIC_API_KEY" in made({})
    assert "secret" not in made({}, role="viewer").values()
    assert made({}, role="viewer")["PATH"] == "/bin"


@pytest.mark.parametrize("terminal", ["", "../../etc/passwd", "x" * 100, "xterm\n", "-e"])
def test_a_terminal_with_no_sound_name_is_taken_for_a_common_one(terminal: str) -> None:
    assert made({}, terminal)["TERM"] == "xterm-256color"


def test_the_servers_own_terminal_is_not_the_clients() -> None:
    assert "TMUX" not in made({})
    assert made({})["LC_ALL"] == "C.UTF-8"


@pytest.mark.parametrize(
    ("sent", "is_ascii"),
    [({}, False), ({"LANG": "de_DE.UTF-8"}, False), ({"LANG": "de_DE.UTF-8@euro"}, False), ({"LANG": "C"}, True)],
)
def test_a_client_whose_locale_is_not_utf8_gets_plain_signs(sent: dict[str, str], is_ascii: bool) -> None:
    assert ("AUTORESEARCH_ASCII" in made(sent)) is is_ascii


def test_sizes_are_held_within_what_a_window_can_be() -> None:
    assert size(120, 40) == (120, 40)
    assert size(0, 0) == (80, 24)
    assert size(1 << 32, 1 << 32) == (COLUMNS, ROWS)
