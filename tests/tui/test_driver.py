"""The driver in real pseudo-terminals: slow ones, ones that stop reading, ones that go away."""

from __future__ import annotations

import fcntl
import os
import signal
import struct
import sys
import termios
import time
from pathlib import Path

import pytest
from glass import Glass

from tui.pace import FRAMES, Pace

APP = Path(__file__).parent / "paced_app.py"
LEFT = (b"\x1b[?1049l", b"\x1b[?25h", b"\x1b[?1003l", b"\x1b[?2004l", b"\x1b[?7h")


def started(tmp_path: Path, kind: str = "busy", **options: object) -> Glass:
    glass = Glass([sys.executable, str(APP), str(tmp_path / "beat"), kind], **options)  # type: ignore[arg-type]
    glass.wait(lambda text: "key 0" in text)
    return glass


def assert_taken_again(glass: Glass) -> None:
    """The program has its modes; what was typed before it had is lost, as in any program."""
    end = time.monotonic() + 10
    while termios.tcgetattr(glass.slave) == glass.modes:
        assert time.monotonic() < end
        glass.read()
    glass.read_for(0.3)


def beats(tmp_path: Path) -> int:
    return (tmp_path / "beat").stat().st_size


def assert_in_order(glass: Glass) -> None:
    """The terminal is as the program found it."""
    assert [code for code in LEFT if code not in glass.last] == []
    assert termios.tcgetattr(glass.slave) == glass.modes
    left_over = struct.unpack("i", fcntl.ioctl(glass.slave, termios.FIONREAD, b"\0" * 4))[0]
    assert left_over == 0, "answers of the terminal were left for the shell"


def expected(frames: int, width: int, height: int) -> list[str]:
    return [f"{frames * 7919 + row * 104729:0{width}d}"[-width:] for row in range(height)]


@pytest.mark.parametrize("answers", [True, False], ids=["answers", "never answers"])
def test_keys_reach_the_screen_of_a_fast_terminal_at_once(tmp_path: Path, answers: bool) -> None:
    with started(tmp_path, answers=answers) as glass:
        for number in range(1, 6):
            glass.press("k")
            assert glass.wait(lambda text, seen=f"key {number}": seen in text) < 0.5  # type: ignore[misc]


def test_a_terminal_of_100_kilobytes_a_second_is_late_by_a_frame_and_not_by_its_buffers(tmp_path: Path) -> None:
    with started(tmp_path, rate=100_000, size=(160, 60)) as glass:
        glass.read_for(2.0)
        took = []
        for number in range(1, 7):
            glass.press("k")
            took.append(glass.wait(lambda text, seen=f"key {number}": seen in text))  # type: ignore[misc]
            glass.read_for(0.3)
        assert max(took) < 0.8, took


@pytest.mark.parametrize("answers", [True, False], ids=["answers", "never answers"])
def test_a_terminal_that_stops_reading_stops_nothing_and_is_right_when_it_reads_again(
    tmp_path: Path, answers: bool
) -> None:
    with started(tmp_path, answers=answers, size=(160, 60)) as glass:
        glass.read_for(0.5)
        before = beats(tmp_path)
        time.sleep(3.5)  # Textual's own driver beats 33 times and stands still
        assert beats(tmp_path) - before > 45
        glass.press("f")
        time.sleep(0.3)
        glass.wait(lambda text: "frozen at" in text)
        glass.read_for(0.5)
        first, *rest = glass.text.splitlines()
        assert rest == expected(int(first.split()[-1]), 160, 59)


def test_a_terminal_that_stops_reading_can_be_left(tmp_path: Path) -> None:
    with started(tmp_path) as glass:
        time.sleep(1.5)
        glass.press("q")
        start = time.monotonic()
        while termios.tcgetattr(glass.slave) != glass.modes:
            assert time.monotonic() - start < 5
            time.sleep(0.05)
        assert glass.ended() == 7
        assert_in_order(glass)


def test_a_calm_screen_writes_nothing(tmp_path: Path) -> None:
    with started(tmp_path, "calm") as glass:
        glass.read_for(1.0)
        assert glass.read_for(1.0) == 0


def test_a_resize_storm_ends_with_the_right_screen(tmp_path: Path) -> None:
    with started(tmp_path) as glass:
        for columns in (20, 120, 33, 200, 60):
            glass.resize(columns, max(5, columns // 4))
            os.kill(glass.process.pid, signal.SIGWINCH)
            glass.read_for(0.05)
        glass.press("f")
        glass.wait(lambda text: "frozen at" in text)
        glass.read_for(0.5)
        first, *rest = glass.text.splitlines()
        assert rest == expected(int(first.split()[-1]), 60, 14)


@pytest.mark.parametrize(
    ("how", "code"),
    [("q", 7), ("x", 1), (signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130)],
    ids=["exit", "exception", "SIGTERM", "SIGHUP", "SIGINT"],
)
def test_the_terminal_is_left_in_order_after(tmp_path: Path, how: str | signal.Signals, code: int) -> None:
    with started(tmp_path) as glass:
        glass.read_for(0.3)
        if isinstance(how, str):
            glass.press(how)
        else:
            os.kill(glass.process.pid, how)
        assert glass.ended() == code
        assert_in_order(glass)
        assert b"left in order" in glass.last


def test_a_terminal_that_goes_away_ends_the_program_with_129(tmp_path: Path) -> None:
    with started(tmp_path) as glass:
        glass.hang_up()
        assert glass.ended() == 129


def test_ctrl_z_gives_the_terminal_back_and_fg_takes_it_again(tmp_path: Path) -> None:
    with started(tmp_path) as glass:
        glass.press("z")
        end = time.monotonic() + 5
        while Path(f"/proc/{glass.process.pid}/stat").read_text().split()[2] != "T":
            assert time.monotonic() < end
            glass.read()
        while glass.read():
            pass
        assert_in_order(glass)
        os.kill(glass.process.pid, signal.SIGCONT)
        assert_taken_again(glass)
        glass.press("k")
        glass.wait(lambda text: "key 1" in text)
        glass.press("f")
        glass.wait(lambda text: "frozen at" in text)
        glass.press("q")
        assert glass.ended() == 7
        assert_in_order(glass)


def test_a_stop_that_nobody_announced_is_survived(tmp_path: Path) -> None:
    with started(tmp_path) as glass:
        os.kill(glass.process.pid, signal.SIGSTOP)
        termios.tcsetattr(glass.slave, termios.TCSANOW, glass.modes)  # as a shell does
        os.kill(glass.process.pid, signal.SIGCONT)
        assert_taken_again(glass)
        glass.press("k")
        glass.wait(lambda text: "key 1" in text)
        glass.press("q")
        assert glass.ended() == 7
        assert_in_order(glass)


def test_a_terminal_that_never_answered_is_never_waited_for() -> None:
    pace = Pace()
    for _ in range(100):
        if pace.asks:
            pace.asked(100_000)
        assert not pace.is_full


def test_frames_wait_for_big_ones_on_their_way_and_small_ones_flow() -> None:
    pace = Pace()
    pace.asked(10)
    pace.answered()
    for _ in range(FRAMES):
        assert not pace.is_full
        pace.asked(10)
    assert pace.is_full
    pace.answered()
    assert not pace.is_full
    pace.asked(50_000)
    assert pace.is_full


def test_patience_grows_with_every_answer_that_does_not_come_and_is_restored_by_one() -> None:
    pace = Pace()
    pace.asked(50_000)
    pace.answered()
    waits = []
    for _ in range(5):
        pace.asked(50_000)
        waits.append(pace.patience_s)
        pace.missed()
        assert not pace.is_full
    assert waits == [2, 4, 8, 10, 10]
    pace.answered()
    assert pace.patience_s == 2
