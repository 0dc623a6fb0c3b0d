"""What the environment tells of a terminal, and what goes to its clipboard."""

from __future__ import annotations

import base64
import re

import pytest

from tui.terminal import COPY_LIMIT, Terminal, copy_sequence, fitting_theme, terminal

XTERM = {"TERM": "xterm-256color"}


@pytest.mark.parametrize(
    ("environ", "colours"),
    [
        ({}, 0),
        ({"TERM": "dumb"}, 0),
        ({"TERM": "linux"}, 16),
        ({"TERM": "xterm"}, 16),
        (XTERM, 256),
        ({"TERM": "tmux"}, 256),
        (XTERM | {"COLORTERM": "truecolor"}, 16_777_216),
        ({"TERM": "xterm-kitty"}, 16_777_216),
        (XTERM | {"COLORTERM": "truecolor", "NO_COLOR": "1"}, 0),
        (XTERM | {"NO_COLOR": ""}, 256),
    ],
)
def test_colours_follow_the_environment(environ: dict[str, str], colours: int) -> None:
    assert terminal(environ, "utf-8").colours == colours


@pytest.mark.parametrize(
    ("environ", "name"),
    [
        (XTERM, "night"),
        (XTERM | {"COLORFGBG": "15;0"}, "night"),
        (XTERM | {"COLORFGBG": "0;15"}, "day"),
        (XTERM | {"COLORFGBG": "0;default;15"}, "day"),
        (XTERM | {"COLORFGBG": "default"}, "night"),
        ({"TERM": "linux"}, "terminal"),
        ({}, "terminal"),
    ],
)
def test_the_first_theme_fits_the_terminal(environ: dict[str, str], name: str) -> None:
    assert fitting_theme(terminal(environ, "utf-8")) == name


def test_multiplexers_and_remote_sessions_are_seen() -> None:
    assert terminal(XTERM | {"TMUX": "default,1,0"}, "utf-8").multiplexer == "tmux"
    assert terminal({"TERM": "screen.xterm", "STY": "1.pts"}, "utf-8").multiplexer == "screen"
    assert terminal(XTERM | {"SSH_CONNECTION": "10.0.0.1 2 10.0.0.2 22"}, "ascii") == Terminal(
        colours=256, is_utf8=False, is_remote=True
    )


def copied(sequence: str) -> str:
    found = re.match(r"\x1b\]52;c;([A-Za-z0-9+/=]*)\x07", sequence)
    assert found
    return base64.b64decode(found[1]).decode()


def test_a_copied_text_arrives_without_control_characters() -> None:
    sequence, whole = copy_sequence("a\tb\nrm -rf\r\x1b[A\x03 日本", terminal(XTERM, "utf-8"))
    assert (copied(sequence), whole) == ("a\tb\nrm -rf[A 日本", True)


def test_a_long_text_is_cut_at_a_character_and_says_so() -> None:
    sequence, whole = copy_sequence("x" + "日" * COPY_LIMIT, terminal(XTERM, "utf-8"))
    assert not whole
    assert COPY_LIMIT - 3 < len(copied(sequence).encode()) <= COPY_LIMIT


def test_a_multiplexer_is_asked_to_hand_the_text_on() -> None:
    plain, _ = copy_sequence("hello", terminal(XTERM, "utf-8"))
    tmux, _ = copy_sequence("hello", terminal(XTERM | {"TMUX": "1"}, "utf-8"))
    assert tmux == plain + "\x1bPtmux;\x1b" + plain + "\x1b\\"
    screen, _ = copy_sequence("hello" * 400, terminal(XTERM | {"STY": "1"}, "utf-8"))
    parts = re.findall(r"\x1bP(.*?)\x1b\\", screen, re.DOTALL)
    assert copied("".join(parts)) == "hello" * 400
    assert max(map(len, parts)) <= 500
