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
    ) -> None:
        self.warm = bool(warm)
        self._python, self._modules, self._env, self._log = python, warm, env, log
        self._heard, self._died = heard, died
        self._process: subprocess.Popen[bytes] | None = None
        self._unread = self._unsent = b""
        self._failures = 0  # deaths since it was last ready
        self._deaths = 0
        self._retry_at = 0.0

    @property
    def is_up(self) -> bool:
        return self._process is not None

    def start(self) -> None:
        """Raises NothingRuns if the workspace's Python does not start."""
        command = [self._python, "-I", "-u", str(PROGRAM), *(["--warm", ",".join(self._modules)] if self.warm else [])]
        env = {**self._env, TOKEN: secrets.token_hex(8)}
        with self._log.open("ab") as log:
            try:
                self._process = subprocess.Popen(
                    command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, env=env, start_new_session=True
                )
            except OSError as error:
                raise NothingRuns(f"{self._python} cannot be started ({error.strerror}): set python.") from error
        self._unread = self._unsent = b""
        orders, news = self._pipes()
        os.set_blocking(orders, False)
        os.set_blocking(news, False)
        asyncio.get_running_loop().add_reader(news, self._listen)

    def restart_if_due(self) -> None:
        """Raises NothingRuns when it dies again and again before it is ready."""
        if self._process is None and asyncio.get_running_loop().time() >= self._retry_at:
            if self._failures >= ATTEMPTS:
                raise NothingRuns(f"{self._python} cannot supervise runs: {self._log} says why.")
            self.start()

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
                while process.poll() is None:
                    await asyncio.sleep(0.005)  # it is not asyncio's child, so there is nothing to wait on
        if process.returncode is None:
            process.returncode = 0  # else Popen complains, when it is collected, that we leave it running

    def _pipes(self) -> tuple[int, int]:
        assert self._process and self._process.stdin and self._process.stdout  # noqa: S101  for the type checker
        return self._process.stdin.fileno(), self._process.stdout.fileno()

    def _flush(self) -> None:
        orders, _ = self._pipes()
        loop = asyncio.get_running_loop()
        try:
            while self._unsent:
                self._unsent = self._unsent[os.write(orders, self._unsent) :]
        except BlockingIOError:  # it is busy warming up
            loop.add_writer(orders, self._flush)
            return
        except OSError:  # it is dead; the end of its news says so
            self._unsent = b""
        loop.remove_writer(orders)

    def _listen(self) -> None:
        _, news = self._pipes()
        try:
            data = os.read(news, 1 << 16)
        except BlockingIOError:
            return
        *lines, self._unread = (self._unread + data).split(b"\n")
        for line in lines:
            message = json.loads(line)
            if message["kind"] == "ready":
                self._failures = 0
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
        self._failures += 1
        self._deaths += 1
        self.warm = self.warm and self._failures < 2 and self._deaths < 3  # the plain way is the surer one
        wait = min(LONGEST_WAIT, 0.1 * 4 ** min(self._deaths, 8)) if self._deaths > 1 else 0.0
        self._retry_at = asyncio.get_running_loop().time() + wait
        self._died()

    def _close(self) -> None:
        orders, news = self._pipes()
        loop = asyncio.get_running_loop()
        loop.remove_writer(orders)
        loop.remove_reader(news)
        assert self._process and self._process.stdin and self._process.stdout  # noqa: S101
        self._process.stdin.close()
        self._process.stdout.close()
        self._process = None


def kill_leftovers(folder: Path) -> None:
    """Ends what a dead supervisor left running, as far as it can be told from processes that only reuse its ids."""
    supervisor, _, token = local_folder.read(folder / "claim", local_folder.NOTE).decode(errors="replace").partition(" ")
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
