"""The engine's end of the supervisor: starts it, talks with it, starts it again when it dies, lets go of it.

Knows how to carry an order and news, not what they mean.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import psutil

from core.errors import NothingRuns
from core.executors import local_folder

PROGRAM = Path(__file__).with_name("runner.py")
TOKEN = "AUTORESEARCH_SUPERVISOR"  # noqa: S105  a mark on everything that one supervisor started; opens nothing
ATTEMPTS = 4  # starts in a row that come to nothing
LONGEST_WAIT = 30.0  # s between two starts


class Supervisor:
    def __init__(
        self,
        *,
        python: str,
        warm: tuple[str, ...],
        env: Mapping[str, str],
        log: Path,
        heard: Callable[[dict[str, Any]], None],
        died: Callable[[], None],
        first_wait: float = 0.5,
    ) -> None:
        """It is started again at once after its first death, `first_wait` seconds after the second, then ever later."""
        self.warm = bool(warm)
        self._python, self._modules, self._env, self._log = python, warm, env, log
        self._heard, self._died = heard, died
        self._process: subprocess.Popen[bytes] | None = None
        self._orders = self._news = -1  # our ends of its pipes
        self._unread = self._unsent = b""
        self._is_ready = False
        self._failures = 0  # deaths in a row before it was ready
        self._deaths = 0
        self._first_wait = first_wait
        self._retry_at = 0.0

    @property
    def is_up(self) -> bool:
        return self._process is not None

    def start(self) -> None:
        """Raises NothingRuns if the workspace's Python does not start."""
        command = [self._python, "-I", "-u", str(PROGRAM), *(["--warm", ",".join(self._modules)] if self.warm else [])]
        env = {**self._env, TOKEN: secrets.token_hex(8)}
        stdin, self._orders = os.pipe()
        self._news, stdout = os.pipe()
        try:
            with self._log.open("ab") as log:
                self._process = subprocess.Popen(  # asyncio's would be killed when its loop ends
                    command, stdin=stdin, stdout=stdout, stderr=log, env=env, start_new_session=True
                )
        except OSError as error:
            self._close()
            raise NothingRuns(f"{self._python} cannot be started ({error.strerror}): set python.") from error
        finally:
            os.close(stdin)
            os.close(stdout)
        self._unread = self._unsent = b""
        self._is_ready = False
        os.set_blocking(self._orders, False)
        os.set_blocking(self._news, False)
        asyncio.get_running_loop().add_reader(self._news, self._listen)

    def restart_if_due(self) -> bool:
        """True if it was. Raises NothingRuns when it dies again and again before it is ready."""
        if self._process is not None or asyncio.get_running_loop().time() < self._retry_at:
            return False
        if self._failures >= ATTEMPTS:
            raise NothingRuns(f"{self._python} cannot supervise runs: {self._log} says why.")
        self.start()
        return True

    def kill(self) -> None:
        """Ends it whatever it does; its runs die with it (Linux), and `died` is told as soon as its pipe closes."""
        if self._process is not None:
            self._process.kill()

    def send(self, **order: object) -> None:
        if self._process is not None:
            self._unsent += json.dumps(order).encode() + b"\n"
            self._flush()

    async def let_go(self, *, idle: bool) -> None:
        """It ends by itself with its last run; if it has none it is waited for."""
        if (process := self._process) is None:
            return
        self._close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(2.0 if idle else 0.0):
                while process.poll() is None:  # noqa: ASYNC110  it is not asyncio's child: nothing to wait on
                    await asyncio.sleep(0.005)
        if process.returncode is None:
            process.returncode = 0  # else Popen complains, when it is collected, that we leave it running

    def _flush(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while self._unsent:
                self._unsent = self._unsent[os.write(self._orders, self._unsent) :]
        except BlockingIOError:  # it is busy warming up
            loop.add_writer(self._orders, self._flush)
            return
        except OSError:  # it is dead; the end of its news says so
            self._unsent = b""
        loop.remove_writer(self._orders)

    def _listen(self) -> None:
        try:
            data = os.read(self._news, 1 << 16)
        except BlockingIOError:
            return
        *lines, self._unread = (self._unread + data).split(b"\n")
        for line in lines:
            message = json.loads(line)
            if message["kind"] == "ready":
                self._is_ready, self._failures = True, 0
                self.warm = bool(message["warm"])
            self._heard(message)
        if not data:
            self._bury()

    def _bury(self) -> None:
        process = self._process
        assert process is not None  # noqa: S101
        self._close()
        process.kill()  # if it only lost its voice, it must not run what the next one runs
        process.wait()
        self._failures += not self._is_ready
        self._deaths += 1
        self.warm = self.warm and self._is_ready and self._deaths < 2  # the plain way is the surer one
        wait = min(LONGEST_WAIT, self._first_wait * 4.0 ** min(self._deaths - 2, 8)) if self._deaths > 1 else 0.0
        self._retry_at = asyncio.get_running_loop().time() + wait
        self._died()

    def _close(self) -> None:
        loop = asyncio.get_running_loop()
        loop.remove_writer(self._orders)
        loop.remove_reader(self._news)
        os.close(self._orders)
        os.close(self._news)
        self._process = None


def kill_leftovers(folder: Path) -> None:
    """Ends what a dead supervisor left running, as far as it can be told from processes that only reuse its ids."""
    supervisor, _, token = (
        local_folder.read(folder / "claim", local_folder.NOTE).decode(errors="replace").partition(" ")
    )
    started = local_folder.read_json(folder / "started.json")
    found = [process for process in psutil.process_iter() if _belongs(process, token, started)]
    if any(str(process.pid) == supervisor for process in found):
        return  # it lives, although it could not say how this run ended; it clears up itself
    for process in found:
        with contextlib.suppress(psutil.Error):
            process.kill()


def _belongs(process: psutil.Process, token: str, started: Mapping[str, Any]) -> bool:
    try:
        if os.getpgid(process.pid) == started.get("pid") and process.create_time() >= float(started["at"]) - 2:
            return True
        return bool(token) and process.environ().get(TOKEN) == token
    except (psutil.Error, OSError, KeyError, TypeError, ValueError):  # gone, not ours, or a strange note
        return False
