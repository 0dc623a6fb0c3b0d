"""The terminal under the control room: Textual's driver for Linux and macOS, with frames paced by the terminal.

A frame is made when the one before has arrived: behind each goes a question for the cursor's place, and its answer says
so. A terminal that reads slowly or not at all holds up frames, never the program: what changed meanwhile is in the next
frame. Leaves the terminal in order on exit, on an exception, on signals and when the terminal itself is gone.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import signal
import sys
import threading
import time
from codecs import getincrementaldecoder
from collections.abc import Iterator
from functools import partial
from typing import Any

from textual import events
from textual._xterm_parser import XTermParser
from textual.drivers.linux_driver import LinuxDriver
from textual.message import Message

from tui.bursts import Bursts
from tui.output import Output
from tui.pace import Pace
from tui.terminal import off_signals, on_signals

ASK = "\x1b[6n"  # answered with where the cursor is
BEHIND = 32_768  # bytes waiting to be written at which no frame is made, whether the terminal answers or not
STALL_S = 2.0  # after a pause this long the whole screen is drawn again
ANSWERS_S = 0.5  # on leaving, for answers still on their way: they would be typed into the shell
HUNG_UP = 129


class PacedDriver(LinuxDriver):
    """Use as `App(driver_class=PacedDriver)`."""

    def __init__(self, app: Any, **options: Any) -> None:
        self._pace = Pace()
        self._pace_changed = threading.Condition()
        self._output: Output | None = None
        self._painting = False
        self._frame = 0  # characters since the last question
        self._hold: contextlib.ExitStack | None = None  # an open batch update: nothing is painted
        self._held_at = 0.0
        self._missed_a_frame = False  # Textual drew one while held, and it was thrown away
        self._overdue: asyncio.TimerHandle | None = None
        self._suspended = False
        super().__init__(app, **options)
        terminal = next((file for file in (sys.__stderr__, sys.__stdout__) if file and file.isatty()), sys.__stdin__)
        self._terminal = terminal.fileno() if terminal else self.fileno
        self._encoding = (terminal and terminal.encoding) or "utf-8"
        self._printed_to = [number for number in (1, 2) if os.isatty(number)]
        self._display = app._display  # noqa: SLF001  the only place that knows of a frame thrown away
        app._display = self._displayed  # noqa: SLF001

    # --- output ---

    def write(self, data: str) -> None:
        if self._output is not None:
            self._frame += len(data)
            self._output.write(data)

    def flush(self) -> None:
        """Textual calls it behind every frame."""
        if not self._painting or self._output is None or not self._frame:
            return
        with self._pace_changed:
            if self._pace.asks:
                self._output.write(ASK)
                self._pace.asked(self._frame)
        self._frame = 0
        if self._is_behind:
            self._hold_frames()

    @property
    def _is_behind(self) -> bool:
        return self._pace.is_full or (self._output is not None and self._output.size > BEHIND)

    def _displayed(self, screen: Any, renderable: Any) -> None:
        """In the place of `App._display`, which throws away what is drawn while a batch update is open."""
        self._missed_a_frame = self._missed_a_frame or (self._hold is not None and renderable is not None)
        self._display(screen, renderable)

    def _hold_frames(self) -> None:
        if self._hold is None:
            self._hold = contextlib.ExitStack()
            self._hold.enter_context(self._app.batch_update())
            self._held_at = time.monotonic()
            self._missed_a_frame = False
            self._expect_answer()

    def _expect_answer(self) -> None:
        if self._overdue is not None:
            self._overdue.cancel()
        self._overdue = self._loop.call_later(self._pace.patience_s, self._no_answer)

    def _no_answer(self) -> None:
        if self._output is not None and self._output.size <= BEHIND:
            with self._pace_changed:
                self._pace.missed()
            self._go_on()
        elif self._hold is not None:
            self._expect_answer()

    def _go_on(self) -> None:
        """Frames flow again if the terminal has caught up; runs in the loop."""
        if self._hold is None or (self._painting and self._is_behind):
            return
        hold, self._hold = self._hold, None
        hold.close()
        if self._overdue is not None:
            self._overdue.cancel()
        if self._painting and self._app.is_running:
            self._catch_up(time.monotonic() - self._held_at)

    def _catch_up(self, held_s: float) -> None:
        lost = self._output is not None and self._output.lost
        if lost and self._output is not None:
            self._output.lost = False
        if lost or self._missed_a_frame or held_s > STALL_S:
            self._app.screen.refresh()
        self._app.screen.check_idle()

    # --- input, in a thread of its own ---

    def process_message(self, message: Message) -> None:
        if not isinstance(message, events.CursorPosition):
            super().process_message(message)
            return
        with self._pace_changed:
            self._pace.answered()
            self._pace_changed.notify_all()
        self._in_loop(self._go_on)

    def run_input_thread(self) -> None:
        parser, bursts = XTermParser(self._debug), Bursts()
        for text in self._read():
            if bursts.is_paste(text):
                self.process_message(events.Paste(text))
                continue
            for message in (*parser.feed(text), *parser.tick()) if text else parser.tick():
                self.process_message(message)
        with contextlib.suppress(Exception):  # the parser may end in the middle of a sequence
            list(parser.feed(""))

    def _read(self) -> Iterator[str]:
        """What is typed, "" where nothing was for a tenth of a second; ends with the driver or with the terminal."""
        decode = getincrementaldecoder("utf-8")("replace").decode
        while not self.exit_event.is_set():
            if not select.select([self.fileno], [], [], 0.1)[0]:
                yield ""
                continue
            try:
                data = os.read(self.fileno, 4096)
            except OSError:
                data = b""
            if not data:
                self._gone()
                return
            yield decode(data)

    # --- coming and going ---

    def start_application_mode(self) -> None:
        caught_up = partial(self._in_loop, self._go_on)
        self._output = Output(self._terminal, self._encoding, caught_up, self._gone)
        with self._pace_changed:
            self._pace.forget()
        super().start_application_mode()  # type: ignore[no-untyped-call]
        on_signals(self._loop, self._leave)
        self._frame = 0
        self._painting = True

    def stop_application_mode(self) -> None:
        self._painting = False
        self._go_on()
        if self._output is not None:
            if not self._output.drain(ANSWERS_S):
                self._output.drop()
            else:
                self._await_answers()
            super().stop_application_mode()
            self.write("\x1b[?2026l\x1b[0m")
            self._output.close()
            self._output = None  # a frame painted from here on would land on the user's own screen

    def _await_answers(self) -> None:
        with self._pace_changed:
            if self._pace.answers:
                self._pace_changed.wait_for(lambda: self._pace.waiting == 0, ANSWERS_S)

    def close(self) -> None:
        super().close()
        self._writer_thread = None
        if not self._suspended:
            off_signals(self._loop)

    def _in_loop(self, call: Any, *arguments: Any) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: too late for anything
            self._loop.call_soon_threadsafe(call, *arguments)

    def _leave(self, code: int) -> None:
        self._app.exit(code, return_code=code)

    def _gone(self) -> None:
        """The terminal was closed: whatever is still printed goes nowhere, rather than fail."""
        if self.exit_event.is_set():
            return
        nowhere = os.open(os.devnull, os.O_RDWR)
        for number in self._printed_to:
            os.dup2(nowhere, number)
        os.close(nowhere)
        self._in_loop(self._leave, HUNG_UP)

    # --- ctrl+z and fg ---

    def _sigtstp_application(self, *_: Any) -> None:
        self._in_loop(self._suspend)

    def _sigcont_application(self, *_: Any) -> None:
        self._in_loop(self._resume)

    def _suspend(self) -> None:
        if self._auto_restart and not self._suspended:
            self._suspended = True
            self._must_signal_resume = True
            self.suspend_application_mode()
        os.kill(os.getpid(), signal.SIGSTOP)

    def _resume(self) -> None:
        """Takes the terminal again; also after a stop that nobody announced, when a shell has changed its modes."""
        if not self._auto_restart:
            return
        if not self._suspended:
            self.suspend_application_mode()
        self._suspended = False
        self.resume_application_mode()
        self._app.refresh(layout=True)
        self._app.screen.refresh()
